"""When customers last bought given products, or anything of the same category: in days before the cutoff."""

from dataclasses import replace

import numpy as np

from features.arrays.dtypes import Doubles, Ints
from features.arrays.groups import found_at
from features.arrays.history import History


def days_since_bought(history: History, products: Ints) -> Doubles:
    """Return days from each customer's last purchase of each candidate to the cutoff; NaN if never bought.

    ``products`` are codes of shape (n_customers, k), row by row those of ``history``; -1 stands for no
    candidate.
    """
    return _days_since(history, history.product, wanted=products, n_codes=len(history.products))


def days_since_kind(history: History, products: Ints, *, category: Ints) -> Doubles:
    """Return the same for the last purchase in the candidate's category (``category``: code by product)."""
    kinds = np.append(category, np.int32(-1))
    wanted, n = kinds[products], int(category.max(initial=-1)) + 1
    rows = kinds[history.product]
    known = replace(history, product=np.where(rows >= 0, rows, n).astype(np.int32))
    return _days_since(known, known.product, wanted=wanted, n_codes=n + 1)


def _days_since(history: History, owned: Ints, *, wanted: Ints, n_codes: int) -> Doubles:
    if not len(owned):
        return np.full(wanted.shape, np.nan)
    bought = history.customer.astype(np.int64) * n_codes + owned
    pairs, last = np.unique(bought[::-1], return_index=True)  # newest first: its first is the last bought
    day = history.day[::-1][last]
    keys = np.arange(len(wanted), dtype=np.int64)[:, None] * n_codes + wanted
    at = found_at(keys, pairs)
    return np.where((wanted >= 0) & (at >= 0), history.cutoff_day - day[at], np.nan)
