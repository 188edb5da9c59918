"""When each customer bought each product, as spells: from one purchase day to the next, the last one open."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from features.arrays.dtypes import Bools, Column, Floats, Ints, Longs
from features.arrays.history import History

HALF_DAY = 0.5
"""A purchase ``d`` days later came between ``d - 0.5`` and ``d + 0.5``: days are recorded whole."""


@dataclass(frozen=True)
class Spells:
    """Every (customer, product) bought before a cutoff, sorted; pair ``p`` owns ``starts[p]:starts[p + 1]``.

    One spell per purchase day, however many orders that day has. The last spell of a pair is open: ``days``
    have passed without another purchase.
    """

    customer: Ints
    product: Ints
    starts: Longs
    """Shape (pairs + 1,)."""
    day: Ints
    """Day of the purchase that starts the spell, as in ``History``."""
    days: Floats
    """Days to the next purchase; for an open spell, to the cutoff."""
    quantity: Floats
    """Units bought on that day."""

    @classmethod
    def of(cls, history: History) -> "Spells":
        """Group the purchases of a history by pair and day."""
        size = len(history.products)
        key = history.pair
        order = np.argsort(key, kind="stable")
        key, day = key[order], history.day[order]
        first = np.flatnonzero((np.diff(key, prepend=-1) != 0) | (np.diff(day, prepend=day[:1]) != 0))
        key, day = key[first], day[first]
        quantity = np.add.reduceat(history.quantity[order], first)
        starts = np.append(np.flatnonzero(np.diff(key, prepend=-1)), len(key)).astype(np.int64)
        until = np.append(day[1:], history.cutoff_day)
        until[starts[1:] - 1] = history.cutoff_day
        pair = key[starts[:-1]]
        customer, product = (pair // size).astype(np.int32), (pair % size).astype(np.int32)
        return cls(customer, product, starts, day, (until - day).astype(np.float32), quantity)

    def __len__(self) -> int:
        """Count the pairs."""
        return len(self.product)

    @cached_property
    def n(self) -> Longs:
        """Purchase days of each pair."""
        return np.diff(self.starts)

    @cached_property
    def pair(self) -> Longs:
        """The pair of each spell."""
        return np.repeat(np.arange(len(self)), self.n)

    @cached_property
    def last(self) -> Longs:
        """The open spell of each pair."""
        return self.starts[1:] - 1

    @cached_property
    def open(self) -> Bools:
        """Which spells are open."""
        is_open = np.zeros(len(self.days), bool)
        is_open[self.last] = True
        return is_open

    @cached_property
    def age(self) -> Floats:
        """Days since the last purchase of each pair."""
        return self.days[self.last]

    def sums(self, values: Column) -> Column:
        """Return the sum of a column of spells within each pair."""
        return np.bincount(self.pair, values)
