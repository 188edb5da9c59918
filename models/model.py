"""What every model is: a frozen config, a fit that returns a new object, and a folder of plain data.

Weights and state are separate. ``fit(shop, known_until)`` learns weights from windows that closed at or
before ``known_until``; what changes daily (histories, neighbours, popularity) is read as of a cutoff, when
scoring. So the version that was evaluated on the holdout is the very version that is registered and serves.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar, Generic, Self

from pydantic import ValidationError
from typing_extensions import TypeVar

from features.customer import CUSTOMER_FEATURES
from features.errors import ArtefactError, CannotLearn, first_line
from features.faults import problem as fault
from features.shop import Shop
from models.config import Config

C = TypeVar("C", bound=Config, default=Any)
"""A model's own config."""
OTHER_CODE = "retrain, or deploy the matching commit"
"""What to do about an artefact made by other code."""


@dataclass(frozen=True)
class Card(Generic[C]):
    """The contents of ``model.json``: how the model was made, and what loading must check and rebuild."""

    config: C
    trained_until: datetime
    facts: dict[str, Any]
    """What the model passed to ``write_card``, by name."""


class Model(ABC, Generic[C]):
    """A fitted model. An unfitted one does not exist, so "not fitted" cannot happen.

    Every model is of one kind, a class of ``models.kinds``, which adds the methods of that kind.
    """

    name: ClassVar[str]
    """The registered name, also that of its file."""
    question: ClassVar[str]
    """The question it answers, in a shopkeeper's words."""
    method: ClassVar[str]
    """The method, with the paper."""
    must_beat: ClassVar[tuple[str, ...]] = ()
    """Baselines it is compared with."""
    headline: ClassVar[tuple[str, ...]] = ()
    """``"metric segment"`` in tables, the first decides promotion: ``"ndcg@10 all"``, ``"auc lapsed"``."""
    Config: type[C]

    def __init__(self, config: C, trained_until: datetime) -> None:
        self.config = config
        self.trained_until = trained_until

    @classmethod
    @abstractmethod
    def fit(cls, shop: Shop, known_until: datetime, *, config: C) -> Self:
        """Learn from windows closed by ``known_until``; raise ``CannotLearn`` with the reason."""

    def importance(self) -> dict[str, float]:
        """Return each column's share of the importance, summing to 1; empty if the model has none."""
        return {}

    def notes(self, as_of: date | None = None) -> list[dict[str, Any]]:
        """Return caveats on the model's answers as of a day, as data (see ``models.chance.horizon``).

        Without one, as of the end of what it was learnt from.
        """
        return []

    def age_days(self, cutoff: datetime) -> float:
        """Return the days from the end of what it was learnt from to ``cutoff``."""
        return (cutoff - self.trained_until) / timedelta(days=1)

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write plain data (JSON, npz, LightGBM text) into ``folder``; never a pickle."""

    @classmethod
    @abstractmethod
    def load(cls, folder: Path) -> Self:
        """Read back what ``save`` wrote; raise ``ArtefactError`` if it does not fit this code."""

    def write_card(self, folder: Path, **facts: object) -> None:
        """Write ``model.json``: name, config, trained_until, and what the model must check on loading."""
        folder.mkdir(parents=True, exist_ok=True)
        card = {"name": self.name, "config": self.config.model_dump(mode="json")} | facts
        card |= {"trained_until": self.trained_until.isoformat()}
        (folder / "model.json").write_text(json.dumps(card, indent=1, sort_keys=True), encoding="utf-8")

    @classmethod
    def read_card(cls, folder: Path) -> Card[C]:
        """Read ``model.json``; raise ``ArtefactError`` for another model's, or an invalid config."""
        try:
            card: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            problem = f"{cls.name}: no readable model.json in {folder.name}/ ({error})"
            raise ArtefactError(problem, "train again") from error
        if card.get("name") != cls.name:
            problem = f"expected a {cls.name} model in {folder.name}/, found {card.get('name')!r}"
            raise ArtefactError(problem, "name the folder of that model, or train again")
        try:
            config = cls.Config.model_validate(card.pop("config"))
        except ValidationError as error:
            first = error.errors()[0]
            problem = f"{cls.name}: {'.'.join(map(str, first['loc']))} of its config: {fault(first)}"
            raise ArtefactError(problem, OTHER_CODE) from error
        return Card(config, datetime.fromisoformat(card.pop("trained_until")), card)


def require_products(name: str, shop: Shop) -> None:
    """Raise ``CannotLearn`` if the shop's orders do not name products."""
    if not shop.facts.has_products:
        raise CannotLearn(
            f"{name} needs product_id in order_lines, found none", "map it in recompra.toml under [columns]"
        )


def check_fingerprint(name: str, trained: str, *, here: str) -> None:
    """Raise ``ArtefactError`` if a model's customer features are not those this code computes."""
    if trained != here:
        problem = f"{name} was trained on customer features {trained}, this service computes {here}"
        raise ArtefactError(problem, OTHER_CODE)


@contextmanager
def card_of(model: type[Model[C]], folder: Path) -> Iterator[Card[C]]:
    """Yield the card to rebuild a model from; raise ``ArtefactError`` for a missing part."""
    try:
        yield model.read_card(folder)
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(
            f"{model.name}: model.json is incomplete ({first_line(error)})", "train again"
        ) from error


@contextmanager
def customer_card(model: type[Model[C]], folder: Path) -> Iterator[Card[C]]:
    """Yield the card of a customer model; raise ``ArtefactError`` for other features, too."""
    with card_of(model, folder) as card:
        check_fingerprint(
            model.name, card.facts.get("customer_features", ""), here=CUSTOMER_FEATURES.fingerprint
        )
        yield card
