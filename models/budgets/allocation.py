"""Whom to contact with which action under a budget, caps on actions and stock: a multiple-choice knapsack.

Method: caps and stock get prices (Lagrange multipliers, by a sign-following subgradient method as in Rprop,
Riedmiller & Braun 1993); under those prices the budget is spent along the efficient frontier
(``budgets.frontier``); what breaks a cap is given up, what is left is filled. Any prices give an upper
bound on the best possible, and the answer says how close it came. Without caps it earns at least half of the
best, and all but one step of it; with one action of one cost it is the best.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from features.arrays.dtypes import Ints, Longs
from features.arrays.groups import places
from models.budgets.budget import ROUNDING, Tally, affordable, check, climb, rivals
from models.budgets.frontier import FREE, Frontier
from models.decisions.case import NOTHING
from models.decisions.economics import Money
from models.decisions.everyone import Options

ROUNDS, LAST_ROUNDS = 60, 15
"""Steps of the search for prices, each a pass over all arms; the last ones over everyone, after a sample."""
SAMPLE = 100_000
"""A crowd twice as large is searched in a sample first: every so many-th customer, limits in proportion."""
FILLINGS = 3
"""Passes that spend what whole steps left over."""


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


@dataclass(frozen=True)
class Allocation:
    """One action (or none) for each customer, within budget and limits."""

    action: Ints
    """Position of the action, -1 for nothing; shape (n,)."""
    budget: float
    spent: float
    expected_incremental_margin: float
    at_most: float
    """No choice within the same limits can be expected to earn more."""

    @property
    def gap(self) -> float:
        """How far the choice may be from the best possible, as a share of it (0 to 1)."""
        return 1 - self.expected_incremental_margin / self.at_most if self.at_most > 0 else 0.0

    @property
    def exact(self) -> bool:
        """Whether no better choice exists."""
        return self.gap <= ROUNDING


def allocate(
    options: Options, budget: float, *, stock: Money | None = None, caps: Mapping[str, float] | None = None
) -> Allocation:
    """Choose an action or none for everyone, for the greatest expected incremental margin within a budget.

    A budget pays for contacts and for the discounts they are expected to give (``options.spend``).
    ``stock`` holds units by product code (NaN: unknown, no limit); ``caps`` most customers by action, over
    the actions' own ``most_customers``. Raises ``InputError`` for a budget that is no amount of money.
    """
    caps = dict(caps or {})
    most = [caps.get(action.name, action.most_customers or np.inf) for action in options.deck.actions]
    units = np.zeros(0) if stock is None else np.where(np.isnan(stock), np.inf, np.maximum(stock, 0.0))
    product = options.product if len(units) else np.full_like(options.product, NOTHING)
    limits = Limits(np.array(most, np.float64), product, units)
    return solve(options.worth, options.spend, budget, limits)


def solve(gain: Money, cost: Money, budget: float, limits: Limits | None = None) -> Allocation:
    """Solve the knapsack of arms with ``gain`` (-inf: not permitted) and ``cost``, shape (n, n_actions).

    Deterministic. Ties go to the customer, then to the action, that stands first.
    """
    check(budget)
    limits = limits or Limits.none(*gain.shape)
    usable = (gain > 0) & (cost <= budget * (1 + ROUNDING))
    gain, cost = np.where(usable, gain, -np.inf), np.where(usable, cost, 0.0)
    frontier, prices = Frontier.of(gain, cost), np.zeros(len(limits.most))
    if (limits.used(_taken(frontier, budget, len(gain))) > limits.most).any():
        prices = _prices(gain, cost, budget, limits, frontier.price(budget))
        frontier = Frontier.of(limits.priced(gain, prices), cost)
    bound = frontier.at_most(budget) + float(prices[prices > 0] @ limits.most[prices > 0])
    action = _within(_taken(frontier, budget, len(gain)), limits.priced(gain, prices), limits)
    for _ in range(FILLINGS):
        action = _filled(action, gain, cost, budget, limits)
    action = _or_the_best_alone(action, gain, limits)
    spent, earned = (_of(column, action).sum() for column in (cost, gain))
    return Allocation(
        action=action,
        budget=budget,
        spent=float(spent),
        expected_incremental_margin=float(earned),
        at_most=max(bound, float(earned)),
    )


def curve(options: Options, *, points: int = 101) -> list[Tally]:
    """Return money against budget, caps and stock aside.

    Each point spends its budget on whole steps of the frontier, and is the best there is for it.
    """
    frontier = Frontier.of(options.worth, np.nan_to_num(options.spend, nan=0.0))
    first = np.zeros(len(frontier.row))
    first[np.unique(frontier.row, return_index=True)[1]] = 1.0
    return climb(frontier.gain, frontier.cost, first, points)


def compare(options: Options, budget: float, scores: Mapping[str, Money]) -> dict[str, Tally]:
    """Return what policies would earn under one budget, ours (``expected gain``) first.

    ``scores`` rank customers, e.g. by ``risk`` and ``response``, best first; each gets the action that gains
    most with them, so that policies differ in whom they choose. All keep to the rules (see ``rivals``).
    """
    best = options.worth.argmax(axis=1).astype(np.int32)
    at = np.arange(len(options)), best
    ours = allocate(options, budget)
    earned = float((ours.action >= 0).sum()), ours.spent, ours.expected_incremental_margin
    return {"expected gain": Tally(*earned)} | rivals(options.worth[at], options.spend[at], budget, scores)


def _of(column: Money, action: Ints) -> Money:
    """Return a column at each customer's action; 0 for nothing."""
    value = column[np.arange(len(action)), np.maximum(action, 0)]
    return np.where(action >= 0, value, 0.0)


