"""A scoring's folder, ``lists/<stamp>/``: written once, never changed, memory-mapped by every worker.

``manifest.json`` (written last inside the folder) holds the moment, the models and the size of every file, so
that a truncated or half-written scoring is detected before it serves. ``serving.json`` in the home points to
the one in service.
"""

import json
import os
from collections.abc import Callable, Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.arrays.catalogue import Catalogue
from features.arrays.history import History, Vocabulary
from features.arrays.stored import read_array, write_arrays
from features.errors import ArtefactError
from features.settings import Economics
from models.decisions.known import Known
from models.decisions.offer import load_goods_and_terms, save_goods_and_terms
from models.lists.cold import AttributeSegments
from models.lists.picks import SOURCES, Picks
from models.policy.subjects import People
from models.ranking.reason_texts import CODES
from serving.persons.marks import Marks
from serving.scoring.columns import Columns
from serving.scoring.registered import Registered
from serving.scoring.snapshot import Snapshot

if TYPE_CHECKING:
    from models.ranking.live import Live

N_CHECKED_ROWS = 200
"""Number of rows of each list that are checked on loading, evenly spaced."""


def write(folder: Path, snapshot: Snapshot, *, more: Callable[[Path], None] | None = None) -> None:
    """Write a snapshot into ``folder``; ``more`` adds the live state and whatever else belongs to it."""
    folder.mkdir(parents=True)
    for name, ready in snapshot.ready.items():
        write_arrays(folder, {f"{name}.{part}": array for part, array in ready._asdict().items()})
    own = {
        "customers": snapshot.customers.ids,
        "popular.product": snapshot.popular,
        "popular.score": snapshot.popular_score,
        "consent": snapshot.people.consent,
        "n_contacts_28d": snapshot.people.n_contacts_28d,
    }
    write_arrays(folder, own)
    snapshot.catalogue.save(folder / "catalogue")
    snapshot.features.save(folder / "features")
    snapshot.scores.save(folder / "scores")
    if snapshot.retention is not None:
        snapshot.retention.save(folder / "retention")
    if snapshot.history is not None:
        snapshot.history.save(folder / "history")
    if snapshot.goods_and_terms is not None:
        goods, terms = snapshot.goods_and_terms
        save_goods_and_terms(folder / "goods", goods, terms=terms)
    if snapshot.known is not None:
        snapshot.known.save(folder / "known")
    if snapshot.segments is not None:
        snapshot.segments.save(folder / "segments")
    if snapshot.registered is not None:
        snapshot.registered.save(folder / "registered")
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
        "reasons": list(CODES),
        "lists": list(snapshot.ready),
        "notes": list(snapshot.notes),
        "average_of_keeping": snapshot.average_of_keeping,
        "n_customers": len(snapshot.customers),
        "consent_recorded": snapshot.people.consent_recorded,
        "files": {path.relative_to(folder).as_posix(): path.stat().st_size for path in files},
    }


def write_durably(path: Path, text: str) -> None:
    """Write a file and flush it to disk."""
    with path.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())


def load(folder: Path) -> Snapshot:
    """Memory-map a scoring and check it; raise ``ArtefactError`` naming what is broken."""
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
        n_bytes = (folder / name).stat().st_size
        if n_bytes != size:
            raise ValueError(f"{name} has {n_bytes} bytes, {size} were written")


def _read(folder: Path, card: Mapping[str, Any]) -> Snapshot:
    _check_order(card)
    people = People(
        read_array(folder, "consent"), read_array(folder, "n_contacts_28d"), card["consent_recorded"]
    )
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
        customers=Vocabulary(read_array(folder, "customers")),
        catalogue=Catalogue.load(folder / "catalogue"),
        ready={name: _ready(folder, name) for name in card["lists"]},
        popular=read_array(folder, "popular.product"),
        popular_score=read_array(folder, "popular.score"),
        features=Columns.load(folder / "features"),
        scores=Columns.load(folder / "scores"),
        people=people,
        goods_and_terms=load_goods_and_terms(folder / "goods") if (folder / "goods").is_dir() else None,
        retention=Columns.load(folder / "retention") if (folder / "retention").is_dir() else None,
        history=History.load(folder / "history") if (folder / "history").is_dir() else None,
        live=_live(folder / "state"),
        known=Known.load(folder / "known") if (folder / "known").is_dir() else None,
        segments=AttributeSegments.load(folder / "segments"),
        registered=Registered.load(folder / "registered"),
        marks=Marks.load(folder),
        notes=tuple(card.get("notes", ())),
        average_of_keeping=tuple(average) if (average := card.get("average_of_keeping")) else None,
    )


def _check_order(card: Mapping[str, Any]) -> None:
    """Raise ``ValueError`` where the arrays hold positions in another order of sources or reasons."""
    for key, ours in {"sources": SOURCES, "reasons": CODES}.items():
        theirs = tuple(card.get(key, ()))
        if theirs != ours[: len(theirs)]:
            raise ValueError(f"another version numbered its {key}")


def _ready(folder: Path, name: str) -> Picks:
    return Picks(*(read_array(folder, f"{name}.{part}") for part in Picks._fields))


def _live(folder: Path) -> "Live | None":
    if not folder.is_dir():
        return None
    from models.ranking.live import Live

    return Live.load(folder)


def check(snapshot: Snapshot) -> None:
    """Raise ``ArtefactError`` unless all parts have matching sizes and the sampled rows are valid."""
    n, n_products = len(snapshot.customers), len(snapshot.catalogue.products)
    sizes = {f"list {name}": len(ready.product) for name, ready in snapshot.ready.items()}
    sizes |= {"features": len(snapshot.features), "scores": len(snapshot.scores)}
    sizes |= {"people": len(snapshot.people.consent)}
    sizes |= {"marks": len(snapshot.marks.mark)} if snapshot.marks is not None else {}
    wrong = [f"{name} has {size}" for name, size in sizes.items() if size != n]
    if wrong:
        raise ArtefactError(f"the scoring has {n} customers, but {', '.join(wrong)}", "score again")
    for name, ready in snapshot.ready.items():
        _check_list(name, ready, n_products=n_products, n_sources=len(snapshot.sources))


def _check_list(name: str, ready: Picks, *, n_products: int, n_sources: int) -> None:
    rows = np.unique(np.linspace(0, max(len(ready.product) - 1, 0), N_CHECKED_ROWS).astype(int))[
        : len(ready.product)
    ]
    product, score, source = ready.product[rows], ready.score[rows], ready.source[rows]
    if product.size and (product.min() < -1 or product.max() >= n_products):
        raise ArtefactError(f"list {name} names products that are not in its catalogue", "score again")
    real = product >= 0
    if not np.isfinite(score[real]).all():
        raise ArtefactError(f"list {name} contains NaN or infinite scores", "score again")
    if real.any() and source[real].max() >= n_sources:
        raise ArtefactError(f"list {name} holds sources without a name", "score again")
    ordered = np.sort(np.where(real, product, -1 - np.arange(product.shape[1])), axis=1)
    if (ordered[:, 1:] == ordered[:, :-1]).any():
        raise ArtefactError(f"list {name} names a product twice for one customer", "score again")
