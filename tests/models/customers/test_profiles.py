import numpy as np
import pandas as pd
import pytest
from worlds.orders import make_shop, order_lines, products

from features.window import parse_cutoff
from models.customers.profiles import favourites, movement, profiles

CUTOFF = parse_cutoff("2024-06-01")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return make_shop(tmp_path_factory.mktemp("profiles"), order_lines(), products=products())


def test_shares_sum_to_one_and_money_to_the_books(shop):
    features = shop.customer_features(CUTOFF)
    groups = pd.Series(np.where(features["n_orders"] > 9, "many", "few"), index=features.index)
    found = profiles(groups, features)
    assert found["customer_share"].sum() == pytest.approx(1.0)
    assert found["revenue_share"].sum() == pytest.approx(1.0)
    assert (found["n_customers"] * found["revenue"]).sum() == pytest.approx(features["revenue"].sum())


def test_a_favourite_is_what_a_group_buys_beyond_all_others(tmp_path):
    days = pd.date_range("2024-01-01", periods=30, freq="3D")
    bought = [("tea lover", "p00"), ("tea lover", "p01"), ("mug lover", "p01"), ("mug lover", "p02")]
    lines = pd.DataFrame([(c, day, p, 1.0) for day in days for c, p in bought])
    lines.columns = pd.Index(["customer_id", "ordered_at", "product_id", "unit_price"])
    shop = make_shop(tmp_path, lines, products=products())
    groups = pd.Series({"tea lover": "tea", "mug lover": "mug"})
    found = favourites(groups, shop.history(CUTOFF), catalogue=shop.catalogue(CUTOFF))
    assert found == {"tea": ["food > a"], "mug": ["food > c"]}


def test_favourites_are_of_twenty_lines_or_more_the_furthest_beyond_the_others_first(tmp_path):
    times = {("anna", "p00"): 20, ("anna", "p01"): 19, ("bert", "p01"): 60, ("bert", "p02"): 40}
    days = pd.date_range("2023-01-01", periods=60)
    lines = pd.DataFrame([(*pair, day, 1.0) for pair, n in times.items() for day in days[:n]])
    lines.columns = pd.Index(["customer_id", "product_id", "ordered_at", "unit_price"])
    shop = make_shop(tmp_path, lines, products=products())
    groups = pd.Series({"anna": "a", "bert": "b"})
    found = favourites(groups, shop.history(CUTOFF), catalogue=shop.catalogue(CUTOFF))
    assert found == {"a": ["food > a"], "b": ["food > c", "food > b"]}


def test_the_group_of_the_largest_revenue_comes_first(shop):
    features = shop.customer_features(CUTOFF).sort_values("revenue")
    groups = pd.Series(["poor"] * (len(features) - 1) + ["rich"], index=features.index)
    lone = features.assign(revenue=[1.0] * (len(features) - 1) + [1000.0])
    assert profiles(groups, lone).index.tolist() == ["rich", "poor"]


def test_a_shop_without_categories_has_no_favourites(tmp_path):
    shop = make_shop(tmp_path, order_lines(n_customers=4))
    groups = pd.Series("all", index=shop.customer_features(CUTOFF).index)
    assert favourites(groups, shop.history(CUTOFF), catalogue=shop.catalogue(CUTOFF)) == {"all": []}


def test_movement_counts_every_customer_once_and_newcomers_as_new():
    found = movement(
        pd.Series({"a": "loyal", "b": "loyal"}), pd.Series({"a": "at risk", "b": "loyal", "c": "new"})
    )
    assert found.loc["loyal"].to_dict() == {"at risk": 1, "loyal": 1, "new": 0}
    assert found.loc["new", "new"] == 1
    assert found.to_numpy().sum() == 3
