"""The rules of every list: exactly min(k, eligible) products, each once, none that it may not hold.

``for_you`` may hold what was bought where such things are bought again, ``buy_again`` holds nothing else,
``new_for_you`` none of it: see ``models.lists.rules``.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from features.arrays.dtypes import Bools, Bytes, Floats, Ids, Ints
from features.arrays.groups import places
from features.arrays.history import History, Vocabulary
from features.hardware import rows_at_once
from models.lists.rules import Rules

if TYPE_CHECKING:
    import pandas as pd

PERSONAL = ("for_you", "buy_again", "new_for_you")
"""The lists that are made for a customer."""
SOURCES = (
    "own", "similar", "linear", "factors", "alike", "baskets", "texts", "category", "arrivals", "popular",
    "bought_together", "upsell", "pinned",
)  # fmt: skip
"""Why a product came up: bought before; like what was bought; a linear model of all purchases says so;
factors of customer and product agree; customers with like baskets buy it; bought in one order with what was
bought; its words are like theirs; of a category bought; new and selling; sells now; goes with the cart; is
dearer; the shop wants it there. A new one goes last: a scoring keeps their numbers."""
OWN, POPULAR, TOGETHER, UPSELL, PINNED = (
    SOURCES.index(name) for name in ("own", "popular", "bought_together", "upsell", "pinned")
)
COLUMNS = ("customer_id", "list", "rank", "product_id", "score", "source")


class Picks(NamedTuple):
    """A list for each customer, best first: arrays (n, k); product -1 where it has ended.

    ``reason``, ``number`` and ``about`` are as in ``models.ranking.reasons``: zeros where nothing is said.
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
        """Return the lists' first ``k``."""
        return Picks(*(getattr(self, name)[:, :k] for name in Picks._fields))

    def put(self, rows: Bools | slice, picks: "Picks") -> None:
        """Write lists into some rows."""
        for name in Picks._fields:
            getattr(self, name)[rows] = getattr(picks, name)

    @classmethod
    def joined(cls, parts: Sequence["Picks"], k: int) -> "Picks":
        """Return the lists of several groups of customers, one after the other."""
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

    def of_list(self, name: str, rules: Rules, ids: Ids) -> "Pairs":
        """Return the pairs that a list may hold; ``customer`` counts the rows of ``ids``."""
        had = self.own | rules.tried(name, ids, self.customer, self.product)
        kept = ~rules.barred(name, self.product, had)
        return Pairs(*(getattr(self, column)[kept] for column in Pairs.__annotations__))


def asked_for(history: History, customers: Sequence[str]) -> History:
    """Return the histories of ``customers`` in their order; one who is unknown has no rows."""
    codes = history.customers.codes(customers)
    known = codes >= 0
    kept = history.of_customers(codes[known])
    sizes = np.zeros(len(codes), np.int64)
    sizes[known] = np.diff(kept.indptr)
    names = Vocabulary(np.array([name.encode() for name in customers] or [], dtype=np.bytes_))
    return replace(kept, customers=names, indptr=np.concatenate([[0], np.cumsum(sizes)]))


def pick(pairs: Pairs, n: int, k: int, rules: Rules) -> Picks:
    """Return each customer's best ``k`` pairs."""
    order = rules.order(pairs.customer, pairs.product, pairs.score)
    customer = pairs.customer[order]
    rank = places(customer)
    kept = rank < k
    order, at = order[kept], (customer[kept], rank[kept])
    picks = Picks.none(n, k)
    for name in ("product", "score", "source"):
        getattr(picks, name)[at] = getattr(pairs, name)[order]
    return picks


def filled(lists: dict[str, Picks], history: History, popularity: Floats, rules: Rules) -> dict[str, Picks]:
    """Complete short lists by what sells best, each chance capped by the list's last; in place.

    Rows of the lists are the customers of ``history``, whose products ``popularity`` tells of. Only what they
    bought themselves can be bought again: ``buy_again`` stays as it is. What the shop pinned then leads.
    """
    best = rules.best(popularity)
    for name, picks in lists.items():
        if name != "buy_again":
            for some in _short(picks, history):
                _fill(picks, some, best, popularity, _barred(name, history.of_customers(some), rules))
        lead(picks, name, history, popularity, rules)
    return lists


def lead(picks: Picks, name: str, history: History, popularity: Floats, rules: Rules) -> None:
    """Put what the shop pinned to a list before it, for whom it may be shown to; in place."""
    for code in rules.leading(name)[::-1].tolist():
        _lead(picks, code, popularity[code], _may_lead(name, code, history, rules))


def _barred(name: str, history: History, rules: Rules) -> tuple[Ints, Ints]:
    """Return customers and the products of theirs that a list may not hold."""
    own = rules.barred(name, history.product, np.ones(len(history.product), bool))
    row, product = rules.tried_pairs(name, history.customers.ids)
    return np.append(history.customer[own], row), np.append(history.product[own], product)


def _short(picks: Picks, history: History) -> Iterator[Ints]:
    """Yield customers with a place to fill, in pieces; those of many purchases by themselves."""
    n_lines, k = np.diff(history.indptr), picks.product.shape[1]
    short = np.flatnonzero((picks.product < 0).any(axis=1)).astype(np.int32)
    short = short[np.argsort(-n_lines[short], kind="stable")]
    while len(short):
        step = rows_at_once(2 * k + int(n_lines[short[0]]))
        yield np.sort(short[:step])
        short = short[step:]


def _fill(picks: Picks, some: Ints, best: Ints, popularity: Floats, barred: tuple[Ints, Ints]) -> None:
    """Complete the lists of ``some``; so many of the best are looked at that enough of them are free."""
    product, k = picks.product[some], picks.product.shape[1]
    n_barred = np.bincount(barred[0], minlength=len(some)).max()
    best = best[: 2 * k + int(n_barred)]
    column = np.full(
        len(popularity) + 1, len(best)
    )  # whatever is not looked at, -1 too, takes the last column
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


def _may_lead(name: str, code: int, history: History, rules: Rules) -> Bools:
    """Return for whom a list may hold a product."""
    own = np.zeros(len(history.customers), bool)
    own[history.customer[history.product == code]] = True
    product = np.full(len(own), code, np.int32)
    own |= rules.tried(name, history.customers.ids, np.arange(len(own), dtype=np.int32), product)
    return ~rules.barred(name, product, own)


def _lead(picks: Picks, code: int, chance: float, rows: Bools) -> None:
    """Move a product to the front of some lists; where it was not in them, the last one gives way."""
    product = picks.product[rows]
    place = np.where((product == code).any(axis=1), (product == code).argmax(axis=1), product.shape[1] - 1)
    column = np.arange(product.shape[1])
    before = np.where(column == 0, place[:, None], column - (column <= place[:, None]))
    new = ~(product == code).any(axis=1)
    moved = Picks(*(np.take_along_axis(getattr(picks, name)[rows], before, axis=1) for name in Picks._fields))
    moved.product[:, 0], moved.source[:, 0] = code, PINNED
    moved.score[new, 0] = chance
    picks.put(rows, moved)


def frame(lists: dict[str, Picks], customers: Sequence[str], products: Ids) -> "pd.DataFrame":
    """Return lists as one table, ``COLUMNS``; ``rank`` from 1."""
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
