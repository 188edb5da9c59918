"""Collaborative scores of pairs, in one pass over their customers: the same for everybody and for a request.

Training and serving both call this one function over the arrays of the state.
"""

from typing import NamedTuple

import numpy as np

from features.arrays.compiled import compiled
from features.arrays.dtypes import Floats, Ints, Longs

CAP = 4.0
"""Equal to ``models.similarity.linear.CAP``: a compiled function must not read another file's constant."""


class Tables(NamedTuple):
    """The arrays of the state that the scores are read from."""

    near: tuple[Ints, Ints, Ints, Ints]
    """For each product: those similar to it, in one order with it, of similar words, predicting it (linear
    model)."""
    likeness: tuple[Floats, Floats, Floats, Floats]
    """The scores of these; -1 above: no more."""
    profile: Ints
    """For each customer, what customers with similar baskets buy, and the scores; -1: no more."""
    interest: Floats
    customer_factors: Floats
    product_factors: Floats


class Bought(NamedTuple):
    """What some customers bought, flat; ``weight``: the decayed weight of each purchase."""

    indptr: Longs
    product: Ints
    weight: Floats

    def and_today(self, cart: Ints) -> "Bought":
        """Return the same with the last customer's cart added."""
        indptr = self.indptr.copy()
        indptr[-1] += len(cart)
        weight = np.append(self.weight, np.ones(len(cart), np.float32))
        return Bought(indptr, np.append(self.product, cart), weight)


@compiled
def affinities(tables: Tables, bought: Bought, codes: Ints, customer: Ints, product: Ints) -> Floats:
    """Return six scores: similarity to purchases (4 tables), factors' product, alike customers' interest.

    ``codes`` are the customers' rows in the tables (-1: unknown, with 0 for the last two scores); the pairs
    are sorted by customer. The linear model reads the square root of counts, up to ``CAP``.
    """
    scores = np.zeros((len(product), 6), np.float32)
    taste = np.zeros(len(tables.near[0]), np.float32)
    interest = np.zeros(len(tables.near[0]), np.float32)
    first = 0
    for number in range(len(codes)):
        last = first
        while last < len(product) and customer[last] == number:
            last += 1
        code, rows = codes[number], (bought.indptr[number], bought.indptr[number + 1])
        for row in range(*rows):
            taste[bought.product[row]] += bought.weight[row]
        for table in range(3):
            near, likeness = tables.near[table], tables.likeness[table]
            _near(near, likeness, taste, product[first:last], scores[first:last, table])
        for row in range(*rows):
            interest[bought.product[row]] = np.sqrt(min(taste[bought.product[row]], CAP))
        _near(tables.near[3], tables.likeness[3], interest, product[first:last], scores[first:last, 3])
        for row in range(*rows):
            taste[bought.product[row]] = interest[bought.product[row]] = 0
        if code >= 0:
            _factors(tables, code, product[first:last], scores[first:last, 4])
            _alike(tables, code, interest, product[first:last], scores[first:last, 5])
        first = last
    return scores


@compiled
def _near(near: Ints, likeness: Floats, taste: Floats, product: Ints, score: Floats) -> None:
    for pair in range(len(product)):
        code, total = product[pair], np.float32(0)
        for place in range(near.shape[1]):
            other = near[code, place]
            if other >= 0:
                total += taste[other] * likeness[code, place]
        score[pair] = total


@compiled
def _factors(tables: Tables, customer: int, product: Ints, score: Floats) -> None:
    for pair in range(len(product)):
        code, total = product[pair], np.float32(0)
        for factor in range(tables.customer_factors.shape[1]):
            total += tables.customer_factors[customer, factor] * tables.product_factors[code, factor]
        score[pair] = total


@compiled
def _alike(tables: Tables, code: int, interest: Floats, product: Ints, score: Floats) -> None:
    for place in range(tables.profile.shape[1]):
        if tables.profile[code, place] >= 0:
            interest[tables.profile[code, place]] = tables.interest[code, place]
    for pair in range(len(product)):
        score[pair] = interest[product[pair]]
    for place in range(tables.profile.shape[1]):
        if tables.profile[code, place] >= 0:
            interest[tables.profile[code, place]] = 0
