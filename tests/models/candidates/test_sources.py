import contextlib
from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.feature_extraction.text import TfidfVectorizer
from worlds.checkerboard import CUTOFF, board
from worlds.receipts import history_of

from features.arrays.catalogue import Catalogue
from features.arrays.history import Vocabulary, interactions
from models.candidates.sources import FRESH_DAYS, Arrivals, Linear
from models.similarity.collaborative import Neighbours, factors, nearest
from models.similarity.linear import CAP, FIRM, _strongest, linear
from models.similarity.wording import WORD, _weights, texts


def named(names: list[str]) -> Catalogue:
    shop, _, _ = board()
    catalogue = shop.catalogue(CUTOFF)
    unknown = np.full(len(catalogue.products), -1, np.int32)
    padded = np.array([name.encode() for name in names] + [b""] * (len(unknown) - len(names)))
    return replace(catalogue, name=padded, category=unknown, brand=unknown)


@pytest.mark.parametrize("n_products", [6_000, 10])
def test_the_linear_model_is_the_inverse_of_the_textbook(
    n_products: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("models.similarity.linear.N_PRODUCTS", n_products)
    history = board()[2].history
    counts = interactions(history, 56.0).matrix.toarray().astype(float)
    x = np.sqrt(np.minimum(counts, CAP))
    best = np.sort(np.argsort(-x.sum(axis=0), kind="stable")[:n_products])
    gram = x[:, best].T @ x[:, best]
    inverse = np.linalg.inv(gram + np.eye(len(best)) * (8 * np.diag(gram).mean() + FIRM))
    expected = -inverse / np.diag(inverse)
    near = linear(history, 7, half_life_days=56.0)
    for place, code in enumerate(best):
        others = np.delete(np.arange(len(best)), place)
        strongest = others[np.argsort(-np.abs(expected[others, place]), kind="stable")[:7]]
        np.testing.assert_allclose(near.score[code], expected[strongest, place], rtol=2e-3, atol=1e-6)
    assert (near.product[np.setdiff1d(np.arange(near.product.shape[0]), best)] == -1).all()


def test_the_strongest_weights_are_those_farthest_from_nothing_of_equal_ones_the_lower_code() -> None:
    weights = np.array([[0, 0.1, -0.5, 0], [0.2, 0, 0.5, 0], [-0.4, 0.1, 0, 0], [0, 0, 0, 0]])
    product, score = _strongest(weights, np.array([5, 7, 9, 11], np.int32), 2)
    assert product.tolist() == [[9, 7], [5, 9], [5, 7], [-1, -1]]
    assert score.tolist() == np.float32([[-0.4, 0.2], [0.1, 0.1], [-0.5, 0.5], [0, 0]]).tolist()


def test_two_products_are_each_others_only_neighbours() -> None:
    history = history_of([(customer, product, 5, 1.0) for customer in range(30) for product in (0, 1)])
    assert linear(history, 7, half_life_days=56.0).product.tolist() == [[1] + [-1] * 6, [0] + [-1] * 6]


def test_what_was_bought_long_ago_leaves_no_trace_in_the_factors() -> None:
    history = history_of([(c, p, ago, 1.0) for c in range(20) for p, ago in ((0, 5), (1, 900))])
    customers, products = factors(history, 2, half_life_days=28.0, seed=0)
    late, long_ago = (customers @ products.T)[0]
    assert (late > 0.9, long_ago < 0.1) == (True, True)


def test_the_linear_source_multiplies_the_root_of_counts_with_the_weights() -> None:
    state = board()[2]
    some = np.arange(5, dtype=np.int32)
    history = state.history.of_customers(some)
    found = Linear(state, 10, "linear", state.linear).scores(history, some).toarray()
    counts = np.zeros((5, len(history.products)))
    np.add.at(counts, (history.customer, history.product), state.taste(history))
    near = state.linear
    for column, code in enumerate(state.assortment[:9]):
        known = near.product[code] >= 0
        roots = np.sqrt(np.minimum(counts[:, near.product[code][known]], CAP))
        np.testing.assert_allclose(found[:, column], roots @ near.score[code][known], rtol=1e-4, atol=1e-6)


def test_words_find_the_variant_of_a_product_that_nobody_bought_yet() -> None:
    near = alike(
        ["red spotty mug", "red spotty bowl", "blue striped mug", "garden spade", "garden spade xl"], 3
    )
    assert near.product[4, 0] == 3
    assert near.product[0, 0] == 1
    assert 4 not in near.product[0]


def test_without_words_nothing_is_alike() -> None:
    near = alike([], 3)
    assert (near.product == -1).all()
    assert near.product.shape == near.score.shape


def test_numbers_and_single_letters_are_no_words() -> None:
    assert (alike(["x 12", "x 12"], 1).product == -1).all()


def test_a_name_cut_within_a_letter_is_still_read() -> None:
    catalogue = named([])
    names = np.array([b"blue mug caf\xc3"] * 2 + [b""] * (len(catalogue.products) - 2))
    near = texts(replace(catalogue, name=names), np.zeros(len(names), np.float32), n=1)
    assert near.product[:2].tolist() == [[1], [0]]


@pytest.mark.parametrize("told", ["category", "brand"])
def test_the_words_of_categories_and_brands_count_as_well(told: str) -> None:
    catalogue = named([])
    codes = np.full(len(catalogue.products), -1, np.int32)
    codes[[0, 2]], codes[[1, 3]] = 0, 1
    names = {"category": "categories", "brand": "brands"}
    known = replace(catalogue, **{told: codes, names[told]: Vocabulary.of(["acme", "zenith"])})
    near = texts(known, np.zeros(len(codes), np.float32), n=1)
    assert near.product[:4].tolist() == [[2], [3], [0], [1]]


@pytest.mark.parametrize(
    ("copies", "counts"),
    [([150, 50], True), ([150, 51], False), ([240, 60, 5700], True), ([241, 60, 5699], False)],
)
def test_a_word_of_200_products_counts_and_in_large_shops_one_of_a_twentieth(
    copies: list[int], counts: bool
) -> None:
    weights = _weights(["pot red", "pot blue", "spade"][: len(copies)], np.array(copies))
    assert weights is not None
    assert (weights[:, 0].multiply(weights[:, 1]).sum() > 0) == counts


def test_products_of_one_text_come_by_their_sales() -> None:
    near = alike(["blue mug", "blue mug", "blue mug", "blue mug", "blue jug"], 3, sales=[5, 9, 2, 7])
    assert near.product[0].tolist() == [1, 3, 2]
    assert near.product[1].tolist() == [3, 0, 2]
    assert near.product[2].tolist() == [1, 3, 0]
    assert near.product[4].tolist() == [1, 3, 0]
    np.testing.assert_allclose(near.score[:4], 1, rtol=1e-6)


def test_a_column_that_is_not_among_its_own_nearest_has_as_many_as_others() -> None:
    terms = np.zeros((2, 21), np.float32)
    terms[0, :20] = terms[1, 20] = 1  # of nineteen as near as itself eighteen are kept; the last has none
    near = nearest(csr_matrix(terms), 18)
    assert (near.product[20] == -1).all()
    assert (near.product[:20] >= 0).all()
    assert (near.product != np.arange(21)[:, None]).all()
    assert (np.diff(near.product[:20], axis=1) > 0).all()
    np.testing.assert_allclose(near.score[:20], 1)


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.lists(st.sampled_from(["red", "blue", "mug", "jug"]), max_size=3), max_size=30),
    st.integers(1, 9),
)
def test_words_are_weighed_as_scikit_learn_weighs_them(words: list[list[str]], n: int) -> None:
    names = [" ".join(some) for some in words]
    near = alike(names, n)
    expected = cosines(names, len(near.product))
    np.testing.assert_allclose(near.score, -np.sort(-expected, axis=1)[:, :n], atol=1e-5)
    assert (near.product[near.score == 0] == -1).all()
    row, place = np.nonzero(near.product >= 0)
    np.testing.assert_allclose(near.score[row, place], expected[row, near.product[row, place]], atol=1e-5)


