from dataclasses import replace

import numpy as np
import pytest
from worlds.checkerboard import CUTOFF, board

from features.catalogue import Catalogue
from features.history import interactions
from models.ranking.linear import CAP, FIRM, linear
from models.ranking.sources import FRESH_DAYS, Arrivals, Linear
from models.ranking.texts import texts


def named(names: list[str]) -> Catalogue:
    shop, _, _ = board()
    catalogue = shop.catalogue(CUTOFF)
    unknown = np.full(len(catalogue.products), -1, np.int32)
    padded = np.array([name.encode() for name in names] + [b""] * (len(unknown) - len(names)))
    return replace(catalogue, name=padded, category=unknown, brand=unknown)


@pytest.mark.parametrize("n_products", [6_000, 10])
def test_the_linear_model_is_the_inverse_of_the_textbook(n_products: int) -> None:
    history = board()[2].history
    counts = interactions(history, 56.0).matrix.toarray().astype(float)
    x = np.sqrt(np.minimum(counts, CAP))
    best = np.sort(np.argsort(-x.sum(axis=0), kind="stable")[:n_products])
    gram = x[:, best].T @ x[:, best]
    inverse = np.linalg.inv(gram + np.eye(len(best)) * (8 * np.diag(gram).mean() + FIRM))
    expected = -inverse / np.diag(inverse)
    near = linear(history, 7, 56.0, n_products=n_products)
    for place, code in enumerate(best):
        others = np.delete(np.arange(len(best)), place)
        strongest = others[np.argsort(-np.abs(expected[others, place]), kind="stable")[:7]]
        np.testing.assert_allclose(near.score[code], expected[strongest, place], rtol=2e-3, atol=1e-6)
    assert (near.product[np.setdiff1d(np.arange(near.product.shape[0]), best)] == -1).all()


def test_the_linear_source_multiplies_the_root_of_counts_with_the_weights() -> None:
    state = board()[2]
    some = np.arange(5, dtype=np.int32)
    history = state.history.of_customers(some)
    found = Linear(state, 10).scores(history, some, state.shelf)
    counts = np.zeros((5, len(history.products)))
    np.add.at(counts, (history.customer, history.product), state.taste(history))
    near = state.linear
    for column, code in enumerate(state.shelf[:9]):
        known = near.product[code] >= 0
        roots = np.sqrt(np.minimum(counts[:, near.product[code][known]], CAP))
        np.testing.assert_allclose(found[:, column], roots @ near.score[code][known], rtol=1e-4, atol=1e-6)


def test_words_find_the_variant_of_a_product_that_nobody_bought_yet() -> None:
    catalogue = named(
        ["red spotty mug", "red spotty bowl", "blue striped mug", "garden spade", "garden spade xl"]
    )
    near = texts(catalogue, 3)
    assert near.product[4, 0] == 3
    assert near.product[0, 0] == 1
    assert 4 not in near.product[0]


def test_without_words_nothing_is_alike() -> None:
    near = texts(named([]), 3)
    assert (near.product == -1).all()
    assert near.product.shape == near.score.shape


def test_arrivals_are_what_is_new_by_its_sales() -> None:
    state = board()[2]
    statistics = state.table.statistics.copy()
    columns = {name: state.table.column(name) for name in ("p_age", "p_sales_7d")}
    table = replace(state.table, statistics=statistics)
    new = state.shelf[:2]
    table.column("p_age")[new] = FRESH_DAYS
    found = Arrivals(replace(state, table=table), 5).scores(state.history, np.zeros(3, np.int32), state.shelf)
    np.testing.assert_array_equal(found[:, :2], np.tile(columns["p_sales_7d"][new], (3, 1)))
    assert not found[:, 2:][:, columns["p_age"][state.shelf[2:]] > FRESH_DAYS].any()
