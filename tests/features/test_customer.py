"""The features against a slow, obvious version: pandas, one customer at a time."""

import numpy as np
import pandas as pd
import pytest
from worlds.orders import contacts, make_shop, order_lines, products

from features.storage.tables import fetch
from features.window import parse_cutoff

LISBON = "Europe/Lisbon"


@pytest.fixture(scope="module")
def lines():
    return order_lines()


@pytest.fixture(scope="module")
def shop(tmp_path_factory, lines):
    folder = tmp_path_factory.mktemp("shop")
    return make_shop(folder, lines, timezone=LISBON, products=products(), contacts=contacts(lines))


CUTOFF = parse_cutoff("2024-05-01T13:00:00", LISBON)


def obvious(shop, customer, cutoff):
    """Replay one customer from the lines: every return made before the cutoff undoes its units."""
    lines = fetch(shop.con, "FROM order_lines")
    back = fetch(shop.con, "FROM returns")
    moment = pd.Timestamp(cutoff).tz_localize(None)
    lines = lines[(lines.customer_id == customer) & (lines.ordered_at < moment)]
    back = back[back.returned_at < moment].groupby("line_id")[["quantity", "revenue"]].sum()
    lines = lines.assign(
        quantity=lines.quantity - lines.line_id.map(back.quantity).fillna(0),
        revenue=lines.revenue - lines.line_id.map(back.revenue).fillna(0),
    )
    days = (
        lines.groupby("ordered_on").agg(units=("quantity", "sum"), revenue=("revenue", "sum")).reset_index()
    )
    days = days[days.units > 0].sort_values("ordered_on")
    today = pd.Timestamp(pd.Timestamp(cutoff).tz_convert(LISBON).date())
    age = (today - pd.to_datetime(days.ordered_on)).dt.days.to_numpy()
    gaps = -np.diff(age)
    return {
        "days_since_last_order": age.min(),
        "days_since_first_order": age.max(),
        "frequency": len(age) - 1,
        "recency_days": age.max() - age.min(),
        "gap_mean_days": gaps.mean(),
        "gap_median_days": np.median(gaps),
        "gap_max_days": gaps.max(),
        "last_gap_days": gaps[-1],
        "n_order_days_28d": (age <= 28).sum(),
        "revenue": days.revenue.sum(),
        "revenue_91d": days.revenue[age <= 91].sum(),
        "monetary_value": days.revenue.iloc[1:].mean(),
        "last_order_revenue": days.revenue.iloc[-1],
        "order_days_decayed_28d": (0.5 ** (age / 28)).sum(),
        "n_products": lines.product_id.nunique(),
        "n_units_returned": back.quantity.reindex(lines.line_id).sum(),
    }


@pytest.mark.parametrize("customer", ["c00", "c05", "c17", "c39"])
def test_features_equal_the_obvious_replay(shop, customer):
    row = shop.customer_features(CUTOFF).loc[customer]
    expected = obvious(shop, customer, CUTOFF)
    assert row[list(expected)].to_dict() == pytest.approx(expected, abs=1e-5)


def test_the_world_has_returns_so_that_the_replay_means_something(shop):
    assert (shop.customer_features(CUTOFF)["n_units_returned"] > 0).sum() > 5


def test_a_return_counts_only_from_the_moment_it_was_made(tmp_path):
    rows = [("a", "2024-01-01", 1.0), ("a", "2024-01-10", 1.0), ("a", "2024-01-20", -1.0)]
    lines = pd.DataFrame(rows, columns=["customer_id", "ordered_at", "quantity"])
    lines["ordered_at"] = pd.to_datetime(lines["ordered_at"])
    shop = make_shop(tmp_path, lines.assign(product_id="p", unit_price=5.0))
    before = shop.customer_features(parse_cutoff("2024-01-20")).loc["a"]
    after = shop.customer_features(parse_cutoff("2024-01-21")).loc["a"]
    assert (before.n_order_days, before.revenue) == (2, 10)
    assert (after.n_order_days, after.revenue, after.days_since_last_order) == (1, 5, 20)
    assert (before.n_units_returned, after.n_units_returned) == (0, 1)  # although its whole day is gone


def test_contacts_held_out_are_not_contacts_received(shop):
    features = shop.customer_features(parse_cutoff("2024-12-01", LISBON))
    assert features["n_contacts"].eq(1).all()


def test_without_prices_money_is_unknown_and_rhythm_is_not(tmp_path, lines):
    shop = make_shop(tmp_path, lines.drop(columns=["unit_price", "discount"]))
    features = shop.customer_features(CUTOFF)
    assert features["revenue"].isna().all()
    assert features["n_order_days"].notna().all()


def test_a_home_may_be_called_anything(tmp_path, lines):
    shop = make_shop(tmp_path / "it's [my] shop?", lines)
    assert len(shop.customer_features(CUTOFF)) == 40
