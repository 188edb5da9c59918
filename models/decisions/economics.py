"""What a sale earns and what a contact changes, in money, on arrays."""

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray
from pydantic import BaseModel, ConfigDict

if TYPE_CHECKING:
    from features.arrays.catalogue import Catalogue

Money = NDArray[np.float64]

EFFECT = "contact_effect"
"""Column of a learnt effect: the change a contact makes in the chance of an order within the horizon."""
LEAST_STAY = 0.05
"""Margin if a customer stays is E[margin] / P(stays); a smaller P than this would give noise."""
FEWEST_PRODUCTS = 3
"""Minimum number of products with a known cost for a category's margin to be used for its other products."""


def assumed_effect(chance: ArrayLike, lift: ArrayLike) -> Money:
    """Return how much an offer raises the chance of a purchase, if by the relative ``lift`` (0.15 = 15%).

    An assumption, not a measurement, until an experiment replaces it. Chances do not exceed 1.
    """
    p = np.asarray(chance, np.float64)
    return np.asarray(np.minimum(p * np.asarray(lift, np.float64), 1 - p))


def incremental_margin(
    chance: ArrayLike, effect: ArrayLike, *, margin: ArrayLike, discount: ArrayLike, cost: ArrayLike
) -> Money:
    """Return the expected margin with a contact minus that without it, in the shop's currency.

    Customers won by it (``effect``) bring their margin minus the discount; those who would have bought anyway
    (``chance``) get the discount for nothing; the contact costs money in any case. All arguments broadcast.
    """
    p, moved = np.asarray(chance, np.float64), np.asarray(effect, np.float64)
    worth, given = np.asarray(margin, np.float64), np.asarray(discount, np.float64)
    return np.asarray(moved * (worth - given) - np.asarray(cost, np.float64) - p * given)


def margin_if_stays(expected_margin: ArrayLike, churn_probability: ArrayLike) -> Money:
    """Return E[margin | at least one order in the horizon] from E[margin] and P(no order in it).

    Both must be of the same horizon. Assumes that customers kept by a contact buy like those who stay anyway.
    """
    stays = np.maximum(1 - np.asarray(churn_probability, np.float64), LEAST_STAY)
    return np.asarray(np.asarray(expected_margin, np.float64) / stays)


class Margins(BaseModel):
    """Margin as a share of the price, for products of unknown cost: their category's, or the assumed one."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    assumed: float
    """Share from the settings, for a shop in which no cost is known."""
    shop: float | None = None
    """Median share over the products of known cost."""
    by_category: dict[str, float] = {}
    """The same by category path, including all parent paths."""

    @classmethod
    def learn(cls, catalogue: "Catalogue", assumed: float) -> "Margins":
        """Compute the median margin of each category from known unit costs."""
        price, cost = _prices(catalogue), np.asarray(catalogue.unit_cost, np.float64)
        known = np.isfinite(price) & np.isfinite(cost)
        if not known.any():
            return cls(assumed=assumed)
        shares = (1 - cost[known] / price[known]).tolist()
        by_path: dict[str, list[float]] = {}
        paths = [*catalogue.categories.all_names(), ""]
        for code, share in zip(catalogue.category[known].tolist(), shares, strict=True):
            for path in _upwards(paths[code]):
                by_path.setdefault(path, []).append(share)
        enough = {path: shares_of for path, shares_of in by_path.items() if len(shares_of) >= FEWEST_PRODUCTS}
        by_category = {path: float(np.median(enough[path])) for path in sorted(enough)}
        return cls(assumed=assumed, shop=float(np.median(shares)), by_category=by_category)

    def share(self, path: str) -> float:
        """Return a category's margin share: its own, the nearest parent's, the shop's, or the assumed one."""
        known = (self.by_category[above] for above in _upwards(path) if above in self.by_category)
        return next(known, self.assumed if self.shop is None else self.shop)

    def of_products(self, catalogue: "Catalogue") -> Money:
        """Return the margin of one unit of each product, shape (n_products,); NaN if the price is unknown."""
        price, cost = _prices(catalogue), np.asarray(catalogue.unit_cost, np.float64)
        shares = np.array([self.share(path) for path in [*catalogue.categories.all_names(), ""]])
        return np.asarray(np.where(np.isfinite(cost), price - cost, price * shares[catalogue.category]))


def _prices(catalogue: "Catalogue") -> Money:
    price = np.asarray(catalogue.price, np.float64)
    return np.where(price > 0, price, np.nan)


def _upwards(path: str) -> list[str]:
    """Return ``a > b > c``, ``a > b``, ``a``; nothing for an empty path."""
    parts = path.split(" > ") if path else []
    return [" > ".join(parts[:depth]) for depth in range(len(parts), 0, -1)]
