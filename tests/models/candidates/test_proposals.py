import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from worlds.receipts import history_of

from models.candidates.proposals import Bought, Proposed, best, united

WIDTH = 40
few = st.sampled_from([-1.0, 0.0, 0.5, 1.0, 2.0, 3.0])
tables = st.integers(1, 4).flatmap(lambda n: arrays(np.float32, (n, WIDTH), elements=few))


def bought_of(marks: NDArray[np.bool_]) -> Bought:
    start = np.concatenate([[0], np.cumsum(marks.sum(axis=1))]).astype(np.int64)
    return Bought(start, np.nonzero(marks)[1].astype(np.int32), WIDTH)


def test_what_was_bought_is_told_by_its_place_in_the_assortment() -> None:
    history = history_of([(0, 1, 5, 1.0), (0, 2, 4, 1.0), (1, 0, 3, 1.0), (2, 2, 3, 1.0), (3, 0, 1, 1.0)])
    found = Bought.of(history, np.array([1, 2], np.int32))
    assert (found.start.tolist(), found.column.tolist(), found.width) == ([0, 2, 2, 3, 3], [0, 1, 1], 2)


def slowly(scores: NDArray[np.float32], marks: NDArray[np.bool_], budget: int) -> list[list[int]]:
    """Sort everything; equal scores stay in column order."""
    found = []
    for score, mine in zip(scores, marks, strict=True):
        order = [at for at in np.argsort(-score, kind="stable").tolist() if score[at] > 0 and not mine[at]]
        found.append(order[:budget])
    return found


def listed(found: Proposed) -> list[list[int]]:
    return [part.tolist() for part in np.split(found.column, found.start[1:-1])]


@settings(deadline=None)
@given(tables, st.data(), st.integers(1, 45))
def test_the_best_are_those_of_a_full_sort_whatever_form_scores_have(
    scores: NDArray[np.float32], data: st.DataObject, budget: int
) -> None:
    marks = data.draw(arrays(np.bool_, scores.shape))
    bought, backwards = bought_of(marks), csr_matrix(scores[:, ::-1])
    sparse = csr_matrix(  # columns of a row may come in any order
        (backwards.data, WIDTH - 1 - backwards.indices, backwards.indptr), shape=scores.shape
    )
    assert listed(best(scores, bought, budget=budget)) == slowly(scores, marks, budget)
    assert listed(best(sparse, bought, budget=budget)) == slowly(scores, marks, budget)
    alike = np.broadcast_to(scores[0], scores.shape)
    assert listed(best(scores[0], bought, budget=budget)) == slowly(alike, marks, budget)


@settings(deadline=None)
@given(st.lists(tables, min_size=1, max_size=3), st.integers(1, 9))
def test_in_the_union_the_source_that_ranks_a_product_best_speaks(
    parts: list[NDArray[np.float32]], budget: int
) -> None:
    n = min(map(len, parts))
    nothing = bought_of(np.zeros((n, WIDTH), bool))
    proposed = [best(scores[:n], nothing, budget=budget) for scores in parts]
    slow: dict[tuple[int, int], tuple[int, int]] = {}
    for kind, part in enumerate(proposed):
        for row, columns in enumerate(listed(part)):
            for rank, column in enumerate(columns):
                slow[row, column] = min(slow.get((row, column), (WIDTH, 0)), (rank, kind))
    found = zip(
        *(column.tolist() for column in united(proposed, range(len(parts)), width=WIDTH)), strict=True
    )
    assert [*found] == [(*pair, slow[pair][1]) for pair in sorted(slow)]
