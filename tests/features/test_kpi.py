"""KPIs counted by hand on a shop of four customers: the period is the 28 days before the 29th of February."""

import numpy as np
import pandas as pd
import pytest
from worlds.orders import make_shop

from features.kpi import KPIS, Kpi, cohorts, facts, kpis, over_time
from features.window import parse_cutoff

CUTOFF = parse_cutoff("2024-02-29")
ORDERS = [  # customer, day, product, unit price
    ("anna", "2023-01-01", "tea", 10.0),
    ("anna", "2024-01-20", "tea", 10.0),
    ("anna", "2024-02-10", "tea", 12.0),
    ("anna", "2024-02-20", "mug", 8.0),
    ("bert", "2024-01-10", "tea", 10.0),
    ("cleo", "2024-02-01", "mug", 8.0),  # the first day of the period
    ("cleo", "2024-02-06", "mug", 8.0),
    ("dora", "2024-01-15", "tea", 10.0),
    ("dora", "2024-02-15", "tea", 10.0),
    ("dora", "2024-03-05", "tea", 80.0),  # not yet
]
PEOPLE = {
    "customer_id": ["anna", "bert", "cleo", "dora"],
    "acquisition_channel": ["search", "search", "friend", None],
    "acquisition_cost": [2.0, 4.0, None, 0.5],
}
ANSWERS = [
    ("anna", "2024-02-21", 0),
    ("anna", "2024-02-21 18:00", 9),
    ("bert", "2024-02-01", 6),
    ("cleo", "2024-02-03", 10),
    ("cleo", "2024-02-07", 8),
    ("dora", "2024-01-31", 10),  # the day before the period
    ("cleo", "2023-02-07", 0),
]


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    lines = pd.DataFrame(ORDERS, columns=["customer_id", "ordered_at", "product_id", "unit_price"])
    lines["ordered_at"] = pd.to_datetime(lines["ordered_at"]) + pd.Timedelta(hours=12)
    answers = pd.DataFrame(ANSWERS, columns=["customer_id", "answered_at", "score"])
    return make_shop(
        tmp_path_factory.mktemp("kpi"),
        lines,
        products=pd.DataFrame({"product_id": ["tea", "mug"], "category": ["drinks", "china"]}),
        customers=pd.DataFrame(PEOPLE),
        surveys=answers.assign(answered_at=pd.to_datetime(answers["answered_at"], format="ISO8601")),
    )


def test_who_was_won_for_nothing_counts_in_what_winning_earned():
    kpi = next(kpi for kpi in KPIS if kpi.name == "ltv_to_cac")
    won = {"margin_first_year": [30.0, 10.0], "acquisition_cost": [10.0, 0.0]}
    assert kpi.measure(pd.DataFrame(won))[0] == pytest.approx(40 / 10)


def test_of_two_answers_of_one_day_the_later_is_the_last(shop):
    assert shop.customer_features(CUTOFF)["last_nps_score"]["anna"] == 9


def test_first_year_value_knows_unit_costs(tmp_path):
    lines = pd.DataFrame({"customer_id": ["anna"] * 2, "ordered_at": ["2023-01-01", "2024-02-20"]})
    lines = lines.assign(ordered_at=pd.to_datetime(lines["ordered_at"]), product_id="tea", unit_price=10.0)
    shop = make_shop(tmp_path, lines, products=pd.DataFrame({"product_id": ["tea"], "unit_cost": [8.0]}))
    assert kpis(facts(shop, CUTOFF)).set_index("kpi")["value"]["ltv_365d"] == pytest.approx(10 * 0.2)


def test_a_line_without_a_price_makes_nothing_cheaper(tmp_path):
    lines = pd.DataFrame(ORDERS, columns=["customer_id", "ordered_at", "product_id", "unit_price"])
    gifts = lines[lines["unit_price"] == 10.0].assign(
        unit_price=None
    )  # before, and as much again for nothing
    lines = pd.concat([lines.assign(unit_price=10.0), gifts.assign(order_id="gift")], ignore_index=True)
    lines = lines.assign(ordered_at=pd.to_datetime(lines["ordered_at"]))
    drinks = pd.DataFrame({"product_id": ["tea", "mug"], "category": ["drinks", "china"]})
    found = kpis(facts(make_shop(tmp_path, lines, products=drinks), CUTOFF)).set_index("kpi")["value"]
    assert found["upsell_rate"] == 0


