"""One customer's current history: the state's, with the orders and returns since."""

from collections.abc import Sequence

import numpy as np

from features.arrays.dtypes import Column, Floats, Ints
from features.arrays.history import History, Vocabulary

Line = tuple[str, float]
"""Product and quantity, negative for a return."""
COLUMNS = ("product", "order", "day", "quantity", "revenue")
QUANTITY = COLUMNS.index("quantity")
ALMOST_NONE = 1e-6
"""A purchase of which less than this is left counts as returned."""
NOBODY = Vocabulary(np.array([b""]))


def by_now(history: History, code: int, *, new_lines: Sequence[Line]) -> tuple[History, Ints]:
    """Return one customer's current history, and the products bought since and kept.

    What was bought since is one order, of the cutoff's day.
    """
    rows = history.rows(code)
    columns: list[Column] = [getattr(history, name)[rows] for name in COLUMNS]
    if not new_lines:
        return _one(history, columns), np.zeros(0, np.int32)
    bought: dict[int, float] = {}
    columns[QUANTITY] = np.array(columns[QUANTITY])
    codes = history.products.codes([name for name, _ in new_lines]).tolist()
    for product, (_, change) in zip(codes, new_lines, strict=True):
        if product >= 0 and change > 0:
            bought[product] = bought.get(product, 0.0) + change
        elif product >= 0:
            _undo(bought, columns[0], quantity=columns[QUANTITY], code=product, back=-change)
    left = columns[QUANTITY] > ALMOST_NONE
    fresh = np.array(sorted(name for name, kept in bought.items() if kept > ALMOST_NONE), np.int32)
    quantity = np.array([bought[product] for product in fresh.tolist()])
    columns = _appended(
        [column[left] for column in columns], fresh, quantity=quantity, day=history.cutoff_day
    )
    return _one(history, columns), fresh


def _undo(bought: dict[int, float], product: Column, *, quantity: Floats, code: int, back: float) -> None:
    """Apply a return to the latest purchases of the product: those since, then those in ``quantity``."""
    undone = min(back, bought.get(code, 0.0))
    bought[code] = bought.get(code, 0.0) - undone
    back -= undone
    for row in np.flatnonzero(product == code)[::-1].tolist():
        undone = min(back, float(quantity[row]))
        quantity[row] -= undone
        back -= undone


def _appended(columns: list[Column], product: Ints, *, quantity: Column, day: int) -> list[Column]:
    """Append one order of these products."""
    order, n = int(columns[1].max(initial=-1)) + 1, len(product)
    new = (product, np.full(n, order), np.full(n, day), quantity, np.full(n, np.nan))
    return [np.append(old, add.astype(old.dtype)) for old, add in zip(columns, new, strict=True)]


def _one(history: History, columns: Sequence[Column]) -> History:
    """Return the history of one customer."""
    product, order, day, quantity, revenue = columns
    indptr = np.array([0, len(product)], np.int64)
    products, today = history.products, history.cutoff_day
    return History(NOBODY, products, indptr, product, order, day, quantity, revenue, today)
