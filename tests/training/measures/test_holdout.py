"""The truth of a shop that is small enough to be told by hand."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds.fakes import FakeConfig, FakeLists
from worlds.orders import make_shop

from features.window import parse_cutoff
from training.measures.holdout import Holdout

CUTOFF = parse_cutoff("2024-06-01")
ORDERS = [
    ("ada", "2024-01-05", ["apple", "bread"]),
    ("ada", "2024-02-05", ["apple"]),
    ("bob", "2024-02-05", ["bread", "date"]),
    *(("cleo", f"2024-0{month}-07", ["bread"]) for month in (1, 2, 3, 4)),
    ("gus", "2024-03-05", ["cake"]),
    ("ada", "2024-06-01", ["apple", "cake"]),  # the first moment after the cutoff
    ("ada", "2024-06-03", ["apple"]),
    ("bob", "2024-06-28", ["apple"]),  # the last day of the horizon
    ("cleo", "2024-06-29", ["bread"]),
    ("new", "2024-06-05", ["bread"]),
]


@pytest.fixture(scope="module")
def holdout(tmp_path_factory: pytest.TempPathFactory) -> Holdout:
    """Return the horizon of 28 days; Gus has brought his cake back."""
    lines = pd.DataFrame(
        [
            (customer, pd.Timestamp(day), f"{customer} {day}", product, 1.0, 2.0)
            for customer, day, products in ORDERS
            for product in products
        ],
        columns=["customer_id", "ordered_at", "order_id", "product_id", "quantity", "unit_price"],
    )
    back = lines[lines["customer_id"] == "gus"].assign(quantity=-1.0, ordered_at=pd.Timestamp("2024-03-09"))
    return Holdout(make_shop(tmp_path_factory.mktemp("shop"), pd.concat([lines, back])), CUTOFF)


def test_everyone_ever_seen_has_a_truth_also_who_brought_all_back(holdout: Holdout) -> None:
    assert holdout.truths[["n_order_days", "lapsed", "revenue"]].to_dict("index") == {
        "ada": {"n_order_days": 2.0, "lapsed": False, "revenue": 6.0},
        "bob": {"n_order_days": 1.0, "lapsed": False, "revenue": 2.0},
        "cleo": {"n_order_days": 0.0, "lapsed": True, "revenue": 0.0},
        "gus": {"n_order_days": 0.0, "lapsed": True, "revenue": 0.0},
    }


def test_purchases_and_their_money_are_of_the_segment_they_belong_to(holdout: Holdout) -> None:
    named = {
        segment: set(zip(holdout.customers[rows], holdout.products[codes], strict=True))
        for segment, (rows, codes) in holdout.purchases.items()
    }
    assert named == {
        "all": {("ada", "apple"), ("bob", "apple")},  # nobody had kept a cake: it is not measured
        "new": {("bob", "apple")},
        "repeat": {("ada", "apple")},
    }
    assert {name: money.tolist() for name, money in holdout.spent.items() if money is not None} == {
        "all": [4.0, 2.0],
        "new": [2.0],
        "repeat": [4.0],
    }


def test_of_few_products_all_that_anybody_kept_are_measured(holdout: Holdout) -> None:
    assert holdout.products[holdout.catalogue].tolist() == ["apple", "bread", "date"]


def test_nobody_bought_what_is_not_recommended(holdout: Holdout) -> None:
    shown = holdout.products.get_indexer(["apple", "bread", "no such product"])
    assert shown[-1] == -1
    rows = np.arange(len(holdout.customers))
    assert holdout.bought_before(rows, np.tile(shown, (len(rows), 1))).tolist() == [
        [True, True, False],
        [False, True, False],
        [False, True, False],
        [False, False, False],
    ]


def test_a_product_is_as_rare_as_its_buyers_are_few_and_one_of_none_as_of_one(holdout: Holdout) -> None:
    rarity = dict(zip(holdout.products, holdout.rarity.tolist(), strict=True))
    assert rarity == pytest.approx({"apple": 2.0, "bread": -np.log2(3 / 4), "cake": 2.0, "date": 2.0})


def test_one_order_makes_a_new_buyer_and_more_than_the_median_a_heavy_one(holdout: Holdout) -> None:
    assert holdout.buyers.to_dict() == {"ada": "light", "bob": "new", "cleo": "heavy", "gus": "new"}


def test_where_nobody_came_twice_everybody_is_new(tmp_path: Path) -> None:
    lines = pd.DataFrame({"customer_id": ["a", "b"], "ordered_at": pd.Timestamp("2024-01-05")})
    assert Holdout(make_shop(tmp_path, lines), CUTOFF).buyers.tolist() == ["new", "new"]


def test_lists_are_ready_for_decisions_at_the_ranks_they_have(holdout: Holdout) -> None:
    frame = pd.DataFrame(
        [
            ("bob", "for_you", 1, "bread", 0.5),
            ("bob", "for_you", 2, "apple", 0.25),
            ("ada", "for_you", 1, "apple", 0.75),
            ("a stranger", "for_you", 1, "apple", 0.9),
        ],
        columns=["customer_id", "list", "rank", "product_id", "score"],
    )
    products, chances = holdout.ready(frame)["for_you"]
    names = holdout.shop.history(CUTOFF).customers.names(holdout.decided)
    shown = {
        name: [(holdout.products[code], chance) for code, chance in zip(*rows, strict=True) if code >= 0]
        for name, *rows in zip(names, products.tolist(), chances.tolist(), strict=True)
    }
    assert shown["ada"] == [("apple", 0.75)]
    assert shown["bob"] == [("bread", 0.5), ("apple", 0.25)]
    assert shown["cleo"] == []


def test_one_who_ordered_as_often_as_the_median_is_light(holdout: Holdout) -> None:
    early = Holdout(holdout.shop, parse_cutoff("2024-02-06"))
    assert early.buyers.to_dict() == {"ada": "light", "bob": "new", "cleo": "new"}


def test_a_list_is_read_to_its_depth_and_a_stranger_has_no_row(holdout: Holdout) -> None:
    rows = [("bob", 1, "bread"), ("bob", 3, "apple"), ("ada", 2, "no such product"), ("stranger", 1, "apple")]
    codes = holdout.matrix(pd.DataFrame(rows, columns=["customer_id", "rank", "product_id"]), 2)
    bread = holdout.products.get_loc("bread")
    assert codes.tolist() == [[-1, -1], [bread, -1], [-1, -1], [-1, -1]]


def test_a_state_is_shared_by_models_of_one_config_until_it_is_forgotten(holdout: Holdout) -> None:
    class Lists(FakeLists):
        def state(self, shop: Any, cutoff: Any) -> Any:
            return [cutoff]

    one, same, other = (Lists(FakeConfig(noise=noise), CUTOFF) for noise in (0.0, 0.0, 1.0))
    first = holdout.state(one)
    assert holdout.state(same) is first and holdout.state(other) is not first
    holdout.forget()
    assert holdout.state(one) is not first
