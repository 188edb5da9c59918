"""Personas: k-means over how customers buy, each named by the traits that distinguish it."""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.arrays.dtypes import Doubles, Longs

TRAITS: dict[str, tuple[str, str]] = {
    "days_since_last_order": ("quiet", "recent"),
    "order_day_rate": ("frequent", "occasional"),
    "n_order_days": ("many-order", "few-order"),
    "revenue_per_order_day": ("big-basket", "small-basket"),
    "discount_share": ("bargain-seeking", "full-price"),
    "new_product_share": ("exploring", "habitual"),
}
"""Feature -> the word for a persona that is high, and for one that is low in it."""
NOTHING_LEFT = {"days_since_last_order": 3650.0}
"""Values for a customer who has no purchase left, where not 0: longer away than anyone."""
EVERYONE = "all customers"
MEASURED_ON = 2000
"""The silhouette compares all pairs, so it is computed on this many customers."""
HALVES = 2
"""Number of random splits into halves, to see whether both halves give the same personas."""
MAX_DEVIATIONS = 4.0
"""Traits are capped at this many standard deviations, so that an outlier is no persona."""


@dataclass(frozen=True)
class Personas:
    """Fitted personas: their centres, on standardised logs of the traits."""

    names: tuple[str, ...]
    centres: tuple[tuple[float, ...], ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]

    @classmethod
    def fit(cls, features: pd.DataFrame, *, fewest: int, most: int, sample: int, seed: int) -> Self:
        """Fit between ``fewest`` and ``most`` personas: the number that is both clear and stable.

        If customers are all alike, or of fewer distinct kinds than ``fewest``, there is one persona.
        """
        rng = np.random.default_rng(seed)
        logs = _logs(features)
        picked = logs[np.sort(rng.permutation(len(logs))[:sample])]
        mean, scale = picked.mean(axis=0), picked.std(axis=0)
        scale = np.where(scale > 1e-9, scale, 1.0)
        points = _standard(picked, mean, scale)
        most = min(most, len(np.unique(points.round(6), axis=0)) - 1)
        if most < fewest:
            return cls((EVERYONE,), ((0.0,) * len(TRAITS),), _plain(mean), _plain(scale))
        centres = max(
            (_centres(points, k, seed) for k in range(fewest, most + 1)),
            key=lambda fitted: _clarity(points, fitted, rng) + _stability(points, len(fitted), rng),
        )
        rows = tuple(_plain(row) for row in centres)
        return cls(tuple(names_of(centres)), rows, _plain(mean), _plain(scale))

    def assign(self, features: pd.DataFrame) -> npt.NDArray[np.object_]:
        """Return the name of each customer's persona, shape (n,)."""
        points = _standard(_logs(features), np.array(self.mean), np.array(self.scale))
        return np.array(self.names, dtype=object)[_nearest(points, np.array(self.centres))]

    def facts(self) -> dict[str, Any]:
        """Return plain data for ``model.json``."""
        return {"names": self.names, "centres": self.centres, "mean": self.mean, "scale": self.scale}

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Rebuild from what ``facts`` returned."""
        centres = tuple(tuple(row) for row in facts["centres"])
        return cls(tuple(facts["names"]), centres, tuple(facts["mean"]), tuple(facts["scale"]))


def names_of(centres: Doubles) -> list[str]:
    """Return a name for each persona: its two most distinctive traits not yet used as a name."""
    words, names = list(TRAITS.values()), list[str]()
    for centre in centres:
        pairs = sorted(combinations(range(len(words)), 2), key=lambda pair: -np.abs(centre[list(pair)]).sum())
        called = (" ".join([words[t][int(centre[t] <= 0)] for t in pair] + ["customers"]) for pair in pairs)
        names.append(next(name for name in called if name not in names))
    return names


def _logs(features: pd.DataFrame) -> Doubles:
    known = [features[name].fillna(NOTHING_LEFT.get(name, 0.0)).clip(lower=0) for name in TRAITS]
    return np.stack([np.log1p(values.to_numpy(float)) for values in known], axis=1)


def _standard(logs: Doubles, mean: Doubles, scale: Doubles) -> Doubles:
    return np.clip((logs - mean) / scale, -MAX_DEVIATIONS, MAX_DEVIATIONS)


def _plain(row: Doubles) -> tuple[float, ...]:
    return tuple(row.round(6).tolist())


def _nearest(points: Doubles, centres: Doubles) -> Longs:
    distances = [((points - centre) ** 2).sum(axis=1) for centre in centres]
    return np.asarray(np.argmin(np.stack(distances, axis=1), axis=1))


def _centres(points: Doubles, k: int, seed: int) -> Doubles:
    """Return k-means centres, the largest persona first."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1):  # same order of summation on any machine
        fitted = KMeans(k, n_init=3, random_state=seed).fit(points)
    size = np.bincount(fitted.labels_, minlength=k)
    return np.asarray(fitted.cluster_centers_[np.argsort(-size, kind="stable")])


def _clarity(points: Doubles, centres: Doubles, rng: np.random.Generator) -> float:
    """Return the silhouette (-1 to 1): how much nearer one's own persona is than the next."""
    from sklearn.metrics import silhouette_score

    some = points[rng.permutation(len(points))[:MEASURED_ON]]
    label = _nearest(some, centres)
    n_labels = len(np.unique(label))
    return float(silhouette_score(some, label)) if 1 < n_labels < len(some) else -1.0


def _stability(points: Doubles, k: int, rng: np.random.Generator) -> float:
    """Return how alike the personas of two halves are (adjusted Rand index; 1 is identical)."""
    from sklearn.metrics import adjusted_rand_score

    agreement = []
    for _ in range(HALVES):
        order = rng.permutation(len(points))[: 2 * MEASURED_ON]
        halves = np.array_split(points[order], 2)
        if min(len(np.unique(half.round(6), axis=0)) for half in halves) <= k:
            return 0.0
        labels = [_nearest(points, _centres(half, k, 0)) for half in halves]
        agreement.append(adjusted_rand_score(*labels))
    return float(np.mean(agreement))
