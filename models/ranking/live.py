"""Answers for one customer now: memory-mapped arrays, events since, the cart, and the same ranker.

Features are computed by the batch's function on the same arrays: without new events the answer is the ready
list. For an unknown customer the cart is used, or without one the best sellers; the source says which.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Self

import numpy as np

from features.arrays.dtypes import Bools, Bytes, Floats, Ints
from features.arrays.history import History
from features.arrays.stored import read_array
from models.candidates.companions import SIMILAR, Suits, better, substitutes, together, with_cart
from models.candidates.state import ListState
from models.candidates.union import Candidates
from models.lists.dearer import Dearer
from models.lists.list_kinds import LISTS, PERSONAL
from models.lists.picks import OWN, PINNED, POPULAR, SOURCES, TOGETHER, UPSELL
from models.lists.pool import Group, Lead, united
from models.lists.question import Question, Scored
from models.lists.since import Line, by_now
from models.ranking.chances import Chances
from models.ranking.ranker import Ranker
from models.ranking.reasons import Judge, Why, why

Pick = tuple[str, float, str]
"""Product, chance, and source."""
N_NEAR = 20
"""Number of neighbours that become candidates, per product of the cart and per product bought since."""
CHECKED = 97
"""One row in this many is checked on loading; all were checked when written."""
_NO_GROUP = Group(np.zeros(0, np.int32), np.zeros(0, np.uint8))


@dataclass(frozen=True)
class Live:
    """Loaded once and shared by all requests: holds no state that changes."""

    state: ListState
    ranker: Ranker
    pools: dict[str, tuple[Ints, Bytes]]
    """Per list: the products worth ranking for each customer and their sources, shape (n_customers, m)."""
    by_popularity: Ints
    usual: Floats
    """Features of an ordinary new candidate, for reasons."""
    dearer: Dearer | None = None
    """Better versions of each product, if an upsell model serves."""

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Memory-map what ``CrossSell.save_state`` wrote, check a part of it, and answer once."""
        state = ListState.load(folder)
        state.check(every=CHECKED)
        pools = {
            name: (read_array(folder, f"{name}.product"), read_array(folder, f"{name}.source"))
            for name in PERSONAL
        }
        best = state.rules.best(state.table.popularity)
        live = cls(state, Ranker.load(folder), pools, best, read_array(folder, "usual"), Dearer.load(folder))
        someone, anything = state.history.customers.names([0]), state.history.products.names([0])
        picks = live.rank(someone[0], cart=anything)  # a first call compiles: not during a request
        live.why(someone[0], (), anything, picks)
        return live

    def rank(
        self,
        customer_id: str | None,
        new_lines: Sequence[Line] = (),
        cart: Sequence[str] = (),
        list_name: str = "for_you",
        k: int = 20,
        *,
        exclude: Sequence[str] = (),
        eligible: Bools | None = None,
    ) -> list[Pick]:
        """Return ``(product_id, score, source)``, best first: exactly min(k, eligible), each once.

        ``new_lines`` are ``(product_id, quantity)`` since the state was made, oldest first; a negative
        quantity is a return and undoes the latest purchases of that product. ``eligible`` is by product code;
        for ``upsell``, only better versions of what it starts from are eligible. Products in the cart are not
        shown. Unknown products are ignored; unknown customers are served as customers without history.
        """
        ask = self._ask(customer_id, new_lines=new_lines, cart=cart, k=k, exclude=exclude, eligible=eligible)
        if list_name == "bought_together":
            ask = replace(ask, barred=ask.barred | substitutes(self.state, ask.cart))
            scored = together(self.state, ask, self._suits(ask))
        elif list_name == "upsell" and self.dearer is not None:
            scored = better(self.state, self.dearer, ask, self._suits(ask))
        elif list_name in ("upsell", "popular"):
            scored = Scored.nothing()
        else:
            scored = self._personal(ask, list_name)
        return self._picks(ask, scored, list_name)

    def why(
        self,
        customer_id: str | None,
        new_lines: Sequence[Line],
        cart: Sequence[str],
        picks: Sequence[Pick],
    ) -> Why:
        """Return the reasons for the picks of ``rank``, for the same customer, lines and cart."""
        ask = self._ask(customer_id, new_lines=new_lines, cart=cart, k=len(picks), exclude=(), eligible=None)
        product = self.state.history.products.codes([name for name, _, _ in picks])
        source = np.array([SOURCES.index(name) for _, _, name in picks], np.uint8)
        pairs = Candidates(np.zeros(len(product), np.int32), product, source, source == OWN)
        lead = np.append(ask.cart, ask.fresh)
        if not len(lead) and np.isin(source, (TOGETHER, UPSELL)).any():
            lead = ask.latest
        chances, judge = self._chances(ask), Judge(self.ranker.without, self.usual)
        features = chances.features(pairs.customer, product)
        reasons = why(self.state, ask.mine, pairs, features, judge=judge, who=chances.codes, lead=lead)
        if self.dearer is not None:
            for code in lead.tolist():
                reasons.about[(source == UPSELL) & np.isin(product, self.dearer.product[code])] = code
        return reasons

    def due(self, customer_id: str, without: Sequence[str] = ()) -> dict[str, str]:
        """Return, by product, the day a customer is due to buy it again (``YYYY-MM-DD``), if known."""
        code, products = self.state.history.customers.code(customer_id), self.state.history.products
        days = self.state.due.dates(code, without=products.codes(without).tolist())
        return dict(zip(products.names(list(days)), days.values(), strict=True))

    def pairs(self, customer_id: str, product: Ints) -> Floats:
        """Return the pair features that ``rank`` uses, for one customer and product codes in order."""
        ask = self._ask(customer_id, new_lines=(), cart=(), k=0, exclude=(), eligible=None)
        product = np.asarray(product, np.int32)
        return self._chances(ask).features(np.zeros(len(product), np.int32), product)

    def _ask(
        self,
        customer_id: str | None,
        *,
        new_lines: Sequence[Line],
        cart: Sequence[str],
        k: int,
        exclude: Sequence[str],
        eligible: Bools | None,
    ) -> Question:
        products = self.state.history.products
        code = self.state.history.customers.code(customer_id) if customer_id is not None else -1
        mine, fresh = by_now(self.state.history, code, new_lines)
        in_cart = products.codes(cart)
        in_cart = in_cart[in_cart >= 0]
        barred = np.zeros(len(products), bool) if eligible is None else ~eligible
        out = products.codes(exclude)
        barred[out[out >= 0]] = True
        barred[in_cart] = True
        gone = self._gone(customer_id, code, mine, new_lines)
        return Question(mine, code, in_cart, fresh, barred, k, gone)

    def _gone(self, customer_id: str | None, code: int, mine: History, new_lines: Sequence[Line]) -> Ints:
        """Return the products this customer has bought, by the state or since, and returned."""
        history, back = self.state.history, self.state.rules.back
        gone = np.zeros(0, np.int64)
        if back is not None and customer_id is not None:
            gone = back.products_of(customer_id)
        if new_lines:
            since = history.products.codes([name for name, change in new_lines if change > 0])
            gone = np.concatenate([gone, since[since >= 0], history.product[history.rows(code)]])
        return np.setdiff1d(gone, mine.product).astype(np.int32) if len(gone) else gone.astype(np.int32)

    def _personal(self, ask: Question, list_name: str) -> Scored:
        """Rank a list again: its ready products, latest purchases, and neighbours of the cart or of these."""
        if not len(ask.mine.product):
            return Scored.nothing() if LISTS[list_name].bought == "only" else together(self.state, ask)
        product, source, bought = self._candidates(ask, list_name)
        kept = ~self.state.rules.barred(list_name, product, bought | ask.tried(list_name, product))
        product = product[kept]
        source = np.where(bought, OWN, np.where(source == OWN, SIMILAR, source))[kept].astype(np.uint8)
        scored = Scored(product, self._chance(ask, product), source)
        return with_cart(self.state, ask.cart, scored) if len(ask.cart) else scored

    def _suits(self, ask: Question) -> Suits | None:
        """Return the function for the customer's own chances; None without purchases."""
        return partial(self._chance, ask) if len(ask.mine.product) else None

    def _chance(self, ask: Question, product: Ints) -> Floats:
        chances, customer = self._chances(ask), np.zeros(len(product), np.int32)
        return chances.predict(customer, product, chances.features(customer, product))

    def _candidates(self, ask: Question, list_name: str) -> tuple[Ints, Bytes, Bools]:
        """Return each product once that is not barred, with its first source, and whether it is owned."""
        pool, rest = _NO_GROUP, _NO_GROUP
        if ask.code >= 0:
            pool = Group(*(column[ask.code] for column in self.pools[list_name]))
        else:
            rest = _group((ask.mine.product, OWN), (self.by_popularity[:N_NEAR], POPULAR))
        lead = Lead(
            np.append(ask.cart, ask.fresh),
            (self.state.together.product, self.state.neighbours.product),
            (TOGETHER, SIMILAR),
            N_NEAR,
        )
        return united((pool, _group((ask.fresh, OWN)), rest), lead, ask.mine.product, ask.barred)

    def _chances(self, ask: Question) -> Chances:
        return Chances(self.state, self.ranker, ask.mine, np.array([ask.code], np.int32), ask.cart)

    def _picks(self, ask: Question, scored: Scored, list_name: str) -> list[Pick]:
        """Order, cut, and fill up: with best sellers, or with other purchases in a list of these."""
        kind = LISTS[list_name]
        order = self.state.rules.order(None, scored.product, scored.score)[: ask.k]
        product, score, source = scored.product[order], scored.score[order], scored.source[order]
        short = ask.k - len(product)
        if short > 0 and (kind.filled or kind.bought == "only"):
            more = self._more(ask, list_name, product)[:short]
            last = float(score[-1]) if len(score) else np.inf
            product = np.append(product, more)
            score = np.append(score, np.minimum(self.state.table.popularity[more], last))
            source = np.append(source, np.full(len(more), OWN if kind.bought == "only" else POPULAR))
        for code in self._pinned_to(ask, list_name):
            at = np.flatnonzero(product == code)
            chance = score[at[0]] if len(at) else self.state.table.popularity[code]
            rest = np.flatnonzero(product != code)[: ask.k - 1]
            product, score = np.append(code, product[rest]), np.append(chance, score[rest])
            source = np.append(PINNED, source[rest])
        ids = self.state.history.products.names(product)
        names = [SOURCES[number] for number in source.tolist()]
        return list(zip(ids, score.tolist(), names, strict=True))

    def _pinned_to(self, ask: Question, list_name: str) -> list[int]:
        """Return products pinned by the shop that this customer may be shown, in reverse order."""
        codes = self.state.rules.pinned_to(list_name)
        if not len(codes):
            return []
        leading: list[int] = codes[~ask.bars(self.state.rules, list_name, codes)][::-1].tolist()
        return leading

    def _more(self, ask: Question, list_name: str, shown: Ints) -> Ints:
        allowed = ~ask.barred
        allowed[shown] = False
        mine = ask.mine.product
        if LISTS[list_name].bought == "only":
            allowed &= ask.owned
        else:
            mine = np.append(mine, ask.gone)
            allowed[mine[ask.bars(self.state.rules, list_name, mine)]] = False
        return self.by_popularity[allowed[self.by_popularity]]


def _group(*parts: tuple[Ints, int]) -> Group:
    """Return products and their sources."""
    sources = [np.full(len(product), source, np.uint8) for product, source in parts]
    return Group(np.concatenate([product for product, _ in parts]), np.concatenate(sources))
