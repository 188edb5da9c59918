"""Repair of a choice: drop what exceeds caps, and spend what whole steps of the frontier left over."""

import numpy as np

from features.arrays.dtypes import Ints, Longs
from features.arrays.groups import cumcount
from models.budgets.budget import ROUNDING, affordable, chosen
from models.budgets.frontier import FREE
from models.decisions.case import NOTHING
from models.decisions.economics import Money


def within(action: Ints, value: Money, caps: Money) -> Ints:
    """Drop the least valuable choices of actions that are chosen more often than allowed."""
    kept = action.copy()
    over = _rank(action, chosen(value, action)) >= caps[action]
    kept[over & (action >= 0)] = NOTHING
    return kept


def _rank(code: Ints, worth: Money) -> Longs:
    """Return each row's rank among those of the same code, the most valuable first, from 0."""
    order = np.lexsort((-worth, code))
    rank = np.empty(len(code), np.int64)
    rank[order] = cumcount(code[order])
    return rank


def filled(action: Ints, gain: Money, cost: Money, budget: float, caps: Money) -> Ints:
    """Spend what is left on each customer's best step, best first, as far as money and caps allow."""
    left = budget * (1 + ROUNDING) - chosen(cost, action).sum()
    room = caps - np.bincount(action[action >= 0], minlength=len(caps))
    more, dearer = gain - chosen(gain, action)[:, None], cost - chosen(cost, action)[:, None]
    possible = (room > 0) & (more > 0) & (dearer <= left)
    step = np.where(possible, more / np.maximum(dearer, FREE), -np.inf)
    arm = step.argmax(axis=1).astype(np.int32)
    best = step[np.arange(len(arm)), arm]
    rows = np.flatnonzero(np.isfinite(best))
    rows = rows[np.argsort(-best[rows], kind="stable")]
    rows = rows[_rank(arm[rows], best[rows]) < room[arm[rows]]]
    rows = rows[affordable(np.maximum(dearer[rows, arm[rows]], 0.0), left)]
    found = action.copy()
    found[rows] = arm[rows]
    return found


def or_the_best_alone(action: Ints, gain: Money, caps: Money) -> Ints:
    """Return the choice, or the single best arm alone if it gains more than the whole choice."""
    possible = np.where(caps >= 1, gain, -np.inf)
    if not possible.size or possible.max() <= chosen(gain, action).sum():
        return action
    row, arm = np.unravel_index(possible.argmax(), possible.shape)
    alone = np.full(len(action), NOTHING, np.int32)
    alone[row] = arm
    return alone
