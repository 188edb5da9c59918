"""One customer's current history: the state's, with the orders and returns since."""

from collections.abc import Sequence

import numpy as np

from features.arrays.dtypes import Column, Floats, Ints
from features.arrays.history import History, Vocabulary

Line = tuple[str, int, float]
"""Product, day (since 1970-01-01), quantity: negative for a return."""
COLUMNS = ("product", "order", "day", "quantity", "revenue")
QUANTITY = COLUMNS.index("quantity")
ALMOST_NONE = 1e-6
"""A purchase of which less than this is left counts as returned."""
NOBODY = Vocabulary(np.array([b""]))


def by_now(history: History, code: int, new_lines: Sequence[Line]) -> tuple[History, Ints]:
    """Return one customer's current history, and the products bought since and kept."""
    rows, today = history.rows(code), history.cutoff_day
    columns: list[Column] = [getattr(history, name)[rows] for name in COLUMNS]
    if not new_lines:
        return _one(history, columns), np.zeros(0, np.int32)
    codes = history.products.codes([name for name, _, _ in new_lines]).tolist()
    bought: dict[tuple[int, int], float] = {}
    quantity = np.array(columns[QUANTITY])
    for code_, (_, day, change) in zip(codes, new_lines, strict=True):
        key = (min(day, today), code_)
        if code_ >= 0 and change > 0:
            bought[key] = bought.get(key, 0.0) + change
        elif code_ >= 0:
            _undo(bought, columns[0], quantity, code_, -change)
    kept = sorted(key for key, amount in bought.items() if amount > ALMOST_NONE)
    columns[QUANTITY] = quantity
    left = quantity > ALMOST_NONE
    columns = _appended([column[left] for column in columns], kept, [bought[key] for key in kept])
    return _one(history, columns), np.unique(np.array([product for _, product in kept], np.int32))


def _undo(
    bought: dict[tuple[int, int], float], product: Column, quantity: Floats, code: int, back: float
) -> None:
    """Apply a return to the latest purchases of the product: those since, then those in ``quantity``."""
    for key in reversed([key for key in bought if key[1] == code]):
        undone = min(back, bought[key])
        bought[key] -= undone
        back -= undone
    for row in np.flatnonzero(product == code)[::-1].tolist():
        undone = min(back, float(quantity[row]))
        quantity[row] -= undone
        back -= undone


def _appended(
    columns: list[Column], keys: Sequence[tuple[int, int]], quantity: Sequence[float]
) -> list[Column]:
    """Append purchases (day, product): those of one day are one order."""
    day = np.array([day for day, _ in keys], np.int32)
    order = int(columns[1].max(initial=-1)) + 1 + np.unique(day, return_inverse=True)[1].ravel()
    product = np.array([product for _, product in keys], np.int32)
    new: list[Column] = [
        product,
        order,
        day,
        np.array(quantity, np.float32),
        np.full(len(keys), np.nan, np.float32),
    ]
    return [np.append(old, add.astype(old.dtype)) for old, add in zip(columns, new, strict=True)]


def _one(history: History, columns: Sequence[Column]) -> History:
    """Return the history of one customer."""
    product, order, day, quantity, revenue = columns
    indptr = np.array([0, len(product)], np.int64)
    products, today = history.products, history.cutoff_day
    return History(NOBODY, products, indptr, product, order, day, quantity, revenue, today)
