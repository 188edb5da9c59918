"""How features were distributed, in a few numbers each, and how far they have drifted since.

The population stability index (PSI) of two distributions over the same bins is the sum of ``(p - q) ln(p /
q)``: 0 for equal ones; by convention, below .1 is no drift and above .25 calls for action. Bins are the
deciles of the known values at the time of the sketch, and one for missing values. Between samples of ``n``
and ``m`` rows, chance alone gives a PSI of about ``10 / n + 10 / m``.

Much drifts by itself: ages grow, and totals with every purchase. So a sketch also holds how far features
moved in the days before it was drawn, and ``drift`` discounts that.
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
"""An empty bin counts as half a row, or as this share if that is more, so that its logarithm is finite."""
DRIFTED = 0.25
"""A PSI above this is drift that calls for action."""
USUAL_TIMES = 2.0
"""Up to this many times the usual movement is tolerated: seasons and the influx of customers vary."""


@dataclass(frozen=True)
class Sketch:
    """By feature: edges between its deciles (equal ones merged) and rows in each bin, missing values last."""

    edges: Mapping[str, tuple[float, ...]]
    counts: Mapping[str, tuple[int, ...]]
    at: str = ""
    """The moment it describes (ISO 8601); empty if unknown."""
    days: float = 0.0
    """Days in which features move by ``usual``; 0 if unknown."""
    usual: Mapping[str, float] = field(default_factory=dict)
    """The PSI by which a feature moves anyway."""

    @classmethod
    def of(cls, frame: "pd.DataFrame") -> Self:
        """Sketch the columns of a numeric frame."""
        columns = _columns(frame)
        edges = {name: _edges(values) for name, values in columns.items()}
        counts = {name: tuple(_count(edges[name], values).tolist()) for name, values in columns.items()}
        return cls(edges, counts)

    @classmethod
    def moving(cls, frames: "Iterable[pd.DataFrame]", *, at: datetime, days: float) -> Self:
        """Sketch the last of ``frames``, as of ``at``; ``usual`` comes from those before, ``days`` apart."""
        drawn, usual = cls({}, {}), dict[str, float]()
        for frame in frames:
            for name, values in _columns(frame).items():
                moved = drawn.psi(name, drawn.count(name, values)) if name in drawn.counts else 0.0
                usual[name] = max(moved, usual.get(name, 0.0))
            drawn = cls.of(frame)
        return replace(drawn, at=at.isoformat(), days=float(days), usual=usual)

    def by(self, moment: datetime) -> Self:
        """Return the sketch with ``usual`` extrapolated to ``moment``: PSI grows as the square of a shift."""
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
        """Return the PSI between the sketch and these counts of a feature; 0 if either has no rows."""
        then, now = np.asarray(self.counts[name], float), np.asarray(counts, float)
        if not then.sum() or not now.sum():
            return 0.0
        p, q = (np.maximum(part, max(0.5, LEAST_SHARE * part.sum())) / part.sum() for part in (then, now))
        return float(((q - p) * np.log(q / p)).sum())

    def drift(self, name: str, counts: npt.ArrayLike) -> float:
        """Return the PSI, scaled down for usual movement and chance, so that .25 still calls for action."""
        then, now = sum(self.counts[name]), float(np.asarray(counts, float).sum())
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
