"""When the next order comes: the days by which 10%, half and 90% of customers like each have ordered again.

Read off BG/NBD's distribution of the waiting time, of which not coming back at all is a part. So half of
those who are told a day have ordered by then (53 and 49% on CDNOW in 1997, 54 to 59% on Complete Journey),
whereas by their own mean gap after the last order only 20% have on CDNOW: many of those who are late have
left. The price: a customer who orders like clockwork gets the same day as an irregular one who orders as
often.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np
import pandas as pd

from features.arrays.dtypes import Doubles
from features.window import local_day
from models.processes.buy_till_you_die import BetaGeoNBD
from models.processes.rhythm import rhythm

PRIOR_GAPS = 3.0
"""The shop's mean gap weighs as much as so many gaps of the customer's own."""
SHARES = {"next_order_at": 0.5, "next_order_p10": 0.1, "next_order_p90": 0.9}
"""Column: the share of customers like each who have ordered again by that day."""
WITHIN_DAYS = {"next_order_at": 365, "next_order_p10": 365, "next_order_p90": 730}
"""A day farther off than this is not told: NaT."""


@dataclass(frozen=True)
class NextOrder:
    """The shop's mean gap between order days, in days; NaN where nobody ever came back."""

    shop_gap_days: float

    @classmethod
    def fit(cls, features: pd.DataFrame) -> Self:
        """Learn the shop's gap from customer features."""
        n_gaps = features["frequency"].to_numpy(float)
        total = np.nansum(n_gaps * features["gap_mean_days"].to_numpy(float))
        n = np.nansum(n_gaps)
        return cls(float(total / n) if n > 0 else float("nan"))

    def days_between(self, features: pd.DataFrame) -> Doubles:
        """Return the days between two orders, shape (n,): the own mean gap, shrunk to the shop's."""
        n_gaps = features["frequency"].to_numpy(float)
        own = features["gap_mean_days"].fillna(0.0).to_numpy(float)
        return np.asarray((n_gaps * own + PRIOR_GAPS * self.shop_gap_days) / (n_gaps + PRIOR_GAPS))

    def dates(
        self, features: pd.DataFrame, bgnbd: BetaGeoNBD | None, cutoff: datetime, timezone: str
    ) -> pd.DataFrame:
        """Return a column for each of ``SHARES``: the shop's midnight of that day in UTC, or NaT."""
        return pd.DataFrame(
            {
                name: _midnights(_ahead(features, bgnbd, name), features.index, cutoff, timezone)
                for name in SHARES
            }
        )


def _ahead(features: pd.DataFrame, bgnbd: BetaGeoNBD | None, name: str) -> Doubles:
    """Return whole days from the cutoff, shape (n,); NaN where it cannot be known."""
    if bgnbd is None:
        return np.full(len(features), np.nan)
    days = bgnbd.days_until(*rhythm(features), SHARES[name])
    return np.where(days <= WITHIN_DAYS[name], np.floor(days), np.nan)


def _midnights(ahead: Doubles, index: pd.Index, cutoff: datetime, timezone: str) -> "pd.Series[Any]":
    days = pd.Series(ahead, index=index)
    midnight = pd.Timestamp(local_day(cutoff, timezone)).as_unit("s") + pd.to_timedelta(days, unit="D")
    local = midnight.dt.tz_localize(timezone, nonexistent="shift_forward", ambiguous=True)
    return local.dt.tz_convert("UTC").dt.as_unit("us")
