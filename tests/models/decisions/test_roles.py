"""What a product is to a customer, by hand: new, dearer, due, an accessory; how often it is bought again."""

import itertools
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from worlds import orders
from worlds.receipts import history_of

from features.arrays.history import History, Vocabulary
from features.arrays.last_bought import days_since_bought
from features.window import parse_cutoff
from models.decisions.roles import (
    ProductFacts,
    _partners,
    goes_with,
    kind_cooling,
    repeat_days,
    roles,
    usual_price,
)
from models.policy.action_table import role_bit
from models.policy.subjects import Goods

CHEAP, USUAL, BETTER, LUXURY, OTHER = range(5)
PRICE = np.array([3.0, 10.0, 15.0, 90.0, 15.0])
KIND = np.array([0, 0, 0, 0, 1], np.int32)


def history(days: list[int], product: list[int]) -> History:
    """One customer's purchases, up to day 100."""
    n = len(days)
    ints = np.array(product, np.int32)
    ones = np.ones(n, np.float32)
    return History(
        Vocabulary.of(["a"]),
        Vocabulary.of([f"p{code}" for code in range(5)]),
        np.array([0, n]),
        ints,
        np.arange(n, dtype=np.int32),
        np.array(days, np.int32),
        ones,
        ones,
        100,
    )


def shelf(**columns: np.ndarray) -> ProductFacts:
    none = np.zeros(5, np.float32)
    rest = {"same_kind_days": none, "settling_days": none, "repeat_days": none + 20}
    rest |= {"flash": np.zeros(5, bool), "partner": np.full(5, -1, np.int32)}
    rest |= {"accessories": np.array([[-1, -1], [OTHER, -1]] + [[-1, -1]] * 3, np.int32)}
    return ProductFacts(category=KIND, **(rest | columns))  # type: ignore[arg-type]


def told(bought: History, price: np.ndarray = PRICE, **columns: np.ndarray) -> dict[int, set[str]]:
    """Return the roles of every product to the customer."""
    product = np.arange(5, dtype=np.int32)[None, :]
    goods = Goods(price, price, np.full(5, np.nan), np.zeros(5, bool))
    bits = roles(
        bought,
        product,
        days_since_bought=days_since_bought(bought, product),
        goods=goods,
        facts=shelf(**columns),
    )[0]
    names = ("new", "dearer", "due", "flash")
    return {code: {name for name in names if bits[code] & role_bit(name)} for code in range(5)}


def test_what_was_never_bought_is_new_and_what_was_is_due_in_its_time() -> None:
    found = told(history([84, 99], [USUAL, OTHER]))
    assert found[USUAL] == {"due"} and found[OTHER] == set()
    assert all("new" in found[code] for code in (CHEAP, BETTER, LUXURY))


def test_a_product_nobody_buys_again_is_never_due() -> None:
    assert told(history([10], [USUAL]), repeat_days=np.full(5, np.nan, np.float32))[USUAL] == set()


def test_a_better_version_is_dearer_than_usual_but_not_out_of_reach() -> None:
    found = told(history([90], [USUAL]))
    assert "dearer" in found[BETTER] and "dearer" not in found[LUXURY] and "dearer" not in found[CHEAP]


def test_days_and_prices_at_the_edge_are_inside() -> None:
    assert [told(history([day], [USUAL]))[USUAL] for day in (85, 86)] == [{"due"}, set()]  # 3/4 of 20 days
    edges = told(history([90], [USUAL]), np.array([11.49, 10.0, 11.5, 30.0, 30.1]))
    assert [code for code in range(4) if "dearer" in edges[code]] == [BETTER, LUXURY]
    beyond = told(history([90], [USUAL]), np.array([30.1, 10.0, 11.4, 30.1, 0.0]))
    assert not any("dearer" in found for found in beyond.values())
    assert ["flash" in told(history([day], [USUAL]))[OTHER] for day in (9, 10)] == [False, True]
    slow = shelf(same_kind_days=np.full(5, 30, np.float32))
    for day, cooling in ((70, False), (71, True)):
        found = kind_cooling(history([day], [USUAL]), np.array([[BETTER]], np.int32), facts=slow)
        assert found is not None and found.item() == cooling


def test_what_the_customer_has_is_no_better_version() -> None:
    assert "dearer" not in told(history([90, 95], [USUAL, BETTER]))[BETTER]


def test_dearer_is_said_of_the_same_category_only() -> None:
    assert "dearer" not in told(history([90], [USUAL]))[OTHER]


def test_an_accessory_shares_orders_with_what_was_bought_lately_whatever_it_costs() -> None:
    found = told(history([90], [USUAL]))
    assert "flash" in found[OTHER] and "flash" not in found[CHEAP]
    assert "flash" not in told(history([5], [USUAL]))[OTHER]


