"""The amount spent by those who order within the horizon: the typical (median) one, as a log.

Boosted trees, and a regression on logs that extrapolates where trees cannot: beyond the largest amounts seen,
and in shops too small for trees to tell one spender from another.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd

from features.arrays.dtypes import Doubles
from models.boosted_trees import Trees
from models.customers.customer_panel import PanelConfig
from models.customers.inputs import COLUMNS
from models.customers.log_linear import RICH, LogLinear

MONEY = (*RICH, "revenue")
"""What the regression reads."""
REGRESSION = 0.3
"""The regression's weight; the rest is the trees'."""


@dataclass(frozen=True)
class Amount:
    """Fitted on those who paid."""

    trees: Trees
    linear: LogLinear

    @classmethod
    def fit(cls, rows: pd.DataFrame, logs: Doubles, *, config: PanelConfig) -> Self:
        """Learn ``logs`` of revenue, shape (n,), from the ``COLUMNS`` of those who paid it."""
        trees = Trees.fit("regression", rows[COLUMNS].to_numpy(float), target=logs, config=config)
        return cls(trees, LogLinear.fit_mean(MONEY, rows, target=logs, ridge=config.ridge))

    def log(self, rows: pd.DataFrame) -> Doubles:
        """Return the log of each row's typical (median) amount, shape (n,)."""
        by_trees = self.trees.raw(rows[COLUMNS].to_numpy(float))
        return np.asarray((1 - REGRESSION) * by_trees + REGRESSION * self.linear.score(rows))
