"""The registry of models: a new one is a file in this folder, and one line here."""

import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import unquote, urlsplit

from features.errors import NotFound
from features.storage.database import sqlite_url

if TYPE_CHECKING:
    from models.model import Model

CHAMPION, CHALLENGER = "champion", "challenger"
"""Aliases in the registry: the version that serves, and the newest that does not."""
PAGE = 1000
"""The largest page that MLflow returns."""
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


def model_class(name: str) -> "type[Model]":
    """Import and return a model's class by its registered name; raise ``NotFound`` if there is none."""
    if name not in MODELS:
        raise NotFound(f"no model named {name!r}", f"the models are {', '.join(MODELS)}")
    module, attribute = MODELS[name].split(":")
    return cast("type[Model]", getattr(import_module(module), attribute))


def tracking_uri(home: Path) -> str:
    """Return the URI of a home's registry: ``RECOMPRA_TRACKING_URI``, else ``mlflow.db`` in the home."""
    return os.environ.get("RECOMPRA_TRACKING_URI") or sqlite_url(home / "mlflow.db")


def registered(client: Any) -> Iterator[Any]:
    """Yield our models in a registry, page by page; those of others in the same registry are skipped."""
    token = None
    while True:
        page = client.search_registered_models(max_results=PAGE, page_token=token)
        yield from (model for model in page if model.name in MODELS)
        if not (token := page.token):
            return


def kept_in(home: Path, source: str) -> str:
    """Return the URI of a version's folder, in ``home`` if it exists there.

    MLflow's URIs are absolute, ``file:///<home>/artifacts/<run>/artifacts/model``: a home that was moved, or
    restored elsewhere, holds the same folder under the same last parts. Other URIs are returned unchanged.
    """
    here = home.joinpath(*Path(unquote(urlsplit(source).path)).parts[-4:])
    return here.as_uri() if source.startswith("file:") and here.is_dir() else source
