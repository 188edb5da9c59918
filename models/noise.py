"""How much of the difference between two periods of a shop is more than chance."""

import numpy as np
from numpy.typing import ArrayLike

from features.arrays.dtypes import Doubles

SHOP_NOISE = 0.05
"""Standard deviation of the log ratio of a shop's two adjacent horizons without a season (seen: 0.02 to
0.05)."""


def beyond_noise(apart: ArrayLike, noise: ArrayLike) -> Doubles:
    """Return the share of each difference to believe, in [0, 1]: 0 within twice its noise (a variance).

    Shrunk in the manner of James and Stein (1961): with few customers, only a large season counts.
    """
    return np.asarray(np.maximum(1 - 4 * np.asarray(noise) / np.maximum(np.square(apart), 1e-12), 0.0))
