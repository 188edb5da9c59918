"""What is scarce besides money, and what a choice uses of it."""

from dataclasses import dataclass

import numpy as np

from features.arrays.dtypes import Ints
from models.decisions.case import NOTHING
from models.decisions.economics import Money


@dataclass(frozen=True)
class Limits:
    """What is scarce besides money: how often each action, and how many units of each product."""

    caps: Money
    """Most customers by action, shape (n_actions,); inf where there is no cap."""
    product: Ints
    """Product of each arm, shape (n, n_actions); -1 without one."""
    stock: Money
    """Units by product code; inf where unknown."""

    @classmethod
    def none(cls, n: int, n_actions: int) -> "Limits":
        """Return no limits."""
        return cls(np.full(n_actions, np.inf), np.full((n, n_actions), NOTHING, np.int32), np.zeros(0))

    def priced(self, gain: Money, prices: Money) -> Money:
        """Return gains less the prices of what arms use; ``prices``: actions, then products, then 0."""
        n = len(self.caps)
        return np.asarray(gain - prices[:n] - prices[n:][self.product])

    @property
    def most(self) -> Money:
        """Every limit: actions, then products, then one that is never used."""
        return np.concatenate([self.caps, self.stock, [np.inf]])

    def used(self, action: Ints) -> Money:
        """Return how much of every limit a choice uses (action by customer, -1 nothing)."""
        rows = np.flatnonzero(action >= 0)
        product = self.product[rows, action[rows]]
        per_action = np.bincount(action[rows], minlength=len(self.caps))
        per_product = np.bincount(product[product >= 0], minlength=len(self.stock))
        return np.concatenate([per_action, per_product, [0]]).astype(np.float64)


def chosen(column: Money, action: Ints) -> Money:
    """Return a column at each customer's action; 0 for nothing."""
    value = column[np.arange(len(action)), np.maximum(action, 0)]
    return np.where(action >= 0, value, 0.0)
