"""What the weeks ahead sold a year ago, and by how much more or less than the weeks before them."""

from typing import NamedTuple, Self

import numpy as np

from features.arrays.dtypes import Column, Ints
from features.window import YEAR_DAYS, last_year_days
from models.clock.spells import Spells
from models.wobble import SHOP_WOBBLE, beyond_noise

PRODUCT_WOBBLE = 0.2
"""How far the logs of a product's two horizons lie apart without a season."""


class LastYear(NamedTuple):
    """What last year tells of the horizon ahead; nothing where the shop is too young for one."""

    buyers: Column
    """Of each product: those of the same days a year ago, at today's level. Where it was not sold yet, those
    of the last horizon, times ``turn``. 0 for all where there is no last year."""
    turn: Column
    """Of each product: buyers of the horizon ahead over those of the last one; 1 where no last year tells."""

    @classmethod
    def of(cls, spells: Spells, age: Ints, last: Column, horizon_days: int) -> Self:
        """Read it from spells of that ``age`` in days; ``last``: each product's buyers of the last horizon.

        A product turns as the shop does, unless it is beyond its noise that it did otherwise; as the shop
        does, too, if it was not sold yet when the weeks before began: it came, and did not turn.
        """
        days = (YEAR_DAYS - horizon_days, YEAR_DAYS)
        then, before = (_buyers(spells, age, after, horizon_days, len(last)) for after in days)
        too_young = age.max(initial=0) < last_year_days(horizon_days)
        if too_young or not (horizon_days <= YEAR_DAYS and then.any() and before.any()):
            return cls(np.zeros(len(last)), np.ones(len(last)))
        season = np.exp(_turn(then.sum(), before.sum(), np.zeros(()), SHOP_WOBBLE))
        first_sold = np.zeros(len(last))
        np.maximum.at(first_sold, spells.product[spells.pair], age)
        own = np.exp(_turn(then, before, np.log(season), PRODUCT_WOBBLE))
        turn = season * np.where(first_sold > YEAR_DAYS + horizon_days, own, 1.0)
        total = last.sum() * season
        turn *= total / max((last * turn).sum(), 1e-9) if last.any() else 1.0
        return cls(np.where(first_sold > YEAR_DAYS, then * total / then.sum(), last * turn), turn)


def _turn(then: Column, before: Column, usual: Column, wobble: float) -> Column:
    """Return how far the log of their ratio lies from the ``usual``, as far as it is beyond noise.

    Counts are Poisson's, half a buyer stands for none.
    """
    then, before = np.maximum(then, 0.5), np.maximum(before, 0.5)
    apart = np.log(then / before) - usual
    return np.asarray(apart * beyond_noise(apart, 1 / then + 1 / before + wobble**2))


def _buyers(spells: Spells, age: Ints, after: int, days: int, n_products: int) -> Column:
    """Return the distinct buyers of each product in ``days`` days, ``after`` days before the cutoff."""
    pair = spells.pair[(age > after) & (age <= after + days)]
    bought = np.asarray(np.diff(pair, prepend=-1) != 0)
    return np.bincount(spells.product[pair[bought]], minlength=n_products).astype(float)
