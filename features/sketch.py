"""How features were distributed, in a few numbers each, and how far they have moved since.

The population stability index (PSI) of two distributions over the same bins is the sum of
``(p - q) ln(p / q)``: 0 for equal ones; by custom below .1 is no drift, above .25 one to act on. Bins are
tenths of what was known then, and one for what was not known. Where ``n`` rows stand against ``m``, chance
alone makes it about ``10 / n + 10 / m``.

Much moves by itself: everybody grows older, who keeps buying has bought more. So a sketch knows how far the
same customers had moved by its own day in so many days before, and ``drift`` counts only what is beyond that.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from features.arrays.dtypes import Doubles, Longs
from features.errors import ArtefactError

if TYPE_CHECKING:
    import pandas as pd

FILE = "sketch.json"
TENTHS = np.arange(1, 10) / 10
LEAST_SHARE = 1e-4
"""An empty bin counts as half a row, or as so much where that is more: the logarithm of nothing is none."""
DRIFTED = 0.25
"""A PSI above this is drift to act on."""
USUAL_TIMES = 2.0
"""Twice what it moved before is still no news: seasons and deliveries of customers are uneven."""


@dataclass(frozen=True)
class Sketch:
    """By feature: edges between its tenths (equal ones are one), and rows in each bin, the unknown last."""

    edges: Mapping[str, tuple[float, ...]]
    counts: Mapping[str, tuple[int, ...]]
    at: str = ""
    """The moment it was drawn of; empty where nobody said."""
    days: float = 0.0
    """Days in which features move by ``usual``; 0 where that is not known."""
    usual: Mapping[str, float] = field(default_factory=dict)
    """The PSI that comes by itself."""

    @classmethod
    def of(cls, frame: "pd.DataFrame") -> Self:
        """Draw the columns of a frame of numbers."""
        columns = _columns(frame)
        edges = {name: _edges(values) for name, values in columns.items()}
        counts = {name: tuple(_count(edges[name], values).tolist()) for name, values in columns.items()}
        return cls(edges, counts)

    @classmethod
    def moving(cls, frames: "Iterable[pd.DataFrame]", *, at: datetime, days: float) -> Self:
        """Draw the last of ``frames``, as of ``at``; those ``days`` and more before it tell what is usual."""
        drawn, usual = cls({}, {}), dict[str, float]()
        for frame in frames:
            for name, values in _columns(frame).items():
                moved = drawn.psi(name, drawn.count(name, values)) if name in drawn.counts else 0.0
                usual[name] = max(moved, usual.get(name, 0.0))
            drawn = cls.of(frame)
        return replace(drawn, at=at.isoformat(), days=float(days), usual=usual)

    def by(self, moment: datetime) -> Self:
        """Return the same with what is usual by ``moment``: PSI grows as the square of the way."""
        if not self.days:
            return self
        passed = (moment - datetime.fromisoformat(self.at)).total_seconds() / 86400
        times = max(1.0, passed / self.days)
        usual = {name: value * times**2 for name, value in self.usual.items()}
        return replace(self, days=self.days * times, usual=usual)

    def count(self, name: str, values: Doubles) -> Longs:
        """Return how many values of a feature fall into each bin."""
        return _count(self.edges[name], values)

    def psi(self, name: str, counts: npt.ArrayLike) -> float:
        """Return how far these counts of a feature are from the sketch's; 0 where either is of nothing."""
        then, now = np.asarray(self.counts[name], float), np.asarray(counts, float)
        if not then.sum() or not now.sum():
            return 0.0
        p, q = (np.maximum(part, max(0.5, LEAST_SHARE * part.sum())) / part.sum() for part in (then, now))
        return float(((q - p) * np.log(q / p)).sum())

    def drift(self, name: str, counts: npt.ArrayLike) -> float:
        """Return the PSI, less where what is usual and chance allow for more: from .25 on, one to act on."""
        then, now = sum(self.counts[name]), float(np.sum(counts))
        chance = 10 / max(then, 1) + 10 / max(now, 1)
        allowed = max(DRIFTED, USUAL_TIMES * self.usual.get(name, 0.0)) + chance
        return self.psi(name, counts) * DRIFTED / allowed

    def save(self, folder: Path) -> None:
        """Write ``sketch.json``."""
        (folder / FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read it back; raise ``ArtefactError`` where there is none."""
        try:
            card = json.loads((folder / FILE).read_text(encoding="utf-8"))
            edges, counts = ({name: tuple(row) for name, row in card.pop(part).items()} for part in _PARTS)
            return cls(edges, counts, **card)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtefactError(f"no readable {FILE} in {folder.name}/ ({error})", "train again") from error


_PARTS = ("edges", "counts")


def _columns(frame: "pd.DataFrame") -> dict[str, Doubles]:
    return {str(name): column.to_numpy(np.float64) for name, column in frame.items()}


def _edges(values: Doubles) -> tuple[float, ...]:
    known = values[~np.isnan(values)]
    return tuple(np.unique(np.quantile(known, TENTHS, method="lower")).tolist()) if len(known) else ()


def _count(edges: tuple[float, ...], values: Doubles) -> Longs:
    bins = np.searchsorted(np.array(edges), values, side="left")
    bins[np.isnan(values)] = len(edges) + 1
    return np.bincount(bins, minlength=len(edges) + 2).astype(np.int64)
