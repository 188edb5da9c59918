"""What last year's sales show of the season ahead: the same weeks, relative to the weeks before them."""

from typing import NamedTuple, Self

import numpy as np

from features.arrays.dtypes import Column, Ints
from features.window import YEAR_DAYS, last_year_days
from models.clock.spells import Spells
from models.noise import SHOP_NOISE, beyond_noise

PRODUCT_NOISE = 0.2
"""Standard deviation of the log ratio of a product's sales in two adjacent horizons without any season."""


class LastYear(NamedTuple):
    """What last year shows of the horizon ahead; neutral where the shop is too young."""

    buyers: Column
    """By product: buyers of the same days a year ago, at today's level. For products not yet sold then, those
    of the last horizon times ``turn``. 0 for all without a last year."""
    turn: Column
    """By product: expected ratio of buyers in the horizon ahead to those in the last one; 1 if last year has
    none."""

    @classmethod
    def of(cls, spells: Spells, age: Ints, *, last: Column, horizon_days: int) -> Self:
        """Compute from spells of that ``age`` in days; ``last``: each product's buyers in the last horizon.

        A product's turn is the shop's, unless its own differed by more than noise. A product not yet on sale
        when the weeks before began has the shop's too: its growth then was its launch, not a season.
        """
        days = (YEAR_DAYS - horizon_days, YEAR_DAYS)
        then, before = (
            _buyers(spells, age, after=after, days=horizon_days, n_products=len(last)) for after in days
        )
        too_young = age.max(initial=0) < last_year_days(horizon_days)
        if too_young or not (horizon_days <= YEAR_DAYS and then.any() and before.any()):
            return cls(np.zeros(len(last)), np.ones(len(last)))
        season = np.exp(_turn(then.sum(), before.sum(), usual=np.zeros(()), noise=SHOP_NOISE))
        first_sold = np.zeros(len(last))
        np.maximum.at(first_sold, spells.product[spells.pair], age)
        own = np.exp(_turn(then, before, usual=np.log(season), noise=PRODUCT_NOISE))
        turn = season * np.where(first_sold > YEAR_DAYS + horizon_days, own, 1.0)
        total = last.sum() * season
        turn *= total / max((last * turn).sum(), 1e-9) if last.any() else 1.0
        return cls(np.where(first_sold > YEAR_DAYS, then * total / then.sum(), last * turn), turn)


def _turn(then: Column, before: Column, *, usual: Column, noise: float) -> Column:
    """Return the log ratio of ``then`` to ``before`` relative to the ``usual`` one, shrunk for noise.

    Counts are taken as Poisson; zero counts as half a buyer.
    """
    then, before = np.maximum(then, 0.5), np.maximum(before, 0.5)
    apart = np.log(then / before) - usual
    return np.asarray(apart * beyond_noise(apart, 1 / then + 1 / before + noise**2))


def _buyers(spells: Spells, age: Ints, *, after: int, days: int, n_products: int) -> Column:
    """Return each product's distinct buyers in ``days`` days, starting ``after`` days before the cutoff."""
    pair = spells.pair[(age > after) & (age <= after + days)]
    bought = np.asarray(np.diff(pair, prepend=-1) != 0)
    return np.bincount(spells.product[pair[bought]], minlength=n_products).astype(float)
