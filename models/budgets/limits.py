"""Limits besides money (caps on actions, stock of products), and how much of them a choice uses."""

from dataclasses import dataclass

import numpy as np

from features.arrays.dtypes import Ints
from models.decisions.case import NOTHING
from models.decisions.economics import Money


@dataclass(frozen=True)
class Limits:
    """Limits besides money: customers per action, and units of each product."""

    caps: Money
    """Maximum number of customers by action, shape (n_actions,); inf without a cap."""
    product: Ints
    """Product of each arm, shape (n, n_actions); -1 without one."""
    stock: Money
    """Units by product code; inf where unknown."""

    @classmethod
    def none(cls, n: int, n_actions: int) -> "Limits":
        """Return no limits."""
        return cls(np.full(n_actions, np.inf), np.full((n, n_actions), NOTHING, np.int32), np.zeros(0))

    def priced(self, gain: Money, prices: Money) -> Money:
        """Return gains minus the prices of what arms use; ``prices``: actions, then products, then 0."""
        n = len(self.caps)
        return np.asarray(gain - prices[:n] - prices[n:][self.product])

    @property
    def most(self) -> Money:
        """All limits: of actions, then of products, then an infinite one for arms without a product."""
        return np.concatenate([self.caps, self.stock, [np.inf]])

    def used(self, action: Ints) -> Money:
        """Return how much of every limit a choice uses; ``action`` by customer, -1 for none."""
        rows = np.flatnonzero(action >= 0)
        product = self.product[rows, action[rows]]
        per_action = np.bincount(action[rows], minlength=len(self.caps))
        per_product = np.bincount(product[product >= 0], minlength=len(self.stock))
        return np.concatenate([per_action, per_product, [0]]).astype(np.float64)


def chosen(column: Money, action: Ints) -> Money:
    """Return the value of ``column`` at each customer's action; 0 without one."""
    value = column[np.arange(len(action)), np.maximum(action, 0)]
    return np.where(action >= 0, value, 0.0)
