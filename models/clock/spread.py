"""How far units may lie from what is expected of a product: an interval that has held 80% of closed windows.

Units are taken as a negative binomial count, wider than Poisson by what closed windows show. A product's
variance is that of products that sell as much, times how unevenly its own weeks sold beside theirs, where it
has weeks enough to tell.

The tails of such a count are wrong, so its percentiles are not taken as they are. In closed windows each
product's sales have a *place* in their distribution: the chance of fewer, plus half the chance of just as
many. The two places between which four fifths of products lay, by how much a product sells, bound the
interval (split conformal; Vovk 2005). A tenth of products lies below it, and what is left of a fifth above;
where selling none is likely nothing can lie below, so the whole fifth lies above.

In some windows the whole shop sells more or less than expected. That error is the same for all products, so
there is one a window, and windows are few: it is taken out before the places are learnt, and put back as a
variance of its own.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple, Self

import numpy as np

from features.arrays.dtypes import Column
from models.clock.weeks import Weeks

BELOW, INSIDE = 0.1, 0.8
"""Shares of products: under the interval at most, and in it."""
TIMES = (1.0, 1.5, 2.5, 4.0, 7.0, 12.0)
"""Multiples of Poisson's variance that are tried."""
SPREADS = (0.0, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
"""Squared coefficients of variation tried beside them."""
ENOUGH, N_SIZES, N_FAST = 150, 12, 3
"""Rows (a product and window) that make a size; sizes at most; parts of the largest, where fast ones hide."""
PRIOR = 100
"""So many rows of a size count as if the model's own tails had held of them."""
LEVEL, LEVEL_WEIGHT, LEVEL_MOST = 0.15, 2.0, 1.0
"""Error of a shop's total as a logarithm: expected before any is seen, worth so many; none counts as more."""
N_TRIED, N_ROWS = 2000, 40_000
"""So many rows tell the variance, so many the places."""
OTHERS = 12.0
"""What others of its size vary counts as so many weeks of a product's own."""
SHARES = (0.05, 20.0)
"""A product has no smaller and no larger part of its size's variance."""
Noise = tuple[float | Column, float | Column]
"""Variance of the units in packs: ``noise[0] * mean + noise[1] * mean ** 2``."""


class Missed(NamedTuple):
    """A closed window: of each product what was expected and came, in packs; the buyers of all together."""

    mean: Column
    came: Column
    weeks: Weeks
    expected_buyers: float
    buyers: float


@dataclass(frozen=True)
class Spread:
    """Intervals by how much a product sells; between two sizes, in between."""

    noise: tuple[float, float]
    level: float
    """Variance of the logarithm of what is sold of all products, over what is expected."""
    size: tuple[float, ...]
    """Expected packs."""
    low: tuple[float, ...]
    """Place of the lower bound at each size."""
    inside: tuple[float, ...]
    """Place of the upper bound, over the chance of less than the lower."""
    usual: tuple[float, ...]
    """What products of each size vary from week to week, over what ``noise`` says."""

    @classmethod
    def fit(cls, windows: Sequence[Missed], *, horizons: float) -> Self:
        """Learn from windows that span so many ``horizons``: overlapping ones tell less of the level."""
        mean = np.concatenate([_levelled(window) for window in windows])
        came = np.concatenate([window.came for window in windows])
        weeks = Weeks(*(np.concatenate(column) for column in zip(*(w.weeks for w in windows), strict=True)))
        some = np.random.default_rng(0).permutation(len(mean))[:N_ROWS]
        mean, came, weeks = mean[some], came[some], weeks.at(some)
        noise, sizes = _noise(mean, came), _by_size(mean)
        size = tuple(max(float(np.median(mean[rows])), 1e-9) if len(rows) else 1.0 for rows in sizes)
        usual = tuple(_usual(mean[rows], weeks.at(rows), noise) for rows in sizes)
        own = _own(mean, weeks, noise, _between(mean, size, usual))
        places = [_places(mean[rows], came[rows], _scaled(noise, own[rows])) for rows in sizes]
        low, inside = (tuple(map(float, column)) for column in zip(*places, strict=True))
        return cls(noise, _level(windows, horizons), size, low, inside, usual)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Put together again what ``dataclasses.asdict`` and JSON took apart."""
        noise, *rest = (tuple(facts[name]) for name in ("noise", "size", "low", "inside", "usual"))
        return cls((noise[0], noise[1]), float(facts["level"]), *rest)

    def bounds(self, mean: Column, weeks: Weeks) -> tuple[Column, Column]:
        """Return the bounds of products of these expectations; all in packs, bounds between whole ones."""
        own = _own(mean, weeks, self.noise, _between(mean, self.size, self.usual))
        noise = self.noise[0] * own, self.noise[1] * own + self.level
        low = point(_between(mean, self.size, self.low), mean, noise)
        high = point(under(low, mean, noise) + _between(mean, self.size, self.inside), mean, noise)
        return low, np.maximum(high, low)


def place(count: Column, mean: Column, noise: Noise) -> Column:
    """Return the chance of fewer and half that of as many; between two whole numbers, in between."""
    whole = np.floor(count)
    below, here, following = _around(whole, mean, noise)
    step = here / 2 + following / 2
    return np.asarray(below + here / 2 + (count - whole) * step)


def point(share: Column, mean: Column, noise: Noise) -> Column:
    """Return the count, at least 0, whose place is ``share``."""
    from scipy.stats import nbinom

    share = np.clip(share, 1e-9, 1 - 1e-6)
    whole = np.asarray(nbinom.ppf(share, *_shape(mean, noise)))
    below, here, _ = _around(whole, mean, noise)
    whole = np.where(below + here / 2 > share, whole - 1, whole)
    below, here, following = _around(whole, mean, noise)
    step = np.maximum(here / 2 + following / 2, 1e-12)
    return np.asarray(np.maximum(whole + (share - below - here / 2) / step, 0))


def under(bound: Column, mean: Column, noise: Noise) -> Column:
    """Return the chance of a whole number under ``bound``."""
    from scipy.stats import nbinom

    return np.asarray(nbinom.cdf(np.ceil(bound) - 1, *_shape(mean, noise)))


def _around(whole: Column, mean: Column, noise: Noise) -> tuple[Column, Column, Column]:
    """Return the chances of fewer than a whole number, of it, and of the next one."""
    from scipy.stats import nbinom

    shape = _shape(mean, noise)
    less, here = nbinom.cdf(whole - 1, *shape), nbinom.pmf(whole, *shape)
    return np.asarray(less), np.asarray(here), np.asarray(nbinom.pmf(whole + 1, *shape))


def _shape(mean: Column, noise: Noise) -> tuple[Column, Column]:
    mean = np.maximum(mean, 1e-9)
    variance = np.maximum(noise[0] * mean + noise[1] * mean**2, mean * 1.001)
    return mean**2 / (variance - mean), mean / variance


def _levelled(window: Missed) -> Column:
    """Return what would have been expected, had the number of all buyers been known."""
    return np.asarray(window.mean * _ratio(window))


def _ratio(window: Missed) -> float:
    most = np.exp(LEVEL_MOST)
    return float(np.clip(max(window.buyers, 1.0) / max(window.expected_buyers, 1.0), 1 / most, most))


def _level(windows: Sequence[Missed], horizons: float) -> float:
    """Return the variance of the error all products share: the windows', and a usual one's."""
    error = np.log([_ratio(window) for window in windows])
    total = float(np.mean(error**2)) * horizons + LEVEL**2 * LEVEL_WEIGHT
    return total / (horizons + LEVEL_WEIGHT)


def _by_size(mean: Column) -> list[Any]:
    """Return rows of like expectations; the largest are divided once more."""
    sizes = np.array_split(np.argsort(mean, kind="stable"), max(min(N_SIZES, len(mean) // ENOUGH), 1))
    if len(sizes) == N_SIZES and len(sizes[-1]) >= N_FAST * ENOUGH / 2:
        sizes += np.array_split(sizes.pop(), N_FAST)
    return sizes


def _between(mean: Column, size: Sequence[float], values: Sequence[float]) -> Column:
    """Return what ``values`` of each size say of products of these expectations."""
    return np.interp(np.log(np.maximum(mean, 1e-9)), np.log(size), values)


def _relative(mean: Column, weeks: Weeks, noise: tuple[float, float]) -> Column:
    """Return what products vary from week to week, over what ``noise`` says of their size."""
    return np.asarray(weeks.spread / (noise[0] / np.maximum(mean, 1e-9) + noise[1]))


def _usual(mean: Column, weeks: Weeks, noise: tuple[float, float]) -> float:
    told = weeks.n > 1
    return max(float(np.median(_relative(mean, weeks, noise)[told])), 1e-3) if told.any() else 1.0


def _own(mean: Column, weeks: Weeks, noise: tuple[float, float], usual: Column) -> Column:
    """Return each product's part of the variance of its size: 1 where it has no weeks to tell."""
    n = np.maximum(weeks.n - 1, 0)
    share = (OTHERS + n * _relative(mean, weeks, noise) / usual) / (OTHERS + n)
    return np.asarray(np.clip(share, *SHARES))


def _scaled(noise: tuple[float, float], own: Column) -> Noise:
    return noise[0] * own, noise[1] * own


def _places(mean: Column, came: Column, noise: Noise) -> tuple[float, float]:
    """Return the two places that bound what came of some rows."""
    if not len(mean):
        return BELOW, INSIDE
    found = place(came, mean, noise)
    low = _drawn(min(float(np.quantile(found, BELOW)), BELOW), BELOW, len(mean))
    bound = point(np.full(len(mean), low), mean, noise)
    share = min(INSIDE + float((came < bound).mean()), 1.0)
    inside = float(np.quantile(found - under(bound, mean, noise), share))
    return low, _drawn(inside, INSIDE, len(mean))


def _drawn(found: float, prior: float, n: int) -> float:
    """Return what was found in ``n`` rows, drawn to what the model says."""
    return (n * found + PRIOR * prior) / (n + PRIOR)


def _noise(mean: Column, came: Column) -> tuple[float, float]:
    """Return the terms of the variance whose 80% interval has fitted best: the least quantile (pinball) loss.

    Quantiles, not moments: one bulk order would set the moments.
    """
    kept = np.flatnonzero(mean > 0.1)
    kept = kept[:: max(len(kept) // N_TRIED, 1)]
    if len(kept) < 10:
        return 1.0, 0.0
    mean, came = mean[kept], came[kept]
    losses = {noise: _pinball(mean, came, noise) for noise in product(TIMES, SPREADS)}
    return min(losses, key=losses.__getitem__)


def _pinball(mean: Column, came: Column, noise: Noise) -> float:
    loss = 0.0
    for share in (0.1, 0.9):
        miss = came - point(np.full(len(mean), share), mean, noise)
        loss += float((np.maximum(share * miss, (share - 1) * miss) / np.sqrt(mean + 1)).sum())
    return loss
