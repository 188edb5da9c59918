"""How unevenly a product has sold from week to week: some depend on promotions, bananas do not."""

from typing import NamedTuple, Self

import numpy as np

from features.arrays.dtypes import Bools, Column, Longs
from features.arrays.history import History
from models.clock.spells import Spells

N_WEEKS, WEEK_DAYS = 16, 7
"""Maximum number of weeks before the cutoff that are used."""


class Weeks(NamedTuple):
    """Week-to-week variation of products, by product code."""

    n: Column
    """Whole weeks on record, at most ``N_WEEKS``."""
    spread: Column
    """Squared coefficient of variation of the units of a horizon, as if its weeks were independent; 0 without
    sales."""

    @classmethod
    def of(cls, history: History, spells: Spells, *, units: Column, horizon_days: int) -> Self:
        """Compute as of the history's cutoff; ``units`` are those of each spell."""
        size, age = len(history.products), history.cutoff_day - spells.day
        # if the cutoff falls within a day, that day belongs to the last week
        code, week = spells.product[spells.pair], np.maximum(age - 1, 0) // WEEK_DAYS
        late = week < N_WEEKS
        sums = np.bincount(code[late] * N_WEEKS + week[late], units[late], minlength=size * N_WEEKS)
        oldest = np.zeros(size)
        np.maximum.at(oldest, code, age)
        n = np.minimum(oldest // WEEK_DAYS, N_WEEKS)
        known = np.arange(N_WEEKS) < n[:, None]
        table = sums.reshape(size, N_WEEKS) * known
        mean = table.sum(axis=1) / np.maximum(n, 1)
        variance = (known * (table - mean[:, None]) ** 2).sum(axis=1) / np.maximum(n - 1, 1)
        relative = np.divide(variance, mean**2, out=np.zeros(size), where=mean > 0)
        return cls(n, relative * WEEK_DAYS / horizon_days)

    def at(self, rows: Bools | Longs) -> "Weeks":
        """Return the rows of some products."""
        return Weeks(self.n[rows], self.spread[rows])
