"""Drift: how far the served features have moved from those the models were trained on.

The sketch of training is stored with the model (``features.sketch``: customers as of the training's cutoff).
A scoring counts its customers in the sketch's bins and stores both; customers refreshed since are moved from
their old bin to the new one. Ages and totals grow anyway: the sketch knows how far features had moved in the
horizon before training, and that much movement is not counted as drift.
"""

import json
import logging
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path

import numpy as np

from features.arrays.history import Vocabulary
from features.arrays.stored import read_array
from features.errors import ArtefactError
from features.sketch import DRIFTED, FILE, Sketch
from serving.online.refreshed import Row
from serving.scoring.columns import Columns

log = logging.getLogger("recompra.drift")
COUNTS = "drift.json"


def reference(home: Path, versions: Mapping[str, str]) -> Sketch | None:
    """Return the sketch of the models in service; None if none of them has one."""
    for name, version in versions.items():
        folder = home / "models" / name / version
        if (folder / FILE).is_file():
            return Sketch.load(folder)
    return None


def keep(folder: Path, home: Path, *, versions: Mapping[str, str], cutoff: datetime) -> None:
    """Store, in a scoring's folder, the sketch of training and the scoring's own counts; log what drifted.

    The usual movement is that up to the scoring's ``cutoff``.
    """
    sketch, features = reference(home, versions), Columns.load(folder / "features")
    if sketch is None:
        return
    sketch = sketch.by(cutoff)
    counts = {name: sketch.count(name, features.number(name)).tolist() for name in _both(sketch, features)}
    sketch.save(folder)
    (folder / COUNTS).write_text(json.dumps(counts), encoding="utf-8")
    log_new({name: sketch.drift(name, row) for name, row in counts.items()}, set())


def served(folder: Path, newest: Mapping[str, Row]) -> dict[str, float]:
    """Return the drift of every feature: of the scoring in ``folder``, with the refreshed rows in place.

    Empty if the scoring was made by models without a sketch. Raises ``ArtefactError`` if its files are
    broken.
    """
    if not (folder / COUNTS).is_file():
        return {}
    sketch, features = Sketch.load(folder), Columns.load(folder / "features")
    try:
        card = json.loads((folder / COUNTS).read_text(encoding="utf-8"))
        counts = {name: np.array(row, np.int64) for name, row in card.items()}
        customers = Vocabulary(read_array(folder, "customers"))
    except (OSError, ValueError) as error:
        raise ArtefactError(f"{COUNTS} cannot be read ({error})", "score again") from error
    codes = customers.codes(list(newest))
    known, rows = codes[codes >= 0], list(newest.values())
    now = {name: np.array([row.get(name) for row in rows], np.float64) for name in counts}
    moved = {name: sketch.count(name, now[name]) for name in counts}
    before = {name: sketch.count(name, features.number(name)[known]) for name in counts}
    return {name: sketch.drift(name, counts[name] - before[name] + moved[name]) for name in counts}


def log_new(drift: Mapping[str, float], reported: set[str]) -> set[str]:
    """Log the features that have drifted and were not reported yet; return all that have."""
    drifted = {name for name, value in drift.items() if value >= DRIFTED}
    if new := sorted(drifted - reported, key=lambda name: -drift[name]):
        log.warning(
            "features far from those of training (%.2f or more beyond what is usual): %s",
            DRIFTED,
            ", ".join(f"{name} {drift[name]:.2f}" for name in new),
        )
    return drifted


def _both(sketch: Sketch, features: Columns) -> list[str]:
    return [name for name in features.order if name in sketch.edges and features.kinds[name] == "number"]
