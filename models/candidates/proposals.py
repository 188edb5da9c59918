"""The best products each source proposes to each customer, and their union.

Compiled, and sparse where a source's scores are: the cost of a customer depends on their purchases, not on
the number of products in the assortment. Only factors score the whole assortment.
"""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from features.arrays.compiled import compiled
from features.arrays.dtypes import Bytes, Floats, Ints, Longs
from features.arrays.history import History

Scores = Any
"""Scores (customers, assortment): an array, a sparse matrix (CSR), or one row that holds for everybody."""


class Proposed(NamedTuple):
    """A source's proposals, best first: ``column[start[row]:start[row + 1]]`` are customer ``row``'s."""

    start: Longs
    column: Ints

    @property
    def row(self) -> Longs:
        """The customer's row of every product."""
        return np.repeat(np.arange(len(self.start) - 1), np.diff(self.start))


class Bought(NamedTuple):
    """Positions in the assortment that customers bought, which are not proposed; laid out as ``Proposed``."""

    start: Longs
    column: Ints
    width: int
    """Products in the assortment."""

    @classmethod
    def of(cls, history: History, assortment: Ints) -> "Bought":
        """Look up what the customers of a history bought; products not in the assortment are left out."""
        place = np.full(len(history.products), -1, np.int32)
        place[assortment] = np.arange(len(assortment))
        at = place[history.product]
        counts = np.bincount(history.customer[at >= 0], minlength=len(history.customers))
        return cls(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64), at[at >= 0], len(assortment))


def best(scores: Scores, bought: Bought, *, budget: int) -> Proposed:
    """Return each customer's ``budget`` best products not bought, with scores above 0; ties by position."""
    if hasattr(scores, "indptr"):
        parts = (
            scores.indptr.astype(np.int64),
            scores.indices.astype(np.int32),
            scores.data.astype(np.float32),
        )
        return Proposed(*_best_of_sparse(parts, bought, budget))
    scores = np.ascontiguousarray(scores, np.float32)
    if scores.ndim == 1:
        order = np.argsort(-scores, kind="stable").astype(np.int32)
        return Proposed(*_first(order[scores[order] > 0], bought, budget))
    return Proposed(*_best_of_rows(scores, bought, budget))


def united(parts: Sequence[Proposed], kinds: Sequence[int], *, width: int) -> tuple[Ints, Ints, Bytes]:
    """Return the union of what sources propose: row, column, and the kind of source that ranks it best.

    Sorted by row and column; where sources rank a product equally, the first of them counts.
    """
    offset = np.cumsum([0] + [len(part.column) for part in parts])[:-1]
    start = np.stack([part.start + shift for part, shift in zip(parts, offset, strict=True)])
    column = np.concatenate([part.column for part in parts])
    return _united(start, column, np.array(kinds, np.uint8), width)


@compiled
def _best_of_sparse(parts: Any, bought: Bought, budget: int) -> tuple[Longs, Ints]:
    indptr, index, data = parts
    n = len(indptr) - 1
    start, column = np.zeros(n + 1, np.int64), np.empty(min(n * budget, len(index)), np.int32)
    barred = np.full(bought.width, -1, np.int64)
    spare = np.empty(2 * budget, np.int32), np.empty(2 * budget, np.float32)
    for row in range(n):
        barred[bought.column[bought.start[row] : bought.start[row + 1]]] = row
        mine = index[indptr[row] : indptr[row + 1]], data[indptr[row] : indptr[row + 1]]
        chosen = _chosen(mine[0], mine[1], barred, row, budget, spare)
        start[row + 1] = start[row] + len(chosen)
        column[start[row] : start[row + 1]] = chosen
    return start, column[: start[n]].copy()


