"""Margin as it was sold, counted by hand."""

from pathlib import Path

import pandas as pd
import pytest
from worlds.orders import make_shop

from features.shop import Shop
from features.window import parse_cutoff

CUTOFF = parse_cutoff("2024-03-01")
LINES = [  # customer, day, product, quantity, unit price, discount
    ("anna", "2024-02-01", "milk", 9.0, 10.0, 0.0),
    ("bert", "2024-02-02", "wine", 1.0, 40.0, 10.0),
    ("bert", "2024-02-03", "gift", 1.0, 99.0, 0.0),  # of unknown cost
    ("cleo", "2024-02-04", "wine", 1.0, None, 0.0),  # of unknown price
    (None, "2024-02-05", "wine", 5.0, 40.0, 0.0),  # nobody's
    ("anna", "2023-08-31", "milk", 9.0, 5.0, 0.0),  # half a year and a day old, at another price
    ("anna", "2024-03-01", "wine", 9.0, 40.0, 0.0),  # not yet
]


def shop(folder: Path, **costs: float) -> Shop:
    names = ["customer_id", "ordered_at", "product_id", "quantity", "unit_price", "discount"]
    lines = pd.DataFrame(LINES, columns=names)
    lines["ordered_at"] = pd.to_datetime(lines["ordered_at"]) + pd.Timedelta(hours=12)
    goods = pd.DataFrame({"product_id": ["milk", "wine", "gift"]})
    return make_shop(folder, lines, products=goods.assign(unit_cost=goods["product_id"].map(costs)))


def test_the_margin_is_what_was_sold_and_not_what_products_usually_promise(tmp_path: Path) -> None:
    found = shop(tmp_path, milk=9.0, wine=10.0).margin(CUTOFF)  # of products: 10% and 75%
    assert found.rate == pytest.approx(1 - (81 + 10) / (90 + 30))
    assert found.goods == pytest.approx((81 + 10) / (90 + 40))


def test_without_a_known_cost_the_assumed_margin_is_that_of_all_revenue(tmp_path: Path) -> None:
    found = shop(tmp_path).margin(CUTOFF)
    assert found.rate == 0.3
    revenue, full = 90 + 30 + 99, 90 + 40 + 99
    assert revenue - found.goods * full == pytest.approx(0.3 * revenue)


def test_a_shop_long_asleep_has_the_margin_it_had(tmp_path: Path) -> None:
    awake = shop(tmp_path, milk=9.0, wine=10.0)
    assert awake.margin(parse_cutoff("2025-02-01")) == awake.margin(parse_cutoff("2024-03-02"))
