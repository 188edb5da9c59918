import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.arrays.catalogue import Catalogue
from features.arrays.history import History, Vocabulary
from features.arrays.pairs import MISSING, PAIR_FEATURES, SCORES, fingerprint, pair_features
from features.arrays.products import STATISTICS, ProductTable, product_table

TODAY = 20_000
N_PRODUCTS = 12


def history_of(orders: list[list[tuple[int, list[int]]]], cutoff_day: int = TODAY) -> History:
    """Each customer: orders as (days before the cutoff, products), oldest first."""
    rows, sizes, number = [], [], 0
    for customer in orders:
        sizes.append(sum(len(products) for _, products in customer))
        for age, products in customer:
            rows += [
                (product, number, cutoff_day - age, 1 + product % 3, 2.0 + product) for product in products
            ]
            number += 1
    product, order, day, quantity, revenue = np.array(rows, float).reshape(-1, 5).T
    return History(
        Vocabulary.of([f"c{number}" for number in range(len(orders))]),
        Vocabulary.of([f"p{number:02d}" for number in range(N_PRODUCTS)]),
        np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        *(column.astype(np.int32) for column in (product, order, day)),
        quantity.astype(np.float32),
        revenue.astype(np.float32),
        cutoff_day,
    )


def catalogue_of(products: Vocabulary, *, known: bool = True) -> Catalogue:
    n = len(products)
    categories = Vocabulary.of([f"food > {'abc'[code % 3]}" for code in range(3)] if known else [])
    unknown, numbers = np.full(n, -1, np.int32), np.full(n, np.nan, np.float32)
    return Catalogue(
        products,
        categories,
        Vocabulary.of(["food"] if known else []),
        Vocabulary.of(["x", "y"] if known else []),
        category=(np.arange(n) % 3).astype(np.int32) if known else unknown,
        top_category=np.zeros(n, np.int32) if known else unknown,
        brand=(np.arange(n) % 2).astype(np.int32) if known else unknown,
        price=np.arange(1, n + 1, dtype=np.float32) if known else numbers,
        unit_cost=numbers,
        stock=numbers,
        name=np.array([b""] * n),
        launched_day=numbers,
    )


def table_of(history: History, *, known: bool = True) -> ProductTable:
    return product_table(history, catalogue_of(history.products, known=known), horizon_days=28)


def features_of(history: History, table: ProductTable) -> dict[str, np.ndarray]:
    """Features of every customer with every product, by name, shape (customers, products)."""
    n = len(history.customers)
    customer = np.repeat(np.arange(n, dtype=np.int32), N_PRODUCTS)
    product = np.tile(np.arange(N_PRODUCTS, dtype=np.int32), n)
    scores = np.zeros((len(product), len(SCORES)), np.float32)
    rows = pair_features(history, table, customer=customer, product=product, scores=scores)
    return dict(zip(PAIR_FEATURES, rows.T.reshape(-1, n, N_PRODUCTS), strict=True))


MILK, BREAD, SALT = 0, 3, 1  # milk and bread are of one category
ONE = history_of([[(30, [MILK, SALT]), (20, [MILK]), (8, [MILK, BREAD]), (1, [SALT])]])


def test_own_counts_ages_and_gaps_are_those_of_the_receipts() -> None:
    found = {name: values[0] for name, values in features_of(ONE, table_of(ONE)).items()}
    assert found["n"][[MILK, BREAD, SALT, 2]].tolist() == [3, 1, 2, 0]
    assert found["since"][[MILK, BREAD, SALT]].tolist() == [8, 8, 1]
    assert (found["gap"][MILK], found["last_gap"][MILK]) == (11, 12)
    assert found["n_7d"][SALT] == pytest.approx(2 ** (-30 / 7) + 2 ** (-1 / 7))
    assert found["due"][MILK] == pytest.approx(8 / 11)
    assert (found["orders_since"][MILK], found["share"][MILK]) == (1, 0.75)
    assert found["since"][2] == MISSING


def test_customers_are_known_by_their_orders() -> None:
    found = {name: values[0, 0] for name, values in features_of(ONE, table_of(ONE)).items()}
    assert (found["c_orders"], found["c_since"], found["c_tenure"]) == (4, 1, 30)
    assert found["c_basket"] == pytest.approx(6 / 4)
    assert found["c_repeat"] == pytest.approx(1 - 3 / 6)