@compiled
def _best_of_rows(scores: Floats, bought: Bought, budget: int) -> tuple[Longs, Ints]:
    n = len(scores)
    start, column = np.zeros(n + 1, np.int64), np.empty(n * min(budget, bought.width), np.int32)
    barred = np.full(bought.width, -1, np.int64)
    every = np.arange(bought.width).astype(np.int32)
    spare = np.empty(2 * budget, np.int32), np.empty(2 * budget, np.float32)
    for row in range(n):
        barred[bought.column[bought.start[row] : bought.start[row + 1]]] = row
        chosen = _chosen(every, scores[row], barred, row, budget, spare)
        start[row + 1] = start[row] + len(chosen)
        column[start[row] : start[row + 1]] = chosen
    return start, column[: start[n]].copy()


@compiled
def _first(order: Ints, bought: Bought, budget: int) -> tuple[Longs, Ints]:
    """Return the first of ``order`` that each customer has not bought."""
    n = len(bought.start) - 1
    start, column = np.zeros(n + 1, np.int64), np.empty(n * min(budget, len(order)), np.int32)
    barred = np.full(bought.width, -1, np.int64)
    for row in range(n):
        barred[bought.column[bought.start[row] : bought.start[row + 1]]] = row
        at = start[row]
        for place in order:
            if at - start[row] == budget:
                break
            if barred[place] != row:
                column[at] = place
                at += 1
        start[row + 1] = at
    return start, column[: start[n]].copy()


@compiled
def _chosen(  # noqa: PLR0917 (numba takes arrays, not objects)
    column: Ints, score: Floats, barred: Longs, row: int, budget: int, spare: Any
) -> Any:
    """Return the columns of the ``budget`` best scores above 0, best first; ties by column.

    The buffer ``spare`` holds the best so far and as many further candidates; whenever it is full, the worse
    half is dropped.
    """
    kept, value = spare
    n, least, last = 0, np.float32(0), -1
    for at in range(len(column)):
        if score[at] > least or (score[at] == least and column[at] < last):
            if barred[column[at]] == row:
                continue
            kept[n], value[n] = column[at], score[at]
            n += 1
            if n == 2 * budget:
                n = _let_go(kept, value, n, budget)
                least, last = value[:n].min(), kept[:n].max()
    n = _let_go(kept, value, n, budget)
    by_column = np.argsort(kept[:n])
    order = by_column[np.argsort(-value[:n][by_column], kind="mergesort")]
    return kept[:n][order]


@compiled
def _let_go(kept: Ints, value: Floats, n: int, budget: int) -> int:
    """Keep the ``budget`` best of ``n`` in place, ties by column; return how many were kept."""
    if n <= budget:
        return n
    least = np.partition(value[:n], n - budget)[n - budget]
    left = budget - np.sum(value[:n] > least)
    equal = kept[:n][value[:n] == least]
    last = np.partition(equal, left - 1)[left - 1]
    stay = 0
    for at in range(n):
        if value[at] > least or (value[at] == least and kept[at] <= last):
            kept[stay], value[stay] = kept[at], value[at]
            stay += 1
    return stay


@compiled
def _united(start: Longs, column: Ints, kinds: Bytes, width: int) -> tuple[Ints, Ints, Bytes]:
    n = start.shape[1] - 1
    row, place_of = np.empty(len(column), np.int32), np.empty(len(column), np.int32)
    kind = np.empty(len(column), np.uint8)
    rank, which = np.full(width, width, np.int32), np.zeros(width, np.uint8)
    end = 0
    for customer in range(n):
        first = end
        for source in range(len(kinds)):
            for at in range(start[source, customer], start[source, customer + 1]):
                place, here = column[at], at - start[source, customer]
                if rank[place] == width:
                    place_of[end] = place
                    end += 1
                if here < rank[place]:
                    rank[place], which[place] = here, kinds[source]
        place_of[first:end].sort()
        for at in range(first, end):
            row[at], kind[at] = customer, which[place_of[at]]
            rank[place_of[at]] = width
    return row[:end].copy(), place_of[:end].copy(), kind[:end].copy()
