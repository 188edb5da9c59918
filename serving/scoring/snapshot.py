"""One whole scoring, mapped from ``lists/<stamp>/``: what a worker answers from. Written once, never changed.

``manifest.json`` (written last inside the folder) names the moment, the models and the size of every file,
so that a truncated or half-written scoring is seen before it serves. ``serving.json`` in the home points at
the one in service.
"""

import json
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from features.catalogue import Catalogue
from features.errors import ArtefactError
from features.history import Floats, History, Ints, Vocabulary
from features.settings import Economics
from models.contact_policy import Goods, People
from models.decisions.known import Known
from models.decisions.offer import Terms, load_desk, save_desk
from models.ranking.cold import Segments
from models.ranking.reasons import Why
from serving.persons.marks import Marks
from serving.scoring.columns import Columns

Personal = Literal["for_you", "buy_again", "new_for_you"]
PERSONAL: tuple[Personal, ...] = ("for_you", "buy_again", "new_for_you")
PARTS = ("product", "score", "source", "reason", "number", "about")
"""Arrays of a ready list."""
SAMPLE = 200
"""So many rows of each list are checked on loading, evenly spread."""


class Ranker(Protocol):
    """What ``models.ranking.live.Live`` does: ranks for one customer on what just happened."""

    def rank(
        self,
        customer_id: str | None,
        new_lines: Sequence[tuple[str, int, float]],
        cart: Sequence[str],
        list_name: str,
        k: int,
        *,
        exclude: Sequence[str] = (),
        eligible: NDArray[np.bool_] | None = None,
    ) -> list[tuple[str, float, str]]:
        """Return ``(product_id, score, source)``, best first."""
        ...

    def why(
        self,
        customer_id: str | None,
        new_lines: Sequence[tuple[str, int, float]],
        cart: Sequence[str],
        picks: Sequence[tuple[str, float, str]],
    ) -> Why:
        """Return the reasons of what was ranked."""
        ...

    def due(self, customer_id: str, without: Sequence[str] = ()) -> dict[str, str]:
        """Return, by product, the day it is due to be bought again."""
        ...


@dataclass(frozen=True)
class Ready:
    """A list for every customer: product codes (-1: no more), scores, sources, reasons; shape (n, k)."""

    product: Ints
    score: Floats
    source: NDArray[np.uint8]
    reason: NDArray[np.uint8]
    number: Floats
    about: Ints
    """Reasons as in ``models.ranking.reasons.Why``."""


@dataclass(frozen=True)
class Snapshot:
    """A scoring. Rows of ``ready``, ``features``, ``scores`` and ``people`` are codes of ``customers``."""

    stamp: str
    as_of: datetime
    models: dict[str, str]
    horizon_days: int
    currency: str
    economics: Economics
    cutoff_day: int
    timezone: str
    sources: tuple[str, ...]
    customers: Vocabulary
    catalogue: Catalogue
    ready: Mapping[str, Ready]
    popular: Ints
    """Product codes, what sells best now first."""
    popular_score: Floats
    features: Columns
    scores: Columns
    people: People
    desk: tuple[Goods, Terms] | None
    locale: str
    """Language of reasons where a request names none."""
    retention: Columns | None
    """Every customer in the order of what a contact earns for its money (see ``decisions.retention``)."""
    history: History | None = None
    """Purchases before ``as_of``, coded by ``customers`` and the catalogue's products."""
    live: Ranker | None = None
    known: Known | None = None
    """Where customers stand and what products are, for decisions."""
    segments: Segments | None = None
    """What sells to whom, for customers without orders."""
    marks: Marks | None = None
    """By which erased customers are known, without hashing everyone."""

    def customer(self, customer_id: str) -> int:
        """Return a customer's row, -1 for one not seen before ``as_of``."""
        return self.customers.code(customer_id)

    def product(self, product_id: str) -> int:
        """Return a product's code, -1 for an unknown one."""
        return self.catalogue.products.code(product_id)

    @cached_property
    def moment(self) -> str:
        """``as_of``, as answers carry it."""
        return self.as_of.isoformat()

    @property
    def gain_name(self) -> str:
        """The column of the retention ranking that holds what a contact is expected to earn."""
        return f"expected_incremental_margin_{self.horizon_days}d"

    def last_bought(self, code: int) -> dict[int, float]:
        """Return, by product code, how many days before ``as_of`` a customer last bought it."""
        if self.history is None:
            return {}
        rows = self.history.rows(code)
        ages = (self.cutoff_day - self.history.day[rows]).tolist()
        return dict(
            zip(self.history.product[rows].tolist(), ages, strict=True)
        )  # in time order: the last one stays


def write(folder: Path, snapshot: Snapshot, *, more: Callable[[Path], None] | None = None) -> None:
    """Write a snapshot into ``folder``; ``more`` adds the live state and whatever else belongs to it."""
    folder.mkdir(parents=True)
    np.save(folder / "customers.npy", snapshot.customers.ids)
    for name, ready in snapshot.ready.items():
        for part in PARTS:
            np.save(folder / f"{name}.{part}.npy", getattr(ready, part))
    np.save(folder / "popular.product.npy", snapshot.popular)
    np.save(folder / "popular.score.npy", snapshot.popular_score)
    np.save(folder / "consent.npy", snapshot.people.consent)
    np.save(folder / "n_contacts_28d.npy", snapshot.people.n_contacts_28d)
    snapshot.catalogue.save(folder / "catalogue")
    snapshot.features.save(folder / "features")
    snapshot.scores.save(folder / "scores")
    if snapshot.retention is not None:
        snapshot.retention.save(folder / "retention")
    if snapshot.history is not None:
        snapshot.history.save(folder / "history")
    if snapshot.desk is not None:
        save_desk(folder / "desk", *snapshot.desk)
    if snapshot.known is not None:
        snapshot.known.save(folder / "known")
    if snapshot.segments is not None:
        snapshot.segments.save(folder / "segments")
    if snapshot.marks is not None:
        snapshot.marks.save(folder)
    if more is not None:
        more(folder)
    write_durably(folder / "manifest.json", json.dumps(_manifest(folder, snapshot), indent=1))


