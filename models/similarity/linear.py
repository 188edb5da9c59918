"""EASE: each product's purchases predicted by a linear model from all the others, solved in closed form.

Steck (WWW 2019), equation 8, on the square root of decayed counts. Unlike item-item cosine, it counts
evidence that several neighbours share only once. Of all sources it alone ranks new products best, and the
ranker gives it the most weight.
"""

import numpy as np

from features.arrays.dtypes import Floats, Ints
from features.arrays.history import History, interactions
from models.similarity.collaborative import Neighbours

CAP = 4.0
"""Decayed counts are capped here: a customer who buys a product every day counts as one, not as many."""
RIDGE = 8.0
"""L2 penalty of the weights, in mean purchases of a product."""
FIRM = 20.0
"""Added to the ridge, so that a product with a few buyers predicts nothing by itself."""
N_PRODUCTS = 6_000
"""Number of best sellers that take part: time grows with its cube (eight seconds on one core)."""


def linear(history: History, n: int, *, half_life_days: float) -> Neighbours:
    """Return for each product the ``n`` others with the largest weights, positive or negative."""
    bought = interactions(history, half_life_days).matrix.tocsr()
    bought.data = np.sqrt(np.minimum(bought.data, CAP))
    weight = np.asarray(bought.sum(axis=0)).ravel()
    size = min(N_PRODUCTS, int(np.count_nonzero(weight > 0)))
    neighbours = Neighbours.none(len(weight), n)
    if size > 1:
        best = np.sort(np.argsort(-weight, kind="stable")[:size]).astype(np.int32)
        some = bought[:, best].astype(np.float32)
        parts = _strongest(_weights((some.T @ some).toarray()), best, n)
        neighbours.product[best, : parts[0].shape[1]], neighbours.score[best, : parts[1].shape[1]] = parts
    return neighbours


def _weights(gram: Floats) -> Floats:
    """Return the model's weights, shape (from, to), zeros on the diagonal; ``gram`` is written over."""
    from scipy.linalg import cho_factor
    from scipy.linalg.lapack import spotri
    from threadpoolctl import threadpool_limits

    diagonal = np.diag_indices(len(gram))
    gram[diagonal] += RIDGE * gram[diagonal].mean() + FIRM
    with threadpool_limits(1, "blas"):
        factor, _ = cho_factor(gram, lower=False, overwrite_a=True, check_finite=False)
        upper, _ = spotri(factor, lower=0, overwrite_c=1)
    inverse = np.triu(upper)
    inverse += np.triu(upper, 1).T
    weights: Floats = inverse / -inverse[diagonal]
    weights[diagonal] = 0
    return weights


def _strongest(weights: Floats, best: Ints, n: int) -> tuple[Ints, Floats]:
    """Return each column's ``n`` weights farthest from 0, as product codes and weights, strongest first."""
    n = min(n, len(weights) - 1)
    row = np.argpartition(-np.abs(weights), n - 1, axis=0)[:n]
    value = np.take_along_axis(weights, row, axis=0)
    order = np.lexsort((row, -np.abs(value)), axis=0)
    row, value = np.take_along_axis(row, order, axis=0), np.take_along_axis(value, order, axis=0)
    return np.where(value != 0, best[row], -1).T.astype(np.int32), value.T.astype(np.float32)
