"""Whom to contact with which action under a budget, caps on actions and stock: a multiple-choice knapsack.

Method: caps and stock get prices (``budgets.prices``); under those prices the budget is spent along the
efficient frontier (``budgets.frontier``); choices that exceed a cap are dropped and leftover money is spent
(``budgets.repair``). Any prices give an upper bound on what any choice could earn, so the answer says how
close it came. Without caps it earns at least half of the optimum and misses it by at most one customer's
step; with a single action that costs the same for everyone it is the optimum.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from features.arrays.dtypes import Ints
from models.budgets.budget import ROUNDING, Tally, check, cumulative, other_policies
from models.budgets.frontier import Frontier
from models.budgets.limits import Limits, chosen
from models.budgets.prices import prices_of
from models.budgets.repair import filled, or_the_best_alone, within
from models.decisions.case import NOTHING
from models.decisions.economics import Money
from models.decisions.everyone import Options

FILLINGS = 3
"""Passes that spend the money left over by whole steps."""


@dataclass(frozen=True)
class Allocation:
    """One action (or none) for each customer, within budget and limits."""

    action: Ints
    """Position of the action, -1 for nothing; shape (n,)."""
    budget: float
    spent: float
    expected_incremental_margin: float
    at_most: float
    """Upper bound on the expected margin of any choice within the same limits."""

    @property
    def gap(self) -> float:
        """How far the choice may fall short of the best possible, as a share of it (0 to 1)."""
        return 1 - self.expected_incremental_margin / self.at_most if self.at_most > 0 else 0.0

    @property
    def exact(self) -> bool:
        """Whether no better choice exists."""
        return self.gap <= ROUNDING


def allocate(options: Options, budget: float, *, stock: Money | None = None) -> Allocation:
    """Choose an action or none for everyone, for the greatest expected incremental margin within a budget.

    A budget pays for contacts and for the discounts they are expected to give (``options.spend``). An
    action goes to at most its ``most_customers``; ``stock`` holds units by product code (NaN: unknown, no
    limit). Raises ``InputError`` for a negative or NaN budget.
    """
    most = [action.most_customers or np.inf for action in options.table.actions]
    units = np.zeros(0) if stock is None else np.where(np.isnan(stock), np.inf, np.maximum(stock, 0.0))
    product = options.product if len(units) else np.full_like(options.product, NOTHING)
    limits = Limits(np.array(most, np.float64), product, units)
    return solve(options.worth, options.spend, budget=budget, limits=limits)


def solve(gain: Money, cost: Money, *, budget: float, limits: Limits | None = None) -> Allocation:
    """Solve the knapsack of arms with ``gain`` (-inf: not permitted) and ``cost``, shape (n, n_actions).

    Deterministic. Ties go to the first customer, then to the first action.
    """
    check(budget)
    limits = limits or Limits.none(*gain.shape)
    usable = (gain > 0) & (cost <= budget * (1 + ROUNDING))
    gain, cost = np.where(usable, gain, -np.inf), np.where(usable, cost, 0.0)
    frontier, prices = Frontier.of(gain, cost), np.zeros(len(limits.most))
    taken = _taken(frontier, budget, len(gain))
    if (limits.used(taken) > limits.most).any():
        prices = prices_of(gain, cost, budget=budget, limits=limits, money=frontier.price(budget))
        frontier = Frontier.of(limits.priced(gain, prices), cost)
        taken = _taken(frontier, budget, len(gain))
    bound = frontier.at_most(budget) + float(prices[prices > 0] @ limits.most[prices > 0])
    action = within(taken, limits.priced(gain, prices), limits=limits)
    for _ in range(FILLINGS):
        action = filled(action, gain, cost=cost, budget=budget, limits=limits)
    action = or_the_best_alone(action, gain, limits=limits)
    spent, earned = (chosen(column, action).sum() for column in (cost, gain))
    return Allocation(
        action=action,
        budget=budget,
        spent=float(spent),
        expected_incremental_margin=float(earned),
        at_most=max(bound, float(earned)),
    )


def curve(options: Options, *, points: int = 101) -> list[Tally]:
    """Return expected gain against budget, without caps or stock.

    Each point spends its budget on whole steps of the frontier, and is optimal for it.
    """
    frontier = Frontier.of(options.worth, np.nan_to_num(options.spend, nan=0.0))
    first = np.zeros(len(frontier.row))
    first[np.unique(frontier.row, return_index=True)[1]] = 1.0
    return cumulative(frontier.gain, frontier.cost, first=first, points=points)


def compare(options: Options, budget: float, *, scores: Mapping[str, Money]) -> dict[str, Tally]:
    """Return what policies would earn under one budget, ours (``expected gain``) first.

    ``scores`` rank customers (e.g. ``risk``, ``response``), highest first; each customer gets the action that
    gains most, so that policies differ only in whom they choose. All obey the rules (see ``other_policies``).
    """
    best = options.worth.argmax(axis=1).astype(np.int32)
    at = np.arange(len(options)), best
    ours = allocate(options, budget)
    earned = float((ours.action >= 0).sum()), ours.spent, ours.expected_incremental_margin
    others = other_policies(options.worth[at], options.spend[at], budget=budget, scores=scores)
    return {"expected gain": Tally(*earned)} | others


def _taken(frontier: Frontier, budget: float, n: int) -> Ints:
    """Return each customer's last edge that the budget buys."""
    action, whole = np.full(n, NOTHING, np.int32), frontier.bought(budget)
    row, arm = frontier.row[:whole][::-1], frontier.arm[:whole][::-1]
    taken, last = np.unique(row, return_index=True)  # reversed: the first found is the last edge
    action[taken] = arm[last]
    return action
