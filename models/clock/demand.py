"""Expected demand for each product over the horizon: repeat buyers from the clock, first-time ones by rate.

Several simple forecasts are blended by non-negative weights learnt on closed windows, separately for buyers
and for units and by how much a product sells. The total is the last horizon's, times the season of the
horizon ahead if last year shows one. For the intervals see ``models.clock.spread``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple, Self

import numpy as np

from features.arrays.dtypes import Bools, Column, Floats, Ints
from features.arrays.history import History
from features.shop import Shop
from models.clock.last_year import LastYear
from models.clock.spells import Spells
from models.clock.spread import Missed, Spread
from models.clock.weeks import Weeks

FORECASTS: dict[str, str] = {
    "repeat": "the clock's chances of all who bought it before, summed",
    "new": "its first-time buyers and guests, half-life one horizon",
    "category": "first-time buyers of a product of its category, on average; fades with its own record",
    "recent": "its buyers, half-life half a horizon",
    "last": "its buyers of the last horizon",
    "usual": "the same, mean of the last four horizons",
    "year": "its buyers of the same days a year ago, at today's level; where windows and today know them",
}
"""The forecasts of buyers that are blended, in order, with their meaning."""
LAST, USUAL, YEAR = (list(FORECASTS).index(name) for name in ("last", "usual", "year"))
N_USUAL = 4
FADING = 3.0
"""Prior strength of the category's mean in ``kind``, in buyers: it fades as a product's own record grows."""
BANDS = (2.0, 10.0, 50.0)
"""Limits between bands, in usual buyers per horizon; each band of products has its own weights."""
LEVEL_BOUNDS = (0.5, 2.0)
"""The total is moved by a factor within these bounds."""
MIN_ROWS = 200
"""Minimum number of rows (product and window) for a band to have its own weights."""
MAX_TIMES_USUAL = 5.0
"""A purchase of more than this many times the product's median quantity counts as this many times it."""
ROUND = 1e-9
"""Tolerance for rounding errors around whole numbers."""
Weights = tuple[tuple[float, ...], ...]


class Sales(NamedTuple):
    """All sales before a cutoff: those to customers and, after them, those to guests."""

    history: History
    spells: Spells

    @classmethod
    def of(cls, shop: Shop, cutoff: datetime, *, spells: Spells) -> Self:
        """Read them; ``spells`` are those of the customers alone."""
        history = shop.sales(cutoff)
        return cls(history, spells if history is shop.history(cutoff) else Spells.of(history))


class Forecasts(NamedTuple):
    """The simple forecasts as of a cutoff, by product code."""

    buyers: Floats
    """Shape (n_products, forecasts), columns as in ``FORECASTS``."""
    pack: Floats
    """Mean units per buyer within a horizon."""
    units: Floats
    """Shape (n_products, 2): units of the last horizon, and the mean of the last four."""
    whole: Bools
    """Whether it was only ever bought in whole units."""
    weeks: Weeks
    turn: Column
    """Expected ratio of buyers in the horizon ahead to those in the last one; 1 if last year does not show
    it."""

    def in_season(self) -> tuple[Floats, Floats]:
        """Return ``buyers`` and ``units``, adjusted to the season of the horizon ahead."""
        turn = self.turn[:, None]
        return np.hstack([self.buyers[:, :YEAR] * turn, self.buyers[:, YEAR:]]), self.units * turn


class Sold(NamedTuple):
    """Actual sales, by product code."""

    buyers: Floats
    units: Floats


class Expected(NamedTuple):
    """Expected sales, by product code: means, and an interval that covers the units of 80% of products."""

    buyers: Floats
    units: Floats
    p10: Floats
    p90: Floats


