"""The efficient frontier of a multiple-choice knapsack: which step of which customer to buy next. numpy only.

Each customer takes at most one of several arms, each with a gain and a cost, under one budget. Only arms on
the upper hull of a customer's (cost, gain) points can be part of a solution of the linear relaxation; taking
the hulls' edges in descending order of gain per cost solves it (Sinha & Zoltners 1979; Kellerer, Pferschy &
Pisinger 2004, chapter 11). At most one edge is bought in part, so whole choices come within one edge of it.
"""

from dataclasses import dataclass

import numpy as np

from features.arrays.dtypes import Longs
from models.budgets.budget import ROUNDING
from models.decisions.economics import Money

MIN_COST = 1e-12
"""Costs below this count as this, so that gain per cost is finite."""


@dataclass(frozen=True)
class Frontier:
    """Edges of all hulls, by descending gain per cost; one entry per edge, each customer's in order."""

    row: Longs
    arm: Longs
    """The arm the customer has once the edge is bought, instead of the previous one."""
    gain: Money
    """Of the edge: gain over the previous arm."""
    cost: Money
    spent: Money
    """Cost of all edges up to and including this one."""
    earned: Money

    @classmethod
    def of(cls, gain: Money, cost: Money) -> "Frontier":
        """Build the hulls of arms, shape (n, n_arms); an arm without a positive gain is never taken."""
        steps = list(_steps(gain, cost))
        if not steps:
            none, zero = np.zeros(0, np.int64), np.zeros(0)
            return cls(none, none, zero, zero, zero, zero)
        row, arm, more, dearer = (np.concatenate(column) for column in zip(*steps, strict=True))
        order = np.argsort(-more / np.maximum(dearer, MIN_COST), kind="stable")
        more, dearer = more[order], dearer[order]
        return cls(row[order], arm[order], more, dearer, np.cumsum(dearer), np.cumsum(more))

    def bought(self, budget: float) -> int:
        """Return how many whole edges the budget buys."""
        return int(np.searchsorted(self.spent, budget * (1 + ROUNDING), side="right"))

    def at_most(self, budget: float) -> float:
        """Return the optimum of the linear relaxation: no whole choice earns more."""
        n = self.bought(budget)
        earned, spent = (float(column[n - 1]) if n else 0.0 for column in (self.earned, self.spent))
        if n == len(self.row):
            return earned
        return earned + float(self.gain[n]) * max(budget - spent, 0.0) / max(float(self.cost[n]), MIN_COST)

    def price(self, budget: float) -> float:
        """Return what one more unit of money would earn: the gain per cost of the next edge, 0 at the end."""
        n = self.bought(budget)
        return float(self.gain[n] / max(self.cost[n], MIN_COST)) if n < len(self.row) else 0.0


def _steps(gain: Money, cost: Money) -> "list[tuple[Longs, Longs, Money, Money]]":
    """Return the edges step by step: every customer's first, then every second one, and so on."""
    rows = np.flatnonzero((gain > 0).any(axis=1))
    gained, paid, steps = np.zeros(len(rows)), np.zeros(len(rows)), []
    while len(rows):
        more, dearer = gain[rows] - gained[:, None], cost[rows] - paid[:, None]
        slope = np.where(dearer >= 0, more / np.maximum(dearer, MIN_COST), -np.inf)
        steepest = slope == slope.max(axis=1, keepdims=True)
        arm = np.where(steepest, more, -np.inf).argmax(axis=1)
        at = np.arange(len(rows)), arm
        going = slope[at] > 0
        rows, arm, more, dearer = rows[going], arm[going], more[at][going], dearer[at][going]
        gained, paid = gained[going] + more, paid[going] + dearer
        if len(rows):
            steps.append((rows, arm, more, dearer))
    return steps
