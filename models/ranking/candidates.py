"""Where candidates come from: each source is one small class that scores new products for some customers.

What a customer bought before is always a candidate. The sources below propose products not bought yet, out of
those that still sell; their proposals are united, and each remembers the source that ranked it highest. A new
source is one class here, a name in ``models.ranking.lists.SOURCES`` and a line in ``new_sources``.
"""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from features.groups import Column, Groups
from features.history import Floats, History, Ints
from models.ranking.lists import OWN, SOURCES
from models.ranking.state import State
from models.ranking.top import top_columns


class Source(Protocol):
    """One way to propose products: ``name`` in ``SOURCES``, and how many at most."""

    name: str
    budget: int

    def scores(self, history: History, codes: Ints, shelf: Ints) -> Floats:
        """Return (customers, shelf) scores; 0: no opinion. ``codes`` are the customers' in the state."""
        ...


@dataclass(frozen=True)
class Candidates:
    """Pairs of customer (a row of the chunk) and product, each once, sorted; the source ranking it best."""

    customer: Ints
    product: Ints
    source: NDArray[np.uint8]
    own: NDArray[np.bool_]

    def at(self, rows: Ints) -> "Candidates":
        """Return some of them."""
        return Candidates(self.customer[rows], self.product[rows], self.source[rows], self.own[rows])


@dataclass(frozen=True)
class Similar:
    """Products like those bought: item-item neighbours."""

    state: State
    budget: int
    name: str = "similar"

    def scores(self, history: History, codes: Ints, shelf: Ints) -> Floats:
        """Sum the similarity to everything bought, decayed."""
        from scipy.sparse import csr_matrix

        weight = self.state.taste(history)
        shape = (len(history.customers), len(history.products))
        bought = csr_matrix((weight, (history.customer, history.product)), shape=shape)
        near, like = self.state.neighbours.product[shelf], self.state.neighbours.score[shelf]
        row, column = np.nonzero(near >= 0)
        matrix = csr_matrix((like[row, column], (near[row, column], row)), shape=(shape[1], len(shelf)))
        return np.asarray((bought @ matrix).toarray(), np.float32)


@dataclass(frozen=True)
class Factors:
    """Products whose ALS factors fit the customer's."""

    state: State
    budget: int
    name: str = "factors"

    def scores(self, history: History, codes: Ints, shelf: Ints) -> Floats:
        """Multiply factors."""
        return np.asarray(self.state.customer_factors[codes] @ self.state.product_factors[shelf].T)


@dataclass(frozen=True)
class Alike:
    """Products that customers with like baskets buy."""

    state: State
    budget: int
    name: str = "alike"

    def scores(self, history: History, codes: Ints, shelf: Ints) -> Floats:
        """Look up the customers' profiles."""
        place = np.full(len(history.products), -1, np.int32)
        place[shelf] = np.arange(len(shelf))
        profile, score = self.state.alike.product[codes], self.state.alike.score[codes]
        at = np.where(profile >= 0, place[profile], -1)
        row, column = np.nonzero(at >= 0)
        found = np.zeros((len(codes), len(shelf)), np.float32)
        found[row, at[row, column]] = score[row, column]
        return found


@dataclass(frozen=True)
class Category:
    """Best sellers of the categories a customer buys in."""

    state: State
    budget: int
    name: str = "category"

    def scores(self, history: History, codes: Ints, shelf: Ints) -> Floats:
        """Multiply purchases in a category with the product's share of its sales."""
        from scipy.sparse import csr_matrix

        code = self.state.table.codes[0]
        size = int(code.max(initial=-1)) + 2  # the last one stands for unknown
        weight = np.exp2((history.day - history.cutoff_day) / 56.0).astype(np.float32)
        kind = np.where(code >= 0, code, size - 1)
        bought = csr_matrix(
            (weight, (history.customer, kind[history.product])), shape=(len(history.customers), size)
        )
        share = np.nan_to_num(self.state.table.column("p_share_leaf")[shelf])
        matrix = csr_matrix((share, (kind[shelf], np.arange(len(shelf)))), shape=(size, len(shelf)))
        return np.asarray((bought @ matrix).toarray(), np.float32)