def test_no_accessory_is_told_of_another_customers_purchase_or_of_an_empty_place() -> None:
    bought, product = history([90], [USUAL]), np.array([[OTHER, -1], [OTHER, -1]], np.int32)
    two = replace(bought, customers=Vocabulary.of(["a", "b"]), indptr=np.array([0, 1, 1]))
    assert goes_with(two, product, accessories=shelf().accessories).tolist() == [
        [True, False],
        [False, False],
    ]


def test_slow_movers_and_launches_are_for_a_flash_sale() -> None:
    assert "flash" in told(history([90], [USUAL]), flash=np.arange(5) == LUXURY)[LUXURY]


def test_the_usual_price_is_the_mean_of_what_was_bought_in_the_category() -> None:
    found = usual_price(
        history([1, 2], [CHEAP, USUAL]), np.array([[BETTER, OTHER, -1]]), price=PRICE, category=KIND
    )
    np.testing.assert_array_equal(found, [[6.5, np.nan, np.nan]])


def test_a_kind_bought_once_in_a_long_while_cools_down() -> None:
    product, bought = np.array([[BETTER, OTHER]], np.int32), history([90], [USUAL])
    slow = shelf(same_kind_days=np.where(KIND == 0, 30, 0).astype(np.float32))
    found = kind_cooling(bought, product, facts=slow)
    assert found is not None and found.tolist() == [[True, False]]
    assert kind_cooling(bought, product, facts=shelf()) is None


purchases = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(1, 40), st.just(1.0)),
    min_size=1,
    max_size=60,
)


@settings(max_examples=60, deadline=None)
@given(purchases)
@example([(0, 0, ago, 1.0) for ago in range(1, 61, 10)] + [(0, 1, ago, 1.0) for ago in range(1, 9)])
def test_a_product_bought_again_often_tells_its_own_rhythm_else_its_category_else_the_shop(
    rows: list,
) -> None:
    kinds, gaps = np.array([0, 0, 1, -1], np.int32), [[] for _ in range(4)]
    for (_, product), mine in itertools.groupby(sorted(rows), key=lambda row: row[:2]):
        gaps[product] += [b - a for a, b in itertools.pairwise(row[2] for row in mine) if b > a]
    wanted = []
    for product, kind in enumerate(kinds.tolist()):
        alike = [gap for other in range(4) if kinds[other] == kind >= 0 for gap in gaps[other]]
        told = [some for some in (gaps[product], alike) if len(some) >= 5] + [sum(gaps, [])]
        wanted.append(np.median(told[0]) if told[0] else np.nan)
    np.testing.assert_array_equal(repeat_days(history_of(rows, n_products=4), kinds), wanted)


def test_a_partner_is_the_best_seller_of_the_category() -> None:
    units = np.array([1.0, 5.0, 5.0, 9.0, 2.0])
    assert _partners(np.array([0, 0, 0, -1, 1], np.int32), units).tolist() == [1, -1, 1, -1, -1]


def test_a_shelf_is_read_of_the_shop_and_read_back_as_written(tmp_path: Path) -> None:
    cutoff = parse_cutoff("2024-06-01")
    goods = orders.products().assign(
        stock=[900.0, 5.0] + [np.nan] * 10,
        launched_on=pd.to_datetime(["2024-05-20" if code == 3 else None for code in range(12)]),
    )
    more = "[contact_policy]\ndelivery_days = 3\n"
    shop = orders.make_shop(tmp_path, products=goods, more=more)
    found = ProductFacts.read(shop, cutoff)
    assert {*found.settling_days.tolist()} == {3}  # food settles as it arrives
    assert np.flatnonzero(found.flash).tolist() == [
        0,
        3,
    ]  # a slow mover and a launch; of p01 five are left, and it sells
    assert found.partner[found.category == 0].max() >= 0
    best = [code for code in range(12) if found.partner[code] == -1]
    assert len(best) == 3  # the best seller of each category has none
    found.save(tmp_path / "products")
    np.testing.assert_array_equal(ProductFacts.load(tmp_path / "products").repeat_days, found.repeat_days)


def test_a_launch_of_the_day_before_the_cutoff_is_one_in_the_shops_own_calendar(tmp_path: Path) -> None:
    goods = orders.products().assign(launched_on=pd.to_datetime(["2024-05-31", "2024-06-01"] + [None] * 10))
    shop = orders.make_shop(tmp_path, products=goods, timezone="Asia/Tokyo")
    found = ProductFacts.read(shop, parse_cutoff("2024-06-01", "Asia/Tokyo"))  # 31 May, 15:00 in UTC
    assert np.flatnonzero(found.flash).tolist() == [0]


@pytest.mark.parametrize("goods", ["any", "new", "dearer", "due", "flash"])
def test_every_role_has_a_bit_of_its_own(goods: str) -> None:
    assert bin(role_bit(goods)).count("1") == 1 and role_bit("none") == 0
