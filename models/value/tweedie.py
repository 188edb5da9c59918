"""The one-part baseline of value: revenue with its zeros and heavy tail in one Tweedie regression."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from features.arrays.dtypes import Doubles
from models.boosted_trees import Trees, TreesConfig
from models.customers.customer_panel import TrainingWindow, stacked
from models.customers.inputs import COLUMNS


def tweedie_revenue(windows: Sequence[TrainingWindow], rows: pd.DataFrame, *, config: TreesConfig) -> Doubles:
    """Return the expected revenue of each row by LightGBM with the Tweedie objective, power 1.5.

    Learnt from the same windows and columns as the model it is a baseline of (Jørgensen, 1987); NaN in a shop
    without prices.
    """
    revenue = np.maximum(stacked([window.revenue for window in windows]), 0.0)
    if np.isnan(revenue).any():
        return np.full(len(rows), np.nan)
    known = pd.concat([window.rows for window in windows])[COLUMNS].to_numpy(float)
    raw = Trees.fit("tweedie", known, target=revenue, config=config).raw(rows[COLUMNS].to_numpy(float))
    expected: Doubles = np.exp(raw)
    return expected
