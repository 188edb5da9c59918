"""The candidates ranked for each customer: what they bought before, and new products proposed by sources.

What a customer bought before is always a candidate. The sources (``models.candidates.sources``) propose
products not bought yet, out of those that still sell; each candidate of the union records the source that
ranked it highest.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from features.arrays.dtypes import Bools, Bytes, Ints
from features.arrays.groups import Groups, cumcount
from features.arrays.history import History
from models.candidates.proposals import Bought, Proposed, best, united
from models.candidates.sources import Source
from models.candidates.state import ListState
from models.lists.picks import OWN, SOURCES


@dataclass(frozen=True)
class Candidates:
    """Unique pairs of customer (a row of the chunk) and product, sorted; with the source ranking it best."""

    customer: Ints
    product: Ints
    source: Bytes
    own: Bools

    def at(self, rows: Ints | Bools) -> "Candidates":
        """Return some of them."""
        return Candidates(self.customer[rows], self.product[rows], self.source[rows], self.own[rows])


def candidates(state: ListState, codes: Ints, *, sources: list[Source], n_own: int) -> Candidates:
    """Return what to rank for some customers: at most ``n_own`` products they bought, and those proposed."""
    history = state.history.of_customers(codes)
    own = _own(history, n_own)
    new = _new(history, codes, assortment=state.assortment, sources=sources)
    customer, product = np.concatenate([own[0], new[0]]), np.concatenate([own[1], new[1]])
    source = np.concatenate([own[2], new[2]])
    # two sorted runs, which a stable sort merges
    order = np.argsort(customer.astype(np.int64) * len(history.products) + product, kind="stable")
    bought = np.repeat([True, False], [len(own[0]), len(new[0])])
    return Candidates(customer[order], product[order], source[order], bought[order])


def _own(history: History, limit: int) -> tuple[Ints, Ints, Bytes]:
    """Return what each customer bought; at most ``limit`` products, those bought most and latest."""
    groups = Groups.of(history.pair)
    weight = np.exp2((history.day - history.cutoff_day) / 56.0)[None, :]
    row = groups.order[groups.start]
    customer, product = history.customer[row], history.product[row]
    order = np.lexsort((-groups.sums(weight)[0], customer))
    kept = np.sort(order[cumcount(customer[order]) < limit])
    return customer[kept], product[kept], np.full(len(kept), OWN, np.uint8)


def proposals(
    history: History, codes: Ints, *, assortment: Ints, sources: list[Source]
) -> Iterator[tuple[Source, Proposed]]:
    """Yield each source with what it proposes, as positions in the assortment.

    ``history`` holds the purchases of the customers ``codes``; what they bought is not proposed.
    """
    bought = Bought.of(history, assortment)
    for source in sources:
        yield source, best(source.scores(history, codes), bought, budget=source.budget)


def _new(
    history: History, codes: Ints, *, assortment: Ints, sources: list[Source]
) -> tuple[Ints, Ints, Bytes]:
    """Return the union of every source's best products that a customer has not bought."""
    if not sources:
        return np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0, np.uint8)
    parts = [part for _, part in proposals(history, codes, assortment=assortment, sources=sources)]
    customer, place, kind = united(
        parts, [SOURCES.index(source.name) for source in sources], width=len(assortment)
    )
    return customer, assortment[place], kind
