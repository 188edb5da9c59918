import pandas as pd
import pytest
from worlds.orders import make_shop

from features.errors import SettingsError
from features.window import parse_cutoff

CUTOFF, END = parse_cutoff("2024-01-10"), parse_cutoff("2024-01-20")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    rows = [
        ("a", "2024-01-09T23:59:59", 1, "p"),
        ("a", "2024-01-10T00:00:00", 1, "p"),
        ("a", "2024-01-10T09:00:00", 2, "q"),
        ("a", "2024-01-15T00:00:00", -1, "p"),
        ("b", "2024-01-19T23:59:59", 1, "p"),
        ("b", "2024-01-20T00:00:00", 1, "p"),
        ("c", "2024-01-25T00:00:00", 1, "p"),
        (None, "2024-01-12T00:00:00", 3, "p"),
        (None, "2024-01-13T00:00:00", 4, "p"),
        (None, "2024-01-20T00:00:00", 5, "p"),
    ]
    lines = pd.DataFrame(rows, columns=["customer_id", "ordered_at", "quantity", "product_id"])
    lines["ordered_at"] = pd.to_datetime(lines["ordered_at"])
    return make_shop(tmp_path_factory.mktemp("shop"), lines.assign(unit_price=10.0))


def test_the_cutoff_is_in_the_horizon_and_its_end_is_not(shop):
    labels = shop.labels(CUTOFF, 10, END)
    assert labels["n_order_days"].to_dict() == {"a": 1, "b": 1}


def test_revenue_is_net_of_returns_made_in_the_horizon(shop):
    assert shop.labels(CUTOFF, 10, END)["revenue"].to_dict() == {"a": 20.0, "b": 10.0}


def test_products_are_labelled_as_ordered(shop):
    labels = shop.product_labels(CUTOFF, 10, END)
    assert labels[["customer_id", "product_id", "quantity"]].values.tolist() == [
        ["a", "p", 1.0],
        ["a", "q", 2.0],
        ["b", "p", 1.0],
    ]


def test_guests_follow_all_others_where_they_are_asked_for(shop):
    labels = shop.product_labels(CUTOFF, 10, END, guests=True)
    assert labels["quantity"].tolist() == [1.0, 2.0, 1.0, 3.0, 4.0]
    assert labels["customer_id"].nunique() == 4


def test_a_horizon_that_has_not_closed_is_refused_in_words(shop):
    with pytest.raises(SettingsError, match="but orders are known only until"):
        shop.labels(CUTOFF, 11, END)
