"""The figures of lists: pure functions over arrays, one row per customer, one column per rank."""

from typing import Any

import numpy as np

from features.arrays.dtypes import Bools, Doubles, Longs
from features.arrays.groups import among, found_at


def hit_matrix(recommended: Longs, customer: Longs, *, product: Longs) -> Bools:
    """Return which of the ``recommended`` product codes (n x k, -1 for none) are true.

    The truth comes as pairs: row number of the customer, product code.
    """
    width = int(max(recommended.max(initial=0), product.max(initial=0))) + 1
    rows = np.arange(len(recommended), dtype=np.int64)[:, None]
    return among(rows * width + recommended, np.sort(customer * width + product)) & (recommended >= 0)


def recall(hits: Bools, n_true: Longs, *, k: int) -> Doubles:
    """Return each customer's share of true products among the first ``k``; NaN without a truth."""
    return _share(hits[:, :k].sum(axis=1), n_true)


def ndcg(hits: Bools, n_true: Longs, *, k: int) -> Doubles:
    """Return each customer's NDCG with binary gain; the ideal list has ``min(k, n_true)`` hits.

    Source: Järvelin & Kekäläinen (2002), with log2(rank + 1).
    """
    discount = 1.0 / np.log2(np.arange(2, k + 2))
    ideal = np.concatenate([[0.0], np.cumsum(discount)])[np.minimum(n_true, k)]
    return _share(hits[:, :k] @ discount[: hits.shape[1]], ideal)


def average_precision_at(hits: Bools, n_true: Longs, *, k: int) -> Doubles:
    """Return each customer's average precision, divided by ``min(k, n_true)``; its mean is MAP."""
    top = hits[:, :k]
    precision = np.cumsum(top, axis=1) / np.arange(1, top.shape[1] + 1)
    return _share((precision * top).sum(axis=1), np.minimum(n_true, k))


def hit_rate(hits: Bools, n_true: Longs, *, k: int) -> Doubles:
    """Return 1 if any of the first ``k`` is true, else 0; NaN without a truth."""
    return np.where(n_true > 0, hits[:, :k].any(axis=1).astype(float), np.nan)


def hit_values(recommended: Longs, customer: Longs, *, product: Longs, value: Doubles) -> Doubles:
    """Return the value (money) of the true pair behind each recommended product, 0 without one."""
    width = int(max(recommended.max(initial=0), product.max(initial=0))) + 1
    pair = np.asarray(customer, np.int64) * width + product
    order = np.argsort(pair)
    wanted = np.arange(len(recommended), dtype=np.int64)[:, None] * width + recommended
    at = found_at(wanted, pair[order])
    return np.where(recommended >= 0, np.append(value[order], 0.0)[at], 0.0)  # the last where it is not found


def novelty(recommended: Longs, rarity: Doubles, *, k: int) -> Doubles:
    """Return the mean surprise in bits of each customer's first ``k``; NaN of an empty list.

    ``rarity`` is -log2 of the share of customers who bought a product (Zhou et al. 2010).
    """
    top = recommended[:, :k]
    bits = np.where(top >= 0, rarity[np.maximum(top, 0)] if len(rarity) else 0.0, 0.0)
    return _share(bits.sum(axis=1), (top >= 0).sum(axis=1))


def share_new(recommended: Longs, bought_before: Bools, *, k: int) -> Doubles:
    """Return the share of each customer's first ``k`` they never bought before; NaN of an empty list."""
    shown = recommended[:, :k] >= 0
    return _share((shown & ~bought_before[:, :k]).sum(axis=1), shown.sum(axis=1))


def coverage(recommended: Longs, catalogue: Longs, *, k: int) -> float:
    """Return the share of the catalogue (its codes) that appears among anyone's first ``k``."""
    return float(np.isin(catalogue, recommended[:, :k]).mean()) if len(catalogue) else float("nan")


def _share(part: Any, whole: Any) -> Doubles:
    whole = np.asarray(whole, dtype=float)
    share: Doubles = np.divide(part, whole, out=np.full(len(whole), np.nan), where=whole > 0)
    return share


RANKING = {"recall": recall, "ndcg": ndcg, "map": average_precision_at, "hit_rate": hit_rate}
