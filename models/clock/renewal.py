"""A renewal model with an end: after each purchase a customer returns for the product, or never does.

With probability ``again`` there is a next purchase, after a log-normal gap; otherwise there is none (a cure
model: Boag 1949; most products are bought once). Both are learnt by EM over spells; open spells are treated
as censored. Each product is shrunk to its category, each category to the shop, and each pair of customer and
product to the product, according to how much they differ (empirical Bayes). Gaps grow with the quantity
bought at their start, by a power learnt from gaps of the same customer.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import ndtr, ndtri

from features.arrays.dtypes import Column, Floats, Ints
from models.clock.spells import HALF_DAY, Spells

ROUNDS = 12
"""EM rounds; the remaining change is far below what calibration corrects."""
TINY = 1e-9
WIDEST, NARROWEST = 2.0, 0.2
"""Bounds of the standard deviations of log gaps."""


@dataclass(frozen=True)
class Rhythm:
    """What is known of each pair's next purchase, counted from its last one; one value per pair."""

    again: Column
    """The chance, right after the last purchase, of another one."""
    middle: Column
    """Mean log of the days to the next purchase."""
    spread: Column
    """Standard deviation of that log, including the uncertainty of the mean."""
    age: Column
    """Days since the last purchase."""

    def chance(self, horizon_days: int) -> Floats:
        """Return the chance of a purchase within the horizon, given none so far."""
        before = self.again * self._share(self.age - HALF_DAY)
        until = self.again * self._share(self.age - HALF_DAY + horizon_days)
        chance: Floats = (until - before) / np.maximum(1 - before, TINY)
        return chance

    @property
    def due_in(self) -> Floats:
        """Median days until the next purchase, given none so far; NaN if never is likelier."""
        before = self.again * self._share(self.age - HALF_DAY)
        half = (before + (1 - before) / 2) / np.maximum(self.again, TINY)
        known = half < 1 - TINY
        at = np.exp(self.middle + self.spread * ndtri(np.where(known, half, 0.5)))
        return np.where(known, np.maximum(at - self.age, 0), np.nan).astype(np.float32)

    @property
    def typical(self) -> Floats:
        """Median days between two purchases."""
        return np.exp(self.middle).astype(np.float32)

    def _share(self, days: Column) -> Column:
        log = np.log(np.maximum(days, HALF_DAY / 2))
        share: Column = ndtr((log - self.middle) / self.spread)
        return share


@dataclass(frozen=True)
class Renewal:
    """The fitted parameters: of each product, and how far pairs differ from it."""

    again: Column
    """Shape (n_products,): the chance to return after a first purchase."""
    middle: Column
    """Shape (n_products,): mean log of the days that a unit lasts."""
    power: float
    """A gap that starts with ``q`` units is ``q ** power`` times as long."""
    within: float
    """Standard deviation of log gaps of one pair."""
    between: float
    """Standard deviation of the mean log gap between the pairs of a product."""
    loyalty: float
    """Weight of the product's returns in a pair's chance to return, in spells."""

    @classmethod
    def fit(cls, spells: Spells, category: Ints) -> "Renewal":
        """Learn from spells; ``category`` by product code, -1 unknown (those are one category)."""
        return _Learning.of(spells, category).renewal()

    def rhythm(self, spells: Spells) -> Rhythm:
        """Return what is known of every pair."""
        closed = ~spells.open
        log = np.log(np.maximum(spells.days, 1)) - self.power * np.log(np.maximum(spells.quantity, TINY))
        n = (spells.n - 1).astype(np.float64)
        trust = max((self.within / self.between) ** 2, TINY)
        middle = (trust * self.middle[spells.product] + spells.sums(log * closed)) / (trust + n)
        again = (self.loyalty * self.again[spells.product] + n) / (self.loyalty + n)
        lasts = self.power * np.log(np.maximum(spells.quantity[spells.last], TINY))
        spread = self.within * np.sqrt(1 + 1 / (trust + n))
        return Rhythm(again, middle + lasts, spread, spells.age.astype(np.float64))


