"""An interval of revenue for each customer, such that 80% of all customers fall inside theirs.

Where most customers buy nothing, a central interval from the 10th to the 90th percentile holds far more than
80% of them: its lower end is 0, so only the upper end can be missed (91% inside on CDNOW). Zero is one point
with most of the probability, and no interval that holds it can be any narrower.

So the level is kept over all customers together, as conformal prediction does (Lei et al., 2018), not for
each alone. Most intervals start at 0 and hold 80% of what is expected of that customer, or more where nothing
at all is likelier than that. The customers likeliest to order are told what an order comes to instead: their
lower end lies above 0. The chance above which that is so is the lowest at which everyone's intervals together
still hold 80%. The price: of these customers, those who then buy nothing fall below their interval.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np

from features.arrays.dtypes import Doubles

HELD = 0.8
"""The share of customers inside their interval."""
ORDERS_HELD = 0.9
"""The share of orders inside an interval that leaves out 0; less where an order is next to certain."""
SURE = 0.9
"""Above this chance of an order, 0 is an outlier: every such interval leaves it out."""


@dataclass(frozen=True)
class Interval:
    """Who is told a range that starts at 0, and who what an order comes to."""

    likely: float
    """The chance of an order above which 0 is left out."""

    @classmethod
    def fit(cls, chance: Doubles) -> Self:
        """Learn from the chances that today's customers order, and pay, shape (n,)."""
        falling = np.sort(chance)[::-1]
        from_zero = np.maximum(1 - falling, HELD)
        total = from_zero.sum() - np.cumsum(from_zero - _orders_held(falling) * falling)
        n_told = int((total >= HELD * len(falling)).sum())
        return cls(min(float(np.append(falling, SURE)[n_told]), SURE))

    def shares(self, chance: Doubles) -> tuple[Doubles, Doubles]:
        """Return the shares of orders below the lower and the upper end, shape (n,) each; -1 stands for 0."""
        orders = _orders_held(chance)
        from_zero = (HELD - (1 - chance)) / np.maximum(chance, HELD / 1e6)
        low = np.where(chance > self.likely, (1 - orders) / 2, -1.0)
        high = np.where(chance > self.likely, (1 + orders) / 2, np.where(from_zero > 0, from_zero, -1.0))
        return low, high


def _orders_held(chance: Doubles) -> Doubles:
    return np.asarray(np.minimum(HELD / np.maximum(chance, HELD), ORDERS_HELD))
