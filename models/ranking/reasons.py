"""Why a product is in a list: a code, a number, and the product it is about; true to what moved its chance.

Reasons for products bought before come from the repurchase model. For others the ranker's chance is computed
again without each family of evidence (what others bought, the categories the customer buys from, how it
sells): the one whose loss lowers the chance most is the reason. ``popular`` is 0: it holds where nothing
personal does.
"""

from collections.abc import Callable, Mapping
from typing import NamedTuple

import numpy as np

from features.arrays.dtypes import Bools, Bytes, Doubles, Floats, Ints, Rows
from features.arrays.history import History
from features.arrays.pairs import PAIR_FEATURES
from features.arrays.products import LEVELS
from models.candidates.state import ListState
from models.candidates.union import Candidates
from models.clock.due import UNKNOWN_DAY, DueDays
from models.lists.picks import OWN, PINNED, SOURCES, TOGETHER, UPSELL, Picks
from models.ranking.reason_texts import CODES
from models.similarity.collaborative import Neighbours
from models.similarity.newcomers import NEW_DAYS

SIMILAR, BASKETS, TEXTS = (SOURCES.index(name) for name in ("similar", "baskets", "texts"))
DUE, LONG_DUE = 0.5, 1.5
"""Days since the last purchase, in usual gaps, from which a product may be due, and overdue."""
SOON_DAYS, SOON_SHARE = 7, 0.25
""""About now" is within this many days, or within this share of the usual gap if that is longer."""
FORGOTTEN = 3.0
"""Beyond this many gaps a product is not due any more, only bought before."""
N_NEAREST = 10
"""A product is named as going with another only if it is among this many nearest ones."""
COLUMN = {name: number for number, name in enumerate(PAIR_FEATURES)}
FAMILIES = ("others", "kinds", "sales")
"""Families of evidence: what others bought, the categories the customer buys from, how a product sells."""
_PREFIXES = (
    ("s_",),
    tuple(f"{level}_" for level in LEVELS),
    ("p_sales", "p_buyers", "p_basket", "p_loyal", "p_trend", "p_first", "n_buyers"),
)
FAMILY = np.array(
    [next((n for n, names in enumerate(_PREFIXES) if name.startswith(names)), -1) for name in COLUMN],
    np.int32,
)
"""The family of each pair feature, by position in ``FAMILIES``; -1: none."""
PROPOSED = [n for n, name in enumerate(SOURCES) if n not in (OWN, TOGETHER, UPSELL, PINNED)]
"""Sources of new products, for which the ranker is asked for the reason."""


class Explainer(NamedTuple):
    """What shows which features moved a chance: the ranker, and an ordinary candidate (medians)."""

    without: Callable[[Floats, Floats, Ints], Doubles]
    """``Ranker.without``."""
    usual: Floats


class Reasons(NamedTuple):
    """Reasons of some pairs: positions in ``CODES``; a number for the text; a product's code, -1 for none.

    The number is days between purchases (due, overdue, usual), purchases (often), days since the last one
    (again), or the number of levels above its own that the category is (category).
    """

    reason: Bytes
    number: Floats
    about: Ints

    @classmethod
    def none(cls, n: int) -> "Reasons":
        """Return reasons that hold for any product that sells."""
        return cls(np.zeros(n, np.uint8), np.zeros(n, np.float32), np.full(n, -1, np.int32))

    def at(self, rows: Rows | list[int]) -> "Reasons":
        """Return the reasons of some rows."""
        return Reasons(self.reason[rows], self.number[rows], self.about[rows])

    def put(self, rows: Bools, code: str, *, number: Floats | None = None, about: Ints | None = None) -> None:
        """Write a reason into some rows; ``number`` and ``about`` have entries for all rows."""
        self.reason[rows] = CODES.index(code)
        if number is not None:
            self.number[rows] = number[rows]
        if about is not None:
            self.about[rows] = about[rows]


