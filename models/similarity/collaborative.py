"""What purchases say of products together, as plain arrays: neighbours, factors, profiles, baskets."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from features.arrays.dtypes import Floats, Ints
from features.arrays.history import History, interactions, read_array
from features.hardware import rows_at_once, threads
from models.similarity.top import top_columns


@dataclass(frozen=True)
class Neighbours:
    """For each row (a product, a customer) some products and scores: shape (rows, m), -1 and 0 for none."""

    product: Ints
    score: Floats

    def save(self, folder: Path, name: str) -> None:
        """Write ``<name>.product.npy`` and ``<name>.score.npy``."""
        np.save(folder / f"{name}.product.npy", self.product)
        np.save(folder / f"{name}.score.npy", self.score)

    @classmethod
    def load(cls, folder: Path, name: str, *, mmap: bool = True) -> "Neighbours":
        """Read back."""
        parts = (read_array(folder, f"{name}.{part}", mmap=mmap) for part in ("product", "score"))
        return cls(*parts)


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Keep BLAS to one thread, as implicit's own threads need it (and the same sums every time)."""
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):
        yield


def similar(history: History, n: int, half_life_days: float) -> Neighbours:
    """Return each product's ``n`` most similar ones: cosine over TF-IDF weighted, decayed purchases.

    Customers are the terms: one who buys everything says little of what goes with what.
    """
    weighted = interactions(history, half_life_days).matrix.tocsr()
    breadth = np.diff(weighted.indptr)
    rarity = np.log1p(weighted.shape[1] / (1 + breadth))
    weighted.data = np.sqrt(weighted.data) * np.repeat(rarity, breadth)
    return nearest(_unit_columns(weighted), n)


def _unit_columns(matrix: Any) -> Any:
    """Bring every column to length one."""
    norm = np.sqrt(np.bincount(matrix.indices, matrix.data**2, minlength=matrix.shape[1]))
    matrix.data = (matrix.data / np.maximum(norm[matrix.indices], 1e-12)).astype(np.float32)
    return matrix


def nearest(weighted: Any, n: int) -> Neighbours:
    """Return each column's ``n`` nearest others by inner product, best first."""
    from implicit.nearest_neighbours import ItemItemRecommender

    size = weighted.shape[1]
    if not weighted.nnz:
        return Neighbours(np.full((size, n), -1, np.int32), np.zeros((size, n), np.float32))
    model = ItemItemRecommender(K=n + 1, num_threads=threads())
    with one_blas_thread():
        model.fit(weighted.astype(np.float64), show_progress=False)
    return _best_first(model.similarity, n)


def _best_first(near: Any, n: int) -> Neighbours:
    """Lay out up to ``n`` + 1 similar columns a row, itself left out; ties go to the lower product code."""
    near.eliminate_zeros()  # implicit leaves what it did not fill at (0, 0): one cell too many in that row
    near.sort_indices()
    row = np.repeat(np.arange(near.shape[0]), np.diff(near.indptr))
    place = np.arange(near.nnz) - near.indptr[row]
    product, score = np.full((near.shape[0], n + 1), -1, np.int32), np.zeros((near.shape[0], n + 1))
    other = (near.indices != row) & (near.data > 0)
    product[row[other], place[other]] = near.indices[other]
    score[row[other], place[other]] = near.data[other]
    order = np.argsort(-score, axis=1, kind="stable")[:, :n]
    return Neighbours(
        np.take_along_axis(product, order, axis=1),
        np.take_along_axis(score, order, axis=1).astype(np.float32),
    )


def factors(history: History, n: int, half_life_days: float, *, seed: int) -> tuple[Floats, Floats]:
    """Return ALS factors of customers and of products over decayed purchases (Hu, Koren, Volinsky 2008)."""
    from implicit.als import AlternatingLeastSquares

    matrix = interactions(history, half_life_days).matrix.tocsr()
    if not matrix.nnz:
        return np.zeros((matrix.shape[0], n), np.float32), np.zeros((matrix.shape[1], n), np.float32)
    with one_blas_thread():
        model = AlternatingLeastSquares(
            factors=n, alpha=1.0, regularization=0.01, iterations=10, num_threads=threads(), random_state=seed
        )
        model.fit(matrix, show_progress=False)
    return np.nan_to_num(model.user_factors), np.nan_to_num(model.item_factors)


def alike(
    history: History, shelf: Ints, *, near: int, depth: int, half_life_days: float, seed: int
) -> Neighbours:
    """Return what customers with like baskets buy: for each, the ``depth`` best products not bought yet.

    The mean of the ``near`` nearest customers' purchases, weighted by cosine over TF-IDF (the neighbour part
    of TIFU-KNN: Hu et al. 2020). Neighbours are sought among 5,000 customers at most, drawn by ``seed``.
    """
    bought = interactions(history, half_life_days).matrix.tocsr()
    bought.data = np.log1p(bought.data)
    n = bought.shape[0]
    pool = np.sort(np.random.default_rng(seed).permutation(n)[:5000])
    rarity = np.log1p(n / (1.0 + np.bincount(bought.indices, minlength=bought.shape[1])))
    taste = bought.copy()
    taste.data = taste.data * rarity[taste.indices]
    taste = _unit_columns(taste.T.tocsr()).T.tocsr().astype(np.float32)
    known, other = bought[pool][:, shelf].astype(np.float32), taste[pool].T.tocsc()
    step = rows_at_once(max(len(shelf), len(pool)))
    parts = []
    for start in range(0, n, step):
        rows = np.arange(start, min(start + step, n))
        like = (taste[rows] @ other).toarray()
        like[rows[:, None] == pool] = 0
        score = (_sparse_top(like, near) @ known).toarray()
        mine = bought[rows][:, shelf].tocoo()
        score[mine.row, mine.col] = 0
        parts.append(_profiles(score, shelf, depth))
    return Neighbours(*(np.concatenate(both) for both in zip(*parts, strict=True)))


def _sparse_top(scores: Floats, n: int) -> Any:
    from scipy.sparse import csr_matrix

    part = top_columns(scores, n)
    row = np.repeat(np.arange(len(scores)), part.shape[1])
    return csr_matrix(
        (np.take_along_axis(scores, part, axis=1).ravel(), (row, part.ravel())), shape=scores.shape
    )


def _profiles(scores: Floats, shelf: Ints, depth: int) -> tuple[Ints, Floats]:
    """Return each row's best ``depth`` columns as product codes in their order, -1 where there are fewer."""
    width = min(depth, scores.shape[1])
    product, score = np.full((len(scores), depth), -1, np.int32), np.zeros((len(scores), depth), np.float32)
    if width:
        column = np.sort(top_columns(scores, width), axis=1)
        found = np.take_along_axis(scores, column, axis=1)
        product[:, :width] = np.where(found > 0, shelf[column], -1)
        score[:, :width] = np.maximum(found, 0)
    return product, score
