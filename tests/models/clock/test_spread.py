"""Intervals of demand in worlds where what they should hold is known."""

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from models.clock.demand import FORECASTS, LAST, USUAL, Demand, Forecasts, Sold
from models.clock.spread import Missed, Spread, place, point
from models.clock.weeks import Weeks

Floats = np.ndarray


def drawn(
    mean: Floats, seed: int, *, times: float = 2.0, square: float | Floats = 0.1, level: float = 0.0
) -> Missed:
    """Draw a window: variance ``times * mean + square * mean ** 2``, the total off by ``exp(level)``."""
    rng = np.random.default_rng(seed)
    true = mean * np.exp(level)
    variance = times * true + square * true**2
    came = rng.negative_binomial(true**2 / (variance - true), true / variance).astype(float)
    return Missed(mean, came, unknown(len(mean)), float(mean.sum()), float(true.sum()))


def unknown(n: int) -> Weeks:
    return Weeks(np.zeros(n), np.zeros(n))


def sizes(n: int, seed: int = 0) -> Floats:
    return np.exp(np.random.default_rng(seed).normal(0.5, 1.5, n))


def inside(spread: Spread, window: Missed) -> Floats:
    low, high = spread.bounds(window.mean, window.weeks)
    return (window.came >= low) & (window.came <= high)


@pytest.mark.parametrize("n", [60, 4000])
def test_the_next_window_lies_inside_in_four_of_five_products(n: int) -> None:
    mean = sizes(n)
    spread = Spread.fit([drawn(mean, seed) for seed in range(4)], horizons=2.5)
    held = np.mean([inside(spread, drawn(mean, seed)).mean() for seed in range(10, 40)])
    assert held == pytest.approx(0.8, abs=0.04)


def test_intervals_hold_as_many_of_slow_sellers_as_of_fast_ones() -> None:
    mean = sizes(6000)
    spread = Spread.fit([drawn(mean, seed) for seed in range(4)], horizons=2.5)
    held = np.mean([inside(spread, drawn(mean, seed)) for seed in range(10, 20)], axis=0)
    for low, high in ((0.5, 2), (2, 10), (10, 1e9)):
        assert held[(mean >= low) & (mean < high)].mean() == pytest.approx(0.8, abs=0.04)


def test_tails_that_no_count_has_are_learnt() -> None:
    rng, mean = np.random.default_rng(0), np.full(6000, 20.0)

    def bulky() -> Missed:
        came = rng.poisson(mean / 2) * np.where(rng.random(6000) < 0.25, 8.0, 1.0)
        return Missed(mean, came, unknown(6000), float(mean.sum()), float(mean.sum()))

    spread = Spread.fit([bulky() for _ in range(4)], horizons=2.5)
    assert inside(spread, bulky()).mean() == pytest.approx(0.8, abs=0.03)


def test_a_product_whose_weeks_are_even_is_told_more_closely_and_as_truly_as_a_restless_one() -> None:
    mean, even = np.full(3000, 100.0), np.arange(3000) % 2 == 0
    square = np.where(even, 0.02, 0.3)

    def window(seed: int) -> Missed:
        rng, plain = np.random.default_rng(seed), drawn(mean, seed, times=1.5, square=square)
        weekly = square * rng.chisquare(15, 3000) / 15  # what 16 weeks tell of it
        return plain._replace(weeks=Weeks(np.full(3000, 16.0), weekly))

    spread, following = Spread.fit([window(seed) for seed in range(4)], horizons=2.5), window(9)
    low, high = spread.bounds(following.mean, following.weeks)
    held = inside(spread, following)
    assert (high - low)[even].mean() < 0.6 * (high - low)[~even].mean()
    assert held.mean() == pytest.approx(0.83, abs=0.06)  # a little is held back for totals that move
    assert held[even].mean() == pytest.approx(held[~even].mean(), abs=0.12)


