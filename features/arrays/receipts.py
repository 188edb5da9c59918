"""Facts counted from the orders: of each customer, and of each customer with a product or kind of products.

One pass over the histories gathers them, for one customer or for a million; ``features.arrays.pairs`` turns
them into features. A *habit* holds a customer's facts about one product, or about one kind of products.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.arrays.compiled import compiled
from features.arrays.dtypes import Floats, Ints, Longs
from features.arrays.history import History
from features.arrays.products import HALF_LIVES, ProductTable

CUSTOMER: dict[str, str] = {
    "orders": "orders",
    "orders_7d": "orders, half-life 7 days",
    "orders_28d": "orders, half-life 28 days",
    "orders_112d": "orders, half-life 112 days",
    "since": "days since the last order; NaN without one",
    "tenure": "days since the first order",
    "lines": "purchases: products of orders",
    "lines_now": "purchases of the last 28 days",
    "products": "distinct products",
    "products_now": "products bought for the first time in the last 28 days",
    "price": "sum of the log prices of what was bought",
}
HABIT: dict[str, str] = {
    "n": "purchases",
    "n_7d": "purchases, half-life 7 days",
    "n_28d": "purchases, half-life 28 days",
    "n_112d": "purchases, half-life 112 days",
    "since": "days since the last purchase; NaN without one, as everything below",
    "before": "days since the last purchase but one (the first, if there is one only)",
    "first": "days since the first purchase",
    "visit": "number of the customer's order with the last purchase, from 1",
    "first_visit": "number of the customer's order with the first purchase, from 1",
    "last_quantity": "quantity of the last purchase",
    "quantity": "sum of quantities; 0 without a purchase",
    "quantity_112d": "the same, half-life 112 days",
    "products": "distinct products bought; 0 without a purchase",
}


def record(names: Any) -> "np.dtype[np.void]":
    """Return the record type with one float32 field per name."""
    return np.dtype([(name, np.float32) for name in names])


_CUSTOMER, _HABIT = record(CUSTOMER), record(HABIT)
_HALF_LIVES = np.array(HALF_LIVES, np.float32)


@dataclass(frozen=True)
class Receipts:
    """``customers``: one record per customer of the history. ``habits``: records of shape (5, pairs).

    Row 0 of ``habits`` is the product itself, the others are ``features.arrays.products.LEVELS``.
    """

    customers: NDArray[np.void]
    habits: NDArray[np.void]


class _Lines(NamedTuple):
    """The columns of a ``History`` that are needed."""

    indptr: Longs
    product: Ints
    order: Ints
    day: Ints
    quantity: Floats
    today: int


class _Products(NamedTuple):
    """The columns of a ``ProductTable`` that are needed."""

    kinds: Ints
    n_kinds: int
    log_price: Floats


class _Notes(NamedTuple):
    """One customer's habits, and the position among them of each product and kind; -1: none."""

    place: Ints
    habits: Any


def receipts(history: History, table: ProductTable, *, customer: Ints, product: Ints) -> Receipts:
    """Gather the facts of pairs, which must be sorted by customer; else ``ValueError``."""
    customers = np.zeros(len(history.customers), _CUSTOMER)
    habits = np.empty((1 + len(table.codes), len(product)), _HABIT)
    lines = _Lines(
        history.indptr, history.product, history.order, history.day, history.quantity, history.cutoff_day
    )
    products = _Products(table.codes, table.n_kinds, table.log_price)
    reached = _gather(lines, products, _HALF_LIVES, (customer, product), customers, habits)
    if reached < len(product):
        raise ValueError(f"pairs must be sorted by customer, row {reached} is not")
    return Receipts(customers, habits)


