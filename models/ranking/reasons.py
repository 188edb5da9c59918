"""Why a product is in a list, in a few words that are true: a code, a number, and the product it is about.

The source says what brought a product up, the pair features say what of it weighed most; nothing else is
consulted, so a reason cannot claim what the ranker did not see. ``popular`` is 0: it holds where nothing
personal does.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.history import Floats, History, Ints
from features.pairs import PAIR_FEATURES
from models.ranking.candidates import Candidates
from models.ranking.collaborative import Neighbours
from models.ranking.lists import OWN, PINNED, POPULAR, SOURCES, TOGETHER, UPSELL
from models.ranking.state import State
from models.texts import Table, say

Bools = NDArray[np.bool_]
SIMILAR, FACTORS, ALIKE, CATEGORY = (
    SOURCES.index(name) for name in ("similar", "factors", "alike", "category")
)
DUE, LONG_DUE = 0.8, 1.5
"""Days since the last purchase over the usual gap, from which on a product is due, and overdue."""
FORGOTTEN = 3.0
"""Beyond so many gaps nobody waits for it any more: it was merely bought before."""
NEW_DAYS = 28
"""A product first sold so few days ago is new."""
CODES = (
    "popular", "category", "new", "due", "overdue", "usual", "often", "again",
    "like", "also", "together", "alike", "dearer", "pinned",
)  # fmt: skip
TEXTS: Table = {
    "en": {
        "popular": "popular right now",
        "category": "popular in {category}",
        "new": "new in the shop",
        "due": "due about now: every {n} days",
        "due.one": "due about now: every day",
        "overdue": "overdue: you buy it about every {n} days",
        "overdue.one": "overdue: you buy it about every day",
        "usual": "due about now: usually bought again after {n} days",
        "usual.one": "due about now: usually bought again after a day",
        "often": "you bought it {n} times",
        "again": "you bought it {n} days ago",
        "again.one": "you bought it yesterday",
        "like": "like {name}, which you bought",
        "also": "goes with {name}, which you bought",
        "together": "bought together with {name}",
        "alike": "people like you also bought it",
        "dearer": "a step up from {name}",
        "pinned": "picked by the shop",
    },
    "pt": {
        "popular": "entre os mais vendidos agora",
        "category": "muito vendido em {category}",
        "new": "novidade na loja",
        "due": "está na hora: a cada {n} dias",
        "due.one": "está na hora: todo dia",
        "overdue": "já passou da hora: você compra a cada {n} dias",
        "overdue.one": "já passou da hora: você compra todo dia",
        "usual": "está na hora: costuma ser comprado de novo após {n} dias",
        "usual.one": "está na hora: costuma ser comprado de novo após um dia",
        "often": "você já comprou {n} vezes",
        "again": "você comprou há {n} dias",
        "again.one": "você comprou ontem",
        "like": "parecido com {name}, que você comprou",
        "also": "combina com {name}, que você comprou",
        "together": "comprado junto com {name}",
        "alike": "pessoas como você também compraram",
        "dearer": "um passo acima de {name}",
        "pinned": "escolha da loja",
    },
}
OF_ANOTHER = ("like", "also", "together", "dearer")
"""Codes whose sentence names another product."""
COLUMN = {name: number for number, name in enumerate(PAIR_FEATURES)}


class Why(NamedTuple):
    """Reasons of some pairs: positions in ``CODES``; a number the text names; a product's code, -1 for none.

    The number is days between purchases (due, overdue, usual), purchases (often) or days since (again).
    """

    reason: NDArray[np.uint8]
    number: Floats
    about: Ints

    @classmethod
    def none(cls, n: int) -> "Why":
        """Return reasons that hold for anything that sells."""
        return cls(np.zeros(n, np.uint8), np.zeros(n, np.float32), np.full(n, -1, np.int32))

    def at(self, rows: list[int]) -> "Why":
        """Return the reasons of some rows."""
        return Why(self.reason[rows], self.number[rows], self.about[rows])

    def put(self, rows: Bools, code: str, number: Floats | None = None, about: Ints | None = None) -> None:
        """Write a reason into some rows; numbers and products are given for all rows."""
        self.reason[rows] = CODES.index(code)
        if number is not None:
            self.number[rows] = number[rows]
        if about is not None:
            self.about[rows] = about[rows]


def why(
    state: State, history: History, pairs: Candidates, features: Floats, *, lead: Ints | None = None
) -> Why:
    """Return the reason of each pair, from its source and its features (columns as in ``PAIR_FEATURES``).

    Customers of ``pairs`` are codes of ``history``; ``lead`` is the cart, or what else leads a live answer.
    The product a reason is about is the one whose part in the score was the largest.
    """
    product, source = pairs.product, pairs.source
    found = Why.none(len(product))
    lead = np.zeros(0, np.int32) if lead is None else lead
    _own(found, source == OWN, lambda name: features[:, COLUMN[name]])
    _like(found, source == SIMILAR, state, history, (pairs.customer, product))
    unexplained = (source == SIMILAR) & (found.reason == CODES.index("alike"))
    _near(found, unexplained | (source == TOGETHER), state, product, lead)
    found.put((source == FACTORS) | (source == ALIKE), "alike")
    found.put(source == CATEGORY, "category")
    fresh = features[:, COLUMN["p_age"]] <= NEW_DAYS
    found.put(fresh & ((source == POPULAR) | (source == CATEGORY)) & _had_time(history), "new")
    found.put(source == UPSELL, "dearer", about=_of_the_kind(state, product, lead))
    found.put(source == PINNED, "pinned")
    return found


def _own(found: Why, own: Bools, feature: Callable[[str], Floats]) -> None:
    """Tell what was bought before by the customer's own clock, else by the product's."""
    n, since, due = feature("n"), feature("since"), feature("due_shrunk")
    with np.errstate(divide="ignore", invalid="ignore"):
        gap = np.where(due > 0, since / due, 0).astype(np.float32)
    own = own & (n > 0)
    found.put(own, "again", np.maximum(since, 1))
    found.put(own & (n == 1) & (due >= DUE) & (due < LONG_DUE), "usual", gap)
    found.put(own & (n > 1), "often", n)
    found.put(own & (n > 1) & (due >= DUE) & (due < FORGOTTEN), "due", gap)
    found.put(own & (n > 1) & (due >= LONG_DUE) & (due < FORGOTTEN), "overdue", gap)


def habits(n: Floats, since: Ints) -> Why:
    """Return the reasons of products bought ``n`` times, the last time ``since`` days ago."""
    found, own = Why.none(len(n)), np.ones(len(n), bool)
    found.put(own, "again", np.maximum(since, 1).astype(np.float32))
    found.put(n > 1, "often", n)
    return found


def _like(found: Why, rows: Bools, state: State, history: History, pairs: tuple[Ints, Ints]) -> None:
    """Name the bought product that the item-item score of a pair owes most to."""
    at = np.flatnonzero(rows)
    customer, product = pairs[0][at], pairs[1][at]
    size = len(history.products)
    who, row = np.unique(customer, return_inverse=True)
    some = history.of_customers(who.astype(np.int32))
    cell = some.customer.astype(np.int64) * size + some.product
    taste = np.bincount(cell, state.taste(some), minlength=len(who) * size)
    near, like = state.neighbours.product[product], state.neighbours.score[product]
    part = np.where(near >= 0, taste[row[:, None] * size + np.maximum(near, 0)], 0) * like
    best = part.argmax(axis=1)[:, None]
    about = np.full(len(found.about), -1, np.int32)
    about[at] = np.where(np.take_along_axis(part, best, 1) > 0, np.take_along_axis(near, best, 1), -1)[:, 0]
    branch = state.table.codes[1]
    same = (branch[pairs[1]] >= 0) & (branch[pairs[1]] == branch[about])
    found.put(rows, "alike")
    found.put(rows & (about >= 0), "also", about=about)
    found.put(rows & (about >= 0) & same, "like")


def _near(found: Why, rows: Bools, state: State, product: Ints, lead: Ints) -> None:
    """Name the product of the cart (or of the latest purchases) that a product is bought with most."""
    if not len(lead) or not rows.any():
        return
    best = np.zeros(len(product), np.float32)
    about = np.full(len(product), -1, np.int32)
    for table in (state.neighbours, state.together):  # common orders speak where there are any
        score = np.stack([_score_of(table, code, product) for code in lead.tolist()])
        most, here = score.argmax(axis=0), score.max(axis=0)
        about = np.where(here > 0, lead[most], about).astype(np.int32)
        best = np.maximum(best, here)
    found.put(rows & (best > 0), "together", about=about)


def _score_of(table: Neighbours, code: int, product: Ints) -> Floats:
    """Return how near each product is to one; 0 beyond its neighbours."""
    near, score = table.product[code], table.score[code]
    order = np.argsort(near, kind="stable")
    at = order[np.minimum(np.searchsorted(near[order], product), len(near) - 1)]
    return np.where(near[at] == product, score[at], np.float32(0))


def _of_the_kind(state: State, product: Ints, lead: Ints) -> Ints:
    """Return the product of ``lead`` in the same category as each product, -1 where there is none."""
    category = state.table.codes[0]
    about = np.full(len(product), -1, np.int32)
    for code in lead.tolist():
        about[category[product] == category[code]] = code
    return about


def _had_time(history: History) -> bool:
    """Tell whether the orders go back far enough for anything to be new."""
    return bool(len(history.day)) and int(history.cutoff_day - history.day.min()) > 2 * NEW_DAYS


def text(code: str, locale: str, *, number: float, name: str, about: str, category: str | None) -> str:
    """Say why ``name`` is shown; where a sentence lacks what it names, another says what it can."""
    kind = _kind(name, category or "")
    if code == "category" and not kind:
        code = "popular"
    if code in OF_ANOTHER and not about:
        code = "alike"
    return say(TEXTS, code, locale, n=max(round(number), 1), name=about, category=kind)


def _kind(name: str, category: str) -> str:
    """Return the narrowest step of a category that says more than the product's own name does."""
    steps = [step for step in category.split(" > ") if step and step.lower() not in name.lower()]
    return steps[-1] if steps else ""
