"""Expected demand for each product over the horizon: repeat buyers from the clock, first-time ones by rate.

Six plain forecasts are blended by non-negative weights learnt on closed windows, for buyers and for units:
each product is foretold by what foretold its like best. The total is the last horizon's. The interval
is negative binomial; how much wider than Poisson it is, is learnt from the same windows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any, NamedTuple, Self

import numpy as np

from features.arrays.groups import Column
from features.arrays.history import Floats, History, Ints
from models.clock.spells import Spells

PARTS: dict[str, str] = {
    "repeat": "the clock's chances of all who bought it before, summed",
    "new": "its first-time buyers, half-life one horizon",
    "category": "first-time buyers of a product of its category, on average; fades with its own record",
    "recent": "its buyers, half-life half a horizon",
    "last": "its buyers of the last horizon",
    "usual": "the same, mean of the last four horizons",
}
"""What expected buyers are blended from, in order."""
LAST, USUAL = (list(PARTS).index(name) for name in ("last", "usual"))
N_USUAL = 4
FADING = 3.0
"""A product is taken for its kind as if it had had so many buyers of the kind's."""
BANDS = (2.0, 10.0, 50.0)
"""Usual buyers a horizon from which on a product is blended with others like it in sales."""
LEVELS = (0.5, 2.0)
"""The total is moved by no more than this."""
ENOUGH = 200
"""So many products and windows make a band of their own."""
SPREADS = (0.0, 0.03, 0.06, 0.12, 0.25, 0.5, 1.0)
"""Squared coefficients of variation tried beside Poisson noise and its multiples."""
TAME = 5.0
"""A purchase of more than so many times what its product is usually bought in counts as that many."""
Weights = tuple[tuple[float, ...], ...]


class Parts(NamedTuple):
    """The plain forecasts as of a cutoff, by product code."""

    buyers: Floats
    """Shape (n_products, parts), columns as in ``PARTS``."""
    pack: Floats
    """Units a buyer takes within a horizon, on average."""
    units: Floats
    """Shape (n_products, 2): units of the last horizon, and the mean of the last four."""


class Sold(NamedTuple):
    """What came, by product code."""

    buyers: Floats
    units: Floats


class Expected(NamedTuple):
    """What is expected, by product code: means, and an 80% interval of the units."""

    buyers: Floats
    units: Floats
    p10: Floats
    p90: Floats


@dataclass(frozen=True)
class Demand:
    """Weights of the parts by how much a product sells; units in packs of those buyers and of two records.

    ``noise``: variance of the units in packs is ``noise[0] * mean + noise[1] * mean ** 2``.
    """

    buyers: Weights
    """Shape (bands, parts)."""
    units: Weights
    """Shape (bands, 3): expected buyers, units of the last horizon, units of a usual one; all in packs."""
    noise: tuple[float, float]

    @classmethod
    def fit(cls, windows: Sequence[tuple[Parts, Sold]]) -> Self:
        """Learn from past windows and what came in them."""
        band = np.concatenate([_band(parts) for parts, _ in windows])
        rows = np.concatenate([parts.buyers for parts, _ in windows])
        came = np.concatenate([sold.buyers for _, sold in windows])
        buyers = _blends(rows, came, band)
        packs = np.concatenate([_packs(parts, buyers) for parts, _ in windows])
        taken = [np.minimum(sold.units / parts.pack, TAME * sold.buyers) for parts, sold in windows]
        units = _blends(packs, np.concatenate(taken), band)
        mean = _blended(packs, units, band)
        return cls(buyers, units, _noise(mean, np.concatenate(taken)))

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Put together again what ``dataclasses.asdict`` and JSON took apart."""
        buyers, units = (tuple(map(tuple, facts[name])) for name in ("buyers", "units"))
        return cls(buyers, units, tuple(facts["noise"]))

    def expected(self, parts: Parts) -> Expected:
        """Return means and intervals of every product."""
        packs = _packs(parts, self.buyers)
        level = _level(parts, packs[:, 0])
        packs[:, 0] *= level
        mean = _blended(packs, self.units, _band(parts))
        low, high = (quantile(mean, share, self.noise) * parts.pack for share in (0.1, 0.9))
        return Expected(packs[:, 0], mean * parts.pack, low, high)


def quantile(mean: Floats, share: float, noise: tuple[float, float]) -> Floats:
    """Return what a negative binomial count of that mean stays at or below with the chance ``share``."""
    from scipy.stats import nbinom

    mean = np.maximum(mean, 1e-9)
    variance = np.maximum(noise[0] * mean + noise[1] * mean**2, mean * 1.001)
    shape = mean**2 / (variance - mean)
    return np.asarray(nbinom.ppf(share, shape, mean / variance), np.float64)


def parts_of(history: History, spells: Spells, chance: Floats, category: Ints, horizon_days: int) -> Parts:
    """Return the plain forecasts as of the history's cutoff; ``chance`` is of each pair."""
    size, age = len(history.products), history.cutoff_day - spells.day
    code, first = spells.product[spells.pair], spells.starts[:-1]
    n_seen = max(int(age.max(initial=1)), 1)
    span = min(N_USUAL * horizon_days, max(n_seen, horizon_days))
    starts, lately = _first_of_horizon(spells, age, horizon_days), age <= span

    def total(rows: Column, weights: Column | None = None) -> Column:
        return np.bincount(code[rows], None if weights is None else weights[rows], minlength=size)

    def rate(rows: Any, half_life: float) -> Column:
        faded = np.exp2(-age[rows] / half_life) * np.log(2) * horizon_days / half_life
        return np.asarray(np.bincount(code[rows], faded, minlength=size) / (1 - np.exp2(-n_seen / half_life)))

    units = np.minimum(spells.quantity, TAME * _middle(code, spells.quantity, size)[code])
    last, usual = total(starts & (age <= horizon_days)), total(starts & lately) * horizon_days / span
    new = rate(first, horizon_days)
    found = {
        "repeat": np.bincount(spells.product, chance, minlength=size),
        "new": new,
        "category": _of_kind(new, category + 1, usual),
        "recent": rate(starts, horizon_days / 2),
        "last": last,
        "usual": usual,
    }
    pack = np.bincount(code, units, minlength=size) / np.maximum(total(starts), 1)
    sold = total(age <= horizon_days, spells.quantity), total(lately, spells.quantity) * horizon_days / span
    return Parts(
        np.column_stack([found[name] for name in PARTS]), np.where(pack > 0, pack, 1), np.column_stack(sold)
    )