def reasons_of(
    state: ListState,
    history: History,
    *,
    pairs: Candidates,
    features: Floats,
    explainer: Explainer,
    who: Ints,
    seeds: Ints | None = None,
) -> Reasons:
    """Return the reason of each pair; ``features`` have columns as in ``PAIR_FEATURES``.

    Customers of ``pairs`` are codes of ``history``, and ``who`` holds those customers' codes in ``state``
    (-1: unknown there); ``seeds`` is the cart, or what else a live answer starts from. A reason is about the
    nearest product bought.
    """
    product, source = pairs.product, pairs.source
    reasons = Reasons.none(len(product))
    seeds = np.zeros(0, np.int32) if seeds is None else seeds
    clock = state.due.of_pairs(who, pairs.customer, product=product)
    _own(
        reasons,
        source == OWN,
        feature=lambda name: features[:, COLUMN[name]],
        clock=_in_days(clock, history.cutoff_day),
    )
    proposed = np.isin(source, PROPOSED)
    moved = np.full(len(product), -1)
    moved[proposed] = _moved(features[proposed], explainer)
    _others(
        reasons,
        proposed & (moved == FAMILIES.index("others")),
        state=state,
        history=history,
        pairs=pairs,
        seeds=seeds,
    )
    reasons.put(proposed & (moved == FAMILIES.index("kinds")), "category", number=_level(features))
    young = (features[:, COLUMN["p_age"]] <= NEW_DAYS) & (state.days_known > 2 * NEW_DAYS)
    reasons.put(proposed & young & (moved == FAMILIES.index("sales")), "new")
    reasons.put(proposed & state.rules.is_new[product], "new")
    reasons.put(source == UPSELL, "dearer", about=_of_the_kind(state, product, seeds))
    reasons.put(source == PINNED, "pinned")
    return reasons


def _others(
    reasons: Reasons, others: Bools, *, state: ListState, history: History, pairs: Candidates, seeds: Ints
) -> None:
    """Write reasons based on others: the bought product, or one of ``seeds``, that led to a new one."""
    product, source = pairs.product, pairs.source
    reasons.put(others, "alike")
    about = np.full(len(product), -1, np.int32)
    for number, table in _tables(state).items():
        rows = np.flatnonzero(others & (source == number)).astype(np.int32)
        about[rows] = _closest(state, history, pairs=pairs.at(rows), table=table)
    reasons.put(others & (about >= 0), "also", about=about)
    alike = _same_kind(state, product, about) | (source == TEXTS)
    reasons.put(others & (about >= 0) & alike, "like")
    unexplained = others & (source == SIMILAR) & (about < 0)
    _near(reasons, unexplained | (source == TOGETHER), state=state, product=product, seeds=seeds)


def _moved(features: Floats, explainer: Explainer) -> Rows:
    """Return the family (index in ``FAMILIES``) without which each row's chance would fall most.

    "Without" means with an ordinary candidate's features. A customer who bought nothing of a category does
    not get ``kinds``.
    """
    left = explainer.without(features, explainer.usual, FAMILY)
    left[FAMILIES.index("kinds")][features[:, COLUMN["top_n"]] <= 0] = np.inf
    moved: Rows = np.argmin(left, axis=0)
    return moved


def _level(features: Floats) -> Floats:
    """Return the narrowest category the customer buys from: 0 the product's, 1 its parent, 2 the broadest."""
    bought = np.stack([features[:, COLUMN[f"{level}_n"]] > 0 for level in LEVELS[:3]])
    level: Floats = bought.argmax(axis=0).astype(np.float32)
    return level


def explain(
    lists: Mapping[str, Picks], pairs: Candidates, *, n_products: int, of: Callable[[Ints], Reasons]
) -> None:
    """Write reasons into lists that were picked from ``pairs`` (sorted by customer, product)."""
    key = pairs.customer.astype(np.int64) * n_products + pairs.product
    cells = {name: np.nonzero(picks.product >= 0) for name, picks in lists.items()}
    rows = {
        name: np.searchsorted(key, row.astype(np.int64) * n_products + lists[name].product[row, rank])
        for name, (row, rank) in cells.items()
    }
    wanted = np.unique(np.concatenate([*rows.values(), np.zeros(0, np.int64)]).astype(np.int64))
    reasons = of(wanted.astype(np.int32))
    for name, cell in cells.items():
        at = np.searchsorted(wanted, rows[name])
        for column in Reasons._fields:
            getattr(lists[name], column)[cell] = getattr(reasons, column)[at]