def test_categories_gather_their_products() -> None:
    found = {name: values[0] for name, values in features_of(ONE, table_of(ONE)).items()}
    assert found["leaf_n"][[MILK, BREAD, 6, SALT]].tolist() == [4, 4, 4, 2]
    assert found["leaf_products"][6] == 2
    assert found["leaf_since"][4] == 1
    assert found["leaf_own"][MILK] > found["leaf_own"][BREAD] > found["leaf_own"][6] == 0


def test_without_a_catalogue_kinds_and_prices_are_missing_and_the_rest_stands() -> None:
    bare, full = (features_of(ONE, table_of(ONE, known=known)) for known in (False, True))
    assert (bare["leaf_since"] == MISSING).all()
    assert (bare["leaf_n"] == 0).all()
    assert (bare["price_relative"] == MISSING).all()
    np.testing.assert_array_equal(bare["n_28d"], full["n_28d"])


def test_statistics_count_buyers_and_their_return() -> None:
    pair = history_of([[(50, [MILK]), (3, [MILK])], [(10, [MILK, BREAD])]])
    table = table_of(pair)
    assert table.column("n_buyers")[[MILK, BREAD, SALT]].tolist() == [2, 1, 0]
    assert table.column("p_age")[MILK] == 50
    assert table.column("p_since")[MILK] == 3
    assert table.column("p_buyers_7d")[[MILK, BREAD]].tolist() == [1, 0]
    assert table.by_popularity[:2].tolist() == [MILK, BREAD]


def test_coming_back_is_asked_of_those_who_came_at_all() -> None:
    """Of three earlier buyers of milk one came back for it, one for bread, one not at all."""
    shop = history_of(
        [[(70, [MILK]), (3, [MILK])], [(70, [MILK]), (3, [BREAD, SALT])], [(40, [MILK])], [(5, [MILK])]]
    )
    table = table_of(shop)
    assert table.column("p_rebuy")[MILK] == pytest.approx(1 / 3)
    assert table.column("p_rebuy_active")[MILK] == pytest.approx(1 / 2)
    assert table.column("p_basket_28d")[[MILK, BREAD]] == pytest.approx([(1 + 1) / 3, 1 / 6])
    assert table.column("p_loyal_28d")[[MILK, BREAD]].tolist() == [0.5, 0.5]


def test_an_amount_is_worth_its_price_and_told_against_what_others_take() -> None:
    table = table_of(ONE)
    found = {name: values[0] for name, values in features_of(ONE, table).items()}
    decayed = sum(2 ** (-age / 112) for age in (30, 1))
    assert found["value"][SALT] == pytest.approx(np.log1p(2 * 2 * decayed))  # price 2, two a time
    assert found["quantity_relative"][SALT] == pytest.approx(0)
    assert found["value"][2] == found["quantity_relative"][2] == MISSING


orders = st.lists(
    st.tuples(
        st.integers(1, 200), st.lists(st.integers(0, N_PRODUCTS - 1), min_size=1, max_size=4, unique=True)
    ),
    max_size=6,
).map(lambda found: [(age, sorted(products)) for age, products in sorted(found, key=lambda order: -order[0])])


@settings(max_examples=40, deadline=None)
@given(st.lists(orders, min_size=2, max_size=5))
def test_the_row_of_one_customer_equals_their_row_among_all_bit_by_bit(shop: list) -> None:
    history = history_of(shop)
    table = table_of(history)
    everyone = features_of(history, table)
    for code in range(len(shop)):
        alone = features_of(history.of_customers(np.array([code], np.int32)), table)
        for name in PAIR_FEATURES:
            np.testing.assert_array_equal(alone[name][0], everyone[name][code], err_msg=name)


def test_one_who_bought_nothing_has_features_too() -> None:
    found = features_of(history_of([[], [(3, [MILK])]]), table_of(ONE))
    assert (found["n"][0] == 0).all()
    assert found["c_since"][0, 0] == MISSING
    assert all(np.isfinite(values).all() for values in found.values())


def test_every_feature_is_documented_and_the_fingerprint_tells_definitions_apart() -> None:
    """The sum of all features of a fixed shop: where it changes on purpose, raise ``VERSION`` too."""
    assert len(PAIR_FEATURES) == len({*PAIR_FEATURES}) > len(STATISTICS)
    assert all(PAIR_FEATURES.values())
    total = sum(
        float(np.abs(values).sum(dtype=np.float64)) for values in features_of(ONE, table_of(ONE)).values()
    )
    assert (round(total), fingerprint()) == (18760, "7530a4aa")
