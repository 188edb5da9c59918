"""When the next order comes: a customer's own rhythm, shrunk to the shop's, of those likely to return."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd

from features.window import local_day
from models.customers.buy_till_you_die import BetaGeoNBD
from models.customers.customer_panel import rhythm

Array = npt.NDArray[np.float64]

PRIOR_GAPS = 3.0
"""The shop's mean gap weighs as much as so many gaps of the customer's own."""
WITHIN_DAYS = 365
"""A date is told to those who will order within so many days more likely than not."""
OVERDUE = 0.5
"""Who is late is expected after this share of a gap, from now."""


@dataclass(frozen=True)
class NextOrder:
    """The shop's mean gap between order days, in days; NaN where nobody ever came back."""

    shop_gap_days: float

    @classmethod
    def fit(cls, features: pd.DataFrame) -> Self:
        """Learn the shop's gap from customer features."""
        n_gaps = features["frequency"].to_numpy(float)
        total = np.nansum(n_gaps * features["gap_mean_days"].to_numpy(float))
        return cls(float(total / n_gaps.sum()) if n_gaps.sum() > 0 else float("nan"))

    def days_ahead(self, features: pd.DataFrame, bgnbd: BetaGeoNBD | None) -> Array:
        """Return days from the cutoff to the next order, shape (n,); NaN where it cannot be known."""
        if bgnbd is None:
            return np.full(len(features), np.nan)
        n_gaps = features["frequency"].to_numpy(float)
        own = features["gap_mean_days"].fillna(0.0).to_numpy(float)
        gap = (n_gaps * own + PRIOR_GAPS * self.shop_gap_days) / (n_gaps + PRIOR_GAPS)
        ahead = np.maximum(gap - features["days_since_last_order"].to_numpy(float), OVERDUE * gap)
        likely = bgnbd.purchase_probability(*rhythm(features), WITHIN_DAYS) > 0.5
        return np.where(likely, np.maximum(ahead, 0.0), np.nan)

    def at(
        self, features: pd.DataFrame, bgnbd: BetaGeoNBD | None, cutoff: datetime, timezone: str
    ) -> "pd.Series[Any]":
        """Return the shop's midnight of the next order's day, in UTC; NaT where it cannot be known."""
        days = pd.Series(np.floor(self.days_ahead(features, bgnbd)), index=features.index)
        midnight = pd.Timestamp(local_day(cutoff, timezone)).as_unit("s") + pd.to_timedelta(days, unit="D")
        local = midnight.dt.tz_localize(timezone, nonexistent="shift_forward", ambiguous=True)
        return local.dt.tz_convert("UTC").dt.as_unit("us")
