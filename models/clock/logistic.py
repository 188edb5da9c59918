"""A small logistic regression over a handful of facts: calibrated by learning on closed windows."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from scipy.special import expit, logit

from features.arrays.dtypes import Column, Doubles, Floats

MIN_DEVIATION = 0.001
"""An input with a smaller standard deviation hardly varies and is not scaled up."""
RIDGE = 10.0
"""L2 penalty on the standardised weights: noticeable in a small shop, negligible in a large one."""


@dataclass(frozen=True)
class Logistic:
    """``expit(intercept + sum(weights * (x - mean) / scale))``."""

    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float

    @classmethod
    def fit(cls, rows: Floats, bought: Column, *, weight: Column | None = None, ridge: float = RIDGE) -> Self:
        """Fit to rows (n, inputs) and outcomes; a constant if the outcomes do not vary.

        ``weight`` is the multiplicity of each row, by default 1; ``ridge`` the L2 penalty.
        """
        mean = rows.mean(axis=0, dtype=np.float64)
        scale = rows.std(axis=0, dtype=np.float64)
        scale = np.where(scale > MIN_DEVIATION, scale, 1.0)
        if not np.ptp(bought):
            share = (bought.sum() + 0.5) / (len(bought) + 1)
            weights, intercept = np.zeros(len(mean)), float(logit(share))
        else:
            from sklearn.linear_model import LogisticRegression

            model = LogisticRegression(C=1 / ridge, max_iter=500)
            model.fit((rows - mean) / scale, bought, sample_weight=weight)
            weights, intercept = model.coef_[0], float(model.intercept_[0])
        return cls(tuple(mean.tolist()), tuple(scale.tolist()), tuple(weights.tolist()), intercept)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Rebuild from what ``dataclasses.asdict`` and JSON made of it."""
        mean, scale, weights = (tuple(facts[name]) for name in ("mean", "scale", "weights"))
        return cls(mean, scale, weights, float(facts["intercept"]))

    def importance(self, inputs: Iterable[str]) -> dict[str, float]:
        """Return each input's share of the absolute standardised weights."""
        weights = np.abs(self.weights)
        return dict(zip(inputs, (weights / max(float(weights.sum()), 1e-9)).tolist(), strict=True))

    def of_rows(self, rows: Floats) -> Floats:
        """Return the chance of each row, shape (n,)."""
        return np.asarray(expit(self.odds(rows)))

    def odds(self, rows: Floats) -> Doubles:
        """Return the log odds of each row, shape (n,)."""
        weights = np.array(self.weights) / np.array(self.scale)
        shift = self.intercept - float(weights @ np.array(self.mean))
        # Not a matrix product: its last bits depend on how many rows are multiplied at once.
        return np.asarray(shift + np.sum(rows * weights, axis=1))
