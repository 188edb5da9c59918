"""Repair of a choice: drop what exceeds limits, and spend what whole steps of the frontier left over."""

import numpy as np

from features.arrays.dtypes import Ints, Longs
from features.arrays.groups import cumcount
from models.budgets.budget import ROUNDING, affordable
from models.budgets.frontier import MIN_COST
from models.budgets.limits import Limits, chosen
from models.decisions.case import NOTHING
from models.decisions.economics import Money


def within(action: Ints, value: Money, *, limits: Limits) -> Ints:
    """Drop the least valuable choices of actions and products that are chosen more often than allowed."""
    kept = action.copy()
    worth = np.where(action >= 0, value[np.arange(len(action)), np.maximum(action, 0)], -np.inf)
    kept[_rank(kept, worth) >= _at(limits.caps, kept)] = NOTHING
    if len(limits.stock):
        product = np.where(kept >= 0, limits.product[np.arange(len(kept)), np.maximum(kept, 0)], NOTHING)
        kept[_rank(product, worth) >= _at(limits.stock, product)] = NOTHING
    return kept


def _at(limit: Money, code: Ints) -> Money:
    return (
        np.where(code >= 0, limit[np.maximum(code, 0)], np.inf) if len(limit) else np.full(len(code), np.inf)
    )


def _rank(code: Ints, worth: Money) -> Longs:
    """Return each row's rank among those of the same code, the most valuable first, from 0."""
    order = np.lexsort((-worth, code))
    rank = np.empty(len(code), np.int64)
    rank[order] = cumcount(code[order])
    return rank


def filled(action: Ints, gain: Money, *, cost: Money, budget: float, limits: Limits) -> Ints:
    """Spend what is left on each customer's best step, best first, as far as money and limits allow."""
    left = budget * (1 + ROUNDING) - chosen(cost, action).sum()
    room = limits.most - limits.used(action)
    per_product = np.append(room[len(limits.caps) : -1], np.inf)
    open_ = (room[: len(limits.caps)] > 0) & (per_product[limits.product] > 0)
    more, dearer = gain - chosen(gain, action)[:, None], cost - chosen(cost, action)[:, None]
    step = np.where(open_ & (more > 0) & (dearer <= left), more / np.maximum(dearer, MIN_COST), -np.inf)
    arm = step.argmax(axis=1).astype(np.int32)
    rows = np.flatnonzero(np.isfinite(step[np.arange(len(arm)), arm]))
    rows = rows[np.argsort(-step[rows, arm[rows]], kind="stable")]
    rows = _with_room(rows, arm, limits=limits, room=room)
    rows = rows[affordable(np.maximum(dearer[rows, arm[rows]], 0.0), left)]
    more_actions = action.copy()
    more_actions[rows] = arm[rows]
    return more_actions


def _with_room(rows: Longs, arm: Ints, *, limits: Limits, room: Money) -> Longs:
    """Return the rows (best first) that fit into what is left of every limit."""
    first = -np.arange(len(rows), dtype=np.float64)
    codes = arm[rows]
    fits = _rank(codes, first) < _at(room[: len(limits.caps)], codes)
    product = limits.product[rows, codes]
    return rows[fits & (_rank(product, first) < _at(room[len(limits.caps) : -1], product))]


def or_the_best_alone(action: Ints, gain: Money, *, limits: Limits) -> Ints:
    """Return the choice, or the single best arm alone if it gains more than the whole choice."""
    per_product = np.append(limits.stock, np.inf)
    possible = np.where((limits.caps >= 1) & (per_product[limits.product] >= 1), gain, -np.inf)
    if not possible.size or possible.max() <= chosen(gain, action).sum():
        return action
    row, arm = np.unravel_index(possible.argmax(), possible.shape)
    alone = np.full(len(action), NOTHING, np.int32)
    alone[row] = arm
    return alone