def _in_days(clock: DueDays, today: int) -> tuple[Floats, Floats]:
    """Return days until pairs are due (infinite if unknown), and the usual days between purchases."""
    days = np.where(clock.day == UNKNOWN_DAY, np.inf, clock.day.astype(np.float64) - today)
    return days.astype(np.float32), clock.gap


def _own(
    reasons: Reasons, own: Bools, *, feature: Callable[[str], Floats], clock: tuple[Floats, Floats]
) -> None:
    """Write reasons of earlier purchases: due, if expected about now; else the purchases so far."""
    n, since = feature("n"), feature("since")
    until, gap = clock
    own = own & (n > 0)
    reasons.put(own, "again", number=np.maximum(since, 1))
    reasons.put(own & (n > 1), "often", number=n)
    late = since / np.maximum(gap, 1)
    now = own & (late >= DUE) & (late < FORGOTTEN) & (until <= np.maximum(SOON_DAYS, SOON_SHARE * gap))
    reasons.put(now & (n == 1) & (late < LONG_DUE), "usual", number=gap)
    reasons.put(now & (n > 1), "due", number=gap)
    reasons.put(now & (n > 1) & (late >= LONG_DUE), "overdue", number=gap)


def _tables(state: ListState) -> dict[int, Neighbours]:
    """Return the sources that show which bought product led to a new one, and the tables they read."""
    return {SIMILAR: state.neighbours, BASKETS: state.together, TEXTS: state.texts}


def _closest(state: ListState, history: History, *, pairs: Candidates, table: Neighbours) -> Ints:
    """Return the nearest bought product of each pair, if among ``N_NEAREST`` in ``table``; else -1.

    Only similarity and how recently it was bought count, not how often: a product bought every week goes with
    everything, and would be named for everything.
    """
    size, product = len(history.products), pairs.product
    who, row = np.unique(pairs.customer, return_inverse=True)
    some = history.of_customers(who.astype(np.int32))
    taste = np.zeros(len(who) * size, np.float32)
    np.maximum.at(taste, some.pair, state.taste(some))
    near, score = table.product[product, :N_NEAREST], table.score[product, :N_NEAREST]
    part = np.where(near >= 0, taste[row[:, None] * size + np.maximum(near, 0)], 0) * score
    best = part.argmax(axis=1)[:, None]
    nearest = np.where(np.take_along_axis(part, best, 1) > 0, np.take_along_axis(near, best, 1), -1)
    closest: Ints = nearest[:, 0].astype(np.int32)
    return closest


def _same_kind(state: ListState, product: Ints, other: Ints) -> Bools:
    """Return whether two products share a category, or a parent of theirs."""
    branch = state.table.codes[1]
    same: Bools = (branch[product] >= 0) & (branch[product] == branch[other])
    return same


def _near(reasons: Reasons, rows: Bools, *, state: ListState, product: Ints, seeds: Ints) -> None:
    """Name the product of the cart (or of the latest purchases) with which a product is bought most."""
    if not len(seeds) or not rows.any():
        return
    best = np.zeros(len(product), np.float32)
    about = np.full(len(product), -1, np.int32)
    for table in (state.neighbours, state.together):  # common orders take precedence
        score = np.stack([_score_of(table, code, product) for code in seeds.tolist()])
        most, here = score.argmax(axis=0), score.max(axis=0)
        about = np.where(here > 0, seeds[most], about).astype(np.int32)
        best = np.maximum(best, here)
    reasons.put(rows & (best > 0), "together", about=about)


def _score_of(table: Neighbours, code: int, product: Ints) -> Floats:
    """Return the similarity of each product to ``code``; 0 beyond its neighbours."""
    near, score = table.product[code], table.score[code]
    order = np.argsort(near, kind="stable")
    at = order[np.minimum(np.searchsorted(near[order], product), len(near) - 1)]
    return np.where(near[at] == product, score[at], np.float32(0))


def _of_the_kind(state: ListState, product: Ints, seeds: Ints) -> Ints:
    """Return the product of ``seeds`` in the same category as each product; -1 if there is none."""
    category = state.table.codes[0]
    about = np.full(len(product), -1, np.int32)
    for code in seeds.tolist():
        about[category[product] == category[code]] = code
    return about
