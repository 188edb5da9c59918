"""The sources of new products: each is a small class that scores the assortment for some customers.

A new source is one class here (or a table of ``SimilarProducts``), a line in ``new_sources``, a name in
``models.lists.picks.SOURCES`` and a budget in ``models.ranking.cross_sell_rows``.
"""

from abc import ABC, abstractmethod
from collections import defaultdict
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from features.arrays.dtypes import Floats, Ints, Sparse
from features.arrays.history import History, summed
from models.candidates.proposals import Scores
from models.candidates.state import ListState
from models.similarity.collaborative import Neighbours
from models.similarity.linear import CAP

FRESH_DAYS = 42
"""A product first sold at most this many days ago is an arrival."""


@dataclass(frozen=True)
class Source(ABC):
    """One way to propose products."""

    state: ListState
    budget: int
    """Maximum number of products it proposes to a customer."""
    name: str
    """One of ``SOURCES``."""

    @abstractmethod
    def scores(self, history: History, codes: Ints) -> Scores:
        """Return scores (customers, assortment), 0 for no opinion; ``codes``: the customers' in the state."""


@dataclass(frozen=True)
class SimilarProducts(Source):
    """Products near those bought: by the same customers, in the same orders, by words."""

    table: Neighbours

    def scores(self, history: History, codes: Ints) -> Scores:
        """Sum the similarity to everything bought, decayed with age."""
        return self._bought(history) @ self._likeness

    @cached_property
    def _likeness(self) -> Sparse:
        """The similarity of each product to those in the assortment, (products, assortment)."""
        from scipy.sparse import csr_matrix

        table, assortment = self.table, self.state.assortment
        near, score = table.product[assortment], table.score[assortment]
        place, column = np.nonzero(near >= 0)
        shape = (len(table.product), len(assortment))
        return csr_matrix((score[place, column], (near[place, column], place)), shape=shape)

    def _bought(self, history: History) -> Sparse:
        """Return decayed counts, (customers, products)."""
        return summed(history, self.state.taste(history))


class Linear(SimilarProducts):
    """Products that a linear model (EASE) predicts from those bought."""

    def _bought(self, history: History) -> Sparse:
        bought = super()._bought(history)
        bought.data = np.sqrt(np.minimum(bought.data, CAP))
        return bought


class Factors(Source):
    """Products whose ALS factors fit the customer's."""

    def scores(self, history: History, codes: Ints) -> Floats:
        """Multiply factors."""
        return np.asarray(self.state.customer_factors[codes] @ self._products.T)

    @cached_property
    def _products(self) -> Floats:
        """Factors of the assortment."""
        return self.state.product_factors[self.state.assortment]


class SimilarCustomers(Source):
    """Products that customers with similar baskets buy."""

    def scores(self, history: History, codes: Ints) -> Scores:
        """Look up the customers' profiles."""
        from scipy.sparse import csr_matrix

        profile, score = self.state.alike.product[codes], self.state.alike.score[codes]
        at = np.where(profile >= 0, self._place[profile], -1)
        row, column = np.nonzero(at >= 0)
        shape = (len(codes), len(self.state.assortment))
        return csr_matrix((score[row, column], (row, at[row, column])), shape=shape)

    @cached_property
    def _place(self) -> Ints:
        """Where each product is in the assortment; -1 where it is not."""
        place = np.full(len(self.state.history.products), -1, np.int32)
        place[self.state.assortment] = np.arange(len(self.state.assortment))
        return place


class Category(Source):
    """Best sellers of the categories a customer buys in."""

    def scores(self, history: History, codes: Ints) -> Scores:
        """Multiply purchases in a category by the product's share of its sales."""
        from scipy.sparse import csr_matrix

        weight = np.exp2((history.day - history.cutoff_day) / 56.0).astype(np.float32)
        shape = (len(history.customers), self._shares.shape[0])
        bought = csr_matrix((weight, (history.customer, self._kind[history.product])), shape=shape)
        return bought @ self._shares

    @cached_property
    def _kind(self) -> Ints:
        """The category of every product; the last one stands for unknown."""
        code = self.state.table.codes[0]
        kind: Ints = np.where(code >= 0, code, code.max(initial=-1) + 1)
        return kind

    @cached_property
    def _shares(self) -> Sparse:
        """Each product's share of the sales of its category, (categories, assortment)."""
        from scipy.sparse import csr_matrix

        assortment = self.state.assortment
        share = np.nan_to_num(self.state.table.column("p_share_leaf")[assortment])
        shape = (int(self.state.table.codes[0].max(initial=-1)) + 2, len(assortment))
        return csr_matrix((share, (self._kind[assortment], np.arange(len(assortment)))), shape=shape)


class BestSellers(Source):
    """What sells now, and what is now bought for the first time."""

    def scores(self, history: History, codes: Ints) -> Floats:
        """Score everyone alike."""
        assortment = self.state.assortment
        chance = self.state.table.popularity[assortment] + self.state.table.column("p_first_28d")[assortment]
        return np.asarray(chance, np.float32)


class Arrivals(Source):
    """Products that are new in the shop, by this week's sales."""

    def scores(self, history: History, codes: Ints) -> Floats:
        """Score everyone alike."""
        assortment = self.state.assortment
        fresh = self.state.table.column("p_age")[assortment] <= FRESH_DAYS
        return np.where(fresh, self.state.table.column("p_sales_7d")[assortment], 0).astype(np.float32)


def new_sources(state: ListState, budgets: dict[str, int]) -> list[Source]:
    """Return the sources of new products that have a budget; in a tie of ranks the first one counts."""
    most = defaultdict(int, budgets)
    every: tuple[Source, ...] = (
        SimilarProducts(state, most["similar"], "similar", state.neighbours),
        Linear(state, most["linear"], "linear", state.linear),
        Factors(state, most["factors"], "factors"),
        SimilarCustomers(state, most["alike"], "alike"),
        SimilarProducts(state, most["baskets"], "baskets", state.together),
        SimilarProducts(state, most["texts"], "texts", state.texts),
        Category(state, most["category"], "category"),
        Arrivals(state, most["arrivals"], "arrivals"),
        BestSellers(state, most["popular"], "popular"),
    )
    return [source for source in every if source.budget > 0]
