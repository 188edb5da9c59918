"""The models we have: a new one is one file beside this, and one line here."""

from importlib import import_module
from typing import cast

from features.errors import NotFound
from models.model import Model

MODELS: dict[str, str] = {
    "popular": "models.popular:Popular",
    "cross_sell": "models.cross_sell:CrossSell",
    "repurchase": "models.repurchase:Repurchase",
    "upsell": "models.upsell:Upsell",
    "churn": "models.churn:Churn",
    "ltv": "models.ltv:Ltv",
    "segments": "models.segments:Segments",
    "uplift": "models.uplift:Uplift",
    "next_best_offer": "models.next_best_offer:NextBestOffer",
}


def model_class(name: str) -> type[Model]:
    """Import and return a model's class by its registered name."""
    if name not in MODELS:
        raise NotFound(f"no model named {name!r}", f"the models are {', '.join(MODELS)}")
    module, attribute = MODELS[name].split(":")
    return cast("type[Model]", getattr(import_module(module), attribute))