@dataclass(frozen=True)
class Demand:
    """Weights of the forecasts by band, for buyers and, in packs, for units."""

    buyers: Weights
    """Shape (bands, forecasts); without the last column unless all windows have a last year."""
    units: Weights
    """Shape (bands, 3): of expected buyers, units of the last horizon, mean units of the last four; all in
    packs."""
    spread: Spread

    @classmethod
    def fit(cls, windows: Sequence[tuple[Forecasts, Sold]], *, horizons: float = 1.0) -> Self:
        """Learn from past windows and their actual sales; together the windows span ``horizons`` horizons."""
        band = np.concatenate([_band(plain) for plain, _ in windows])
        rows = np.concatenate([plain.in_season()[0] for plain, _ in windows])
        if not all(plain.buyers[:, YEAR].any() for plain, _ in windows):
            rows = rows[:, :YEAR]
        came = np.concatenate([sold.buyers for _, sold in windows])
        buyers = _blends(rows, came, band)
        packs = np.concatenate([_packs(plain, buyers) for plain, _ in windows])
        taken = [
            np.minimum(sold.units / plain.pack, MAX_TIMES_USUAL * sold.buyers) for plain, sold in windows
        ]
        units = _blends(packs, np.concatenate(taken), band)
        missed = [_missed(plain, sold, buyers=buyers, units=units) for plain, sold in windows]
        return cls(buyers, units, Spread.fit(missed, horizons=horizons))

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Rebuild from what ``dataclasses.asdict`` and JSON made of it."""
        buyers, units = (tuple(map(tuple, facts[name])) for name in ("buyers", "units"))
        return cls(buyers, units, Spread.of(facts["spread"]))

    def expected(self, plain: Forecasts) -> Expected:
        """Return means and intervals for every product.

        Bounds are whole units, except for products sold in fractions, and where the mean lies outside (mean
        0.2, bounds 0 to 0: the upper bound is then 0.2).
        """
        buyers, packs = _means(plain, self.buyers, self.units)
        mean = packs * plain.pack
        low, high = (bound * plain.pack for bound in self.spread.bounds(packs, plain.weeks))
        low = np.abs(np.where(plain.whole, np.ceil(low - ROUND), low))  # no -0
        high = np.maximum(np.where(plain.whole, np.floor(high + ROUND), high), low)
        return Expected(buyers, mean, np.minimum(low, mean), np.maximum(high, mean))


def forecasts_of(sales: Sales, chance: Floats, *, category: Ints, horizon_days: int) -> Forecasts:
    """Return the simple forecasts as of the cutoff; ``chance`` is that of each pair of a known customer."""
    history, spells = sales
    size, age = len(history.products), history.cutoff_day - spells.day
    code, first = spells.product[spells.pair], spells.starts[:-1]
    n_seen = int(age.max(initial=1))
    span = min(N_USUAL * horizon_days, max(n_seen, horizon_days))
    starts, lately = _first_of_horizon(spells, age, horizon_days), age <= span

    def total(rows: Column, weights: Column | None = None) -> Column:
        return np.bincount(code[rows], None if weights is None else weights[rows], minlength=size)

    def rate(rows: Any, half_life: float) -> Column:
        faded = np.exp2(-age[rows] / half_life) * np.log(2) * horizon_days / half_life
        return np.asarray(np.bincount(code[rows], faded, minlength=size) / (1 - np.exp2(-n_seen / half_life)))

    units = np.minimum(spells.quantity, MAX_TIMES_USUAL * _middle(code, spells.quantity, size)[code])
    last, usual = total(starts & (age <= horizon_days)), total(starts & lately) * horizon_days / span
    new, year = rate(first, horizon_days), LastYear.of(spells, age, last=last, horizon_days=horizon_days)
    forecasts = {
        "repeat": np.bincount(spells.product[: len(chance)], chance, minlength=size),
        "new": new,
        "category": _of_kind(new, category + 1, usual),
        "recent": rate(starts, horizon_days / 2),
        "last": last,
        "usual": usual,
        "year": year.buyers,
    }
    pack = np.bincount(code, units, minlength=size) / np.maximum(total(starts), 1)
    sold = total(age <= horizon_days, spells.quantity), total(lately, spells.quantity) * horizon_days / span
    columns = np.column_stack([forecasts[name] for name in FORECASTS])
    whole = np.bincount(code, spells.quantity % 1, minlength=size) == 0
    weeks = Weeks.of(history, spells, units=units, horizon_days=horizon_days)
    packs, units_sold = np.where(pack > 0, pack, 1), np.column_stack(sold)
    return Forecasts(columns, packs, units_sold, whole, weeks, year.turn)


def _band(plain: Forecasts) -> Ints:
    """Return how much each product sells, as an index into the bands of ``BANDS``."""
    return np.searchsorted(BANDS, plain.buyers[:, USUAL], side="right").astype(np.int32)


def _packs(plain: Forecasts, buyers: Weights) -> Floats:
    """Return expected buyers and both records of units, all in packs."""
    people, units = plain.in_season()
    expected = _blended(people, buyers, _band(plain))
    return np.column_stack([expected, units / plain.pack[:, None]])


def _means(plain: Forecasts, buyers: Weights, units: Weights) -> tuple[Floats, Floats]:
    """Return expected buyers, and units in packs, at the level of the last horizon."""
    packs = _packs(plain, buyers)
    packs[:, 0] *= _level(plain, packs[:, 0])
    return packs[:, 0], _blended(packs, units, _band(plain))


def _missed(plain: Forecasts, sold: Sold, *, buyers: Weights, units: Weights) -> Missed:
    """Return expected against actual sales of a window, for products that sold recently."""
    of_late = plain.buyers[:, USUAL] > 0
    people, packs = _means(plain, buyers, units)
    came = sold.units / plain.pack
    totals = float(people[of_late].sum()), float(sold.buyers[of_late].sum())
    return Missed(packs[of_late], came[of_late], plain.weeks.at(of_late), *totals)


def _level(plain: Forecasts, buyers: Floats) -> float:
    """Return the factor, within ``LEVEL_BOUNDS``, from total buyers to the last horizon's, in season.

    The weights reflect growth in the windows they were learnt on, which does not continue: on validation
    cutoffs of a seasonal shop this factor was better on three of five, and worse on one.
    """
    last = float((plain.buyers[:, LAST] * plain.turn).sum())
    return float(np.clip(last / max(float(buyers.sum()), 1e-9), *LEVEL_BOUNDS))


def _blended(rows: Floats, weights: Weights, band: Ints) -> Floats:
    each = np.array(weights)[band]
    return np.asarray(np.sum(rows[:, : each.shape[1]] * each, axis=1))


def _middle(product: Ints, quantity: Floats, size: int) -> Floats:
    """Return the median quantity in which each product is bought."""
    order = np.lexsort((quantity, product))
    n = np.bincount(product, minlength=size)
    at = np.cumsum(n) - n + n // 2
    return np.where(n > 0, np.append(quantity[order], 1)[at], 1)


def _first_of_horizon(spells: Spells, age: Ints, horizon_days: int) -> Column:
    """Mark the first purchase of each pair in each horizon counted back from the cutoff."""
    window = np.maximum(age - 1, 0) // horizon_days  # if the cutoff falls within a day, it is of the last
    starts = np.asarray(np.diff(window, prepend=-1) != 0)
    starts[spells.starts[:-1]] = True
    return starts


def _of_kind(new: Column, kind: Ints, usual: Column) -> Column:
    """Return the mean of a product's category over recent sellers, fading as its own record grows."""
    sells = usual > 0
    total, n = (np.bincount(kind, column) for column in (new * sells, sells))
    mean = (total / np.maximum(n, 1))[kind] * sells
    return np.asarray(mean * FADING / (FADING + usual * N_USUAL))


def _blends(rows: Floats, came: Floats, band: Ints) -> Weights:
    """Return weights for each band; a band with few rows gets the weights of all."""
    everything = _blend(rows, came)
    blends = []
    for number in range(len(BANDS) + 1):
        at = band == number
        blends.append(_blend(rows[at], came[at]) if at.sum() >= MIN_ROWS else everything)
    return tuple(tuple(weights.tolist()) for weights in blends)


def _blend(rows: Floats, came: Floats) -> Floats:
    """Return non-negative weights: least squares under Poisson noise, rescaled to keep the total."""
    from scipy.optimize import nnls

    weight = 1 / np.sqrt(rows.mean(axis=1) + 1.0)
    weights, _ = nnls(rows * weight[:, None], came * weight)
    weights = np.where(np.isfinite(weights), weights, 0.0)  # of next to nothing, it is infinite
    total = float((rows @ weights).sum())
    return np.asarray(weights * (float(came.sum()) / total if total > ROUND else 1.0))
