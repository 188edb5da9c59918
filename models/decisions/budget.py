"""Spending a budget on contacts: which to buy, and how much better any other choice could be. numpy only."""

import numpy as np
from numpy.typing import NDArray

from models.decisions.economics import Money

Rows = NDArray[np.int64]
ROUNDING = 1e-9
"""Share of a budget that rounding in a long sum may cost."""


def affordable(cost: Money, budget: float) -> Rows:
    """Return the rows, taken in order, whose costs fit the budget; one that does not fit is skipped."""
    left, rows = budget * (1 + ROUNDING), np.arange(len(cost))
    taken = []
    while len(rows := rows[cost[rows] <= left]):
        spent = np.cumsum(cost[rows])
        fits = int(np.searchsorted(spent, left, side="right"))
        taken.append(rows[:fits])
        left, rows = left - (spent[fits - 1] if fits else 0.0), rows[fits + 1 :]
    return np.concatenate(taken) if taken else np.empty(0, np.int64)


def best_rows(gain: Money, cost: Money, budget: float) -> Rows:
    """Return the rows to buy, of rows sorted by gain for cost (best first) that all gain something.

    Greedy, skipping what no longer fits, or the one best row alone where that gains more: exact where all
    cost the same, else at least half of the best possible (see ``at_most``). A larger budget never gains
    less: where it first takes a row that the smaller one skips, that row gains more than all that the
    smaller could still buy.
    """
    rows, alone = affordable(cost, budget), np.flatnonzero(cost <= budget)
    if len(alone) and gain[alone].max() > gain[rows].sum():
        return alone[[gain[alone].argmax()]]
    return rows


def at_most(gain: Money, cost: Money, budget: float) -> float:
    """Return what the budget would gain if rows could be bought in part: no whole choice gains more.

    The linear programme's optimum over rows sorted as for ``best_rows``; with equal costs, what they do gain.
    """
    gain, cost = gain[cost <= budget], cost[cost <= budget]
    if not len(cost) or cost.min() == cost.max():
        return float(gain[affordable(cost, budget)].sum())
    spent, gained = (np.concatenate([[0.0], np.cumsum(column)]) for column in (cost, gain))
    return float(np.interp(budget, spent, gained))
