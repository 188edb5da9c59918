"""TIFU-KNN beside the paper's equations, read slowly."""

from pathlib import Path

import numpy as np
import pytest
from worlds.orders import make_shop, order_lines

from features.arrays.history import History
from features.window import parse_cutoff
from models.similarity.tifu import TifuKnn, baskets_back

OPTIONS = {"group": 3, "within": 0.8, "between": 0.5}


@pytest.fixture(scope="module")
def history(tmp_path_factory: pytest.TempPathFactory) -> History:
    shop = make_shop(tmp_path_factory.mktemp("shop"), order_lines(15))
    return shop.history(parse_cutoff("2024-06-01"))


def slow_habits(history: History, group: int, within: float, between: float) -> np.ndarray:
    """Equations 1 to 3 of the paper: decayed mean within groups, then over groups, the last basket last."""
    vectors = np.zeros((len(history.customers), len(history.products)))
    for customer, vector in enumerate(vectors):
        rows = history.rows(customer)
        baskets = [history.product[rows][history.order[rows] == o] for o in np.unique(history.order[rows])]
        groups = [baskets[max(end - group, 0) : end] for end in range(len(baskets), 0, -group)]
        for at, members in enumerate(groups):
            for place, basket in enumerate(reversed(members)):
                vector[basket] += between**at * within**place / group / len(groups)
    return vectors


def test_habits_equal_the_equations_of_the_paper(history) -> None:
    found = TifuKnn.of(history, **OPTIONS).habits.toarray()
    np.testing.assert_allclose(found, slow_habits(history, **OPTIONS), rtol=1e-5)


@pytest.mark.parametrize("near", [1, 4, 300])
def test_scores_mix_own_habits_with_the_mean_of_the_nearest(history, near) -> None:
    vectors = slow_habits(history, **OPTIONS)
    found = TifuKnn.of(history, **OPTIONS, near=near, alpha=0.3).scores(np.array([2, 7], np.int32))
    for row, customer in zip(found, (2, 7), strict=True):
        distance = np.linalg.norm(vectors - vectors[customer], axis=1)
        distance[customer] = np.inf
        mean = vectors[np.argsort(distance)[: min(near, len(vectors) - 1)]].mean(axis=0)
        np.testing.assert_allclose(row, 0.3 * vectors[customer] + 0.7 * mean, rtol=1e-4)


def test_the_last_basket_lies_no_basket_back(history) -> None:
    back, first = baskets_back(history)
    last = history.indptr[1:] - 1
    assert (back[last] == 0).all()
    np.testing.assert_array_equal(back[history.indptr[:-1]], first[history.indptr[:-1]])


def test_a_customer_alone_in_a_shop_keeps_own_habits(tmp_path: Path) -> None:
    alone = make_shop(tmp_path, order_lines(1)).history(parse_cutoff("2024-06-01"))
    model = TifuKnn.of(alone, alpha=0.2)
    np.testing.assert_allclose(model.scores(np.array([0], np.int32)), 0.2 * model.habits.toarray(), rtol=1e-5)
