"""Prices of capped actions at which demand equals the caps: Lagrange multipliers.

Found by a subgradient method that follows signs only, as in Rprop (Riedmiller & Braun 1993).
"""

import numpy as np

from models.budgets.budget import chosen
from models.budgets.frontier import FREE
from models.decisions.case import NOTHING
from models.decisions.economics import Money

ROUNDS, LAST_ROUNDS = 60, 15
"""Steps of the search, each a pass over all arms; after one on a sample, ``LAST_ROUNDS`` over everyone."""
SAMPLE = 100_000
"""From twice this many customers on, prices are first searched on a sample, with caps in proportion."""


def prices_of(gain: Money, cost: Money, budget: float, caps: Money, money: float) -> Money:
    """Return each action's price, shape (n_actions,); ``money``: the first guess of the budget's price."""
    start, step = np.append(np.zeros(len(caps)), money), 0.1
    if (every := len(gain) // SAMPLE) > 1:
        some = slice(None, None, every)
        start = _searched(gain[some], cost[some], budget / every, caps / every, prices=start, size=step)
        return _searched(gain, cost, budget, caps, prices=start, size=step / 50, rounds=LAST_ROUNDS)[:-1]
    return _searched(gain, cost, budget, caps, prices=start, size=step)[:-1]


def _searched(
    gain: Money,
    cost: Money,
    budget: float,
    caps: Money,
    *,
    prices: Money,
    size: float,
    rounds: int = ROUNDS,
) -> Money:
    """Follow the sign of over- or under-use, from ``prices`` (money last); return those of the lowest bound.

    ``size``: the first step, as a share of a typical gain.
    """
    most = np.append(caps, budget)
    scarce = np.isfinite(most)
    step = np.where(scarce, size * _typical(gain), 0.0)
    step[-1] = size * max(prices[-1], _typical(gain / np.maximum(cost, FREE)) * 0.01)
    sign, best, lowest = np.zeros(len(most)), prices, np.inf
    for _ in range(rounds):
        reduced = gain - prices[:-1] - prices[-1] * cost
        action = np.where(reduced.max(axis=1) > 0, reduced.argmax(axis=1), NOTHING).astype(np.int32)
        bound = float(chosen(reduced, action).sum() + prices[scarce] @ most[scarce])
        if bound < lowest:
            best, lowest = prices, bound
        used = np.bincount(action[action >= 0], minlength=len(caps))
        over = np.sign(np.append(used, chosen(cost, action).sum()) - most)
        step = np.where(over * sign > 0, step * 1.2, np.where(over * sign < 0, step * 0.5, step))
        sign, prices = over, np.where(scarce, np.maximum(prices + over * step, 0.0), 0.0)
    return best


def _typical(values: Money) -> float:
    some = values[np.isfinite(values) & (values > 0)]
    return float(some.mean()) if len(some) else 0.0