def test_a_total_that_moves_widens_what_fast_sellers_are_told_more() -> None:
    mean = sizes(2000)
    still, moving = (
        Spread.fit([drawn(mean, seed, level=level * (-1) ** seed) for seed in range(4)], horizons=2.5)
        for level in (0.0, 0.4)
    )
    means, weeks = np.array([0.5, 200.0]), unknown(2)
    width = [np.subtract(*spread.bounds(means, weeks)[::-1]) for spread in (still, moving)]
    assert width[1][1] > 1.2 * width[0][1]
    assert width[1][0] < 1.2 * width[0][0] + 0.1


def test_where_no_window_sold_anything_the_interval_is_that_of_a_plain_count() -> None:
    spread = Spread.fit([Missed(np.zeros(0), np.zeros(0), unknown(0), 0.0, 0.0)], horizons=1.0)
    low, high = spread.bounds(np.array([0.0, 4.0, 100.0]), unknown(3))
    assert (low <= [0.0, 4.0, 100.0]).all()
    assert (high >= [0.0, 4.0, 100.0]).all()
    assert low[2] > 50
    assert high[2] < 200


counts = st.floats(0, 1e6, allow_subnormal=False)
noises = st.tuples(st.floats(1, 12), st.floats(0, 1))


@given(st.floats(0.01, 0.99), st.floats(1e-3, 1e4), noises)
@settings(max_examples=60, deadline=None)
def test_a_point_has_the_place_it_was_asked_for(
    share: float, mean: float, noise: tuple[float, float]
) -> None:
    means = np.array([mean])
    found = point(np.array([share]), means, noise=noise)
    assert found[0] == 0 or place(found, means, noise=noise)[0] == pytest.approx(share, abs=1e-6)


def forecasts_of(buyers: list[float], pack: float, *, whole: bool = True) -> Forecasts:
    columns = np.repeat(np.array(buyers)[:, None], len(FORECASTS), axis=1)
    n = len(buyers)
    units = np.array(buyers)[:, None] * pack * np.ones((1, 2))
    return Forecasts(columns, np.full(n, pack), units, np.full(n, whole), unknown(n), np.ones(n))


shops = st.lists(st.tuples(counts, st.integers(0, 10**6)), min_size=1, max_size=30)


@given(shops, st.floats(0.1, 50), st.booleans())
@example([(2.2250738585072014e-308, 4)], 1.0, False)  # the smallest number is as good as none
@settings(max_examples=40, deadline=None)
def test_bounds_are_whole_units_on_either_side_of_the_expectation(
    rows: list[tuple[float, int]], pack: float, whole: bool
) -> None:
    plain = forecasts_of([row[0] for row in rows], pack, whole=whole)
    came = np.array([float(row[1]) for row in rows])
    found = Demand.fit([(plain, Sold(np.minimum(came, 50), came))]).expected(plain)
    assert not np.signbit(found.p10).any()
    assert (found.p10 <= found.units).all()
    assert (found.units <= found.p90).all()
    assert np.isfinite(found.p90).all()
    for bound in (found.p10, found.p90) if whole else ():
        assert ((bound % 1 == 0) | (bound == found.units)).all()


def test_expected_sales_by_hand() -> None:
    """One product in season (turn 2), on the limit of the first band, which belongs to the second."""
    buyers = np.zeros((1, len(FORECASTS)))
    buyers[0, [LAST, USUAL]] = 3.0, 2.0
    one = np.ones(1)
    plain = Forecasts(buyers, 4 * one, np.array([[8.0, 1.0]]), one > 0, unknown(1), 2 * one)
    spread = Spread.fit([drawn(sizes(60), 0)], horizons=1.0)
    usual = tuple(float(name == "usual") for name in FORECASTS)
    weights = ((0.0,) * len(usual), usual, usual, usual), ((0.0,) * 3, *((0.5, 0.5, 0.0),) * 3)
    found = Demand(*weights, spread).expected(plain)
    assert found.buyers.tolist() == [6.0]  # 2 usual buyers, twice in season, times 3 / 2 to the last level
    assert found.units.tolist() == [20.0]  # half of 6 packs of 4, half of the 8 units twice