def _manifest(folder: Path, snapshot: Snapshot) -> dict[str, Any]:
    files = sorted(path for path in folder.rglob("*") if path.is_file())
    return {
        "as_of": snapshot.as_of.isoformat(),
        "models": dict(snapshot.models),
        "horizon_days": snapshot.horizon_days,
        "currency": snapshot.currency,
        "economics": snapshot.economics.model_dump(),
        "cutoff_day": snapshot.cutoff_day,
        "timezone": snapshot.timezone,
        "locale": snapshot.locale,
        "sources": list(snapshot.sources),
        "lists": list(snapshot.ready),
        "n_customers": len(snapshot.customers),
        "consent_recorded": snapshot.people.consent_recorded,
        "files": {path.relative_to(folder).as_posix(): path.stat().st_size for path in files},
    }


def write_durably(path: Path, text: str) -> None:
    """Write a file that is on the disk when this returns."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def load(folder: Path) -> Snapshot:
    """Map a scoring and check it; raise ``ArtefactError`` saying what is broken."""
    try:
        card = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        _check_files(folder, card["files"])
        snapshot = _read(folder, card)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ArtefactError(f"the scoring {folder.name} cannot be read ({error})", "score again") from error
    check(snapshot)
    return snapshot


def _check_files(folder: Path, files: Mapping[str, int]) -> None:
    for name, size in files.items():
        found = (folder / name).stat().st_size
        if found != size:
            raise ValueError(f"{name} has {found} bytes, {size} were written")


def _read(folder: Path, card: Mapping[str, Any]) -> Snapshot:
    people = People(_map(folder / "consent"), _map(folder / "n_contacts_28d"), card["consent_recorded"])
    return Snapshot(
        stamp=folder.name,
        as_of=datetime.fromisoformat(card["as_of"]),
        models=card["models"],
        horizon_days=card["horizon_days"],
        currency=card["currency"],
        economics=Economics.model_validate(card["economics"]),
        cutoff_day=card["cutoff_day"],
        timezone=card["timezone"],
        locale=card["locale"],
        sources=tuple(card["sources"]),
        customers=Vocabulary(_map(folder / "customers")),
        catalogue=Catalogue.load(folder / "catalogue"),
        ready={name: _ready(folder, name) for name in card["lists"]},
        popular=_map(folder / "popular.product"),
        popular_score=_map(folder / "popular.score"),
        features=Columns.load(folder / "features"),
        scores=Columns.load(folder / "scores"),
        people=people,
        desk=load_desk(folder / "desk") if (folder / "desk").is_dir() else None,
        retention=Columns.load(folder / "retention") if (folder / "retention").is_dir() else None,
        history=History.load(folder / "history") if (folder / "history").is_dir() else None,
        live=_live(folder / "state"),
        known=Known.load(folder / "known") if (folder / "known").is_dir() else None,
        segments=Segments.load(folder / "segments"),
        marks=Marks.load(folder),
    )


def _map(path: Path) -> Any:
    return np.asarray(np.load(path.with_name(f"{path.name}.npy"), mmap_mode="r", allow_pickle=False))


def _ready(folder: Path, name: str) -> Ready:
    return Ready(*(_map(folder / f"{name}.{part}") for part in PARTS))


def _live(folder: Path) -> Ranker | None:
    if not folder.is_dir():
        return None
    from models.ranking.live import Live

    ranker: Ranker = Live.load(folder)
    return ranker


def check(snapshot: Snapshot) -> None:
    """Raise ``ArtefactError`` unless every part is of one size and what is sampled makes sense."""
    n, n_products = len(snapshot.customers), len(snapshot.catalogue.products)
    sizes = {f"list {name}": len(ready.product) for name, ready in snapshot.ready.items()}
    sizes |= {"features": len(snapshot.features), "scores": len(snapshot.scores)}
    sizes |= {"people": len(snapshot.people.consent)}
    sizes |= {"marks": len(snapshot.marks.mark)} if snapshot.marks is not None else {}
    wrong = [f"{name} has {size}" for name, size in sizes.items() if size != n]
    if wrong:
        raise ArtefactError(f"the scoring has {n} customers, but {', '.join(wrong)}", "score again")
    for name, ready in snapshot.ready.items():
        _check_list(name, ready, n_products, len(snapshot.sources))


def _check_list(name: str, ready: Ready, n_products: int, n_sources: int) -> None:
    rows = np.unique(np.linspace(0, max(len(ready.product) - 1, 0), SAMPLE).astype(int))[: len(ready.product)]
    product, score, source = ready.product[rows], ready.score[rows], ready.source[rows]
    if product.size and (product.min() < -1 or product.max() >= n_products):
        raise ArtefactError(f"list {name} names products that are not in its catalogue", "score again")
    real = product >= 0
    if not np.isfinite(score[real]).all():
        raise ArtefactError(f"list {name} holds scores that are no numbers", "score again")
    if real.any() and source[real].max() >= n_sources:
        raise ArtefactError(f"list {name} holds sources without a name", "score again")
    ordered = np.sort(np.where(real, product, -1 - np.arange(product.shape[1])), axis=1)
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        raise ArtefactError(f"list {name} names a product twice for one customer", "score again")
