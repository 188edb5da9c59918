"""Prices of caps and stock at which demand equals them: Lagrange multipliers.

Found by a subgradient method that follows signs only, as in Rprop (Riedmiller & Braun 1993).
"""

import numpy as np

from models.budgets.frontier import MIN_COST
from models.budgets.limits import Limits, chosen
from models.decisions.case import NOTHING
from models.decisions.economics import Money

ROUNDS, LAST_ROUNDS = 60, 15
"""Steps of the search, each a pass over all arms; after one on a sample, ``LAST_ROUNDS`` over everyone."""
SAMPLE_CUSTOMERS = 100_000
"""From twice this many customers on, prices are first searched on a sample, with limits in proportion."""


def prices_of(gain: Money, cost: Money, *, budget: float, limits: Limits, money: float) -> Money:
    """Return the prices of caps and stock at which demand equals them; ``money``: where that price starts."""
    start, step = np.append(np.zeros(len(limits.most)), money), 0.1
    if (every := len(gain) // SAMPLE_CUSTOMERS) > 1:
        some = slice(None, None, every)
        few = Limits(limits.caps / every, limits.product[some], limits.stock / every)
        start = _searched(gain[some], cost[some], budget=budget / every, limits=few, prices=start, size=step)
        return _searched(
            gain, cost, budget=budget, limits=limits, prices=start, size=step / 50, rounds=LAST_ROUNDS
        )[:-1]
    return _searched(gain, cost, budget=budget, limits=limits, prices=start, size=step)[:-1]


def _searched(
    gain: Money,
    cost: Money,
    *,
    budget: float,
    limits: Limits,
    prices: Money,
    size: float,
    rounds: int = ROUNDS,
) -> Money:
    """Follow the sign of over- or under-use, from ``prices`` (money last); return those of the lowest bound.

    ``size``: the first step, as a share of a typical gain.
    """
    most = np.append(limits.most, budget)
    scarce = np.isfinite(most)
    step = np.where(scarce, size * _typical(gain), 0.0)
    step[-1] = size * max(prices[-1], _typical(gain / np.maximum(cost, MIN_COST)) * 0.01)
    sign, best, lowest = np.zeros(len(most)), prices, np.inf
    for _ in range(rounds):
        reduced = limits.priced(gain, prices[:-1]) - prices[-1] * cost
        action = np.where(reduced.max(axis=1) > 0, reduced.argmax(axis=1), NOTHING).astype(np.int32)
        bound = float(chosen(reduced, action).sum() + prices[scarce] @ most[scarce])
        if bound < lowest:
            best, lowest = prices, bound
        over = np.sign(np.append(limits.used(action), chosen(cost, action).sum()) - most)
        step = np.where(over * sign > 0, step * 1.2, np.where(over * sign < 0, step * 0.5, step))
        sign, prices = over, np.where(scarce, np.maximum(prices + over * step, 0.0), 0.0)
    return best


def _typical(values: Money) -> float:
    some = values[np.isfinite(values) & (values > 0)]
    return float(some.mean()) if len(some) else 0.0
