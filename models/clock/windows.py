"""A closed window: what was known of every pair at its cutoff, and the sales after it."""

from dataclasses import dataclass
from datetime import datetime
from typing import Self

import numpy as np

from features.arrays.dtypes import Floats, Ints
from features.arrays.history import History
from features.shop import Shop
from models.clock.demand import Forecasts, Sales, Sold, forecasts_of
from models.clock.inputs import inputs
from models.clock.logistic import Logistic
from models.clock.renewal import Renewal, Rhythm
from models.clock.spells import Spells


def rhythm_of(shop: Shop, cutoff: datetime) -> tuple[History, Spells, Rhythm]:
    """Return the purchases before ``cutoff``, their spells, and the renewal model's view of each pair."""
    history = shop.history(cutoff)
    spells = Spells.of(history)
    return history, spells, Renewal.fit(spells, shop.catalogue(cutoff).category).rhythm(spells)


@dataclass(frozen=True)
class Window:
    """Pairs bought before a cutoff, with their outcomes, and the sales of each product."""

    history: History
    spells: Spells
    category: Ints
    rows: Floats
    """Inputs of each pair, columns as in ``models.clock.inputs.INPUTS``."""
    bought: Floats
    """1 where the pair was bought again within the horizon, else 0."""
    sales: Sales
    sold: Sold
    """Actual sales of each product, including those to guests."""

    @classmethod
    def of(cls, shop: Shop, cutoff: datetime, *, horizon_days: int, known_until: datetime) -> Self:
        """Read a window that closed by ``known_until``."""
        history, spells, rhythm = rhythm_of(shop, cutoff)
        came = shop.product_labels(cutoff, horizon_days, known_until=known_until, guests=True)
        size = max(len(history.products), 1)
        product = history.products.codes(came["product_id"].tolist())
        known = product >= 0
        units = np.bincount(product[known], came["quantity"].to_numpy(float)[known], minlength=size)
        sold = Sold(np.bincount(product[known], minlength=size).astype(float), np.maximum(units, 0))
        pairs = spells.customer.astype(np.int64) * size + spells.product
        bought = np.isin(pairs, history.pairs_of(came)).astype(float)
        rows = inputs(history, spells, rhythm=rhythm, horizon_days=horizon_days)
        sales = Sales.of(shop, cutoff, spells=spells)
        return cls(history, spells, shop.catalogue(cutoff).category, rows, bought, sales, sold)

    def forecasts(self, chance: Logistic, horizon_days: int) -> Forecasts:
        """Return the simple forecasts of demand as of the cutoff."""
        return forecasts_of(
            self.sales, chance.of_rows(self.rows), category=self.category, horizon_days=horizon_days
        )
