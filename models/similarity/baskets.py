"""What goes with a product: bought in the same orders more often than by chance, and no substitute.

There are two null models of chance. Orders: products fall into orders by how often they are bought.
Customers: a customer's purchases of two products fall into their own orders at random. Substitutes exceed the
first (the same people buy both) but fall short of the second (seldom at once): the lift within orders is
below that across them.
"""

from typing import NamedTuple

import numpy as np

from features.arrays.compiled import compiled
from features.arrays.dtypes import Bools, Column, Doubles, Floats, Ints, Longs, Rows
from features.arrays.history import History
from models.similarity.collaborative import Neighbours, nearest

MIN_ORDERS = 3
"""Minimum number of orders that two products share, and of customers who bought both, so that it is no single
household's habit."""
SHRINK = 10.0
"""The cosine of two products' orders is shrunk as if each had been in this many more."""
MIN_LIKELIHOOD_RATIO = 10.83
"""Minimum log-likelihood ratio of a pair (doubled, chi-squared with one degree of freedom): p = .001 (Dunning
1993)."""
PROOF = 20
"""Minimum common orders of products of one category to count as accessories of each other."""
TELLING = 5.0
"""Minimum common orders expected by customers' habits for the second null model to apply to a category."""


class Together(NamedTuple):
    """Accessories of each product, best first, and the categories whose products replace each other."""

    near: Neighbours
    kin: Ints
    """By product code: its category if its products are substitutes of each other, else -1."""


def together(history: History, category: Ints, *, n: int) -> Together:
    """Return each product's ``n`` best accessories; ``category`` by product code, -1 unknown.

    The score is the cosine of orders, shrunk if there are few. Products of one category only count if it is
    proven that they are bought at once (yogurts are, laptops are not).
    """
    baskets = _Baskets.of(history)
    kin = np.where(_replace_each_other(baskets, category)[category + 1], category, -1).astype(np.int32)
    near, shared = _most_shared(baskets, 3 * n)
    good = near.product >= 0
    product, other = np.nonzero(good)[0], near.product[good]
    expected = baskets.sold[product] * baskets.sold[other] / max(baskets.n_orders, 1)
    enough = (shared[good] >= MIN_ORDERS) & (shared[good] > expected)
    enough &= (kin[product] < 0) | (kin[product] != kin[other])
    enough[enough] = surprise(shared[good][enough], expected[enough]) >= MIN_LIKELIHOOD_RATIO
    enough[enough] = _by_many(baskets, product[enough], other=other[enough], shared=shared[good][enough])
    good[good] = enough
    return Together(_kept(near, good, n), kin)


def surprise(shared: Column, expected: Column) -> Floats:
    """Return twice the log-likelihood ratio of Poisson counts to their expectations."""
    shared, expected = np.maximum(shared, 1e-9), np.maximum(expected, 1e-9)
    return np.asarray(2 * (shared * np.log(shared / expected) - (shared - expected)))


class _Baskets(NamedTuple):
    """Rows of the history, one per order and product, and counts over all of them."""

    product: Ints
    order: Ints
    customer: Ints
    n_orders: int
    sold: Column
    """Number of orders with each product."""
    visits: Column
    """Number of orders of each customer."""

    @classmethod
    def of(cls, history: History) -> "_Baskets":
        size, n_orders = len(history.products), int(history.order.max(initial=-1)) + 1
        owner = np.zeros(n_orders, np.int32)
        owner[history.order] = history.customer
        visits = np.bincount(owner, minlength=len(history.customers))
        sold = np.bincount(history.product, minlength=size).astype(np.float64)
        return cls(history.product, history.order, history.customer, n_orders, sold, visits)


def _most_shared(baskets: _Baskets, n: int) -> tuple[Neighbours, Floats]:
    """Return each product's ``n`` nearest by shrunk cosine, and the number of orders they share."""
    from scipy.sparse import csr_matrix

    common = baskets.sold[baskets.product] >= MIN_ORDERS
    scale = np.sqrt(baskets.sold + SHRINK)
    product, order = baskets.product[common], baskets.order[common]
    shape = (baskets.n_orders, len(scale))
    matrix = csr_matrix(((1 / scale[product]).astype(np.float32), (order, product)), shape=shape)
    near = nearest(matrix, n)
    shared = near.score * scale[:, None] * scale[np.maximum(near.product, 0)]
    return near, np.rint(shared)


