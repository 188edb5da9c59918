"""Expected demand for each product over the horizon: repeat buyers from the clock, first-time ones by rate.

Plain forecasts are blended by non-negative weights learnt on closed windows, for buyers and for units: each
product is foretold by what foretold its like best. The total is the last horizon's, times the season of the
horizon ahead where a last year tells it. Intervals: see ``models.clock.spread``.
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
"""What expected buyers are blended from, in order."""
LAST, USUAL, YEAR = (list(FORECASTS).index(name) for name in ("last", "usual", "year"))
N_USUAL = 4
FADING = 3.0
"""A product is taken for its kind as if it had had so many buyers of the kind's."""
BANDS = (2.0, 10.0, 50.0)
"""Usual buyers a horizon from which on a product is blended with others like it in sales."""
LEVELS = (0.5, 2.0)
"""The total is moved by no more than this."""
ENOUGH = 200
"""So many products and windows make a band of their own."""
TAME = 5.0
"""A purchase of more than so many times what its product is usually bought in counts as that many."""
ROUND = 1e-9
"""What arithmetic leaves of a whole number, or of nothing."""
Weights = tuple[tuple[float, ...], ...]


class Sales(NamedTuple):
    """All that sold before a cutoff: what customers bought and, behind it, guests, who never come back."""

    history: History
    spells: Spells

    @classmethod
    def of(cls, shop: Shop, cutoff: datetime, spells: Spells) -> Self:
        """Read it; ``spells`` are those of the customers alone."""
        history = shop.sales(cutoff)
        return cls(history, spells if history is shop.history(cutoff) else Spells.of(history))


class Forecasts(NamedTuple):
    """The plain forecasts as of a cutoff, by product code."""

    buyers: Floats
    """Shape (n_products, forecasts), columns as in ``FORECASTS``."""
    pack: Floats
    """Units a buyer takes within a horizon, on average."""
    units: Floats
    """Shape (n_products, 2): units of the last horizon, and the mean of the last four."""
    whole: Bools
    """Whether only whole units of it were ever bought."""
    weeks: Weeks
    turn: Column
    """Buyers of the horizon ahead over those of the last one; 1 where no last year tells."""

    def in_season(self) -> tuple[Floats, Floats]:
        """Return ``buyers`` and ``units``, turned to the season of the horizon ahead."""
        turn = self.turn[:, None]
        return np.hstack([self.buyers[:, :YEAR] * turn, self.buyers[:, YEAR:]]), self.units * turn


class Sold(NamedTuple):
    """What came, by product code."""

    buyers: Floats
    units: Floats


class Expected(NamedTuple):
    """What is expected, by product code: means, and an interval that holds the units of 80% of products."""

    buyers: Floats
    units: Floats
    p10: Floats
    p90: Floats


