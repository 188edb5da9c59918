"""Value where a shop or a customer is odd; what every customer model promises is in tests/contracts."""

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds.bgnbd import order_lines, simulate
from worlds.orders import make_shop, products

from features.shop import Shop
from features.window import local_day
from models.ltv import Ltv, LtvConfig
from training.measures.metrics import pit_error

CUTOFF = datetime(2024, 7, 1, tzinfo=UTC)
CONFIG = LtvConfig(n_trees=20, n_windows=3, min_leaf_rows=20)
DATES = ["next_order_at", "next_order_p10", "next_order_p90"]
AMOUNTS = ["expected_orders", "expected_revenue", "expected_revenue_p10", "expected_revenue_p90"]


def value(shop: Shop, cutoff: datetime = CUTOFF, config: LtvConfig = CONFIG) -> pd.DataFrame:
    said = Ltv.fit(shop, cutoff, config=config).predict(shop, cutoff)
    return said.rename(columns=lambda name: name.replace("_28d", ""))


@pytest.fixture(scope="module")
def lines() -> pd.DataFrame:
    return order_lines(simulate(n_customers=600, days=210, join_days=100))


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, lines: pd.DataFrame) -> Shop:
    return make_shop(tmp_path_factory.mktemp("ltv"), lines)


@pytest.fixture(scope="module")
def said(shop: Shop) -> pd.DataFrame:
    return value(shop)


def test_no_figure_is_negative_or_missing(said: pd.DataFrame) -> None:
    assert (said[[*AMOUNTS, "expected_margin"]] >= 0).all(axis=None)


def test_the_expectation_lies_in_its_interval(said: pd.DataFrame) -> None:
    middle = said["expected_revenue"]
    assert (said["expected_revenue_p10"] <= middle).all()
    assert (middle <= said["expected_revenue_p90"]).all()


def test_four_in_five_customers_fall_inside_their_intervals(shop: Shop, said: pd.DataFrame) -> None:
    truth = (
        shop.labels(CUTOFF, 28, known_until=datetime(2024, 7, 29, tzinfo=UTC))
        .reindex(said.index)["revenue"]
        .fillna(0)
    )
    inside = (said["expected_revenue_p10"] <= truth) & (truth <= said["expected_revenue_p90"])
    assert inside.mean() == pytest.approx(0.8, abs=0.07)


def test_revenue_falls_everywhere_in_what_was_foreseen_of_it(shop: Shop) -> None:
    model, seen = Ltv.fit(shop, CUTOFF, config=CONFIG), shop.customers_seen(CUTOFF)
    paid = (
        shop.labels(CUTOFF, 28, known_until=datetime(2024, 7, 29, tzinfo=UTC))["revenue"]
        .reindex(seen)
        .fillna(0.0)
    )
    right, wrong = (model.places(shop, CUTOFF, truth=paid * factor) for factor in (1.0, 30.0))
    assert pit_error(*right.to_numpy().T) < 0.15 < pit_error(*wrong.to_numpy().T)
    assert (right["below"][paid == 0] == 0).all()


def test_margin_is_the_assumed_share_of_revenue(said: pd.DataFrame) -> None:
    np.testing.assert_allclose(said["expected_margin"], 0.3 * said["expected_revenue"])


def test_known_unit_costs_replace_the_assumed_margin(tmp_path: Path, lines: pd.DataFrame) -> None:
    bought = lines.assign(product_id=[f"p{k % 12:02d}" for k in range(len(lines))], unit_price=10.0)
    catalogue = products().assign(list_price=10.0, unit_cost=4.0)
    said = value(make_shop(tmp_path, bought, products=catalogue))
    np.testing.assert_allclose(said["expected_margin"], 0.6 * said["expected_revenue"], rtol=1e-6)


def test_a_shop_without_prices_still_foretells_orders(tmp_path: Path, lines: pd.DataFrame) -> None:
    said = value(make_shop(tmp_path, lines[["customer_id", "ordered_at"]]))
    assert said["expected_orders"].sum() > 0
    assert said.filter(like="revenue").isna().all(axis=None)
    assert said["expected_margin"].isna().all()


def test_a_shop_where_nobody_came_back_foretells_next_to_nothing(tmp_path: Path, lines: pd.DataFrame) -> None:
    said = value(make_shop(tmp_path, lines.drop_duplicates("customer_id")))
    assert said["expected_orders"].max() < 0.05
    assert said[[*DATES, "days_between_orders"]].isna().all(axis=None)


