"""An interval of revenue for each customer, such that 80% of all customers fall inside theirs.

If most customers buy nothing, a central interval from the 10th to the 90th percentile covers far more than
80% of them: its lower end is 0, so only the upper end can be missed (91% inside on CDNOW). Zero is one point
with most of the probability, and no interval that contains it can be any narrower.

So the coverage is kept over all customers together, as in conformal prediction (Lei et al., 2018), not for
each alone. Most intervals start at 0 and cover 80% of that customer's distribution, or more if zero alone has
more. For the customers likeliest to order the interval is that of an order instead, with a lower end above 0.
The chance above which this holds is the lowest at which everyone's intervals together still cover 80%. The
price: those of these customers who then buy nothing fall below their interval.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from features.arrays.dtypes import Doubles

HELD = 0.8
"""The share of customers inside their interval."""
ORDERS_HELD = 0.9
"""The share of orders inside an interval that excludes 0; less if an order is next to certain."""
SURE_CHANCE = 0.9
"""Above this chance of an order, 0 is an outlier: every such interval excludes it."""


@dataclass(frozen=True)
class Interval:
    """Which customers get an interval that starts at 0, and which get that of an order."""

    likely: float
    """The chance of an order above which 0 is excluded."""

    @classmethod
    def fit(cls, chance: Doubles) -> Self:
        """Learn from the chances of a paid order of today's customers, shape (n,)."""
        falling = np.sort(chance)[::-1]
        from_zero = np.maximum(1 - falling, HELD)
        total = from_zero.sum() - np.cumsum(from_zero - _orders_held(falling) * falling)
        n_likely = int((total >= HELD * len(falling)).sum())
        return cls(min(float(np.append(falling, SURE_CHANCE)[n_likely]), SURE_CHANCE))

    def shares(self, chance: Doubles) -> tuple[Doubles, Doubles]:
        """Return the quantiles of amounts at the lower and upper end, shape (n,) each; -1 is amount 0."""
        orders = _orders_held(chance)
        from_zero = (HELD - (1 - chance)) / np.maximum(chance, HELD / 1e6)
        low = np.where(chance > self.likely, (1 - orders) / 2, -1.0)
        high = np.where(chance > self.likely, (1 + orders) / 2, np.where(from_zero > 0, from_zero, -1.0))
        return low, high


def _orders_held(chance: Doubles) -> Doubles:
    return np.asarray(np.minimum(HELD / np.maximum(chance, HELD), ORDERS_HELD))