def alike(names: list[str], n: int, sales: Sequence[float] = ()) -> Neighbours:
    catalogue = named(names)
    size = len(catalogue.products)
    return texts(catalogue, np.array([*sales, *[0.0] * (size - len(sales))], np.float32), n=n)


def cosines(names: list[str], size: int) -> NDArray[np.float64]:
    """Scikit-learn's cosines, every product beside every other, 0 with itself."""
    found = np.zeros((size, size))
    with contextlib.suppress(ValueError):  # no word twice
        tfidf = TfidfVectorizer(token_pattern=WORD, ngram_range=(1, 2), min_df=2, sublinear_tf=True)
        unit = tfidf.fit_transform([f"{name} .  . " for name in names] + [" .  . "] * (size - len(names)))
        found = (unit @ unit.T).toarray()
    np.fill_diagonal(found, 0)
    return found


def test_arrivals_are_what_is_new_by_its_sales() -> None:
    state = board()[2]
    statistics = state.table.statistics.copy()
    columns = {name: state.table.column(name) for name in ("p_age", "p_sales_7d")}
    table = replace(state.table, statistics=statistics)
    new = state.assortment[:2]
    table.column("p_age")[new] = FRESH_DAYS
    found = Arrivals(replace(state, table=table), 5, "arrivals").scores(state.history, np.zeros(3, np.int32))
    np.testing.assert_array_equal(found[:2], columns["p_sales_7d"][new])
    assert not found[2:][columns["p_age"][state.assortment[2:]] > FRESH_DAYS].any()
