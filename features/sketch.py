"""How features were distributed, in a few numbers each, and how far they have moved since.

The population stability index (PSI) of two distributions over the same bins is the sum of
``(p - q) ln(p / q)``: 0 for equal ones; by custom below .1 is no drift, above .25 one to act on. Bins are
tenths of what was known then, and one for what was not known. Where ``n`` rows stand against ``m``, chance
alone makes it about ``10 / n + 10 / m``.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
import numpy.typing as npt

from features.errors import ArtefactError

if TYPE_CHECKING:
    import pandas as pd

Array = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
FILE = "sketch.json"
TENTHS = np.arange(1, 10) / 10
LEAST_SHARE = 1e-4
"""An empty bin counts as so much: the logarithm of nothing is none."""
MOVED, DRIFTED = 0.1, 0.25


@dataclass(frozen=True)
class Sketch:
    """By feature: edges between its tenths (equal ones are one), and rows in each bin, the unknown last."""

    edges: Mapping[str, tuple[float, ...]]
    counts: Mapping[str, tuple[int, ...]]

    @classmethod
    def of(cls, frame: "pd.DataFrame") -> Self:
        """Draw the columns of a frame of numbers."""
        columns = {str(name): column.to_numpy(np.float64) for name, column in frame.items()}
        edges = {name: _edges(values) for name, values in columns.items()}
        return cls(
            edges, {name: tuple(_count(edges[name], values).tolist()) for name, values in columns.items()}
        )

    def count(self, name: str, values: Array) -> Counts:
        """Return how many values of a feature fall into each bin."""
        return _count(self.edges[name], values)

    def psi(self, name: str, counts: npt.ArrayLike) -> float:
        """Return how far these counts of a feature are from the sketch's; 0 where either is of nothing."""
        then, now = np.asarray(self.counts[name], float), np.asarray(counts, float)
        if not then.sum() or not now.sum():
            return 0.0
        p, q = (np.maximum(part / part.sum(), LEAST_SHARE) for part in (then, now))
        return float(((q - p) * np.log(q / p)).sum())

    def save(self, folder: Path) -> None:
        """Write ``sketch.json``."""
        (folder / FILE).write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read it back; raise ``ArtefactError`` where there is none."""
        try:
            card = json.loads((folder / FILE).read_text(encoding="utf-8"))
            edges, counts = ({name: tuple(row) for name, row in card[part].items()} for part in _PARTS)
            return cls(edges, counts)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtefactError(f"no readable {FILE} in {folder.name}/ ({error})", "train again") from error


_PARTS = ("edges", "counts")


def _edges(values: Array) -> tuple[float, ...]:
    known = values[~np.isnan(values)]
    return tuple(np.unique(np.quantile(known, TENTHS, method="lower")).tolist()) if len(known) else ()


def _count(edges: tuple[float, ...], values: Array) -> Counts:
    bins = np.searchsorted(np.array(edges), values, side="left")
    bins[np.isnan(values)] = len(edges) + 1
    return np.bincount(bins, minlength=len(edges) + 2).astype(np.int64)