def test_what_nobody_came_back_for_is_worth_what_first_orders_came_to(
    tmp_path: Path, lines: pd.DataFrame
) -> None:
    once = lines.sort_values("ordered_at").drop_duplicates("customer_id")
    found = value(make_shop(tmp_path, once))
    money = found[["expected_revenue_p10", "expected_revenue", "expected_revenue_p90"]]
    assert money.notna().all().all() and (money.diff(axis=1).iloc[:, 1:] >= 0).all().all()
    paid = (once["unit_price"] * once["quantity"]).mean()
    assert (found["expected_revenue"] / found["expected_orders"]).mean() == pytest.approx(paid, rel=0.5)


def test_a_whale_is_worth_most_and_lifts_nobody_else(
    tmp_path: Path, lines: pd.DataFrame, said: pd.DataFrame
) -> None:
    days = pd.date_range("2024-01-05 12:00", "2024-06-28", freq="9D")
    whale = pd.DataFrame({"customer_id": "whale", "ordered_at": days, "quantity": 1.0, "unit_price": 5000.0})
    with_whale = value(make_shop(tmp_path, pd.concat([lines, whale])))
    assert with_whale["expected_revenue"].idxmax() == "whale"
    others = with_whale["expected_revenue"].drop("whale").sum()
    assert others == pytest.approx(said["expected_revenue"].sum(), rel=0.5)


def test_the_next_order_is_never_in_the_past(said: pd.DataFrame) -> None:
    assert said["next_order_at"].isna().any()  # who has likely left is told no day
    assert (said[["next_order_p90", "next_order_at", "next_order_p10"]].count().diff().dropna() >= 0).all()
    for known in (said[name].dropna() for name in DATES):
        assert len(known)
        assert known.dt.tz is not None
        assert (known >= CUTOFF).all()


def test_the_next_order_lies_in_its_interval(said: pd.DataFrame) -> None:
    known = said.dropna(subset=DATES)
    assert len(known)
    assert (known["next_order_p10"] <= known["next_order_at"]).all()
    assert (known["next_order_at"] <= known["next_order_p90"]).all()


def test_half_of_those_told_a_day_have_ordered_by_then(lines: pd.DataFrame, shop: Shop) -> None:
    said = value(shop, config=LtvConfig())  # of a few trees the chances are all too alike
    later = (
        lines[lines["ordered_at"] >= CUTOFF.replace(tzinfo=None)].groupby("customer_id")["ordered_at"].min()
    )
    told = said[said["next_order_at"] < CUTOFF + pd.Timedelta(days=29)]
    came = later.reindex(told.index).dt.tz_localize("UTC").dt.normalize() <= told["next_order_at"]
    assert came.mean() == pytest.approx(0.5, abs=0.15)


def test_days_between_orders_lie_between_the_own_and_the_shops(shop: Shop, said: pd.DataFrame) -> None:
    own = shop.customer_features(CUTOFF)["gap_mean_days"]
    shops = said.loc[own.isna(), "days_between_orders"]
    assert shops.nunique() == 1
    distance = (said["days_between_orders"] - shops.iloc[0]).abs() - (own - shops.iloc[0]).abs()
    assert (distance.dropna() <= 1e-9).all()


def test_the_next_order_of_a_regular_customer_follows_the_rhythm(tmp_path: Path, lines: pd.DataFrame) -> None:
    days = pd.date_range("2024-01-05 12:00", "2024-06-28", freq="10D")
    regular = pd.DataFrame({"customer_id": "regular", "ordered_at": days, "quantity": 1.0, "unit_price": 9.0})
    next_order = value(make_shop(tmp_path, pd.concat([lines, regular])))["next_order_at"]["regular"]
    expected = days[-1].tz_localize("UTC") + pd.Timedelta(days=10)
    assert abs(next_order - expected) <= pd.Timedelta(days=1)


def test_the_next_order_falls_on_a_midnight_of_the_shop(tmp_path: Path, lines: pd.DataFrame) -> None:
    shop = make_shop(tmp_path, lines, timezone="America/Sao_Paulo")
    moments = value(shop, datetime(2024, 7, 1, 3, tzinfo=UTC))["next_order_at"].dropna()
    local: Any = moments.dt.tz_convert("America/Sao_Paulo")
    assert (local.dt.normalize() == local).all()
    assert local.iloc[0].date() == local_day(moments.iloc[0].to_pydatetime(), "America/Sao_Paulo")
    assert local.min().date() >= date(2024, 7, 1)