def _taken(frontier: Frontier, budget: float, n: int) -> Ints:
    """Return each customer's last edge that the budget buys."""
    action, whole = np.full(n, NOTHING, np.int32), frontier.bought(budget)
    row, arm = frontier.row[:whole][::-1], frontier.arm[:whole][::-1]
    taken, last = np.unique(row, return_index=True)  # the first from behind is the last
    action[taken] = arm[last]
    return action


def _prices(gain: Money, cost: Money, budget: float, limits: Limits, money: float) -> Money:
    """Search the prices of caps and stock at which the demand meets them, the price of money with them."""
    start, step = np.append(np.zeros(len(limits.most)), money), 0.1
    if (every := len(gain) // SAMPLE) > 1:
        some = slice(None, None, every)
        few = Limits(limits.caps / every, limits.product[some], limits.stock / every)
        start = _searched(gain[some], cost[some], budget / every, few, prices=start, size=step)
        return _searched(gain, cost, budget, limits, prices=start, size=step / 50, rounds=LAST_ROUNDS)[:-1]
    return _searched(gain, cost, budget, limits, prices=start, size=step)[:-1]


def _searched(
    gain: Money,
    cost: Money,
    budget: float,
    limits: Limits,
    *,
    prices: Money,
    size: float,
    rounds: int = ROUNDS,
) -> Money:
    """Follow the sign of what is over or under used, from ``prices`` (money last); keep the lowest bound.

    ``size``: the first step, as a share of a typical gain.
    """
    most = np.append(limits.most, budget)
    scarce = np.isfinite(most)
    step = np.where(scarce, size * _typical(gain), 0.0)
    step[-1] = size * max(prices[-1], _typical(gain / np.maximum(cost, FREE)) * 0.01)
    sign, best, lowest = np.zeros(len(most)), prices, np.inf
    for _ in range(rounds):
        reduced = limits.priced(gain, prices[:-1]) - prices[-1] * cost
        action = np.where(reduced.max(axis=1) > 0, reduced.argmax(axis=1), NOTHING).astype(np.int32)
        bound = float(_of(reduced, action).sum() + prices[scarce] @ most[scarce])
        if bound < lowest:
            best, lowest = prices, bound
        over = np.sign(np.append(limits.used(action), _of(cost, action).sum()) - most)
        step = np.where(over * sign > 0, step * 1.2, np.where(over * sign < 0, step * 0.5, step))
        sign, prices = over, np.where(scarce, np.maximum(prices + over * step, 0.0), 0.0)
    return best


def _typical(values: Money) -> float:
    some = values[np.isfinite(values) & (values > 0)]
    return float(some.mean()) if len(some) else 0.0


def _within(action: Ints, value: Money, limits: Limits) -> Ints:
    """Give up what is worth least where an action is taken, or a product offered, more often than it may."""
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
    """Return each row's place among those of the same code, the worthiest first, from 0."""
    order = np.lexsort((-worth, code))
    rank = np.empty(len(code), np.int64)
    rank[order] = places(code[order])
    return rank


def _filled(action: Ints, gain: Money, cost: Money, budget: float, limits: Limits) -> Ints:
    """Spend what is left on the best step of each customer, best first, as far as money and limits go."""
    left = budget * (1 + ROUNDING) - _of(cost, action).sum()
    room = limits.most - limits.used(action)
    per_product = np.append(room[len(limits.caps) : -1], np.inf)
    open_ = (room[: len(limits.caps)] > 0) & (per_product[limits.product] > 0)
    more, dearer = gain - _of(gain, action)[:, None], cost - _of(cost, action)[:, None]
    step = np.where(open_ & (more > 0) & (dearer <= left), more / np.maximum(dearer, FREE), -np.inf)
    arm = step.argmax(axis=1).astype(np.int32)
    rows = np.flatnonzero(np.isfinite(step[np.arange(len(arm)), arm]))
    rows = rows[np.argsort(-step[rows, arm[rows]], kind="stable")]
    rows = _with_room(rows, arm, limits, room)
    rows = rows[affordable(np.maximum(dearer[rows, arm[rows]], 0.0), left)]
    filled = action.copy()
    filled[rows] = arm[rows]
    return filled


def _with_room(rows: Longs, arm: Ints, limits: Limits, room: Money) -> Longs:
    """Return the rows (best first) that fit what is left of every limit."""
    first = -np.arange(len(rows), dtype=np.float64)
    codes = arm[rows]
    fits = _rank(codes, first) < _at(room[: len(limits.caps)], codes)
    product = limits.product[rows, codes]
    return rows[fits & (_rank(product, first) < _at(room[len(limits.caps) : -1], product))]


def _or_the_best_alone(action: Ints, gain: Money, limits: Limits) -> Ints:
    """Return the one best arm instead, where it gains more than all that was chosen."""
    per_product = np.append(limits.stock, np.inf)
    possible = np.where((limits.caps >= 1) & (per_product[limits.product] >= 1), gain, -np.inf)
    if not possible.size or possible.max() <= _of(gain, action).sum():
        return action
    row, arm = np.unravel_index(possible.argmax(), possible.shape)
    alone = np.full(len(action), NOTHING, np.int32)
    alone[row] = arm
    return alone
