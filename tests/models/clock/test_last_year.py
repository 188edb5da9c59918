"""What last year tells of the horizon ahead, in shops whose season is known."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.receipts import history_of

from models.clock.last_year import LastYear
from models.clock.spells import Spells

HORIZON = 28
THEN, BEFORE = range(364 - HORIZON + 1, 365), range(365, 365 + HORIZON)
OLDEST = (0, 0, 600, 1.0)
LAUNCHED = 364 + HORIZON
"""A product first sold so many days ago, or fewer, was not there when the weeks before last year's began."""
purchases = st.lists(
    st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(300, 420), st.just(1.0)),
    min_size=1,
    max_size=60,
    unique_by=lambda row: row[:3],
)


def told(rows: list, last: list[float], horizon_days: int = HORIZON) -> LastYear:
    history = history_of(rows, n_products=len(last))
    spells = Spells.of(history)
    return LastYear.of(
        spells, history.cutoff_day - spells.day, last=np.array(last), horizon_days=horizon_days
    )


def sold(n: int, days: range, product: int = 0) -> list[tuple[int, int, int, float]]:
    return [(customer, product, days[customer % len(days)], 1.0) for customer in range(n)]


@given(purchases)
@settings(max_examples=60, deadline=None)
def test_buyers_are_those_of_a_loop_at_the_level_of_the_last_horizon_in_season(rows: list) -> None:
    rows, last = [*rows, OLDEST], np.array([3.0, 1.0, 2.0, 4.0])
    found = told(rows, last.tolist())
    then = [
        len({who for who, code, ago, _ in rows if code == product and ago in THEN}) for product in range(4)
    ]
    if not (any(then) and any(ago in BEFORE for _, _, ago, _ in rows)):
        assert (found.turn.tolist(), found.buyers.any()) == ([1.0] * 4, False)
        return
    expected = last * found.turn
    for product in range(4):
        if any(code == product and ago > 364 for _, code, ago, _ in rows):
            expected[product] = then[product] / sum(then) * (last * found.turn).sum()
    assert found.buyers == pytest.approx(expected)


def test_a_christmas_is_foretold_by_the_one_before() -> None:
    found = told([*sold(3000, THEN), *sold(1500, BEFORE), OLDEST], [1000.0])
    assert found.turn[0] == pytest.approx(2.0, rel=0.05)
    assert found.buyers[0] == pytest.approx(1000 * found.turn[0])
    came_since = told([*sold(3000, THEN), *sold(1500, BEFORE), OLDEST, (0, 1, 100, 1.0)], [950.0, 50.0])
    assert came_since.buyers[1] == pytest.approx(50 * found.turn[0])
    of_late_nothing = told([*sold(3000, THEN), *sold(1500, BEFORE), OLDEST], [0.0])
    assert of_late_nothing.turn[0] == pytest.approx(2.0, rel=0.05)
    assert of_late_nothing.buyers[0] == 0


def test_a_season_is_believed_beyond_twice_the_noise_of_its_counts_and_of_the_shop() -> None:
    apart, noise = np.log(4), 1 / 400 + 1 / 100 + 0.05**2
    found = told([*sold(400, THEN), *sold(100, BEFORE), OLDEST], [1000.0])
    assert found.turn[0] == pytest.approx(np.exp(apart - 4 * noise / apart))


def test_a_product_turns_otherwise_than_its_shop_where_that_is_no_chance() -> None:
    rows = [*sold(3000, THEN), *sold(1500, BEFORE), *sold(300, THEN, 1), *sold(300, BEFORE, 1)]
    rows += [*sold(3, THEN, 2), *sold(3, BEFORE, 2), *((0, product, 600, 1.0) for product in range(3))]
    found = told(rows, [1000.0, 200.0, 2.0])
    assert found.turn[0] == found.turn[2] == pytest.approx(1.86, abs=0.03)  # few say nothing of their own
    assert 1.0 < found.turn[1] < 0.8 * found.turn[0]


@pytest.mark.parametrize(("then", "before"), [(0, 300), (300, 0)])
def test_half_a_buyer_stands_for_none(then: int, before: int) -> None:
    rows = [*sold(3000, THEN), *sold(3000, BEFORE), *sold(then, THEN, 1), *sold(before, BEFORE, 1)]
    turn = told([*rows, OLDEST, (0, 1, 600, 1.0)], [1000.0, 100.0]).turn
    apart, noise = np.log(max(then, 0.5) / max(before, 0.5)), 1 / 0.5 + 1 / 300 + 0.2**2
    assert turn[1] / turn[0] == pytest.approx(np.exp(apart - 4 * noise / apart))


def test_whatever_products_do_all_together_turn_as_the_shop_does() -> None:
    rows = [*sold(3000, THEN), *sold(1500, BEFORE), *sold(300, THEN, 1), *sold(300, BEFORE, 1)]
    last = np.array([1000.0, 200.0, 0.0])
    found = told([*rows, *((0, product, 600, 1.0) for product in range(3))], last.tolist())
    apart, noise = np.log(3300 / 1800), 1 / 3300 + 1 / 1800 + 0.05**2
    assert (last * found.turn).sum() == pytest.approx(1200 * np.exp(apart - 4 * noise / apart))


@pytest.mark.parametrize(("first", "own"), [(LAUNCHED, False), (LAUNCHED + 1, True)])
def test_a_product_that_came_last_year_did_not_turn(first: int, own: bool) -> None:
    rows = [*sold(3000, THEN), *sold(3000, BEFORE), *sold(300, THEN, 1), (0, 1, first, 1.0), OLDEST]
    turn = told(rows, [1000.0, 100.0]).turn
    assert turn[1] == pytest.approx(turn[0]) if not own else turn[1] > 10 * turn[0]


@pytest.mark.parametrize("n", [1550, 1450, 1500])
def test_what_is_no_more_than_the_usual_noise_is_no_season(n: int) -> None:
    assert told([*sold(n, THEN), *sold(1500, BEFORE), OLDEST], [1000.0]).turn.tolist() == [1.0]


@pytest.mark.parametrize(("first", "known"), [(LAUNCHED + 89, False), (LAUNCHED + 90, True)])
def test_a_shop_of_a_year_knows_no_last_year(first: int, known: bool) -> None:
    found = told([*sold(3000, THEN), *sold(1500, BEFORE), (0, 0, first, 1.0)], [1000.0])
    assert (found.turn[0] > 1.5, found.buyers[0] > 1500) == (known, known)
    assert known or (found.turn.tolist(), found.buyers.tolist()) == ([1.0], [0.0])


@pytest.mark.parametrize(("horizon_days", "known"), [(364, True), (365, False)])
def test_a_horizon_beyond_a_year_has_every_season_in_it(horizon_days: int, known: bool) -> None:
    rows = [*sold(3000, range(1, 365)), *sold(1500, range(365, 729)), (0, 0, 1200, 1.0)]
    assert (told(rows, [1000.0], horizon_days).turn[0] > 1.5) == known
