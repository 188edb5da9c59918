"""How well an order puts what was bought first: NDCG with binary gain (Järvelin & Kekäläinen 2002)."""

import numpy as np

from features.arrays.dtypes import Column, Doubles, Ints


def ndcg(customer: Ints, score: Column, *, bought: Column, n_true: Column, k: int) -> Doubles:
    """Return NDCG@k of each customer (0 to ``len(n_true)`` - 1), NaN for one who bought nothing.

    Rows are candidates, ties go to the earlier row; ``n_true`` counts all purchases, including those that are
    no candidates.
    """
    order = np.lexsort((-score, customer))
    who, hit = customer[order], bought[order]
    rank = np.arange(len(order)) - np.searchsorted(who, who)
    discount = 1 / np.log2(np.arange(2, k + 2))
    seen = (rank < k) & (hit > 0)
    gained = np.bincount(who[seen], discount[rank[seen]], minlength=len(n_true))
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(n_true, k)]
    share: Doubles = np.divide(gained, ideal, out=np.full(len(n_true), np.nan), where=n_true > 0)
    return share
