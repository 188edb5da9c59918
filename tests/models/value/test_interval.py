import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.value.interval import SURE_CHANCE, Interval

CHANCES = arrays(float, st.integers(1, 50), elements=st.floats(1e-6, 1 - 1e-6))


def held(interval: Interval, chance: np.ndarray) -> np.ndarray:
    """Return each interval's probability, added up from its two ends."""
    low, high = interval.shares(chance)
    orders = np.maximum(high, 0) - np.maximum(low, 0)
    return chance * orders + np.where(low < 0, 1 - chance, 0)


@given(CHANCES)
def test_all_intervals_together_hold_at_least_four_fifths(chance: np.ndarray) -> None:
    assert held(Interval.fit(chance), chance).mean() >= 0.8 - 1e-9


@given(CHANCES)
def test_leaving_zero_out_for_one_chance_more_would_hold_less(chance: np.ndarray) -> None:
    likely = Interval.fit(chance).likely
    lower = chance[chance <= likely]
    if len(lower) and likely < SURE_CHANCE:
        one_more = Interval(float(np.nextafter(lower.max(), 0)))
        assert held(one_more, chance).mean() < 0.8


@given(CHANCES)
def test_an_end_never_lies_beyond_the_other(chance: np.ndarray) -> None:
    low, high = Interval.fit(chance).shares(chance)
    assert (low <= high).all()
    assert (high <= 1).all()


@given(CHANCES)
def test_a_range_that_starts_at_zero_holds_four_fifths_of_that_customer_or_nothing_at_all(
    chance: np.ndarray,
) -> None:
    interval = Interval.fit(chance)
    from_zero = interval.shares(chance)[0] < 0
    np.testing.assert_allclose(held(interval, chance)[from_zero], np.maximum(1 - chance, 0.8)[from_zero])


def test_who_will_hardly_order_is_told_nothing_at_all() -> None:
    low, high = Interval(0.9).shares(np.array([0.05]))
    assert (low[0], high[0]) == (-1, -1)


def test_where_everyone_orders_the_interval_is_the_middle_of_the_orders() -> None:
    chance = np.full(100, 1.0)
    low, high = Interval.fit(chance).shares(chance)
    assert low == pytest.approx(0.1)
    assert high == pytest.approx(0.9)


def test_one_told_what_an_order_comes_to_is_told_nine_in_ten_of_them() -> None:
    low, high = Interval(0.5).shares(np.array([0.6, 0.88, 0.96]))
    assert low == pytest.approx([0.05, 0.05, 1 / 12])
    assert high == pytest.approx(1 - low)


@pytest.mark.parametrize("n", [0, 1, 50])
def test_where_all_of_today_are_sure_to_order_one_to_come_who_is_not_is_told_from_zero(n: int) -> None:
    low, _ = Interval.fit(np.full(n, 0.95)).shares(np.array([0.3, 0.95]))
    assert low[0] == -1.0 < 0.0 < low[1]


def test_a_shop_without_customers_has_intervals_for_those_to_come() -> None:
    low, high = Interval.fit(np.zeros(0)).shares(np.array([0.1, 0.95]))
    assert (low <= high).all()


def test_the_calibration_holds_on_customers_drawn_anew() -> None:
    rng = np.random.default_rng(0)
    known, new = rng.beta(0.4, 2.0, 20_000), rng.beta(0.4, 2.0, 20_000)
    low, high = Interval.fit(known).shares(new)
    place = np.where(rng.random(len(new)) < new, rng.random(len(new)), -1.0)  # -1: no order
    assert ((low <= place) & (place <= high)).mean() == pytest.approx(0.8, abs=0.01)