def _band(parts: Parts) -> Ints:
    """Return how much each product sells, as a number of ``BANDS``: the records of the many are sharper."""
    return np.searchsorted(BANDS, parts.buyers[:, USUAL], side="right").astype(np.int32)


def _packs(parts: Parts, buyers: Weights) -> Floats:
    """Return expected buyers and the two records of units, all in packs."""
    expected = _blended(parts.buyers, buyers, _band(parts))
    return np.column_stack([expected, parts.units / parts.pack[:, None]])


def _level(parts: Parts, buyers: Floats) -> float:
    """Return the factor that brings all buyers to those of the last horizon, within ``LEVELS``.

    The weights hold the growth of the windows they were learnt on, and growth does not go on: on validation
    cutoffs of a shop with a season this was better on three of five, and worse on one.
    """
    last = float(parts.buyers[:, LAST].sum())
    return float(np.clip(last / max(float(buyers.sum()), 1e-9), *LEVELS))


def _blended(rows: Floats, weights: Weights, band: Ints) -> Floats:
    return np.asarray(np.sum(rows * np.array(weights)[band], axis=1))


def _middle(product: Ints, quantity: Floats, size: int) -> Floats:
    """Return the median quantity each product is bought in."""
    order = np.lexsort((quantity, product))
    n = np.bincount(product, minlength=size)
    at = np.cumsum(n) - n + n // 2
    return np.where(n > 0, np.append(quantity[order], 1)[np.minimum(at, len(order))], 1)


def _first_of_horizon(spells: Spells, age: Ints, horizon_days: int) -> Column:
    """Mark the first purchase of each pair in each horizon counted back from the cutoff."""
    window = (age - 1) // horizon_days
    starts = np.asarray(np.diff(window, prepend=-1) != 0)
    starts[spells.starts[:-1]] = True
    return starts


def _of_kind(new: Column, kind: Ints, usual: Column) -> Column:
    """Return the mean of a product's kind, of what sold of late; it fades as the own record grows."""
    sells = usual > 0
    total, n = (np.bincount(kind, column) for column in (new * sells, sells))
    mean = (total / np.maximum(n, 1))[kind] * sells
    return np.asarray(mean * FADING / (FADING + usual * N_USUAL))


def _blends(rows: Floats, came: Floats, band: Ints) -> Weights:
    """Return weights for each band; a band of few products takes those of all."""
    everything = _blend(rows, came)
    found = []
    for number in range(len(BANDS) + 1):
        at = band == number
        found.append(_blend(rows[at], came[at]) if at.sum() >= ENOUGH else everything)
    return tuple(tuple(weights.tolist()) for weights in found)


def _blend(rows: Floats, came: Floats) -> Floats:
    """Return non-negative weights: least squares under Poisson noise; the total is kept."""
    from scipy.optimize import nnls

    weight = 1 / np.sqrt(rows.mean(axis=1) + 1.0)
    weights, _ = nnls(rows * weight[:, None], came * weight)
    total = float((rows @ weights).sum())
    return np.asarray(weights * (float(came.sum()) / total if total > 0 else 1.0))


def _noise(mean: Floats, came: Floats) -> tuple[float, float]:
    """Return the terms of the variance whose 80% interval has fitted best: the least quantile (pinball) loss.

    Quantiles, not moments: one bulk order would set the moments.
    """
    kept = np.flatnonzero(mean > 0.1)[:: max(len(mean) // 4000, 1)]
    if len(kept) < 10:
        return 1.0, 0.0
    mean, came = mean[kept], came[kept]
    losses = {noise: _pinball(mean, came, noise) for noise in product((1.0, 1.5, 2.5, 4.0, 7.0), SPREADS)}
    return min(losses, key=losses.__getitem__)


def _pinball(mean: Floats, came: Floats, noise: tuple[float, float]) -> float:
    loss = 0.0
    for share in (0.1, 0.9):
        miss = came - quantile(mean, share, noise)
        loss += float((np.maximum(share * miss, (share - 1) * miss) / np.sqrt(mean + 1)).sum())
    return loss
