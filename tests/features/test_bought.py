"""What was bought: against a slow, obvious version, and what it may and may not know."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.orders import make_shop, order_lines, products

from features import excerpt
from features.bought import BOUGHT_FEATURES
from features.excerpt import Excerpt
from features.storage.tables import fetch
from features.window import parse_cutoff, shift_days

LISBON = "Europe/Lisbon"
CUTOFF = parse_cutoff("2024-05-01T13:00:00", LISBON)
NAMES = BOUGHT_FEATURES.names


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return make_shop(tmp_path_factory.mktemp("shop"), order_lines(), timezone=LISBON, products=products())


def obvious(shop, customer, cutoff):
    """Replay each product from the lines that a week had passed since, then average over the customer's."""
    lines = fetch(shop.con, "FROM order_lines WHERE customer_id IS NOT NULL")
    today = pd.Timestamp(cutoff).tz_convert(LISBON).tz_localize(None).normalize()
    mine = lines[
        (lines.customer_id == customer) & (lines.ordered_at < pd.Timestamp(cutoff).tz_localize(None))
    ]
    days = lines[["customer_id", "product_id", "ordered_on"]].drop_duplicates()
    days = days.assign(age=(today - pd.to_datetime(days.ordered_on)).dt.days).query("age > 7")
    bought_on = days.groupby(["product_id", "customer_id"]).size()
    usual = (bought_on > 1).sum() / len(bought_on)
    facts = []
    for product in mine.product_id.unique():
        if product in bought_on.index:
            buyers, sales = bought_on[product], days[days.product_id == product]
            back = ((buyers > 1).sum() + 2 * usual) / (len(buyers) + 2)
            facts.append((back, ((sales.age <= 35).sum() + 0.5) / (len(sales) + 5)))
    return np.mean(facts, axis=0)


@pytest.mark.parametrize("customer", ["c00", "c05", "c17", "c39"])
def test_what_was_bought_equals_the_obvious_replay(shop, customer):
    row = shop.customer_features(CUTOFF).loc[customer, NAMES]
    assert row.to_list() == pytest.approx(obvious(shop, customer, CUTOFF), abs=2e-6)


def lines_of(rows):
    names = ["customer_id", "ordered_at", "product_id"]
    return pd.DataFrame(rows, columns=names).astype({"ordered_at": "datetime64[us]"}).assign(quantity=1.0)


OLD = [("a", "2024-01-01", "p"), ("b", "2024-01-02", "p"), ("b", "2024-01-05", "p"), ("a", "2024-01-03", "q")]


def test_a_product_nobody_had_bought_a_week_ago_is_left_out(tmp_path):
    new = [("a", "2024-03-01", "new"), ("c", "2024-03-02", "new")]
    cutoff = parse_cutoff("2024-03-05")
    with_it = make_shop(tmp_path / "with", lines_of(OLD + new)).customer_features(cutoff)[NAMES]
    without = make_shop(tmp_path / "without", lines_of(OLD)).customer_features(cutoff)[NAMES]
    pd.testing.assert_frame_equal(with_it.loc[["a", "b"]], without)
    assert with_it.loc["c"].isna().all()


def test_what_is_bought_in_the_moment_of_the_cutoff_is_not_known(tmp_path):
    known = [*OLD, ("b", "2024-01-04", "r")]
    cutoff, found = parse_cutoff("2024-02-01"), []
    for name, lines in {"before": known, "at": [*known, ("a", "2024-02-01", "r")]}.items():
        shop = make_shop(tmp_path / name, lines_of(lines))
        found.append(shop.customer_features(cutoff).loc["a", NAMES].to_list())
    assert found[0] == found[1]


def test_a_shop_that_names_no_products_has_nulls_and_all_its_customers(tmp_path):
    shop = make_shop(tmp_path, order_lines().drop(columns="product_id"))
    features = shop.customer_features(CUTOFF)
    assert len(features) == 40
    assert features[NAMES].isna().all(axis=None)


@settings(max_examples=5, deadline=None)
@given(
    customer=st.sampled_from(["c01", "somebody"]),
    hours=st.integers(-7 * 24 + 13, 24),
    product=st.sampled_from(["p01", "x"]),
)
def test_what_others_did_in_the_last_week_changes_nothing(shop, tmp_path_factory, customer, hours, product):
    moment = shift_days(CUTOFF, 0, timezone=LISBON).replace(tzinfo=None) + pd.Timedelta(hours=hours)
    more = order_lines().iloc[:1].assign(customer_id=customer, ordered_at=moment, product_id=product)
    folder = tmp_path_factory.mktemp("other")
    lines = pd.concat([order_lines(), more], ignore_index=True)
    other = make_shop(folder, lines, timezone=LISBON, products=products())
    before, after = (
        each.customer_features(CUTOFF)[NAMES].drop(index=["c01", "somebody"], errors="ignore")
        for each in (shop, other)
    )
    pd.testing.assert_frame_equal(after, before, check_exact=True)


KEPT = ["c00", "c05", "c17"]


@pytest.fixture(scope="module")
def then_and_now(tmp_path_factory):
    """Return what a scoring kept of some customers, and the shop with what the others did since."""
    folder, lines = tmp_path_factory.mktemp("kept"), order_lines()
    known = lines[lines["ordered_at"] < pd.Timestamp(CUTOFF).tz_localize(None)]
    then = make_shop(folder / "then", known, timezone=LISBON, products=products())
    excerpt.write(then, CUTOFF, names=KEPT, folder=folder / "kept")
    kept = Excerpt(folder / "then" / "home", folder / "kept", as_of=CUTOFF)
    kept.take(KEPT)
    now = lines[~lines["customer_id"].isin(KEPT) | lines.index.isin(known.index)]
    return kept, make_shop(folder / "now", now, timezone=LISBON, products=products())


@pytest.mark.parametrize("days", [0, 1, 7])
def test_rows_kept_with_a_scoring_tell_of_products_what_the_shop_does_for_a_week(then_and_now, days):
    kept, now = then_and_now
    later = shift_days(CUTOFF, days, timezone=LISBON)
    expected = now.customer_features(later, KEPT)
    pd.testing.assert_frame_equal(kept.customer_features(later), expected, check_exact=True)


@pytest.mark.parametrize("days", [8, 28])
def test_of_products_a_later_refresh_tells_what_could_be_told_a_week_after_the_scoring(then_and_now, days):
    kept, now = then_and_now
    week, later = (kept.customer_features(shift_days(CUTOFF, n, timezone=LISBON)) for n in (7, days))
    pd.testing.assert_frame_equal(later[NAMES], week[NAMES], check_exact=True)
    assert (later["days_since_last_order"] == week["days_since_last_order"] + days - 7).all()
    again = kept.customer_features(CUTOFF)
    pd.testing.assert_frame_equal(again, now.customer_features(CUTOFF, KEPT), check_exact=True)
