"""The best columns of each row of a wide table of scores, without sorting all of it."""

from math import isqrt

import numpy as np

from features.arrays.dtypes import Floats, Longs


def top_columns(scores: Floats, n: int) -> Longs:
    """Return each row's ``n`` best columns, best first, ties in column order; all if there are fewer.

    The ``n`` best lie in the ``n`` blocks of columns with the highest maxima, so only these are searched.
    Which of equal scores get the last places is unspecified. Scores must not be NaN.
    """
    width = scores.shape[1]
    n = min(n, width)
    if not n or not len(scores):
        return np.zeros((len(scores), n), np.int64)
    columns = _promising(scores, n)
    cells = scores if columns is None else np.take_along_axis(scores, columns, axis=1)
    part = np.argpartition(cells, -n, axis=1)[:, -n:]
    best = np.sort(part if columns is None else np.take_along_axis(columns, part, axis=1), axis=1)
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1)


def _promising(scores: Floats, n: int) -> Longs | None:
    """Return the columns of the ``n`` best blocks and of the remainder; None if blocks do not pay off."""
    rows, width = scores.shape
    block = isqrt(width // n)
    if block < 4:
        return None
    whole = width // block * block
    peaks = scores[:, :whole].reshape(rows, -1, block).max(axis=2)
    best = np.argpartition(peaks, -n, axis=1)[:, -n:]
    inside = (best[:, :, None] * block + np.arange(block)).reshape(rows, -1)
    return np.concatenate([inside, np.broadcast_to(np.arange(whole, width), (rows, width - whole))], axis=1)
