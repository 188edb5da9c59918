"""Regressions on logs of counts, days and money: they extrapolate where trees cannot."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import logit

from features.arrays.dtypes import Doubles
from models.customers.inputs import CHANCE, ORDERS, STEADY

RFM = ("days_since_last_order", "frequency", "days_since_first_order", "revenue_per_order_day")
"""Recency, frequency, age and money: the inputs of the baseline that every churn model is compared with."""
RICH = (
    *RFM,
    "order_days_decayed_28d",
    "order_days_decayed_91d",
    "n_order_days_28d",
    "n_order_days_91d",
    "n_units_per_order",
    "overdue_ratio",
    "last_gap_days",
    "gap_std_days",
    "last_order_revenue",
    "product_back_share",
    "product_recent_share",
    ORDERS,
    CHANCE,
    STEADY,
)
"""The same, with recent rhythm, regularity, products bought, and expectations of BG/NBD and regularity."""
CHANCES = (CHANCE, STEADY)
UNKNOWN = {"overdue_ratio": 1.0}
"""The value of a null where it is not 0: a customer without a gap yet is neither early nor late."""
MIN_DEVIATION = 0.01
"""A log with a smaller standard deviation hardly varies and is not scaled up."""
MAX_DEVIATIONS = 10.0
"""Standardised logs are capped here: if the training rows were all alike, another customer may be thousands
away."""


@dataclass(frozen=True)
class LogLinear:
    """A fitted regression: ``score = intercept + sum(weights * (log(1 + x) - mean) / scale)``."""

    names: tuple[str, ...]
    mean: tuple[float, ...]
    scale: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float

    @classmethod
    def fit(cls, names: tuple[str, ...], rows: pd.DataFrame, *, truth: Doubles, ridge: float) -> Self:
        """Fit P(truth = 1) with an L2 penalty of ``ridge``; a constant if the truth does not vary."""
        known, mean, scale = _standardised(names, rows)
        if not np.ptp(truth):
            share = (truth.sum() + 0.5) / (len(truth) + 1)
            weights, intercept = np.zeros(len(names)), float(logit(share))
        else:
            from sklearn.linear_model import LogisticRegression

            model = LogisticRegression(C=1 / ridge, max_iter=1000, tol=1e-6)
            model.fit(known, truth)
            weights, intercept = model.coef_[0], float(model.intercept_[0])
        return cls(names, mean, scale, tuple(weights.tolist()), intercept)

    @classmethod
    def fit_mean(cls, names: tuple[str, ...], rows: pd.DataFrame, *, target: Doubles, ridge: float) -> Self:
        """Fit the mean of ``target``, shape (n,), by least squares with an L2 penalty of ``ridge``."""
        known, mean, scale = _standardised(names, rows)
        middle = float(target.mean())
        weights = np.linalg.solve(known.T @ known + ridge * np.eye(len(names)), known.T @ (target - middle))
        return cls(names, mean, scale, tuple(weights.tolist()), middle)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Rebuild from what ``dataclasses.asdict`` and JSON made of it."""
        lists = {name: tuple(facts[name]) for name in ("names", "mean", "scale", "weights")}
        return cls(**lists, intercept=float(facts["intercept"]))

    def score(self, rows: pd.DataFrame) -> Doubles:
        """Return the logit of each row, or its mean after ``fit_mean``, shape (n,)."""
        # Not a matrix product: its last bits depend on how many rows are multiplied at once.
        return np.asarray(self.intercept + np.sum(self.terms(rows), axis=1))

    def terms(self, rows: pd.DataFrame) -> Doubles:
        """Return what each of ``names`` adds to the score relative to a typical row, shape (n, names)."""
        design = (_design(self.names, rows) - np.array(self.mean)) / np.array(self.scale)
        return np.asarray(np.clip(design, -MAX_DEVIATIONS, MAX_DEVIATIONS) * np.array(self.weights))


def _standardised(
    names: tuple[str, ...], rows: pd.DataFrame
) -> tuple[Doubles, tuple[float, ...], tuple[float, ...]]:
    """Return the columns standardised to mean 0 and standard deviation 1, with their means and scales."""
    design = _design(names, rows)
    mean, spread = design.mean(axis=0), design.std(axis=0)
    scale = np.where(spread > MIN_DEVIATION, spread, 1.0)
    return (design - mean) / scale, tuple(mean.tolist()), tuple(scale.tolist())


def _design(names: tuple[str, ...], rows: pd.DataFrame) -> Doubles:
    columns = [_column(name, rows[name].to_numpy(float)) for name in names]
    return np.stack(columns, axis=1)


def _column(name: str, values: Doubles) -> Doubles:
    known = np.where(np.isnan(values), UNKNOWN.get(name, 0.5 if name in CHANCES else 0.0), values)
    if name in CHANCES:
        return np.asarray(logit(np.clip(known, 1e-6, 1 - 1e-6)))
    return np.log(np.maximum(known, 0) + 1e-4) if name == ORDERS else np.log1p(np.maximum(known, 0))