@dataclass
class _Learning:
    """EM in progress: one value per spell, product or category."""

    spells: Spells
    kind: Ints
    """The category of each product, from 0."""
    product: Ints
    """The product of each spell."""
    power: float
    log: Column
    """Log of each spell's days, minus the part explained by its quantity."""
    again: Column
    middle: Column
    deviation: float

    @classmethod
    def of(cls, spells: Spells, category: Ints) -> "_Learning":
        units = np.log(np.maximum(spells.quantity, TINY)).astype(np.float64)
        log = np.log(np.maximum(spells.days, 1)).astype(np.float64)
        power = _power(spells, log, units)
        log = np.where(spells.open, np.log(np.maximum(spells.days - HALF_DAY, HALF_DAY)), log) - power * units
        closed = log[~spells.open]
        start = float(closed.mean()) if len(closed) else float(np.log(30.0))
        deviation = float(np.clip(closed.std(), NARROWEST, WIDEST)) if len(closed) > 1 else 1.0
        share = (len(closed) + 0.5) / (len(log) + 1)
        size = len(category)
        again, middle = np.full(size, min(2 * share, 0.9)), np.full(size, start)
        product = spells.product[spells.pair]
        return cls(spells, category + 1, product, power, log, again, middle, deviation)

    def renewal(self) -> Renewal:
        """Run EM, then estimate how far pairs differ."""
        for _ in range(ROUNDS):
            returns, expected, second = self._expect()
            self._maximise(returns, expected, second)
        returns, _, _ = self._expect()
        within, between = self._deviations()
        return Renewal(self.again, self.middle, self.power, within, between, _loyalty(self.spells, returns))

    def _expect(self) -> tuple[Column, Column, Column]:
        """Return each spell's chance to end, and the mean and mean square of its log length if so."""
        returns, expected = np.ones(len(self.log)), self.log.copy()
        at = self.spells.open
        product = self.product[at]
        middle, again = self.middle[product], self.again[product]
        z = (self.log[at] - middle) / self.deviation
        left = np.maximum(ndtr(-z), TINY)
        returns[at] = again * left / (1 - again + again * left)
        mills = np.exp(-(z**2) / 2) / np.sqrt(2 * np.pi) / left
        expected[at] = middle + self.deviation * mills
        second = (expected - self.middle[self.product]) ** 2
        second[at] = self.deviation**2 * (1 + z * mills)
        return returns, expected, second

    def _maximise(self, returns: Column, expected: Column, second: Column) -> None:
        """Update products from their spells, shrunk to categories, which are shrunk to the shop."""
        size = len(self.again)
        n, back, total = (
            np.bincount(self.product, column, minlength=size)
            for column in (np.ones(len(returns)), returns, returns * expected)
        )
        self.deviation = float(
            np.clip(np.sqrt(returns @ second / max(returns.sum(), TINY)), NARROWEST, WIDEST)
        )
        self.again = np.clip(_shrunk(back, n, self.kind, noise=None), 1e-4, 1 - 1e-4)
        self.middle = _shrunk(total, back, self.kind, noise=self.deviation**2)

    def _deviations(self) -> tuple[float, float]:
        """Split the variance of log gaps into that within pairs and that between pairs of one product."""
        closed, spells = ~self.spells.open, self.spells
        n = (spells.n - 1).astype(np.float64)
        mean = spells.sums(self.log * closed) / np.maximum(n, 1)
        rest = spells.sums(closed * (self.log - mean[spells.pair]) ** 2)
        free = np.maximum(n - 1, 0).sum()
        if free < 10:
            return self.deviation * np.sqrt(0.5), self.deviation * np.sqrt(0.5)
        within = np.clip(np.sqrt(rest.sum() / free), NARROWEST, WIDEST)
        between = np.sqrt(max(self.deviation**2 - within**2, NARROWEST**2))
        return float(within), float(between)


def _power(spells: Spells, log: Column, units: Column) -> float:
    """Return the power by which a pair's gaps grow with the quantity they start with: between 0 and 1.

    Estimated within pairs only, because customers who buy more also buy more often. Shrunk to 0 if quantities
    hardly vary.
    """
    closed = ~spells.open
    n = np.maximum(spells.n - 1, 1)
    x, y = (column - (spells.sums(column * closed) / n)[spells.pair] for column in (units, log))
    slope = (x * y)[closed].sum() / ((x**2)[closed].sum() + 10.0)
    return float(np.clip(slope, 0, 1))


def _shrunk(total: Column, n: Column, kind: Ints, *, noise: float | None) -> Column:
    """Return each product's mean ``total / n``, shrunk to its category's, which is shrunk to the shop's.

    ``noise`` is the variance of one observation; None for shares, where it follows from the mean.
    """
    size = int(kind.max(initial=0)) + 1
    kind_total, kind_n = (np.bincount(kind, column, minlength=size) for column in (total, n))
    shop = total.sum() / max(n.sum(), TINY)
    kinds = _towards(kind_total, kind_n, parent=np.full(size, shop), noise=noise)
    return _towards(total, n, parent=kinds[kind], noise=noise)


def _towards(total: Column, n: Column, *, parent: Column, noise: float | None) -> Column:
    """Shrink means to their parents', by moments of their differences (DerSimonian & Laird 1986)."""
    one = parent * (1 - parent) if noise is None else np.full(len(n), noise)
    known = n > 0.5
    gap = (total - n * parent) ** 2 / np.maximum(n, TINY)
    variance = (gap - one)[known].sum() / max(n[known].sum(), TINY)
    typical = float((one * n).sum() / max(n.sum(), TINY))
    strength = np.clip(typical / max(variance, TINY), 1.0, 1000.0)
    shrunk: Column = (total + strength * parent) / (n + strength)
    return shrunk


def _loyalty(spells: Spells, returns: Column) -> float:
    """Return how many of a product's spells one of the pair's own weighs as much as.

    From how much oftener customers return after a second purchase than after the first.
    """
    first = spells.starts[:-1]
    second = first[spells.n > 1] + 1
    if len(second) < 20:
        return 5.0
    one, two = float(returns[first].mean()), float(returns[second].mean())
    return float(np.clip((1 - two) / max(two - one, TINY), 0.5, 50.0))
