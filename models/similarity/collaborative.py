"""Collaborative evidence as plain arrays: neighbours, factors, profiles, baskets."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.arrays.dtypes import Floats, Ints, Sparse
from features.arrays.history import History, interactions
from features.arrays.stored import read_array, write_arrays
from features.hardware import threads


@dataclass(frozen=True)
class Neighbours:
    """For each row (a product, a customer) some products and scores: shape (rows, m), -1 and 0 for none."""

    product: Ints
    score: Floats

    @classmethod
    def none(cls, n_rows: int, m: int) -> "Neighbours":
        """Return rows without neighbours."""
        return cls(np.full((n_rows, m), -1, np.int32), np.zeros((n_rows, m), np.float32))

    def save(self, folder: Path, name: str) -> None:
        """Write ``<name>.product.npy`` and ``<name>.score.npy``."""
        write_arrays(folder, {f"{name}.product": self.product, f"{name}.score": self.score})

    @classmethod
    def load(cls, folder: Path, name: str) -> "Neighbours":
        """Read back."""
        parts = (read_array(folder, f"{name}.{part}") for part in ("product", "score"))
        return cls(*parts)


def similar(history: History, n: int, *, half_life_days: float) -> Neighbours:
    """Return each product's ``n`` most similar ones: cosine over TF-IDF weighted, decayed purchases.

    Customers are the terms: one who buys everything says little about what goes with what.
    """
    weighted = interactions(history, half_life_days).matrix.tocsr()
    breadth = np.diff(weighted.indptr)
    rarity = np.log1p(weighted.shape[1] / (1 + breadth))
    weighted.data = np.sqrt(weighted.data) * np.repeat(rarity, breadth)
    return nearest(unit_columns(weighted), n)


def unit_columns(matrix: Sparse) -> Sparse:
    """Scale every column of the matrix to length one, in place; return it."""
    norm = np.sqrt(np.bincount(matrix.indices, matrix.data**2))
    matrix.data = (matrix.data / np.maximum(norm[matrix.indices], 1e-12)).astype(np.float32)
    return matrix


def nearest(weighted: Sparse, n: int) -> Neighbours:
    """Return each column's ``n`` nearest others by inner product, best first."""
    from implicit.nearest_neighbours import ItemItemRecommender
    from threadpoolctl import threadpool_limits

    if not weighted.nnz:
        return Neighbours.none(weighted.shape[1], n)
    model = ItemItemRecommender(K=n + 1, num_threads=threads())
    with threadpool_limits(1, "blas"):  # implicit has threads of its own
        model.fit(weighted.astype(np.float64), show_progress=False)
    return _best_first(model.similarity, n)


def _best_first(near: Sparse, n: int) -> Neighbours:
    """Arrange up to ``n`` + 1 similar columns per row, without the row's own; ties go to the lower code."""
    near.eliminate_zeros()  # implicit leaves unfilled cells at (0, 0): one cell too many in that row
    near.sort_indices()
    row = np.repeat(np.arange(near.shape[0]), np.diff(near.indptr))
    place = np.arange(near.nnz) - near.indptr[row]
    product, score = np.full((near.shape[0], n + 1), -1, np.int32), np.zeros((near.shape[0], n + 1))
    other = near.indices != row
    product[row[other], place[other]] = near.indices[other]
    score[row[other], place[other]] = near.data[other]
    order = np.argsort(-score, axis=1, kind="stable")[:, :n]
    return Neighbours(
        np.take_along_axis(product, order, axis=1),
        np.take_along_axis(score, order, axis=1).astype(np.float32),
    )


def factors(history: History, n: int, *, half_life_days: float, seed: int) -> tuple[Floats, Floats]:
    """Return ALS factors of customers and of products over decayed purchases (Hu, Koren, Volinsky 2008)."""
    from implicit.als import AlternatingLeastSquares
    from threadpoolctl import threadpool_limits

    matrix = interactions(history, half_life_days).matrix.tocsr()
    if not matrix.nnz:
        return np.zeros((matrix.shape[0], n), np.float32), np.zeros((matrix.shape[1], n), np.float32)
    with threadpool_limits(1, "blas"):
        model = AlternatingLeastSquares(
            factors=n, alpha=1.0, regularization=0.01, iterations=10, num_threads=threads(), random_state=seed
        )
        model.fit(matrix, show_progress=False)
    return np.nan_to_num(model.user_factors), np.nan_to_num(model.item_factors)