@compiled
def _gather(  # noqa: PLR0917 (numba takes arrays, not objects)
    lines: _Lines,
    products: _Products,
    half_lives: Floats,
    pairs: tuple[Ints, Ints],
    customers: Any,
    habits: Any,
) -> int:
    """Fill ``customers`` and ``habits``; return how many pairs were reached."""
    customer, product = pairs
    most = np.diff(lines.indptr).max() if len(customers) else 0
    place = np.full(products.kinds.shape[1] + len(products.kinds) * products.n_kinds, -1, np.int32)
    notes = _Notes(place, np.empty(most * len(habits), habits.dtype))
    pair = 0
    for code in range(len(customers)):
        _read(lines, code, products, half_lives, customers[code], notes)
        while pair < len(product) and customer[pair] == code:
            for level in range(len(habits)):
                key = _key(products, level, product[pair])
                if key >= 0 and place[key] >= 0:
                    habits[level, pair] = notes.habits[place[key]]
                else:
                    _nothing_yet(habits[level, pair])
            pair += 1
        for row in range(lines.indptr[code], lines.indptr[code + 1]):
            for level in range(len(habits)):
                key = _key(products, level, lines.product[row])
                if key >= 0:
                    place[key] = -1
    return pair


@compiled
def _read(  # noqa: PLR0917 (numba takes arrays, not objects)
    lines: _Lines, code: int, products: _Products, half_lives: Floats, who: Any, notes: _Notes
) -> None:
    """Collect everything one customer bought."""
    first, used = lines.indptr[code], 0
    weight = np.zeros(len(half_lives), np.float32)
    who.since = np.nan
    for row in range(first, lines.indptr[code + 1]):
        product, age = lines.product[row], lines.today - lines.day[row]
        if row == first or lines.order[row] != lines.order[row - 1]:
            for number in range(len(weight)):
                weight[number] = np.exp2(-np.float32(age) / half_lives[number])
            _visit(who, age, weight)
        new = notes.place[product] < 0
        _line(who, age, products.log_price[product], new)
        for level in range(1 + len(products.kinds)):
            key = _key(products, level, product)
            if key < 0:
                continue
            if notes.place[key] < 0:
                notes.place[key] = used
                _nothing_yet(notes.habits[used])
                used += 1
            _purchase(notes.habits[notes.place[key]], who.orders, age, weight, lines.quantity[row])
            notes.habits[notes.place[key]].products += new


@compiled
def _key(products: _Products, level: int, product: int) -> int:
    """Return the index in ``_Notes.place`` of a product or its kind on a level; -1 for an unknown kind."""
    if level == 0:
        return product
    kind = int(products.kinds[level - 1, product])
    return products.kinds.shape[1] + (level - 1) * products.n_kinds + kind if kind >= 0 else -1


@compiled
def _visit(who: Any, age: float, weight: Floats) -> None:
    """Add an order to the customer's facts; orders come in time order."""
    if who.orders == 0:
        who.tenure = age
    who.since = age
    who.orders += 1
    who.orders_7d += weight[0]
    who.orders_28d += weight[1]
    who.orders_112d += weight[2]


@compiled
def _line(who: Any, age: float, log_price: float, new: bool) -> None:
    """Add a purchase to the customer's facts; ``new``: the first one of its product."""
    now = age <= 28
    who.lines += 1
    who.lines_now += now
    who.products += new
    who.products_now += new and now
    if not np.isnan(log_price):
        who.price += log_price


@compiled
def _nothing_yet(habit: Any) -> None:
    habit.n = habit.n_7d = habit.n_28d = habit.n_112d = 0
    habit.quantity = habit.quantity_112d = habit.products = 0
    habit.since = habit.before = habit.first = np.nan
    habit.visit = habit.first_visit = habit.last_quantity = np.nan


@compiled
def _purchase(habit: Any, visit: float, age: float, weight: Floats, quantity: float) -> None:
    """Add a purchase to a habit; purchases come in time order."""
    habit.before = age if habit.n == 0 else habit.since
    if habit.n == 0:
        habit.first, habit.first_visit = age, visit
    habit.since, habit.visit, habit.last_quantity = age, visit, quantity
    habit.quantity += quantity
    habit.quantity_112d += quantity * weight[2]
    habit.n += 1
    habit.n_7d += weight[0]
    habit.n_28d += weight[1]
    habit.n_112d += weight[2]
