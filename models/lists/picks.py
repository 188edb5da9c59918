"""Lists of products: exactly min(k, eligible) of them, each once, none that the list may not contain."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from features.arrays.dtypes import Bools, Bytes, Floats, Ids, Ints, Rows
from features.arrays.groups import cumcount
from features.arrays.history import History, Vocabulary
from features.hardware import rows_at_once
from models.lists.list_kinds import LISTS
from models.lists.rules import Rules

if TYPE_CHECKING:
    import pandas as pd

SOURCES = (
    "own", "similar", "linear", "factors", "alike", "baskets", "texts", "category", "arrivals", "popular",
    "bought_together", "upsell", "pinned",
)  # fmt: skip
"""Why a product is a candidate: bought before; similar to what was bought; a linear model of all purchases;
factors of customer and product; customers with similar baskets; bought in one order with what was bought;
similar words; a category bought from; new and selling; selling now; goes with the cart; a dearer version;
pinned by the shop. Append new ones at the end: scorings store these positions,
and one that numbered them otherwise is refused."""
OWN, POPULAR, TOGETHER, UPSELL, PINNED = (
    SOURCES.index(name) for name in ("own", "popular", "bought_together", "upsell", "pinned")
)
COLUMNS = ("customer_id", "list", "rank", "product_id", "score", "source")


class Picks(NamedTuple):
    """A list for each customer, best first: arrays (n, k); product is -1 after the end of a list.

    ``reason``, ``number`` and ``about`` are as in ``models.ranking.reasons``: zeros without a reason.
    """

    product: Ints
    score: Floats
    source: Bytes
    reason: Bytes
    number: Floats
    about: Ints

    @classmethod
    def none(cls, n: int, k: int) -> "Picks":
        """Return empty lists."""
        code, number, name = (
            np.zeros((n, k), np.uint8),
            np.zeros((n, k), np.float32),
            np.full((n, k), -1, np.int32),
        )
        return cls(name, number, code, code.copy(), number.copy(), name.copy())

    def first(self, k: int) -> "Picks":
        """Return the first ``k`` of each list."""
        return Picks(*(getattr(self, name)[:, :k] for name in Picks._fields))

    def put(self, rows: Bools | slice, picks: "Picks") -> None:
        """Write lists into these rows."""
        for name in Picks._fields:
            getattr(self, name)[rows] = getattr(picks, name)

    @classmethod
    def joined(cls, parts: Sequence["Picks"], k: int) -> "Picks":
        """Return the lists of several groups of customers, concatenated."""
        if not parts:
            return cls.none(0, k)
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls._fields))


@dataclass(frozen=True)
class Pairs:
    """Scored (customer, product) pairs, each at most once; ``own``: bought before."""

    customer: Ints
    product: Ints
    score: Floats
    source: Bytes
    own: Bools

    def best_first(self, rules: Rules) -> "Pairs":
        """Return them by customer and best first, an order that holds for every list."""
        return self._at(rules.best_first(self.customer, self.product, score=self.score))

    def of_list(self, name: str, rules: Rules, *, ids: Ids) -> "Pairs":
        """Return the pairs that a list may contain; ``customer`` holds row numbers of ``ids``."""
        had = self.own | rules.tried(name, ids, customer=self.customer, product=self.product)
        return self._at(~rules.barred(name, self.product, own=had))

    def _at(self, rows: Rows | Bools) -> "Pairs":
        return Pairs(*(getattr(self, column)[rows] for column in Pairs.__annotations__))


def asked_for(history: History, customers: Sequence[str]) -> History:
    """Return the histories of ``customers`` in their order; unknown ones have no rows."""
    codes = history.customers.codes(customers)
    known = codes >= 0
    kept = history.of_customers(codes[known])
    sizes = np.zeros(len(codes), np.int64)
    sizes[known] = np.diff(kept.indptr)
    names = Vocabulary(np.array([name.encode() for name in customers] or [], dtype=np.bytes_))
    return replace(kept, customers=names, indptr=np.concatenate([[0], np.cumsum(sizes)]))


def pick(pairs: Pairs, n: int, *, k: int, rules: Rules) -> Picks:
    """Return each customer's best ``k`` pairs, which come best first."""
    order = rules.spread(pairs.customer, pairs.product)
    customer = pairs.customer[order]
    rank = cumcount(customer)
    kept = rank < k
    order, at = order[kept], (customer[kept], rank[kept])
    picks = Picks.none(n, k)
    for name in ("product", "score", "source"):
        getattr(picks, name)[at] = getattr(pairs, name)[order]
    return picks