@dataclass(frozen=True)
class Demand:
    """Weights of the forecasts by how much a product sells; units in packs, of buyers and of two records."""

    buyers: Weights
    """Shape (bands, forecasts); without the last one where not all windows know a last year."""
    units: Weights
    """Shape (bands, 3): expected buyers, units of the last horizon, units of a usual one; all in packs."""
    spread: Spread

    @classmethod
    def fit(cls, windows: Sequence[tuple[Forecasts, Sold]], *, horizons: float = 1.0) -> Self:
        """Learn from past windows and what came in them; together they span so many ``horizons``."""
        band = np.concatenate([_band(plain) for plain, _ in windows])
        rows = np.concatenate([plain.in_season()[0] for plain, _ in windows])
        if not all(plain.buyers[:, YEAR].any() for plain, _ in windows):
            rows = rows[:, :YEAR]
        came = np.concatenate([sold.buyers for _, sold in windows])
        buyers = _blends(rows, came, band)
        packs = np.concatenate([_packs(plain, buyers) for plain, _ in windows])
        taken = [np.minimum(sold.units / plain.pack, TAME * sold.buyers) for plain, sold in windows]
        units = _blends(packs, np.concatenate(taken), band)
        missed = [_missed(plain, sold, buyers, units) for plain, sold in windows]
        return cls(buyers, units, Spread.fit(missed, horizons=horizons))

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Put together again what ``dataclasses.asdict`` and JSON took apart."""
        buyers, units = (tuple(map(tuple, facts[name])) for name in ("buyers", "units"))
        return cls(buyers, units, Spread.of(facts["spread"]))

    def expected(self, plain: Forecasts) -> Expected:
        """Return means and intervals of every product.

        Bounds are whole units, but where the mean lies beyond (0 to 0 with a mean of 0.2: 0 to 0.2), and of
        products that are sold in fractions.
        """
        buyers, packs = _means(plain, self.buyers, self.units)
        mean = packs * plain.pack
        low, high = (bound * plain.pack for bound in self.spread.bounds(packs, plain.weeks))
        low = np.abs(np.where(plain.whole, np.ceil(low - ROUND), low))  # no -0
        high = np.maximum(np.where(plain.whole, np.floor(high + ROUND), high), low)
        return Expected(buyers, mean, np.minimum(low, mean), np.maximum(high, mean))


def forecasts_of(sales: Sales, chance: Floats, category: Ints, horizon_days: int) -> Forecasts:
    """Return the plain forecasts as of the cutoff; ``chance`` is of each pair of a known customer."""
    history, spells = sales
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
    new, year = rate(first, horizon_days), LastYear.of(spells, age, last, horizon_days)
    found = {
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
    columns = np.column_stack([found[name] for name in FORECASTS])
    whole = np.bincount(code, spells.quantity % 1, minlength=size) == 0
    weeks = Weeks.of(history, spells, units, horizon_days)
    packs, units_sold = np.where(pack > 0, pack, 1), np.column_stack(sold)
    return Forecasts(columns, packs, units_sold, whole, weeks, year.turn)


def _band(plain: Forecasts) -> Ints:
    """Return how much each product sells, as a number of ``BANDS``: the records of the many are sharper."""
    return np.searchsorted(BANDS, plain.buyers[:, USUAL], side="right").astype(np.int32)


def _packs(plain: Forecasts, buyers: Weights) -> Floats:
    """Return expected buyers and the two records of units, all in packs."""
    people, units = plain.in_season()
    expected = _blended(people, buyers, _band(plain))
    return np.column_stack([expected, units / plain.pack[:, None]])


def _means(plain: Forecasts, buyers: Weights, units: Weights) -> tuple[Floats, Floats]:
    """Return expected buyers, and units in packs, at the level of the last horizon."""
    packs = _packs(plain, buyers)
    packs[:, 0] *= _level(plain, packs[:, 0])
    return packs[:, 0], _blended(packs, units, _band(plain))


def _missed(plain: Forecasts, sold: Sold, buyers: Weights, units: Weights) -> Missed:
    """Return what would have been expected in a window beside what came, of products that sold of late."""
    of_late = plain.buyers[:, USUAL] > 0
    people, packs = _means(plain, buyers, units)
    came = sold.units / plain.pack
    totals = float(people[of_late].sum()), float(sold.buyers[of_late].sum())
    return Missed(packs[of_late], came[of_late], plain.weeks.at(of_late), *totals)


def _level(plain: Forecasts, buyers: Floats) -> float:
    """Return the factor that brings all buyers to those of the last horizon, in season, within ``LEVELS``.

    The weights hold the growth of the windows they were learnt on, and growth does not go on: on validation
    cutoffs of a shop with a season this was better on three of five, and worse on one.
    """
    last = float((plain.buyers[:, LAST] * plain.turn).sum())
    return float(np.clip(last / max(float(buyers.sum()), 1e-9), *LEVELS))


def _blended(rows: Floats, weights: Weights, band: Ints) -> Floats:
    each = np.array(weights)[band]
    return np.asarray(np.sum(rows[:, : each.shape[1]] * each, axis=1))


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
    weights = np.where(np.isfinite(weights), weights, 0.0)  # of next to nothing, it is infinite
    total = float((rows @ weights).sum())
    return np.asarray(weights * (float(came.sum()) / total if total > ROUND else 1.0))