def _replace_each_other(baskets: _Baskets, category: Ints) -> Bools:
    """Return, by category (shifted by one, 0: none), whether its products are substitutes of each other.

    They are, unless they share orders more often than expected by both null models, and often enough to be
    sure.
    """
    kind, n_kinds = category[baskets.product] + 1, int(category.max(initial=-1)) + 2
    shared = _pairs_within(baskets.order, kind, weight=np.ones(len(kind)), n_kinds=n_kinds)
    squares = np.bincount(category + 1, baskets.sold**2, minlength=n_kinds)
    by_chance = (np.bincount(category + 1, baskets.sold, minlength=n_kinds) ** 2 - squares) / 2
    proven = (shared >= PROOF) & (shared > by_chance / max(baskets.n_orders, 1))
    again = baskets.visits[baskets.customer] > 1
    at_once = _pairs_within(
        baskets.order[again], kind[again], weight=np.ones(int(again.sum())), n_kinds=n_kinds
    )
    habit = _habits(baskets, again, kind=kind, n_kinds=n_kinds)
    proven &= (habit < TELLING) | (at_once > habit)
    return ~proven


def _pairs_within(group: Ints, kind: Ints, *, weight: Column, n_kinds: int) -> Column:
    """Count, by category, the pairs of different products of one category within each group."""
    cell, at = np.unique(group.astype(np.int64) * n_kinds + kind, return_inverse=True)
    n = np.bincount(at.ravel(), weight, minlength=len(cell))
    return np.bincount(cell % n_kinds, n * (n - 1) / 2, minlength=n_kinds)


def _habits(baskets: _Baskets, again: Column, *, kind: Ints, n_kinds: int) -> Column:
    """Return the pairs of a kind that would share orders if purchases fell at random into customers' own."""
    size = len(baskets.sold)
    own, n = np.unique(
        baskets.customer[again].astype(np.int64) * size + baskets.product[again], return_counts=True
    )
    customer, product = np.divmod(own, size)
    kinds = np.zeros(size, np.int64)
    kinds[baskets.product] = kind
    cell, at = np.unique(customer * n_kinds + kinds[product], return_inverse=True)
    total, squares = (np.bincount(at.ravel(), weight, minlength=len(cell)) for weight in (n, n**2))
    expected = (total**2 - squares) / 2 / baskets.visits[cell // n_kinds]
    return np.bincount(cell % n_kinds, expected, minlength=n_kinds)


def _by_many(baskets: _Baskets, one: Column, *, other: Ints, shared: Column) -> Bools:
    """Mark pairs that enough customers bought, and not clearly less often in one order than by habit."""
    size = len(baskets.visits)
    own, n = np.unique(baskets.product.astype(np.int64) * size + baskets.customer, return_counts=True)
    product, customer = np.divmod(own, size)
    indptr = np.searchsorted(product, np.arange(len(baskets.sold) + 1))
    habit = 1.0 / np.maximum(baskets.visits, 1)
    expected, buyers = _meetings(indptr, customer, n.astype(np.float64), habit, one, other)
    seldom = shared + 2 * np.sqrt(shared) < expected
    return np.asarray((buyers >= MIN_ORDERS) & ~seldom)


@compiled
def _meetings(  # noqa: PLR0917 (numba takes arrays, not objects)
    indptr: Rows, customer: Longs, n: Doubles, share: Doubles, one: Ints, other: Ints
) -> tuple[Doubles, Ints]:
    """Return, for each pair, the sum over customers of ``n_one * n_other / visits``, and who bought both."""
    total, both = np.zeros(len(one)), np.zeros(len(one), np.int32)
    for pair in range(len(one)):
        left, left_end = indptr[one[pair]], indptr[one[pair] + 1]
        right, right_end = indptr[other[pair]], indptr[other[pair] + 1]
        while left < left_end and right < right_end:
            if customer[left] < customer[right]:
                left += 1
            elif customer[left] > customer[right]:
                right += 1
            else:
                total[pair] += n[left] * n[right] * share[customer[left]]
                both[pair] += 1
                left += 1
                right += 1
    return total, both


def _kept(near: Neighbours, good: Bools, n: int) -> Neighbours:
    """Return the first ``n`` entries of each row that are ``good``."""
    order = np.argsort(~good, axis=1, kind="stable")[:, :n]
    kept = np.take_along_axis(good, order, axis=1)
    product, score = (np.take_along_axis(part, order, axis=1) for part in (near.product, near.score))
    return Neighbours(
        np.where(kept, product, -1).astype(np.int32), np.where(kept, score, 0).astype(np.float32)
    )
