"""What customers with similar baskets buy: the neighbour part of TIFU-KNN (Hu et al., 2020).

Compiled and sparse: the cost of a customer depends on their neighbours' purchases, not on the number of
products and customers. All customers of a shop are computed at once.
"""

import numpy as np

from features.arrays.compiled import compiled
from features.arrays.dtypes import Column, Floats, Ints, Longs, Sparse
from features.arrays.history import History, interactions
from features.hardware import side_by_side
from models.similarity.collaborative import Neighbours, unit_columns

POOL = 5000
"""Neighbours are searched among at most this many customers."""
PIECE = 1024
"""Customers per batch of a thread."""


def alike(
    history: History,
    assortment: Ints,
    *,
    near: int,
    depth: int,
    half_life_days: float,
    seed: int,
    customers: Ints | None = None,
) -> Neighbours:
    """Return what customers with similar baskets buy: for each, the ``depth`` best products not bought yet.

    Scores are sums of the ``near`` nearest customers' purchases, weighted by cosine over TF-IDF; the pool of
    neighbours is drawn by ``seed``. Ties go to the lower code; products are in the order of their codes.
    ``customers``: the codes of those who are asked for, by default all; the others get nothing.
    """
    bought = interactions(history, half_life_days).matrix.tocsr()
    bought.data = np.log1p(bought.data)
    n = bought.shape[0]
    pool = np.sort(np.random.default_rng(seed).permutation(n)[:POOL])
    taste = _taste(bought)
    own, place = bought[:, assortment], np.full(n, -1)
    place[pool] = np.arange(len(pool))
    matrices = _parts(taste) + _parts(taste[pool].T.tocsr()) + _parts(own[pool]) + _parts(own)
    asked = np.arange(n, dtype=np.int32) if customers is None else customers
    found, product = Neighbours.none(n, depth), np.append(assortment, np.int32(-1))

    def some(start: int) -> None:
        codes = asked[start : start + PIECE]
        column, score = _profiles(codes, matrices, place, (len(pool), len(assortment)), (near, depth))
        found.product[codes], found.score[codes] = product[column], score

    for _ in side_by_side(some, range(0, len(asked), PIECE)):
        pass
    return found


def _taste(bought: Sparse) -> Sparse:
    """Return purchases weighted by their products' rarity, each customer's scaled to length one."""
    rarity = np.log1p(bought.shape[0] / (1.0 + np.bincount(bought.indices, minlength=bought.shape[1])))
    taste = bought.copy()
    taste.data = taste.data * rarity[taste.indices]
    return unit_columns(taste.T.tocsr()).T.tocsr()


def _parts(matrix: Sparse) -> tuple[Column, ...]:
    """Return a matrix as plain arrays: starts, columns, values."""
    return matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data.astype(np.float32)


@compiled
def _profiles(
    codes: Ints,
    matrices: tuple[Column, ...],
    place: Longs,
    sizes: tuple[int, int],
    wanted: tuple[int, int],
) -> tuple[Ints, Floats]:
    """Return, by customer, the best columns of the assortment (-1 if there are fewer), and their scores."""
    near, depth = wanted
    t_start, t_product, t_value, p_start, p_member, p_value = matrices[:6]
    k_start, k_column, k_value, own_start, own_column, _ = matrices[6:]
    column = np.full((len(codes), depth), -1, np.int32)
    score = np.zeros((len(codes), depth), np.float32)
    like, liked = np.zeros(sizes[0], np.float32), np.zeros(sizes[1], np.float32)
    for row, customer in enumerate(codes):
        for at in range(t_start[customer], t_start[customer + 1]):
            product, value = t_product[at], t_value[at]
            for other in range(p_start[product], p_start[product + 1]):
                like[p_member[other]] += value * p_value[other]
        if place[customer] >= 0:
            like[place[customer]] = 0
        for member in _best(like, near):
            for at in range(k_start[member], k_start[member + 1]):
                liked[k_column[at]] += like[member] * k_value[at]
        for at in range(own_start[customer], own_start[customer + 1]):
            liked[own_column[at]] = 0
        best = _best(liked, depth)
        column[row, : len(best)] = best
        score[row, : len(best)] = liked[best]
        like[:], liked[:] = 0, 0
    return column, score


@compiled
def _best(score: Floats, n: int) -> Longs:
    """Return the positions of the ``n`` highest scores above 0, in ascending order; ties go to the first."""
    above = np.flatnonzero(score > 0)
    if len(above) <= n:
        return above
    among = score[above]
    least = np.partition(among, len(among) - n)[len(among) - n]
    left = n - np.sum(among > least)
    best = np.empty(n, np.int64)
    n_kept = 0
    for at in range(len(above)):
        if among[at] > least or (among[at] == least and left > 0):
            left -= among[at] == least
            best[n_kept] = above[at]
            n_kept += 1
    return best
