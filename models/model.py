"""What every model is: a frozen config, a fit that returns a new object, and a folder of plain data.

Learning and state are apart. ``fit(shop, known_until)`` learns weights from windows that closed at or before
``known_until``; what moves daily (histories, neighbours, popularity) is read as of a cutoff, at scoring time.
So the version whose holdout figures were measured is the very version that is registered and serves.
"""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, ClassVar, Literal, NamedTuple, Self

import pandas as pd
from numpy.typing import NDArray

from features.customer import CUSTOMER_FEATURES
from features.errors import ArtefactError, CannotLearn
from features.shop import Shop
from models.config import Config


class Measured(NamedTuple):
    """What one method said of some rows, beside what came: for ``training.evaluate`` to judge."""

    method: str
    judged: str
    """``event`` (truth 0 or 1, score), ``total`` (truth, amount), ``inside`` (truth, low, high), or the name
    of a metric whose mean is the figure."""
    segment: str
    rows: NDArray[Any]
    """What each row is of: the same numbers for every method, so that differences are paired."""
    columns: tuple[NDArray[Any], ...]


class Model(ABC):
    """A fitted model. An unfitted one does not exist, so "not fitted" cannot happen."""

    name: ClassVar[str]
    """The registered name, also the file's."""
    question: ClassVar[str]
    """What it answers, in a shopkeeper's words."""
    method: ClassVar[str]
    """How, with the paper."""
    must_beat: ClassVar[tuple[str, ...]] = ()
    """Baselines it is shown next to."""
    kind: ClassVar[Literal["lists", "scores", "decisions", "effects", "pairs"]]
    """How it is evaluated, and so what ``training.evaluate`` calls besides what is below:

    - ``lists``, beside what was bought: ``state``, ``recommend``, ``baselines``; ``figures`` if it has any.
    - ``scores``, beside what happened: ``predict``, ``baselines``; ``places`` if it tells distributions.
    - ``pairs`` (of customers and products): ``measure``, what it said beside what came, as ``Measured``.
    - ``effects`` (of contacts): ``measure``, by action the trial and what each policy said of it.
    - ``decisions``, in money: ``evaluate``, from ready lists.
    """
    headline: ClassVar[tuple[str, ...]] = ()
    """``"metric segment"`` in tables, the first decides promotion: ``"ndcg@10 all"``, ``"auc lapsed"``."""
    truths: ClassVar[dict[str, str]] = {}
    """Scores only: column without horizon -> what it foretells: ``lapsed``, ``n_order_days``, ``revenue``."""
    Config: ClassVar[type[Config]]

    def __init__(self, config: Any, trained_until: datetime) -> None:
        self.config = config
        self.trained_until = trained_until

    @classmethod
    @abstractmethod
    def fit(cls, shop: Shop, known_until: datetime, config: Any) -> Self:
        """Learn from windows that closed at or before ``known_until``; raise ``CannotLearn`` in words."""

    def explain(self, shop: Shop, cutoff: datetime) -> pd.DataFrame | None:
        """Return reasons as codes, one row a customer; None where a model gives none."""
        return None

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
        card = {"name": self.name, "config": self.config.model_dump(mode="json")}
        card |= {"trained_until": self.trained_until.isoformat()} | facts
        (folder / "model.json").write_text(json.dumps(card, indent=1, sort_keys=True), encoding="utf-8")

    @classmethod
    def read_card(cls, folder: Path) -> dict[str, Any]:
        """Read ``model.json`` and check that it is this model's."""
        try:
            card: dict[str, Any] = json.loads((folder / "model.json").read_text(encoding="utf-8"))
        except (OSError, json.JSONDecodeError) as error:
            told = f"{cls.name}: no readable model.json in {folder.name}/ ({error})"
            raise ArtefactError(told, "train again") from error
        if card.get("name") != cls.name:
            raise ArtefactError(f"expected a {cls.name} model in {folder.name}/, found {card.get('name')!r}")
        return card


def require_products(name: str, shop: Shop) -> None:
    """Raise ``CannotLearn`` where the shop's orders do not say what was bought."""
    if not shop.facts.has_products:
        raise CannotLearn(
            f"{name} needs product_id in order_lines, found none", "map it in recompra.toml under [columns]"
        )


def check_fingerprint(name: str, trained: str, here: str) -> None:
    """Refuse a model whose features are not the ones this code computes."""
    if trained != here:
        raise ArtefactError(
            f"{name} was trained on customer features {trained}, this service computes {here}",
            "retrain, or deploy the matching commit",
        )


@contextmanager
def customer_card(model: type[Model], folder: Path) -> Iterator[dict[str, Any]]:
    """Give the card of a model of customers to rebuild it from; refuse other features and missing parts."""
    card = model.read_card(folder)
    check_fingerprint(model.name, card.get("customer_features", ""), CUSTOMER_FEATURES.fingerprint)
    try:
        yield card
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{model.name}: model.json is not whole ({error!r})", "train again") from error
