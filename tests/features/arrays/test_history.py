import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.orders import make_shop, order_lines, products, with_guests

from features.arrays.history import History, Vocabulary, interactions
from features.storage.tables import fetch
from features.window import day_number, local_day, parse_cutoff

CUTOFF = parse_cutoff("2024-05-01")


@pytest.fixture(scope="module")
def shop(tmp_path_factory):
    return make_shop(tmp_path_factory.mktemp("shop"), products=products())


@given(
    st.lists(
        st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=8)
    )
)
def test_a_vocabulary_gives_back_every_id_it_was_given(ids):
    vocabulary = Vocabulary.of(ids)
    assert vocabulary.names(vocabulary.codes(ids)) == ids
    assert vocabulary.all_names() == sorted(set(ids), key=str.encode)


def test_an_unknown_id_is_minus_one_however_long():
    vocabulary = Vocabulary.of(["a", "b"])
    assert vocabulary.codes(["b", "a" * 10_000, "", "ab", "z"]).tolist() == [1, -1, -1, -1, -1]


def test_rows_are_the_lines_net_of_returns_in_time_order(shop):
    history = shop.history(CUTOFF)
    lines = fetch(shop.con, "FROM order_lines")
    moment = pd.Timestamp(CUTOFF).tz_localize(None)
    back = fetch(shop.con, "FROM returns").query("returned_at < @moment").groupby("line_id")["quantity"].sum()
    lines = lines[lines.ordered_at < moment].assign(net=lambda x: x.quantity - x.line_id.map(back).fillna(0))
    code = history.customers.code("c07")
    mine = lines[(lines.customer_id == "c07") & (lines.net > 0)].sort_values(["ordered_at", "product_id"])
    rows = history.rows(code)
    assert history.products.names(history.product[rows]) == mine.product_id.tolist()
    assert history.quantity[rows].tolist() == mine.net.tolist()
    assert history.cutoff_day == day_number(local_day(CUTOFF, "UTC"))


def test_some_customers_are_the_same_rows_as_among_all(shop):
    history = shop.history(CUTOFF)
    codes = np.array([30, 2, 11])
    some = history.of_customers(codes)
    for place, code in enumerate(codes):
        assert some.product[some.rows(place)].tolist() == history.product[history.rows(code)].tolist()
        assert some.day[some.rows(place)].tolist() == history.day[history.rows(code)].tolist()


def test_pairs_named_by_id_are_numbered_as_those_of_the_rows(shop):
    history = shop.history(CUTOFF)
    at = [5, 5, 90, 12]
    named = pd.DataFrame(
        {
            "customer_id": [*history.customers.names(history.customer[at]), "c07", "stranger"],
            "product_id": [*history.products.names(history.product[at]), "unheard-of", "p1"],
        }
    )
    assert history.pairs_of(named).tolist() == sorted(set(history.pair[at].tolist()))


def test_sales_are_the_history_and_behind_it_an_order_a_guest(tmp_path):
    lines = with_guests(order_lines())
    shop = make_shop(tmp_path, lines, products=products())
    history, sales = shop.history(CUTOFF), shop.sales(CUTOFF)
    n, rows = len(history.customers), len(history.product)
    guests = lines[lines["customer_id"].isna() & (lines["ordered_at"] < CUTOFF.replace(tzinfo=None))]
    assert sales.customers.all_names()[:n] == history.customers.all_names()
    assert len(sales.customers) - n == guests["order_id"].nunique()
    for name in ("product", "day", "quantity", "revenue"):
        assert np.array_equal(getattr(sales, name)[:rows], getattr(history, name), equal_nan=True)
    assert sales.quantity[rows:].sum() == guests["quantity"].sum()


def test_where_every_line_has_a_customer_sales_are_the_history_itself(shop):
    assert shop.sales(CUTOFF) is shop.history(CUTOFF)


def test_a_saved_history_maps_back_unchanged(shop, tmp_path):
    history = shop.history(CUTOFF)
    history.save(tmp_path)
    loaded = History.load(tmp_path)
    assert loaded.customers.all_names() == history.customers.all_names()
    assert all(
        np.array_equal(getattr(loaded, name), getattr(history, name))
        for name in ("indptr", "product", "day", "revenue")
    )
    assert isinstance(loaded.product.base, np.memmap)


def test_interactions_count_purchases_and_are_never_negative(shop):
    history = shop.history(CUTOFF)
    counts, decayed = interactions(history), interactions(history, 28)
    assert counts.matrix.sum() == len(history.product)
    assert 0 < decayed.matrix.sum() < counts.matrix.sum()
    assert decayed.matrix.min() >= 0


def test_a_catalogue_is_aligned_to_the_history(shop):
    catalogue = shop.catalogue(CUTOFF)
    code = shop.history(CUTOFF).products.code("p04")
    assert catalogue.names([code]) == ["Product 4"]
    assert catalogue.categories.names([catalogue.category[code]]) == ["food > b"]
    assert catalogue.top_categories.names([catalogue.top_category[code]]) == ["food"]
    assert float(catalogue.unit_cost[code]) == 3.0


def test_a_long_name_is_cut_between_characters(tmp_path):
    name = "Pão de açúcar " * 10
    shop = make_shop(tmp_path, products=pd.DataFrame({"product_id": ["p04"], "name": [name]}))
    catalogue = shop.catalogue(CUTOFF)
    shown = catalogue.names([catalogue.products.code("p04")])[0]
    assert name.startswith(shown) and len(shown.encode()) in (119, 120)


def test_a_shop_without_products_has_an_empty_history(tmp_path):
    shop = make_shop(tmp_path, order_lines().drop(columns="product_id"))
    history = shop.history(CUTOFF)
    assert (len(history.customers), len(history.products), len(history.product)) == (0, 0, 0)
    assert len(shop.catalogue(CUTOFF).products) == 0
