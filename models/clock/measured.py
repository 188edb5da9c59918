"""Predictions of the clock and its baselines against outcomes: of pairs, of lists, of products."""

from collections.abc import Iterator

import numpy as np

from features.arrays.dtypes import Column, Doubles, Floats
from models.clock.demand import LAST, USUAL, Expected, Forecasts
from models.clock.windows import Window
from models.measured import Measured
from models.ndcg import ndcg

N_PAIRS = 10_000
"""Chances are measured on this many pairs, always the same: more add cost, not precision."""
N_PRODUCTS = 10_000
"""Maximum number of products, evenly spaced over their codes, for the same reason."""
SIZES = {"slow": 0.0, "middle": 2.0, "fast": 10.0}
"""Smallest number of expected buyers of each size."""
MIN_PRODUCTS = 100
"""Minimum number of products for the intervals of a size to be measured."""
DEPTH = 10
HALF_LIFE = 56.0
"""Days after which a purchase counts half in the decayed rate."""


def pairs(window: Window, chance: Floats, *, name: str, horizon_days: int) -> Iterator[Measured]:
    """Yield chances and outcomes of pairs: ours, the decayed rate of own purchases, and their number."""
    spells = window.spells
    age = window.history.cutoff_day - spells.day
    rate = spells.sums(np.exp2(-age / HALF_LIFE)) * np.log(2) / HALF_LIFE * horizon_days
    scores = {
        name: chance,
        "personal_frequency": _rank(spells.n + 1e-3 * rate),
        "personal_frequency_decayed": -np.expm1(-rate),
    }
    some = np.sort(np.random.default_rng(0).permutation(len(chance))[:N_PAIRS])
    for method, score in scores.items():
        yield Measured(method, "event", "bought_again", some, (window.bought[some], score[some]))
        customers, gain = _ndcg(window, score)
        yield Measured(method, f"ndcg@{DEPTH}", "repeat", customers, (gain,))


def products(window: Window, plain: Forecasts, *, expected: Expected, name: str) -> Iterator[Measured]:
    """Yield demand of products sold in the last four horizons: ours, the last horizon's, the mean of four."""
    some = np.flatnonzero(plain.buyers[:, USUAL] > 0)
    some = some[np.unique(np.linspace(0, len(some) - 1, min(N_PRODUCTS, len(some))).astype(int))]
    came = window.sold
    for what, truth, ours, others in (
        ("buyers", came.buyers, expected.buyers, plain.buyers[:, [LAST, USUAL]]),
        ("units", came.units, expected.units, plain.units),
    ):
        amounts = {name: ours, "last_horizon": others[:, 0], "four_horizons": others[:, 1]}
        for method, amount in amounts.items():
            yield Measured(method, "total", what, some, (truth[some], amount[some]))
    for segment, rows in {"units": some, **_by_size(some, expected)}.items():
        bounds = (came.units[rows], expected.p10[rows], expected.p90[rows])
        yield Measured(name, "inside", segment, rows, bounds)


def _by_size(rows: Column, expected: Expected) -> dict[str, Column]:
    """Return the products of each size that has enough of them."""
    size = np.searchsorted(list(SIZES.values()), expected.buyers[rows], side="right") - 1
    rows_of = {f"units of {name} sellers": rows[size == at] for at, name in enumerate(SIZES)}
    return {name: part for name, part in rows_of.items() if len(part) >= MIN_PRODUCTS}


def _ndcg(window: Window, score: Floats) -> tuple[Column, Doubles]:
    """Return the customers who bought something again, and the NDCG of their products by ``score``."""
    customer, bought = window.spells.customer, window.bought
    n_true = np.bincount(customer, bought, minlength=len(window.history.customers)).astype(int)
    able = np.flatnonzero(n_true > 0)
    return able, ndcg(customer, score, bought=bought, n_true=n_true, k=DEPTH)[able]


def _rank(score: Floats) -> Floats:
    """Map a score that is no probability below -1, in order, so that its calibration is not measured."""
    return np.asarray(score - float(score.max(initial=0)) - 2)