@dataclass(frozen=True)
class Selling:
    """What sells now, and what new customers of a product try now."""

    state: State
    budget: int
    name: str = "popular"

    def scores(self, history: History, codes: Ints, shelf: Ints) -> Floats:
        """Score everyone alike."""
        chance = self.state.table.popularity[shelf] + self.state.table.column("p_first_28d")[shelf]
        return np.broadcast_to(chance.astype(np.float32), (len(codes), len(shelf)))


def new_sources(state: State, budgets: dict[str, int]) -> list[Source]:
    """Return the sources of new products that have a budget; where two rank alike, the first speaks."""
    kinds: dict[str, Any] = {
        "similar": Similar, "factors": Factors, "alike": Alike, "category": Category, "popular": Selling,
    }  # fmt: skip
    return [kind(state, budgets[name]) for name, kind in kinds.items() if budgets.get(name, 0) > 0]


def candidates(state: State, codes: Ints, sources: list[Source], n_own: int) -> Candidates:
    """Return what to rank for some customers: ``n_own`` products they bought at most, and the proposed."""
    history = state.history.of_customers(codes)
    own = _own(history, n_own)
    new = _new(history, codes, state.shelf, sources)
    customer, product = np.concatenate([own[0], new[0]]), np.concatenate([own[1], new[1]])
    source = np.concatenate([own[2], new[2]])
    order = np.lexsort((product, customer))
    bought = np.repeat([True, False], [len(own[0]), len(new[0])])
    return Candidates(customer[order], product[order], source[order], bought[order])


def _own(history: History, limit: int) -> tuple[Ints, Ints, NDArray[np.uint8]]:
    """Return what each customer bought; of more than ``limit`` products, those bought most and latest."""
    groups = Groups.of(history.customer.astype(np.int64) * len(history.products) + history.product)
    weight = np.exp2((history.day - history.cutoff_day) / 56.0)[None, :]
    row = groups.order[groups.start]
    customer, product = history.customer[row], history.product[row]
    order = np.lexsort((-groups.sums(weight)[0], customer))
    rank = (
        np.arange(len(order))
        - np.searchsorted(customer[order], np.arange(len(history.customers)))[customer[order]]
    )
    kept = np.sort(order[rank < limit])
    return customer[kept], product[kept], np.full(len(kept), OWN, np.uint8)


def _new(
    history: History, codes: Ints, shelf: Ints, sources: list[Source]
) -> tuple[Ints, Ints, NDArray[np.uint8]]:
    """Return the union of every source's best products that a customer has not bought."""
    place = np.full(len(history.products) + 1, -1, np.int32)
    place[shelf] = np.arange(len(shelf))
    at = place[history.product]
    bought = (history.customer[at >= 0], at[at >= 0])
    best = np.full((len(codes), len(shelf)), np.iinfo(np.int16).max, np.int16)
    which = np.zeros(best.shape, np.uint8)
    for source in sources:
        row, column, rank = _best(source.scores(history, codes, shelf), bought, source.budget)
        better = rank < best[row, column]
        cells = (row[better], column[better])
        best[cells] = rank[better]
        which[cells] = SOURCES.index(source.name)
    customer, place_on_shelf = np.nonzero(which)
    return customer.astype(np.int32), shelf[place_on_shelf], which[customer, place_on_shelf]


def _best(scores: Floats, bought: tuple[Ints, Ints], budget: int) -> tuple[Column, Column, Column]:
    """Return row, column and rank (from 0) of each row's best scores above 0 that were not bought."""
    scores = np.array(scores, np.float32)
    scores[bought] = 0
    column = top_columns(scores, budget)
    row, rank = np.nonzero(np.take_along_axis(scores, column, axis=1) > 0)
    return row, column[row, rank], rank