@pytest.fixture(scope="module")
def rows(shop):
    return facts(shop, CUTOFF)


EXPECTED = {
    "customers": 4,
    "active_customers": 3,  # anna, cleo, dora
    "new_customers": 1,  # cleo
    "retention_rate": 2 / 3,  # of anna, bert, dora: all but bert
    "churn_rate": 1 / 3,
    "repeat_purchase_rate": 3 / 4,
    "recurrence": 3 / 5,  # anna 2, dora 1; cleo's 2 are a new customer's
    "days_between_orders": (415 + 0 + 5 + 31) / (3 + 0 + 1 + 1),
    "orders_per_customer": 5 / 3,
    "average_order_value": (20 + 16 + 10) / 5,
    "revenue_per_customer": 46 / 3,
    "cross_sell_rate": 1 / 3,  # anna's mug; cleo's second day and dora's tea are nothing new
    "upsell_rate": 1 / 2,  # anna's tea is dearer, dora's is not
    "nps": 100 * (1 - 1) / 3,
    "ltv_365d": 10.0 * 0.3,  # anna's first year
    "cac": 6.5 / 3,
    "ltv_to_cac": 3.0 / 2.0,
}
BEHIND = {
    **dict.fromkeys(["customers", "active_customers", "new_customers", "repeat_purchase_rate"], 4),
    "upsell_rate": 2,
    "ltv_365d": 1,
    "ltv_to_cac": 1,
}
"""The customers behind each figure: of the others, three."""


@pytest.mark.parametrize("kpi", KPIS, ids=lambda kpi: kpi.name)
def test_each_kpi_is_what_one_counts_by_hand(rows, kpi):
    value, low, _, n = kpi.measure(rows)
    assert value == pytest.approx(EXPECTED[kpi.name])
    assert n == BEHIND.get(kpi.name, 3)
    assert np.isnan(low) == (n == 1)


def test_every_kpi_has_its_definition(rows):
    assert {kpi.name for kpi in KPIS} == set(EXPECTED)
    assert all(kpi.doc.endswith(".") and kpi.unit for kpi in KPIS)


def test_groups_are_the_customers_of_each_and_nobody_is_lost(rows):
    groups = kpis(rows, rows["acquisition_channel"]).set_index(["kpi", "group"])
    by_channel, n = groups["value"], groups["n"]
    assert by_channel["customers"].to_dict() == {"friend": 1, "search": 2, "unknown": 1}
    assert by_channel["cac", "search"] == 3.0
    assert np.isnan(by_channel["cac", "friend"]) and n["cac", "friend"] == 0


def test_an_interval_holds_the_value_and_a_share_stays_one(rows):
    found = kpis(rows).set_index("kpi").drop(index="nps")
    known = found[found["n"] > 1]
    assert ((known["low"] <= known["value"]) & (known["value"] <= known["high"])).all()
    shares = known[known["unit"] == "share"]
    assert shares["low"].ge(0).all() and shares["high"].le(1).all()


def test_an_interval_of_points_ends_where_points_end():
    nps = next(kpi for kpi in KPIS if kpi.name == "nps")
    assert nps.measure(pd.DataFrame({"nps_score": [10, 10, 0]}))[2] == 100.0
    assert nps.measure(pd.DataFrame({"nps_score": [0, 0, 10]}))[1] == -100.0


def test_the_interval_covers_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    kpi = Kpi("mean", lambda r: r["a"], lambda r: r["b"], "currency", "A ratio.")
    hits = 0
    for _ in range(400):
        b = rng.integers(1, 6, 300)
        low, high = kpi.measure(pd.DataFrame({"a": b * rng.gamma(2.0, 5.0, 300), "b": b}))[1:3]
        hits += low <= 10.0 <= high
    assert 0.92 <= hits / 400 <= 0.98


def test_an_interval_of_few_is_as_wide_as_so_few_make_it():
    kpi = Kpi("mean", lambda r: r["a"], lambda r: r["b"], "currency", "A ratio.")
    found = kpi.measure(pd.DataFrame({"a": [1.0, 3.0], "b": 1.0}))
    assert found == pytest.approx((2, 2 - 1.96, 2 + 1.96, 2))


