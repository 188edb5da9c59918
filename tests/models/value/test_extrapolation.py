"""What is carried from a part of a horizon to the whole, for customers of any history."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.chance.purchase_chance import extrapolate
from models.customers.inputs import CHANCE, ORDERS
from models.processes.buy_till_you_die import BetaGeoNBD
from models.value.extrapolation import days_ratio, extrapolated
from models.value.value_parts import Figures, Learnt

PROCESSES = st.builds(
    BetaGeoNBD, *(st.floats(low, high) for low, high in ((0.1, 3), (3, 90), (0.2, 3), (0.5, 6)))
)
HISTORIES = st.tuples(st.integers(0, 40), st.integers(1, 300), st.integers(0, 300))
"""Repeat purchases, days from the first to the last, days since then."""


def rows(process: BetaGeoNBD, history: tuple[int, int, int], days: int) -> pd.DataFrame:
    x, span, silent = history
    columns = (float(x), float(span * (x > 0)), float(span + silent))
    orders, chance = process.expected_orders(*columns, days), process.purchase_probability(*columns, days)
    return pd.DataFrame({ORDERS: orders, CHANCE: chance})


def learnt(chance: float) -> Learnt:
    one = np.array([chance])
    return Learnt(one, 0.8 * one, 20.0 * np.ones(1), Figures(1.4 * one, 25.0 * one))


@given(PROCESSES, HISTORIES, st.integers(14, 200), st.floats(1.5, 4.5), st.floats(0.001, 0.999))
def test_a_longer_horizon_brings_no_less_and_not_more_than_its_length(
    process: BetaGeoNBD, history: tuple[int, int, int], part: int, longer: float, chance: float
) -> None:
    whole = int(part * longer)
    some, all_ = rows(process, history, part), rows(process, history, whole)
    assert 1 <= days_ratio(some, all_)[0] <= whole / part * (1 + 1e-6)
    told = extrapolated(learnt(chance), some, whole=all_)
    assert chance <= told.chance[0] <= 1
    assert told.figures.days[0] >= 1.4 * chance
    assert told.figures.revenue[0] >= 25.0 * chance


@given(PROCESSES, HISTORIES, st.integers(14, 200))
def test_what_bgnbd_says_of_the_part_becomes_what_it_says_of_the_whole(
    process: BetaGeoNBD, history: tuple[int, int, int], part: int
) -> None:
    some, all_ = rows(process, history, part), rows(process, history, 3 * part)
    chance = some[CHANCE].to_numpy(float)
    if 1e-6 < chance[0] < 1 - 1e-6:
        assert extrapolate(chance, some, whole=all_)[0] == pytest.approx(all_[CHANCE][0], rel=1e-6)
        orders = some[ORDERS].to_numpy(float) * days_ratio(some, all_)
        assert orders[0] == pytest.approx(all_[ORDERS][0], rel=1e-6)


@given(PROCESSES, HISTORIES, st.integers(14, 200), st.floats(0.001, 0.999))
def test_revenue_stays_the_chance_times_what_those_who_order_come_to(
    process: BetaGeoNBD, history: tuple[int, int, int], part: int, chance: float
) -> None:
    before = learnt(chance)
    told = extrapolated(before, rows(process, history, part), whole=rows(process, history, 2 * part))
    factor = before.figures.revenue / (before.chance * before.typical)
    np.testing.assert_allclose(told.chance * told.typical * factor, told.figures.revenue, rtol=1e-9)
    np.testing.assert_allclose(told.paid / told.chance, before.paid / before.chance, rtol=1e-9)
    grown = told.figures.revenue / before.figures.revenue
    np.testing.assert_allclose(told.figures.days / before.figures.days, grown, rtol=1e-9)


def test_who_is_certain_to_order_stays_so() -> None:
    process = BetaGeoNBD(1.0, 10.0, 0.8, 3.0)
    some, all_ = (rows(process, (5, 50, 10), days) for days in (30, 90))
    assert extrapolated(learnt(1.0), some, whole=all_).chance[0] == 1.0


@pytest.mark.parametrize("foreseen", [0.0, 1.0])
def test_where_bgnbd_is_certain_either_way_a_part_is_told_as_it_is(foreseen: float) -> None:
    some = pd.DataFrame({CHANCE: [foreseen]})
    assert extrapolate(np.array([0.3]), some, whole=some) == pytest.approx(0.3)
