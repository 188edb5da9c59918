"""What rules apply to: people who may be contacted, and goods that may be offered."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.arrays.dtypes import Bools, Doubles, Ints
from models.policy.standing import NOT_RECORDED


@dataclass(frozen=True)
class People:
    """What decides whether a customer may be contacted at all; arrays of shape (n,)."""

    consent: NDArray[np.int8]
    """1 given, 0 refused, -1 not recorded."""
    n_contacts_28d: Ints
    """Contacts received in the last 28 days, over all channels."""
    consent_recorded: bool = True
    """False for a shop that records nobody's consent: nobody has then refused."""

    @classmethod
    def nobody_known(cls, n: int) -> "People":
        """Return ``n`` customers of a shop that records neither consent nor contacts."""
        return cls(np.full(n, NOT_RECORDED, np.int8), np.zeros(n, np.int32), consent_recorded=False)

    def take(self, rows: "Ints | slice") -> "People":
        """Return the rows of some customers, in the order given."""
        return replace(self, consent=self.consent[rows], n_contacts_28d=self.n_contacts_28d[rows])

    def contacted(self, n_more: Ints) -> "People":
        """Return the same people after ``n_more`` contacts each, made since the tables were read."""
        return replace(self, n_contacts_28d=self.n_contacts_28d + n_more)


@dataclass(frozen=True)
class Goods:
    """What decides whether a product may be offered, and what it earns; arrays of shape (n_products,)."""

    price: Doubles
    margin: Doubles
    """Margin of one unit in the shop's currency; NaN if the price is unknown."""
    stock: Doubles
    """Units on hand, NaN if unknown."""
    hidden: Bools

    @classmethod
    def unpriced(cls, stock: Doubles) -> "Goods":
        """Return goods of which nothing but the stock is known: none can be offered."""
        unknown = np.full(len(stock), np.nan)
        return cls(unknown, unknown, stock, np.zeros(len(stock), bool))
