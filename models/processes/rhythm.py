"""A customer's purchase days in three numbers: all that BG/NBD and its kin read (Fader et al., 2005)."""

import numpy as np
import numpy.typing as npt
import pandas as pd

Array = npt.NDArray[np.float64]


def rhythm(features: pd.DataFrame) -> tuple[Array, Array, Array]:
    """Return frequency, recency and T in days, each of shape (n,)."""
    x, t_x, T = (
        features[name].to_numpy(float) for name in ("frequency", "recency_days", "days_since_first_order")
    )
    return x, t_x, T
