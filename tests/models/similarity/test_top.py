import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from models.similarity.top import top_columns

tables = st.tuples(st.integers(1, 4), st.integers(1, 400)).flatmap(
    lambda shape: arrays(np.float32, shape, elements=st.sampled_from([-np.inf, 0.0, 0.5, 1.0, 2.0, 3.0]))
)


@settings(deadline=None)
@given(tables, st.integers(0, 30))
def test_the_best_columns_hold_what_a_full_sort_would_find(scores, n):
    found = top_columns(scores, n)
    expected = -np.sort(-scores, axis=1)[:, :n]
    assert np.array_equal(np.take_along_axis(scores, found, axis=1), expected)
    assert all(len(set(row)) == len(row) for row in found.tolist())


@given(st.integers(1, 400), st.integers(0, 30), st.integers(0, 1000))
def test_wherever_the_best_lie_they_are_found(width, n, seed):
    scores = np.random.default_rng(seed).permutation(width).astype(np.float32)
    assert top_columns(scores[None], n).tolist() == [np.argsort(-scores)[:n].tolist()]


def test_equal_scores_come_in_column_order():
    assert top_columns(np.array([[1.0, 2.0, 2.0, 1.0]], np.float32), 4).tolist() == [[1, 2, 0, 3]]
    scores = np.random.default_rng(0).integers(0, 3, (1, 90)).astype(np.float32)
    found = top_columns(scores, 80)[0]
    told = [*zip((-scores[0, found]).tolist(), found.tolist(), strict=True)]
    assert told == sorted(told)


@pytest.mark.parametrize("shape", [(0, 5), (0, 500), (3, 0)])
def test_an_empty_table_has_no_best(shape):
    assert top_columns(np.zeros(shape, np.float32), 3).shape == (shape[0], min(3, shape[1]))
