"""A customer's purchase days in three numbers: the input of BG/NBD and its kin (Fader et al., 2005)."""

import pandas as pd

from features.arrays.dtypes import Doubles


def rhythm(features: pd.DataFrame) -> tuple[Doubles, Doubles, Doubles]:
    """Return frequency, recency and T in days, each of shape (n,)."""
    x, t_x, T = (
        features[name].to_numpy(float) for name in ("frequency", "recency_days", "days_since_first_order")
    )
    return x, t_x, T
