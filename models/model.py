"""What every model is: a frozen config, a fit that returns a new object, and a folder of plain data.

Learning and state are apart. ``fit(shop, known_until)`` learns weights from windows that closed at or before
``known_until``; what moves daily (histories, neighbours, popularity) is read as of a cutoff, at scoring time.
So the version whose holdout figures were measured is the very version that is registered and serves.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Generic, Self

from pydantic import ValidationError
from typing_extensions import TypeVar

from features.customer import CUSTOMER_FEATURES
from features.errors import ArtefactError, CannotLearn
from features.shop import Shop
from models.config import Config

C = TypeVar("C", bound=Config, default=Any)
"""A model's own config."""
OTHER_CODE = "retrain, or deploy the matching commit"
"""What to do about an artefact that other code has made."""


@dataclass(frozen=True)
class Card(Generic[C]):
    """What ``model.json`` says: how the model was made, and what it must check and rebuild on loading."""

    config: C
    trained_until: datetime
    facts: dict[str, Any]
    """What the model gave ``write_card``, by name."""


class Model(ABC, Generic[C]):
    """A fitted model. An unfitted one does not exist, so "not fitted" cannot happen.

    A model is of one kind, a class of ``models.kinds``, which adds what is asked of it there.
    """

    name: ClassVar[str]
    """The registered name, also the file's."""
    question: ClassVar[str]
    """What it answers, in a shopkeeper's words."""
    method: ClassVar[str]
    """How, with the paper."""
    must_beat: ClassVar[tuple[str, ...]] = ()
    """Baselines it is shown next to."""
    headline: ClassVar[tuple[str, ...]] = ()
    """``"metric segment"`` in tables, the first decides promotion: ``"ndcg@10 all"``, ``"auc lapsed"``."""
    Config: type[C]

    def __init__(self, config: C, trained_until: datetime) -> None:
        self.config = config
        self.trained_until = trained_until

    @classmethod
    @abstractmethod
    def fit(cls, shop: Shop, known_until: datetime, config: C) -> Self:
        """Learn from windows that closed at or before ``known_until``; raise ``CannotLearn`` in words."""

    def importance(self) -> dict[str, float]:
        """Return what it looks at: each column's share of all that is explained; empty where none is told."""
        return {}

    def notes(self) -> list[dict[str, Any]]:
        """Return what a reader of its answers must know of them, as data (see ``models.chance.reach``)."""
        return []

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write plain data (JSON, npz, LightGBM text) into ``folder``; never a pickle."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """Read back what ``save`` wrote; raise ``ArtefactError`` where it does not fit this code."""

    def write_card(self, folder: Path, **facts: object) -> None:
        """Write ``model.json``: name, config, trained_until, and what the model must check on loading."""
        folder.mkdir(parents=True, exist_ok=True)
        card = {"name": self.name, "config": self.config.model_dump(mode="json")} | facts
        card |= {"trained_until": self.trained_until.isoformat()}
        (folder / "model.json").write_text(json.dumps(card, indent=1, sort_keys=True), encoding="utf-8")

    @classmethod
    def read_card(cls, folder: Path) -> Card[C]:
        """Read ``model.json``; raise ``ArtefactError`` where it is another model's, or of another config."""
        try:
            said: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            told = f"{cls.name}: no readable model.json in {folder.name}/ ({error})"
            raise ArtefactError(told, "train again") from error
        if said.get("name") != cls.name:
            raise ArtefactError(f"expected a {cls.name} model in {folder.name}/, found {said.get('name')!r}")
        try:
            config = cls.Config.model_validate(said.pop("config"))
        except ValidationError as error:
            first = error.errors()[0]
            told = f"{cls.name}: {'.'.join(map(str, first['loc']))} of its config: {first['msg']}"
            raise ArtefactError(told, OTHER_CODE) from error
        return Card(config, datetime.fromisoformat(said.pop("trained_until")), said)


def require_products(name: str, shop: Shop) -> None:
    """Raise ``CannotLearn`` where the shop's orders do not say what was bought."""
    if not shop.facts.has_products:
        raise CannotLearn(
            f"{name} needs product_id in order_lines, found none", "map it in recompra.toml under [columns]"
        )


def check_fingerprint(name: str, trained: str, here: str) -> None:
    """Raise ``ArtefactError`` for a model whose features are not the ones this code computes."""
    if trained != here:
        told = f"{name} was trained on customer features {trained}, this service computes {here}"
        raise ArtefactError(told, OTHER_CODE)


@contextmanager
def card_of(model: type[Model[C]], folder: Path) -> Iterator[Card[C]]:
    """Give the card of a model to rebuild it from; raise ``ArtefactError`` for a part that is missing."""
    try:
        yield model.read_card(folder)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{model.name}: model.json is not whole ({error!r})", "train again") from error


@contextmanager
def customer_card(model: type[Model[C]], folder: Path) -> Iterator[Card[C]]:
    """Give the same of a model of customers; raise ``ArtefactError`` for other features as well."""
    with card_of(model, folder) as card:
        check_fingerprint(model.name, card.facts.get("customer_features", ""), CUSTOMER_FEATURES.fingerprint)
        yield card
