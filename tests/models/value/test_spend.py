"""How much those who order come to: medians, means and the spread around them."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.customers.customer_panel import PanelConfig, TrainingWindow
from models.customers.inputs import COLUMNS
from models.value.spend import SPREAD, Spend, _mean_factor

CONFIG = PanelConfig(n_trees=20, min_leaf_rows=20)
N = 600


def window(days: np.ndarray, revenue: np.ndarray, before: float = 30.0) -> TrainingWindow:
    """Return a closed window of customers of whom nothing says what they will do."""
    rows = pd.DataFrame(1.0, index=[f"c{k}" for k in range(N)], columns=COLUMNS)
    rows = rows.assign(last_order_revenue=before)
    return TrainingWindow(datetime(2025, 1, 1, tzinfo=UTC), rows, days.astype(float), revenue)


def plain(spread: tuple[float, ...]) -> Any:
    no_trees: Any = None
    return Spend(no_trees, None, 1.0, 1.0, spread)


def test_those_who_order_come_to_their_own_days_and_money() -> None:
    days = np.resize([0, 1, 1, 0, 3, 3], N)  # two days each on average, of those who order
    money = np.resize([0.0, 10.0, 10.0, 0.0, 40.0, 40.0], N)
    spend = Spend.fit([window(days, money)], CONFIG)
    rows = window(days, money).rows
    assert spend.days(rows) == pytest.approx(2.0, rel=0.01)
    assert spend.paying == 1.0
    assert spend.typical_money(rows) * spend.mean_factor == pytest.approx(25.0, rel=0.01)
    np.testing.assert_allclose(np.exp(spend.spread[::100]), [0.5, 2.0], rtol=0.01)


def test_whoever_orders_and_pays_nothing_is_a_share_and_no_amount() -> None:
    days, money = np.resize([0, 1, 1, 1], N), np.resize([0.0, 0.0, 0.2, 0.2], N)  # in a strong currency
    spend = Spend.fit([window(days, money)], CONFIG)
    assert spend.paying == pytest.approx(2 / 3)
    assert spend.typical_money(window(days, money).rows) == pytest.approx(0.2)
    assert set(spend.spread) == {0.0}


@pytest.mark.parametrize(("before", "typical"), [(30.0, 30.0), (0.0, np.nan)])
def test_where_nobody_paid_the_last_orders_tell_the_amount(before: float, typical: float) -> None:
    closed = window(np.resize([0, 1], N), np.zeros(N), before)
    spend = Spend.fit([closed], CONFIG)
    assert spend.paying == 1.0
    assert spend.mean_factor == pytest.approx(1.0)
    assert spend.typical_money(closed.rows) == pytest.approx(typical, nan_ok=True)


def test_the_spread_is_that_around_what_is_said_of_each_customer() -> None:
    money = np.resize([10.0, 10.0, 1000.0, 1000.0], N)
    closed = window(np.ones(N), money)
    rows = closed.rows.assign(last_order_revenue=money, revenue=money)
    spend = Spend.fit([replace(closed, rows=rows)], CONFIG)
    assert np.ptp(spend.spread) < 0.5 * np.log(100)


def test_a_share_below_an_amount_and_the_amount_of_a_share_are_each_others_inverse() -> None:
    spend, typical = plain(tuple(np.log(4.0) * (2 * SPREAD - 1))), np.full(4, 0.2)
    share, money = np.array([-1.0, 0.0, 0.75, 1.0]), np.array([0.0, 0.05, 0.4, 0.8])
    np.testing.assert_allclose(spend.below(typical, share), money)
    np.testing.assert_allclose(spend.share_below(typical, money), np.maximum(share, 0))
    assert np.isnan([plain(()).below(typical, share), plain(()).share_below(typical, money)]).all()


def test_a_whale_lifts_the_mean_no_higher_than_the_next_do() -> None:
    logs, said = np.zeros(1001), np.zeros(1001)
    logs[:20], logs[0] = np.log(3.0), np.log(1e6)
    assert _mean_factor(logs, said) == pytest.approx((981 + 20 * 3) / 1001)
    said[1:20] = np.log(3.0)  # foreseen: nothing is missed but of the whale
    assert _mean_factor(logs, said) == pytest.approx(1.0)
