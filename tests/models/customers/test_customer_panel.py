"""Windows to learn from: as many as there may be rows, with what then followed counted by hand."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.orders import make_shop, order_lines

from features.customer import CUSTOMER_FEATURES
from features.errors import CannotLearn
from features.shop import Shop
from features.window import parse_cutoff
from models.customers.customer_panel import (
    PanelConfig,
    TrainingWindow,
    everyone,
    thinned,
    training_windows,
)
from models.customers.inputs import Inputs

UNTIL = parse_cutoff("2024-06-01")
LINES = order_lines(12).loc[lambda d: (d["customer_id"] != "c07") | (d["ordered_at"] < "2024-04-20")]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    price = np.where(LINES["customer_id"] == "c03", np.nan, 2.0)  # of one customer no price is known
    return make_shop(tmp_path_factory.mktemp("panel"), LINES.assign(unit_price=price))


def test_of_a_large_shop_evenly_drawn_customers_are_read_in_every_window(shop: Shop) -> None:
    whole = training_windows(shop, UNTIL, config=PanelConfig(n_windows=4))
    ends = [(UNTIL - window.cutoff).days for window in whole]
    assert ends == [28, 42, 56, 70]
    everybody = shop.customers_seen(UNTIL)
    for max_rows, drawn in ((16, everybody[[0, 3, 6, 9]]), (1, everybody[[0, 4, 8]])):
        some = training_windows(shop, UNTIL, config=PanelConfig(n_windows=4, max_rows=max_rows))
        for few, every in zip(some, whole, strict=True):
            there = every.rows.index.isin(drawn)
            features = CUSTOMER_FEATURES.names
            pd.testing.assert_frame_equal(few.rows[features], every.rows.loc[there, features])
            np.testing.assert_array_equal(few.n_order_days, every.n_order_days[there])


def test_what_followed_is_counted_to_the_windows_end(shop: Shop) -> None:
    newest = training_windows(shop, UNTIL, config=PanelConfig(n_windows=1))[0]
    horizon = pd.Timedelta(days=shop.settings.horizon_days)
    start = pd.Timestamp(newest.cutoff).tz_localize(None)
    after = LINES[(LINES["quantity"] > 0) & LINES["ordered_at"].between(start, start + horizon, "left")]
    days = after.groupby("customer_id")["ordered_at"].agg(lambda at: at.dt.date.nunique())
    expected = days.reindex(newest.rows.index).fillna(0)
    np.testing.assert_array_equal(newest.n_order_days, expected)
    np.testing.assert_array_equal(newest.bought, expected > 0)
    assert {0.0, 1.0} == {*newest.bought} and np.isfinite(newest.revenue).all() and newest.revenue.sum() > 0


def test_a_window_reads_its_customers_as_a_scoring_of_its_cutoff_does(shop: Shop) -> None:
    for window in training_windows(shop, UNTIL, config=PanelConfig(n_windows=3)):
        features = shop.customer_features(window.cutoff)
        n_days, horizon = shop.n_days_placed(window.cutoff), shop.settings.horizon_days
        inputs = Inputs.fit(features, n_days, horizon_days=horizon)
        pd.testing.assert_frame_equal(window.rows, inputs.rows(features))


def test_one_day_with_an_order_is_a_purchase() -> None:
    days = np.array([0.0, 1.0, 2.0])
    assert TrainingWindow(UNTIL, pd.DataFrame(), days, days).bought.tolist() == [0.0, 1.0, 1.0]


def test_a_shop_without_prices_has_windows_without_money(tmp_path: Path) -> None:
    bare = make_shop(tmp_path, order_lines(6).drop(columns="unit_price"))
    assert np.isnan(training_windows(bare, UNTIL, config=PanelConfig(n_windows=1))[0].revenue).all()


def test_of_many_rows_every_so_many_th_customer_is_learnt_from(shop: Shop) -> None:
    windows = training_windows(shop, UNTIL, config=PanelConfig(n_windows=2))
    n = sum(len(window.rows) for window in windows)
    assert [len(window.rows) for window in thinned(windows, PanelConfig())] == [len(w.rows) for w in windows]
    few = thinned(windows, PanelConfig(learn_rows=n // 2))
    assert sum(len(window.rows) for window in few) <= n // 2 + len(windows)
    for some, whole in zip(few, windows, strict=True):
        assert list(some.rows.index) == list(whole.rows.index[::2])
        np.testing.assert_array_equal(some.n_order_days, whole.n_order_days[::2])


def test_a_shop_of_two_customers_teaches_nothing(tmp_path: Path) -> None:
    with pytest.raises(CannotLearn, match="2 customers had ordered .*, 3 needed"):
        training_windows(make_shop(tmp_path, order_lines(2)), UNTIL, config=PanelConfig())


def test_features_of_some_are_their_rows_of_everybodys(shop: Shop) -> None:
    some = everyone(shop, UNTIL, ids=["c05", "c01"])
    pd.testing.assert_frame_equal(some, everyone(shop, UNTIL).loc[["c01", "c05"]])
