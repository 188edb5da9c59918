"""Spending a budget on contacts: which to buy, and an upper bound for any other choice. numpy only."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from features.arrays.dtypes import Longs
from features.errors import InputError
from models.decisions.economics import Money

ROUNDING = 1e-9
"""Tolerance for rounding in long sums, as a share of the budget."""


class Tally(NamedTuple):
    """The totals of a choice."""

    n_customers: float
    cost: float
    gain: float


def affordable(cost: Money, budget: float) -> Longs:
    """Return the rows, taken in order, whose costs fit the budget; one that does not fit is skipped."""
    left, rows = budget * (1 + ROUNDING), np.arange(len(cost))
    taken = []
    while len(rows := rows[cost[rows] <= left]):
        spent = np.cumsum(cost[rows])
        fits = int(np.searchsorted(spent, left, side="right"))
        taken.append(rows[:fits])
        left, rows = left - spent[fits - 1], rows[fits + 1 :]
    return np.concatenate(taken) if taken else np.empty(0, np.int64)


def best_rows(gain: Money, cost: Money, *, budget: float) -> Longs:
    """Return the rows to buy, of rows sorted by gain per cost (best first) that all have a positive gain.

    Greedy, skipping rows that no longer fit, or the one best row alone if that gains more: exact where all
    cost the same, else at least half of the best possible (see ``at_most``). A larger budget never gains
    less: where it first takes a row that the smaller one skips, that row gains more than everything the
    smaller could still buy. Raises ``InputError`` for a negative or NaN budget.
    """
    check(budget)
    rows, alone = affordable(cost, budget), np.flatnonzero(cost <= budget)
    if len(alone) and gain[alone].max() > gain[rows].sum():
        return alone[[gain[alone].argmax()]]
    return rows


def at_most(gain: Money, cost: Money, *, budget: float) -> float:
    """Return what the budget would gain if rows could be bought in part: no whole choice gains more.

    The linear programme's optimum over rows sorted as for ``best_rows``; with equal costs, the exact optimum.
    """
    gain, cost = gain[cost <= budget], cost[cost <= budget]
    if not len(cost) or cost.min() == cost.max():
        return float(gain[affordable(cost, budget)].sum())
    spent, gained = (np.concatenate([[0.0], np.cumsum(column)]) for column in (cost, gain))
    return float(np.interp(budget, spent, gained))


def check(budget: float) -> None:
    """Raise ``InputError`` for a negative or NaN budget."""
    if not budget >= 0:
        raise InputError(
            f"the budget must be an amount of 0 or more, found {budget}", "give it in the shop's currency"
        )


def other_policies(
    gain: Money, cost: Money, *, budget: float, scores: Mapping[str, Money]
) -> dict[str, Tally]:
    """Return what other policies would buy with the same budget, by name.

    ``gain`` is -inf where a rule refuses. ``scores`` rank rows, highest first; ``random`` is the mean over
    all orders, ``all`` ignores the budget, ``none`` buys nothing.
    """
    permitted = np.flatnonzero(np.isfinite(gain))
    chosen = {"all": permitted, "none": permitted[:0]}
    for name, score in scores.items():
        order = permitted[np.argsort(-np.nan_to_num(score[permitted], nan=-np.inf), kind="stable")]
        chosen[name] = order[affordable(cost[order], budget)]
    tallies = {
        name: Tally(float(len(rows)), float(cost[rows].sum()), float(gain[rows].sum()))
        for name, rows in chosen.items()
    }
    whole = tallies["all"]
    share = min(budget / whole.cost, 1.0) if whole.cost > 0 else 1.0
    return tallies | {"random": Tally(*(share * value for value in whole))}


def cumulative(gain: Money, cost: Money, *, first: Money, points: int) -> list[Tally]:
    """Return the cumulative tally of steps taken in order, at ``points`` places from none to all.

    ``first`` is 1 where a step is the first of its customer, else 0.
    """
    at = np.unique(np.linspace(0, len(gain), points).astype(int))
    sums = (np.concatenate([[0.0], np.cumsum(column)])[at].tolist() for column in (first, cost, gain))
    return [Tally(*values) for values in zip(*sums, strict=True)]
