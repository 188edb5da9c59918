"""TIFU-KNN (Hu et al. 2020): a customer's baskets, decayed with age, and those of similar customers."""

from dataclasses import dataclass

import numpy as np

from features.arrays.dtypes import Floats, Ints, Sparse
from features.arrays.history import History, summed
from models.similarity.top import top_columns

POOL = 5000
"""Similar customers are searched among at most this many."""


@dataclass(frozen=True)
class TifuKnn:
    """Scores of every product for some customers: own habits and the mean habits of the nearest customers.

    Baskets are counted back from the last one, in groups of ``group``; each weighs ``within`` to the power of
    its position in the group times ``between`` to the power of the group's. The score is ``alpha`` times the
    own vector and ``1 - alpha`` times the mean of the ``near`` nearest ones (Euclidean). The defaults are
    nearly the best of eight trials (``bench_lists.py``) at the validation cutoffs of both shops.
    """

    habits: Sparse
    """Matrix (customers, products)."""
    pool: Ints
    near: int
    alpha: float

    @classmethod
    def of(
        cls,
        history: History,
        *,
        group: int = 11,
        within: float = 1.0,
        between: float = 0.5,
        near: int = 100,
        alpha: float = 0.5,
        seed: int = 0,
    ) -> "TifuKnn":
        """Compute habits from a history; the customers to compare with are drawn by ``seed``."""
        n = len(history.customers)
        pool = np.sort(np.random.default_rng(seed).permutation(n)[:POOL]).astype(np.int32)
        return cls(_habits(history, group, within=within, between=between), pool, near, alpha)

    def scores(self, codes: Ints) -> Floats:
        """Return the scores (customers, products)."""
        own, others = self.habits[codes], self.habits[self.pool]
        length = np.asarray(others.multiply(others).sum(axis=1)).ravel()
        closeness = 2 * (own @ others.T).toarray() - length[None, :]
        closeness[codes[:, None] == self.pool] = -np.inf
        mean = _mean_of(closeness, min(self.near, len(self.pool) - 1))
        scores: Floats = (self.alpha * own + (1 - self.alpha) * (mean @ others)).toarray()
        return scores


def _habits(history: History, group: int, *, within: float, between: float) -> Sparse:
    """Return the customers' vectors: each group's mean, decayed, over the number of groups."""
    back, first = baskets_back(history)
    weight = within ** (back % group) * between ** (back // group) / group / (first // group + 1)
    return summed(history, weight.astype(np.float32))


def baskets_back(history: History) -> tuple[Ints, Ints]:
    """Return how many of the customer's baskets came after each row's, and after their first."""
    fresh = np.diff(history.order, prepend=-1) != 0
    number = np.cumsum(fresh)
    some = np.diff(history.indptr) > 0
    sizes = np.diff(history.indptr)[some]
    last = np.repeat(number[history.indptr[1:][some] - 1], sizes)
    first = np.repeat(number[history.indptr[:-1][some]], sizes)
    return (last - number).astype(np.int32), (last - first).astype(np.int32)


def _mean_of(closeness: Floats, n: int) -> Sparse:
    """Return the matrix that computes the mean of each row's ``n`` closest."""
    from scipy.sparse import csr_matrix

    if n < 1:
        return csr_matrix(closeness.shape, dtype=np.float32)
    best = top_columns(closeness, n)
    row = np.repeat(np.arange(len(best)), n)
    return csr_matrix((np.full(best.size, 1 / n, np.float32), (row, best.ravel())), shape=closeness.shape)
