"""When the next order comes: the days by which 10%, half and 90% of customers like each have ordered again.

These are quantiles of the waiting time (``models.processes.regularity``), which includes never ordering
again. So about half of the customers with a predicted day have ordered by then, whereas by their own mean gap
after the last order only 20% have on CDNOW: many of those who are late have left. The distribution is
adjusted halfway to the learnt chance of an order within the horizon; the whole way where the middle day would
otherwise contradict it.
"""

from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from features.arrays.dtypes import Doubles
from features.window import local_day
from models.processes.regularity import MIDDLE, Waiting

PRIOR_GAPS = 3.0
"""Prior strength of the shop's mean gap, in gaps of the customer's own."""
SHARES = {"next_order_at": MIDDLE, "next_order_p10": 0.1, "next_order_p90": 0.9}
"""Column -> the share of similar customers who have ordered again by that day."""
WITHIN_DAYS = {"next_order_at": 365, "next_order_p10": 365, "next_order_p90": 730}
"""Days further ahead than this are not reported: NaT."""


def shop_gap_days(features: pd.DataFrame) -> float:
    """Return the mean gap between order days over all customers, in days; NaN if nobody ever came back."""
    n_gaps = features["frequency"].to_numpy(float)
    total = np.nansum(n_gaps * features["gap_mean_days"].to_numpy(float))
    n = np.nansum(n_gaps)
    return float(total / n) if n > 0 else float("nan")


def days_between(features: pd.DataFrame, of_shop: float) -> Doubles:
    """Return the days between two orders, shape (n,): the customer's mean gap, shrunk to the shop's."""
    n_gaps = features["frequency"].to_numpy(float)
    own = features["gap_mean_days"].fillna(0.0).to_numpy(float)
    return np.asarray((n_gaps * own + PRIOR_GAPS * of_shop) / (n_gaps + PRIOR_GAPS))


def days_ahead(waiting: Waiting | None, chance: Doubles, horizon_days: int) -> dict[str, Doubles]:
    """Return whole days from the cutoff for each of ``SHARES``, shape (n,); NaN if unknown.

    ``chance``, shape (n,), is each customer's chance of an order within the horizon.
    """
    if waiting is None:
        return {name: np.full(len(chance), np.nan) for name in SHARES}
    agreed = waiting.agreeing(chance, horizon_days)
    return {name: np.floor(agreed.days_until(SHARES[name], WITHIN_DAYS[name])) for name in SHARES}


def dates(ahead: dict[str, Doubles], index: pd.Index, cutoff: datetime, timezone: str) -> pd.DataFrame:
    """Return the shop's midnight of each of these days in UTC, or NaT."""
    return pd.DataFrame({name: _midnights(days, index, cutoff, timezone) for name, days in ahead.items()})


def _midnights(ahead: Doubles, index: pd.Index, cutoff: datetime, timezone: str) -> "pd.Series[Any]":
    days = pd.Series(ahead, index=index)
    midnight = pd.Timestamp(local_day(cutoff, timezone)).as_unit("s") + pd.to_timedelta(days, unit="D")
    local = midnight.dt.tz_localize(timezone, nonexistent="shift_forward", ambiguous=True)
    return local.dt.tz_convert("UTC").dt.as_unit("us")