def filled(
    lists: dict[str, Picks], history: History, *, popularity: Floats, rules: Rules
) -> dict[str, Picks]:
    """Fill up short lists with best sellers, each chance capped by the list's last; in place.

    Rows of the lists are the customers of ``history``, in whose product codes ``popularity`` is.
    ``buy_again`` is not filled up, as only a customer's own purchases can be bought again. Products pinned by
    the shop are then moved to the front.
    """
    best = rules.best(popularity)
    for name, picks in lists.items():
        if LISTS[name].filled:
            for some in _short(picks, history):
                _fill(
                    picks,
                    some,
                    best=best,
                    popularity=popularity,
                    barred=_barred(name, history.of_customers(some), rules),
                )
        pin(picks, name, history=history, popularity=popularity, rules=rules)
    return lists


def pin(picks: Picks, name: str, *, history: History, popularity: Floats, rules: Rules) -> None:
    """Move products the shop pinned to the front of a list, for customers it may show them to; in place."""
    for code in rules.pinned_to(name)[::-1].tolist():
        _put_first(
            picks, code, chance=popularity[code], rows=_may_show(name, code, history=history, rules=rules)
        )


def _barred(name: str, history: History, rules: Rules) -> tuple[Ints, Ints]:
    """Return pairs of customer and product that a list may not contain."""
    own = rules.barred(name, history.product, own=np.ones(len(history.product), bool))
    row, product = rules.tried_pairs(name, history.customers.ids)
    return np.append(history.customer[own], row), np.append(history.product[own], product)


def _short(picks: Picks, history: History) -> Iterator[Ints]:
    """Yield batches of customers with places to fill; those with many purchases in batches of their own."""
    n_lines, k = np.diff(history.indptr), picks.product.shape[1]
    short = np.flatnonzero((picks.product < 0).any(axis=1)).astype(np.int32)
    short = short[np.argsort(-n_lines[short], kind="stable")]
    while len(short):
        step = rows_at_once(2 * k + int(n_lines[short[0]]))
        yield np.sort(short[:step])
        short = short[step:]


def _fill(picks: Picks, some: Ints, *, best: Ints, popularity: Floats, barred: tuple[Ints, Ints]) -> None:
    """Fill up the lists of ``some``, looking at enough best sellers that sufficiently many are permitted."""
    product, k = picks.product[some], picks.product.shape[1]
    n_barred = np.bincount(barred[0], minlength=len(some)).max()
    best = best[: 2 * k + int(n_barred)]
    column = np.full(
        len(popularity) + 1, len(best)
    )  # products not looked at, and -1, fall into the last column
    column[best] = np.arange(len(best))
    free = np.ones((len(some), len(best) + 1), bool)
    free[:, -1] = False
    free[np.arange(len(some))[:, None], column[product]] = False
    free[barred[0], column[barred[1]]] = False
    place = np.cumsum(free, axis=1, dtype=np.int32) - 1 + (product >= 0).sum(axis=1, keepdims=True)
    row, at = np.nonzero(free & (place < k))
    rank = place[row, at]
    picks.product[some[row], rank] = best[at]
    picks.source[some[row], rank] = POPULAR
    last = np.where(product >= 0, picks.score[some], np.inf).min(axis=1)
    picks.score[some[row], rank] = np.minimum(popularity[best[at]], last[row])


def _may_show(name: str, code: int, *, history: History, rules: Rules) -> Bools:
    """Return for whom a list may contain a product."""
    own = np.zeros(len(history.customers), bool)
    own[history.customer[history.product == code]] = True
    product = np.full(len(own), code, np.int32)
    own |= rules.tried(
        name, history.customers.ids, customer=np.arange(len(own), dtype=np.int32), product=product
    )
    return ~rules.barred(name, product, own=own)


def _put_first(picks: Picks, code: int, *, chance: float, rows: Bools) -> None:
    """Move a product to the front of some lists; if it was not in them, the last one drops out."""
    product = picks.product[rows]
    place = np.where((product == code).any(axis=1), (product == code).argmax(axis=1), product.shape[1] - 1)
    column = np.arange(product.shape[1])
    before = np.where(column == 0, place[:, None], column - (column <= place[:, None]))
    new = ~(product == code).any(axis=1)
    moved = Picks(*(np.take_along_axis(getattr(picks, name)[rows], before, axis=1) for name in Picks._fields))
    moved.product[:, 0], moved.source[:, 0] = code, PINNED
    moved.score[new, 0] = chance
    picks.put(rows, moved)


def frame(lists: dict[str, Picks], customers: Sequence[str], *, products: Ids) -> "pd.DataFrame":
    """Return lists as one table with ``COLUMNS``; ``rank`` starts at 1."""
    import pandas as pd

    names = np.array(customers, dtype=object)
    parts = []
    for name, picks in lists.items():
        row, rank = np.nonzero(picks.product >= 0)
        at = (row, rank)
        ids = np.char.decode(products[picks.product[at]], "utf-8")
        source = np.array(SOURCES, dtype=object)[picks.source[at]]
        columns = (names[row], name, (rank + 1).astype(np.int32), ids, picks.score[at].astype(float), source)
        parts.append(pd.DataFrame(dict(zip(COLUMNS, columns, strict=True))))
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame(columns=list(COLUMNS))