def test_a_first_year_and_a_period_end_with_their_last_whole_day(tmp_path):
    days = {"anna": ["2023-03-01", "2024-01-04"], "bert": ["2023-02-24", "2024-02-24"]}
    lines = pd.DataFrame([(who, day, 10.0) for who, two in days.items() for day in two])
    lines.columns = ["customer_id", "ordered_at", "unit_price"]
    rows = facts(make_shop(tmp_path, lines.assign(ordered_at=pd.to_datetime(lines["ordered_at"]))), CUTOFF)
    found = kpis(rows).set_index("kpi")["value"]
    assert found["ltv_365d"] == pytest.approx(0.3 * (20 + 10) / 2)  # bert's second is the first of another
    assert found["churn_rate"] == 1.0  # anna's last is the first day of the period before


def test_kpis_of_a_past_cutoff_know_nothing_of_later(shop):
    cutoffs = [parse_cutoff("2024-02-05"), CUTOFF]
    for cutoff, found in over_time(shop, cutoffs).groupby("cutoff"):
        alone = kpis(facts(shop, cutoff))
        pd.testing.assert_frame_equal(found.drop(columns="cutoff").reset_index(drop=True), alone)


def test_cohorts_show_closed_months_only(shop):
    found = cohorts(shop, CUTOFF)
    assert found["n"].to_dict() == {"2023-01": 1, "2024-01": 2}
    assert found.loc["2023-01", 12] == 1.0
    assert np.isnan(found.loc["2024-01", 1])
    assert list(found.columns) == [*range(13), "n"]
    assert found.loc["2023-01", 1:11].eq(0).all()  # nobody came in these months: that is a share, too
    in_march = cohorts(shop, parse_cutoff("2024-03-01"))
    assert in_march.loc["2024-01", 1] == 0.5
    assert in_march.loc["2024-02", [0, "n"]].tolist() == [1, 1]  # cleo, who came on two days


def test_a_month_has_ended_where_the_shops_own_has(tmp_path):
    lines = pd.DataFrame({"customer_id": ["a"], "ordered_at": [pd.Timestamp("2024-02-05")]})
    shop = make_shop(tmp_path, lines, timezone="Asia/Tokyo")
    assert cohorts(shop, parse_cutoff("2024-03-01", "Asia/Tokyo"))["n"].to_dict() == {"2024-02": 1}


def test_products_without_a_category_leave_the_rate_unknown(tmp_path):
    lines = pd.DataFrame(ORDERS, columns=["customer_id", "ordered_at", "product_id", "unit_price"])
    lines["ordered_at"] = pd.to_datetime(lines["ordered_at"])
    named = pd.DataFrame({"product_id": lines["product_id"].unique(), "name": "a thing"})
    shop = make_shop(tmp_path, lines, products=named)
    found = kpis(facts(shop, CUTOFF)).set_index("kpi")["value"]
    assert np.isnan(found[["cross_sell_rate", "upsell_rate"]]).all()


def test_a_tenth_dearer_is_dearer(tmp_path):
    lines = pd.DataFrame({"customer_id": "a", "ordered_at": pd.to_datetime(["2024-01-01", "2024-02-20"])})
    drinks = pd.DataFrame({"product_id": ["tea"], "category": ["drinks"]})
    for price, rate in ((11.0, 1), (10.99, 0)):
        priced = lines.assign(product_id="tea", unit_price=[10.0, price])
        rows = facts(make_shop(tmp_path / str(price), priced, products=drinks), CUTOFF)
        assert kpis(rows).set_index("kpi")["value"]["upsell_rate"] == rate


def test_a_shop_without_prices_has_no_money_and_no_crash(tmp_path):
    lines = pd.DataFrame(ORDERS, columns=["customer_id", "ordered_at", "product_id", "unit_price"])
    lines["ordered_at"] = pd.to_datetime(lines["ordered_at"])
    bare = make_shop(tmp_path, lines.drop(columns=["unit_price", "product_id"]))
    found = kpis(facts(bare, CUTOFF)).set_index("kpi")["value"]
    assert found[["average_order_value", "cross_sell_rate", "upsell_rate"]].isna().all()
    assert found["active_customers"] == 3
