"""Prediction intervals for a product's units, such that 80% of products in closed windows were inside.

Units are modelled as a negative binomial count, with a variance above Poisson's estimated from closed
windows. A product's variance is that of products with similar sales, times how unevenly its own weeks sold
relative to theirs, if it has enough weeks on record.

The tails of this distribution do not fit, so its percentiles are not used directly. In closed windows each
product's sales have a *place* in their distribution: the chance of fewer, plus half the chance of just as
many. The interval is bounded by the two places between which four fifths of products lay, by how much a
product sells (split conformal; Vovk 2005). A tenth of products lies below it, and the rest of a fifth above;
where zero sales are likely nothing can lie below, so the whole fifth lies above.

In some windows the whole shop sells more or less than expected. That error is shared by all products, so
there is one per window, and windows are few: it is removed before the places are learnt, and added back as a
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
"""Shares of products: at most this below the interval, and this inside."""
TIMES = (1.0, 1.5, 2.5, 4.0, 7.0, 12.0)
"""Candidate multiples of Poisson's variance."""
SPREADS = (0.0, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
"""Candidate squared coefficients of variation, combined with them."""
MIN_ROWS, N_SIZES, N_FAST = 150, 12, 3
"""Minimum rows (product and window) per size; maximum sizes; parts into which the largest are split."""
PRIOR_ROWS = 100
"""Prior strength, in rows, of the model's own tails at each size."""
LEVEL, LEVEL_WEIGHT, LEVEL_MOST = 0.15, 2.0, 1.0
"""Log error of a shop's total: prior standard deviation, its weight in windows, and the cap on each error."""
N_TRIED, N_ROWS = 2000, 40_000
"""Maximum number of rows used to estimate the variance, and to estimate the places."""
PRIOR_WEEKS = 12.0
"""Prior strength of the variance of similar products, in weeks of a product's own."""
VARIANCE_BOUNDS = (0.05, 20.0)
"""Bounds on a product's variance relative to that of its size."""
Noise = tuple[float | Column, float | Column]
"""Variance of the units in packs: ``noise[0] * mean + noise[1] * mean ** 2``."""


class Missed(NamedTuple):
    """A closed window: expected and actual packs of each product, and the total buyers."""

    mean: Column
    came: Column
    weeks: Weeks
    expected_buyers: float
    buyers: float


@dataclass(frozen=True)
class Spread:
    """Interval parameters by how much a product sells, interpolated between sizes."""

    noise: tuple[float, float]
    level: float
    """Variance of the log of total sales over expected total sales."""
    size: tuple[float, ...]
    """Expected packs of each size."""
    low: tuple[float, ...]
    """Place of the lower bound at each size."""
    inside: tuple[float, ...]
    """Place of the upper bound, as a share of the chance of at least the lower one."""
    usual: tuple[float, ...]
    """Week-to-week variance of products of each size, relative to what ``noise`` implies."""

    @classmethod
    def fit(cls, windows: Sequence[Missed], *, horizons: float) -> Self:
        """Learn from windows that span ``horizons`` horizons: overlapping ones say less about the level."""
        mean = np.concatenate([_levelled(window) for window in windows])
        came = np.concatenate([window.came for window in windows])
        weeks = Weeks(*(np.concatenate(column) for column in zip(*(w.weeks for w in windows), strict=True)))
        some = np.random.default_rng(0).permutation(len(mean))[:N_ROWS]
        mean, came, weeks = mean[some], came[some], weeks.at(some)
        noise, sizes = _noise(mean, came), _by_size(mean)
        size = tuple(max(float(np.median(mean[rows])), 1e-9) if len(rows) else 1.0 for rows in sizes)
        usual = tuple(_usual(mean[rows], weeks.at(rows), noise) for rows in sizes)
        own = _own(mean, weeks, noise=noise, usual=_between(mean, size, usual))
        places = [_places(mean[rows], came[rows], _scaled(noise, own[rows])) for rows in sizes]
        low, inside = (tuple(map(float, column)) for column in zip(*places, strict=True))
        return cls(noise, _level(windows, horizons), size, low, inside, usual)

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Rebuild from what ``dataclasses.asdict`` and JSON made of it."""
        noise, *rest = (tuple(facts[name]) for name in ("noise", "size", "low", "inside", "usual"))
        return cls((noise[0], noise[1]), float(facts["level"]), *rest)

    def bounds(self, mean: Column, weeks: Weeks) -> tuple[Column, Column]:
        """Return the bounds for products with these means, in packs, not rounded to whole units."""
        own = _own(mean, weeks, noise=self.noise, usual=_between(mean, self.size, self.usual))
        noise = self.noise[0] * own, self.noise[1] * own + self.level
        low = point(_between(mean, self.size, self.low), mean, noise=noise)
        high = point(
            under(low, mean, noise=noise) + _between(mean, self.size, self.inside), mean, noise=noise
        )
        return low, np.maximum(high, low)


def place(count: Column, mean: Column, *, noise: Noise) -> Column:
    """Return the chance of fewer plus half that of just as many, interpolated between whole numbers."""
    whole = np.floor(count)
    below, here, following = _around(whole, mean, noise)
    step = here / 2 + following / 2
    return np.asarray(below + here / 2 + (count - whole) * step)


def point(share: Column, mean: Column, *, noise: Noise) -> Column:
    """Return the count, at least 0, whose place is ``share``."""
    from scipy.stats import nbinom

    share = np.clip(share, 1e-9, 1 - 1e-6)
    whole = np.asarray(nbinom.ppf(share, *_shape(mean, noise)))
    below, here, _ = _around(whole, mean, noise)
    whole = np.where(below + here / 2 > share, whole - 1, whole)
    below, here, following = _around(whole, mean, noise)
    step = np.maximum(here / 2 + following / 2, 1e-12)
    return np.asarray(np.maximum(whole + (share - below - here / 2) / step, 0))


def under(bound: Column, mean: Column, *, noise: Noise) -> Column:
    """Return the chance of a whole number below ``bound``."""
    from scipy.stats import nbinom

    return np.asarray(nbinom.cdf(np.ceil(bound) - 1, *_shape(mean, noise)))


def _around(whole: Column, mean: Column, noise: Noise) -> tuple[Column, Column, Column]:
    """Return the chances of fewer than a whole number, of exactly it, and of the next one."""
    from scipy.stats import nbinom

    shape = _shape(mean, noise)
    less, here = nbinom.cdf(whole - 1, *shape), nbinom.pmf(whole, *shape)
    return np.asarray(less), np.asarray(here), np.asarray(nbinom.pmf(whole + 1, *shape))


def _shape(mean: Column, noise: Noise) -> tuple[Column, Column]:
    mean = np.maximum(mean, 1e-9)
    variance = np.maximum(noise[0] * mean + noise[1] * mean**2, mean * 1.001)
    return mean**2 / (variance - mean), mean / variance


def _levelled(window: Missed) -> Column:
    """Return what would have been expected had the total number of buyers been known."""
    return np.asarray(window.mean * _ratio(window))


def _ratio(window: Missed) -> float:
    most = np.exp(LEVEL_MOST)
    return float(np.clip(max(window.buyers, 1.0) / max(window.expected_buyers, 1.0), 1 / most, most))


def _level(windows: Sequence[Missed], horizons: float) -> float:
    """Return the variance of the error shared by all products: from the windows, shrunk to the prior."""
    error = np.log([_ratio(window) for window in windows])
    total = float(np.mean(error**2)) * horizons + LEVEL**2 * LEVEL_WEIGHT
    return total / (horizons + LEVEL_WEIGHT)


def _by_size(mean: Column) -> list[Any]:
    """Return rows grouped by expected sales; the group of the largest is split further."""
    sizes = np.array_split(np.argsort(mean, kind="stable"), max(min(N_SIZES, len(mean) // MIN_ROWS), 1))
    if len(sizes) == N_SIZES and len(sizes[-1]) >= N_FAST * MIN_ROWS / 2:
        sizes += np.array_split(sizes.pop(), N_FAST)
    return sizes


def _between(mean: Column, size: Sequence[float], values: Sequence[float]) -> Column:
    """Interpolate ``values``, given for each size, at these means."""
    return np.interp(np.log(np.maximum(mean, 1e-9)), np.log(size), values)


def _relative(mean: Column, weeks: Weeks, noise: tuple[float, float]) -> Column:
    """Return products' week-to-week variance relative to what ``noise`` implies for their size."""
    return np.asarray(weeks.spread / (noise[0] / np.maximum(mean, 1e-9) + noise[1]))


def _usual(mean: Column, weeks: Weeks, noise: tuple[float, float]) -> float:
    known = weeks.n > 1
    return max(float(np.median(_relative(mean, weeks, noise)[known])), 1e-3) if known.any() else 1.0


def _own(mean: Column, weeks: Weeks, *, noise: tuple[float, float], usual: Column) -> Column:
    """Return each product's variance relative to that of its size; 1 if it has no weeks on record."""
    n = np.maximum(weeks.n - 1, 0)
    share = (PRIOR_WEEKS + n * _relative(mean, weeks, noise) / usual) / (PRIOR_WEEKS + n)
    return np.asarray(np.clip(share, *VARIANCE_BOUNDS))


def _scaled(noise: tuple[float, float], own: Column) -> Noise:
    return noise[0] * own, noise[1] * own


def _places(mean: Column, came: Column, noise: Noise) -> tuple[float, float]:
    """Return the two places that bound the actual sales of some rows."""
    if not len(mean):
        return BELOW, INSIDE
    places = place(came, mean, noise=noise)
    low = _drawn(min(float(np.quantile(places, BELOW)), BELOW), BELOW, len(mean))
    bound = point(np.full(len(mean), low), mean, noise=noise)
    share = min(INSIDE + float((came < bound).mean()), 1.0)
    inside = float(np.quantile(places - under(bound, mean, noise=noise), share))
    return low, _drawn(inside, INSIDE, len(mean))


def _drawn(fitted: float, prior: float, n: int) -> float:
    """Return what was found in ``n`` rows, shrunk to the model's own value."""
    return (n * fitted + PRIOR_ROWS * prior) / (n + PRIOR_ROWS)


def _noise(mean: Column, came: Column) -> tuple[float, float]:
    """Return the variance terms whose 80% interval fits best: the least quantile (pinball) loss.

    Quantiles, not moments: a single bulk order would dominate the moments.
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
        miss = came - point(np.full(len(mean), share), mean, noise=noise)
        loss += float((np.maximum(share * miss, (share - 1) * miss) / np.sqrt(mean + 1)).sum())
    return loss
