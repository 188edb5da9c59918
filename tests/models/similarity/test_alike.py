import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.receipts import history_of

from features.arrays.history import History, interactions
from models.similarity import alike as module
from models.similarity.alike import alike

HALF_LIFE = 28.0
purchases = st.lists(
    st.tuples(st.integers(0, 7), st.integers(0, 9), st.integers(1, 60), st.just(1.0)),
    min_size=1,
    max_size=50,
    unique_by=lambda row: row[:3],
)


def slowly(history: History, assortment: np.ndarray, near: int) -> np.ndarray:
    """Score customers x assortment with dense tables, one customer at a time."""
    bought = np.log1p(interactions(history, HALF_LIFE).matrix.toarray().astype(float))
    taste = bought * np.log1p(len(bought) / (1 + (bought > 0).sum(axis=0)))
    taste /= np.maximum(np.linalg.norm(taste, axis=1, keepdims=True), 1e-12)
    scores = np.zeros((len(bought), len(assortment)))
    for customer, own in enumerate(bought):
        like = taste @ taste[customer]
        like[customer] = 0
        nearest = np.argsort(-like, kind="stable")[:near]
        scores[customer] = like[nearest] @ bought[nearest][:, assortment] * (own[assortment] == 0)
    return scores


@given(purchases, st.integers(1, 12))
@settings(max_examples=60, deadline=None)
def test_scores_are_those_of_dense_tables(rows: list, depth: int) -> None:
    history, assortment = history_of(rows, 10), np.array([0, 1, 3, 4, 7, 9], np.int32)
    found = alike(history, assortment, near=20, depth=depth, half_life_days=HALF_LIFE, seed=0)
    for customer, scores in enumerate(slowly(history, assortment, near=20)):
        shown = found.product[customer] >= 0
        best = np.sort(scores)[::-1][: min(depth, (scores > 1e-9).sum())]
        told = found.score[customer][shown]
        np.testing.assert_allclose(np.sort(told)[::-1], best, rtol=1e-4, atol=1e-7)
        np.testing.assert_allclose(
            scores[np.searchsorted(assortment, found.product[customer][shown])], told, rtol=1e-4
        )
        assert (np.diff(found.product[customer][shown]) > 0).all()


def test_for_some_customers_it_is_what_it_is_for_all() -> None:
    rng = np.random.default_rng(0)
    history = history_of(
        [(c, p, 5, 1.0) for c in range(9) for p in sorted({*rng.integers(0, 10, 4).tolist()})]
    )
    assortment, some = np.arange(10, dtype=np.int32), np.array([1, 4, 8], np.int32)
    options = {"near": 3, "depth": 4, "half_life_days": HALF_LIFE, "seed": 0}
    every, few = (alike(history, assortment, customers=asked, **options) for asked in (None, some))
    for name in ("product", "score"):
        np.testing.assert_array_equal(getattr(few, name)[some], getattr(every, name)[some])
    assert (every.product[some] >= 0).any()
    assert (np.delete(few.product, some, axis=0) == -1).all()


def test_only_the_nearest_count_and_of_equal_ones_the_first() -> None:
    score = np.array([0.2, 0.5, 0.0, 0.5, 0.5, 0.9], np.float32)
    assert module._best(score, 3).tolist() == [1, 3, 5]
    assert module._best(score, 9).tolist() == [0, 1, 3, 4, 5]


def test_of_equally_near_customers_the_first_is_the_neighbour_and_never_oneself() -> None:
    history = history_of([(0, 0, 5, 1.0), (1, 0, 5, 1.0), (1, 1, 5, 1.0), (2, 0, 5, 1.0), (2, 2, 5, 1.0)])
    found = alike(history, np.arange(3, dtype=np.int32), near=1, depth=2, half_life_days=HALF_LIFE, seed=0)
    assert found.product[0].tolist() == [1, -1]


def test_neighbours_come_from_the_pool_alone_whoever_asks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POOL", 1)
    history = history_of([(c, p, 5, 1.0) for c in range(3) for p in (0, 1 + c)])
    found = alike(history, np.arange(4, dtype=np.int32), near=3, depth=2, half_life_days=HALF_LIFE, seed=0)
    (only,) = {*found.product[found.product >= 0].tolist()}
    assert np.flatnonzero((found.product == only).any(axis=1)).tolist() == [
        c for c in range(3) if 1 + c != only
    ]


def test_a_customer_of_other_tastes_than_all_others_gets_nothing() -> None:
    history = history_of([(0, 0, 5, 1.0), (1, 1, 5, 1.0), (1, 2, 5, 1.0), (2, 1, 5, 1.0)])
    found = alike(history, np.arange(3, dtype=np.int32), near=5, depth=2, half_life_days=HALF_LIFE, seed=0)
    assert found.product.tolist() == [[-1, -1], [-1, -1], [2, -1]]
