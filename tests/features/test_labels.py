import pandas as pd
import pytest
from worlds.orders import make_shop

from features.errors import SettingsError
from features.labels import followed
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
    labels = shop.labels(CUTOFF, 10, known_until=END)
    assert labels["n_order_days"].to_dict() == {"a": 1, "b": 1}


def test_revenue_is_net_of_returns_made_in_the_horizon(shop):
    assert shop.labels(CUTOFF, 10, known_until=END)["revenue"].to_dict() == {"a": 20.0, "b": 10.0}


def test_a_return_of_an_earlier_purchase_or_at_the_end_takes_no_revenue_off_the_horizon(tmp_path):
    rows = [("d", "2024-01-05", 1, "p"), ("d", "2024-01-12", 1, "q"), ("d", "2024-01-13", -1, "p")]
    rows += [("e", "2024-01-15", 1, "p"), ("e", "2024-01-20", -1, "p")]
    lines = pd.DataFrame(rows, columns=["customer_id", "ordered_at", "quantity", "product_id"])
    lines = lines.assign(unit_price=10.0, ordered_at=pd.to_datetime(lines["ordered_at"]))
    labels = make_shop(tmp_path, lines).labels(CUTOFF, 10, known_until=END)
    assert labels["revenue"].to_dict() == {"d": 10.0, "e": 10.0}


def test_products_are_labelled_as_ordered(shop):
    labels = shop.product_labels(CUTOFF, 10, known_until=END)
    assert labels[["customer_id", "product_id", "quantity"]].values.tolist() == [
        ["a", "p", 1.0],
        ["a", "q", 2.0],
        ["b", "p", 1.0],
    ]


def test_guests_follow_all_others_where_they_are_asked_for(shop):
    labels = shop.product_labels(CUTOFF, 10, known_until=END, guests=True)
    assert labels["quantity"].tolist() == [1.0, 2.0, 1.0, 3.0, 4.0]
    assert labels["customer_id"].nunique() == 4


def test_a_horizon_that_has_not_closed_is_refused_in_words(shop):
    with pytest.raises(SettingsError, match="but orders are known only until"):
        shop.labels(CUTOFF, 11, known_until=END)


ORDERS = [  # day, order, product, quantity, price, discount
    ("2024-01-05", "1", "tea", 1, 10.0, 0.0),
    ("2024-01-10", "2", "mug", 2, 10.0, 4.0),
    ("2024-01-10", "2", "pot", 1, 30.0, 0.0),
    ("2024-01-20", "3", "cup", 1, 7.0, 0.0),
    ("2024-02-10", "4", "mug", -1, 8.0, 0.0),
]


@pytest.fixture(scope="module")
def buyer(tmp_path_factory):
    names = ["ordered_at", "order_id", "product_id", "quantity", "unit_price", "discount"]
    lines = pd.DataFrame(ORDERS, columns=names).assign(customer_id="a")
    sent = pd.DataFrame(
        {"customer_id": "a", "sent_at": pd.to_datetime(["2024-01-09", "2024-01-10", "2024-01-11"])}
    )
    return make_shop(
        tmp_path_factory.mktemp("buyer"),
        lines.assign(ordered_at=pd.to_datetime(lines["ordered_at"])),
        contacts=sent.assign(contact_id=["z", "y", "x"], action="mail"),
    )


def test_what_followed_begins_with_the_moment_and_ends_before_the_horizon_does(buyer):
    moment = pd.Timestamp("2024-01-10")
    asked = pd.DataFrame({"customer_id": "a", "moment": moment, "product_id": ["mug", "tea", "cup", None]})
    found = followed(buyer.con, asked, horizon_days=10)
    assert found[["n_orders", "revenue", "discount"]].drop_duplicates().values.tolist() == [[1, 38.0, 2.0]]
    assert found["bought_product"].tolist() == [True, False, False, False]
    assert found["knew_product"].tolist() == [False, True, False, False]


def test_contacts_are_those_after_a_moment_whose_horizon_has_closed_oldest_first(buyer):
    end = parse_cutoff("2024-01-20")
    assert buyer.contacted(10, parse_cutoff("2024-01-08"), known_until=end)["contact_id"].tolist() == [
        "z",
        "y",
    ]
    found = buyer.contacted(10, parse_cutoff("2024-01-09"), known_until=end)
    assert found["contact_id"].tolist() == ["y"]
    assert found[["n_orders", "revenue"]].values.tolist() == [[1, 38.0]]
