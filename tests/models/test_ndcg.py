import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from models.ndcg import ndcg
from training.measures import list_metrics


def test_ndcg_is_that_of_the_definition() -> None:
    customer = np.array([0, 0, 0, 1, 1], np.int32)
    score = np.array([0.1, 0.9, 0.5, 0.3, 0.2], np.float32)
    bought = np.array([True, False, True, False, True])
    first = (1 / np.log2(3) + 1 / np.log2(4)) / (1 + 1 / np.log2(3) + 1 / np.log2(4))
    second = (1 / np.log2(3)) / 1
    found = ndcg(customer, score, bought=bought, n_true=np.array([3, 1, 0]), k=10)
    np.testing.assert_allclose(found, [first, second, np.nan])


@given(
    st.lists(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=4, max_size=4), min_size=1),
    st.integers(1, 4),
)
def test_it_is_the_figure_that_lists_are_measured_by(rows: list[list[tuple[int, bool]]], k: int) -> None:
    table = np.array(rows)
    score, bought = table[..., 0], table[..., 1].astype(bool)
    best = np.argsort(-score, axis=1, kind="stable")
    hits, n_true = np.take_along_axis(bought, best, 1), bought.sum(axis=1)
    customer = np.repeat(np.arange(len(rows)), 4)
    found = ndcg(customer, score.ravel(), bought=bought.ravel(), n_true=n_true, k=k)
    assert found == pytest.approx(list_metrics.ndcg(hits, n_true, k=k), nan_ok=True)
