"""New products: their chances are estimated from their look-alikes, until they have sold or failed to.

Look-alikes are products with similar words (name, category, brand) and price. A newcomer's chance is the mean
of theirs, times what earlier newcomers of this shop sold relative to theirs, times its own sales relative to
expectation (gamma-Poisson): no sales while on sale count against it.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Self

import numpy as np

from features.arrays.catalogue import Catalogue
from features.arrays.dtypes import Bools, Floats, Ints
from features.arrays.history import History
from features.arrays.products import ProductTable, n_buyers
from features.arrays.stored import read_array, write_arrays
from models.similarity.collaborative import Neighbours

FEW_BUYERS = 5
"""A product with fewer buyers is new while it is young."""
NEW_DAYS = 28
"""Days for which a product is young, or one horizon if that is longer."""
N_LIKE = 10
"""Number of look-alikes per newcomer."""
MIN_NEWCOMERS = 20
"""Minimum number of earlier newcomers to learn their sales relative to look-alikes."""
WORTH = 0.3
"""Sales of a newcomer relative to its look-alikes, if there were too few earlier ones."""
Asked = Callable[[Ints, Ints], tuple[Floats, Bools]]
"""For pairs (customer, product): their chances, and whether the customer bought the product before."""


@dataclass(frozen=True)
class Newcomers:
    """One row per product code; ``like`` and ``weight`` have shape (n_products, m), padded with -1 and 0."""

    is_new: Bools
    like: Ints
    weight: Floats
    """Weights sum to the newcomer's sales relative to its look-alikes; 0 for products that are not new."""

    @classmethod
    def of(
        cls,
        history: History,
        catalogue: Catalogue,
        *,
        table: ProductTable,
        near: Neighbours,
        horizon_days: int,
    ) -> Self:
        """Find the shop's new products; ``near`` are products with similar words."""
        age, buyers = _age(history, catalogue, table), table.column("n_buyers")
        young = max(NEW_DAYS, horizon_days)
        span = int(history.cutoff_day - history.day.min(initial=history.cutoff_day))
        is_new = (buyers < FEW_BUYERS) & (age <= young) & (span > 2 * young)
        like, share = _alike(near, catalogue.price, is_new)
        expected = _mean(table.popularity, like, share)
        known = share.sum(axis=1) > 0
        is_new &= known
        worth = _worth(history, (age, young, horizon_days), np.where(known, expected, 0))
        recent = history.cutoff_day - history.day <= horizon_days
        sales = worth * expected * len(np.unique(history.customer[recent])) * age / horizon_days
        belief = np.where(is_new, worth * np.minimum((buyers + 1) / (sales + 1), 1), 0)
        return cls(is_new, np.where(is_new[:, None], like, -1), (share * belief[:, None]).astype(np.float32))

    def popularity(self, popularity: Floats) -> Floats:
        """Return best sellers, with the estimates for new products where these are higher."""
        return np.maximum(popularity, _mean(popularity, self.like, self.weight))

    def lifted(self, chance: Floats, customer: Ints, *, product: Ints, ask: Asked) -> Floats:
        """Return the chances of pairs (sorted by customer), those of new products raised to their estimates.

        ``ask`` returns, for the same customers and the look-alikes, chances and what was bought before.
        Look-alikes bought before are left out: how often they are bought again says nothing about trying a
        new product.
        """
        rows = np.flatnonzero(self.is_new[product])
        if not len(rows):
            return chance
        like, weight = self.like[product[rows]], self.weight[product[rows]]
        at, column = np.nonzero(like >= 0)
        of_like, left = np.zeros(like.shape, np.float32), np.zeros(like.shape, np.float32)
        chances, own = ask(customer[rows][at], like[at, column])
        of_like[at, column], left[at, column] = chances, ~own
        share = (weight * left).sum(axis=1) / np.maximum(weight.sum(axis=1), 1e-12)
        raised = np.array(chance)
        believed = (of_like * weight * left).sum(axis=1) / np.maximum(share, 1e-12)
        raised[rows] = np.maximum(chance[rows], np.where(share > 0, believed, 0))
        return raised

    def save(self, folder: Path) -> None:
        """Write one ``.npy`` per array."""
        write_arrays(folder, {part.name: getattr(self, part.name) for part in fields(self)})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back."""
        return cls(*(read_array(folder, part.name) for part in fields(cls)))


def _age(history: History, catalogue: Catalogue, table: ProductTable) -> Floats:
    """Return days on sale: since the launch, else since the first sale; NaN if neither is known."""
    launched = history.cutoff_day - catalogue.launched_day
    age: Floats = np.where(np.isnan(launched), table.column("p_age"), launched).astype(np.float32)
    return age


def _alike(near: Neighbours, price: Floats, is_new: Bools) -> tuple[Ints, Floats]:
    """Return each product's look-alikes that are not new themselves, with weights that sum to 1."""
    like = near.product[:, :N_LIKE]
    with np.errstate(divide="ignore", invalid="ignore"):
        apart = np.abs(np.log(price[like] / price[:, None]))
    close = np.exp(-np.nan_to_num(apart, nan=0.0, posinf=9.0))
    weight = np.where((like >= 0) & ~is_new[like], near.score[:, :N_LIKE] * close, 0)
    return like, (weight / np.maximum(weight.sum(axis=1, keepdims=True), 1e-9)).astype(np.float32)


def _mean(value: Floats, like: Ints, share: Floats) -> Floats:
    mean: Floats = (np.where(like >= 0, value[like], 0) * share).sum(axis=1).astype(np.float32)
    return mean


def _worth(history: History, times: tuple[Floats, int, int], expected: Floats) -> float:
    """Return the sales of newcomers of one horizon ago since, relative to their look-alikes (0.01 to 1)."""
    age, young, horizon = times
    then = history.day < history.cutoff_day - horizon
    earlier = (age >= horizon) & (age < horizon + young) & (expected > 0)
    earlier &= n_buyers(history, then) < FEW_BUYERS
    if int(earlier.sum()) < MIN_NEWCOMERS:
        return WORTH
    n_customers = max(len(np.unique(history.customer[~then])), 1)
    sold = n_buyers(history, ~then)[earlier].sum() / n_customers
    return float(np.clip(sold / expected[earlier].sum(), 0.01, 1.0))
