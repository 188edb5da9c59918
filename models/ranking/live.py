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
from models.lists.live_request import LiveRequest, Scored
from models.lists.picks import OWN, PINNED, POPULAR, SOURCES, TOGETHER, UPSELL
from models.lists.pool import Group, Seeds, united
from models.lists.since import Line, by_now
from models.ranking.chances import Chances
from models.ranking.ranker import Ranker
from models.ranking.reasons import Explainer, Reasons, reasons_of

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
        live.reasons(someone[0], (), cart=anything, picks=picks)
        return live

    def rank(
        self,
        customer_id: str | None,
        new_lines: Sequence[Line] = (),
        *,
        cart: Sequence[str] = (),
        list_name: str = "for_you",
        k: int = 20,
        exclude: Sequence[str] = (),
        eligible: Bools | None = None,
    ) -> list[Pick]:
        """Return ``(product_id, score, source)``, best first: exactly min(k, eligible), each once.

        ``new_lines`` are ``(product_id, quantity)`` since the state was made, oldest first; a negative
        quantity is a return and undoes the latest purchases of that product. ``eligible`` is by product code;
        for ``upsell``, only better versions of what it starts from are eligible. Products in the cart are not
        shown. Unknown products are ignored; unknown customers are served as customers without history.
        """
        request = self._request(
            customer_id, new_lines=new_lines, cart=cart, k=k, exclude=exclude, eligible=eligible
        )
        if list_name == "bought_together":
            request = replace(request, barred=request.barred | substitutes(self.state, request.cart))
            scored = together(self.state, request, suits=self._suits(request))
        elif list_name == "upsell" and self.dearer is not None:
            scored = better(self.state, self.dearer, request=request, suits=self._suits(request))
        elif list_name in ("upsell", "popular"):
            scored = Scored.nothing()
        else:
            scored = self._personal(request, list_name)
        return self._picks(request, scored, list_name)

    def reasons(
        self,
        customer_id: str | None,
        new_lines: Sequence[Line],
        *,
        cart: Sequence[str],
        picks: Sequence[Pick],
    ) -> Reasons:
        """Return the reasons for the picks of ``rank``, for the same customer, lines and cart."""
        request = self._request(
            customer_id, new_lines=new_lines, cart=cart, k=len(picks), exclude=(), eligible=None
        )
        product = self.state.history.products.codes([name for name, _, _ in picks])
        source = np.array([SOURCES.index(name) for _, _, name in picks], np.uint8)
        pairs = Candidates(np.zeros(len(product), np.int32), product, source, source == OWN)
        seeds = np.append(request.cart, request.fresh)
        if not len(seeds) and np.isin(source, (TOGETHER, UPSELL)).any():
            seeds = request.latest
        chances, explainer = self._chances(request), Explainer(self.ranker.without, self.usual)
        features = chances.features(pairs.customer, product)
        reasons = reasons_of(
            self.state,
            request.mine,
            pairs=pairs,
            features=features,
            explainer=explainer,
            who=chances.codes,
            seeds=seeds,
        )
        if self.dearer is not None:
            for code in seeds.tolist():
                reasons.about[(source == UPSELL) & np.isin(product, self.dearer.product[code])] = code
        return reasons

    def due(self, customer_id: str, without: Sequence[str] = ()) -> dict[str, str]:
        """Return, by product, the day a customer is due to buy it again (``YYYY-MM-DD``), if known."""
        code, products = self.state.history.customers.code(customer_id), self.state.history.products
        days = self.state.due.dates(code, without=products.codes(without).tolist())
        return dict(zip(products.names(list(days)), days.values(), strict=True))

    def pairs(self, customer_id: str, product: Ints) -> Floats:
        """Return the pair features that ``rank`` uses, for one customer and product codes in order."""
        request = self._request(customer_id, new_lines=(), cart=(), k=0, exclude=(), eligible=None)
        product = np.asarray(product, np.int32)
        return self._chances(request).features(np.zeros(len(product), np.int32), product)

    def _request(
        self,
        customer_id: str | None,
        *,
        new_lines: Sequence[Line],
        cart: Sequence[str],
        k: int,
        exclude: Sequence[str],
        eligible: Bools | None,
    ) -> LiveRequest:
        products = self.state.history.products
        code = self.state.history.customers.code(customer_id) if customer_id is not None else -1
        mine, fresh = by_now(self.state.history, code, new_lines=new_lines)
        in_cart = products.codes(cart)
        in_cart = in_cart[in_cart >= 0]
        barred = np.zeros(len(products), bool) if eligible is None else ~eligible
        out = products.codes(exclude)
        barred[out[out >= 0]] = True
        barred[in_cart] = True
        gone = self._gone(customer_id, code, mine=mine, new_lines=new_lines)
        return LiveRequest(mine, code, in_cart, fresh, barred, k, gone)

    def _gone(self, customer_id: str | None, code: int, *, mine: History, new_lines: Sequence[Line]) -> Ints:
        """Return the products this customer has bought, by the state or since, and returned."""
        history, back = self.state.history, self.state.rules.back
        gone = np.zeros(0, np.int64)
        if back is not None and customer_id is not None:
            gone = back.products_of(customer_id)
        if new_lines:
            since = history.products.codes([name for name, change in new_lines if change > 0])
            gone = np.concatenate([gone, since[since >= 0], history.product[history.rows(code)]])
        return np.setdiff1d(gone, mine.product).astype(np.int32) if len(gone) else gone.astype(np.int32)

    def _personal(self, request: LiveRequest, list_name: str) -> Scored:
        """Rank a list again: its ready products, latest purchases, and neighbours of the cart or of these."""
        if not len(request.mine.product):
            return Scored.nothing() if LISTS[list_name].bought == "only" else together(self.state, request)
        product, source, bought = self._candidates(request, list_name)
        kept = ~self.state.rules.barred(list_name, product, own=bought | request.tried(list_name, product))
        product = product[kept]
        source = np.where(bought, OWN, np.where(source == OWN, SIMILAR, source))[kept].astype(np.uint8)
        scored = Scored(product, self._chance(request, product), source)
        return with_cart(self.state, request.cart, ranked=scored) if len(request.cart) else scored

    def _suits(self, request: LiveRequest) -> Suits | None:
        """Return the function for the customer's own chances; None without purchases."""
        return partial(self._chance, request) if len(request.mine.product) else None

    def _chance(self, request: LiveRequest, product: Ints) -> Floats:
        chances, customer = self._chances(request), np.zeros(len(product), np.int32)
        return chances.predict(customer, product, features=chances.features(customer, product))

    def _candidates(self, request: LiveRequest, list_name: str) -> tuple[Ints, Bytes, Bools]:
        """Return each product once that is not barred, with its first source, and whether it is owned."""
        pool, rest = _NO_GROUP, _NO_GROUP
        if request.code >= 0:
            pool = Group(*(column[request.code] for column in self.pools[list_name]))
        else:
            rest = _group((request.mine.product, OWN), (self.by_popularity[:N_NEAR], POPULAR))
        seeds = Seeds(
            np.append(request.cart, request.fresh),
            (self.state.together.product, self.state.neighbours.product),
            (TOGETHER, SIMILAR),
            N_NEAR,
        )
        return united((pool, _group((request.fresh, OWN)), rest), seeds, request.mine.product, request.barred)

    def _chances(self, request: LiveRequest) -> Chances:
        return Chances(
            self.state, self.ranker, request.mine, np.array([request.code], np.int32), request.cart
        )

    def _picks(self, request: LiveRequest, scored: Scored, list_name: str) -> list[Pick]:
        """Order, cut, and fill up: with best sellers, or with other purchases in a list of these."""
        kind = LISTS[list_name]
        order = self.state.rules.order(None, scored.product, score=scored.score)[: request.k]
        product, score, source = scored.product[order], scored.score[order], scored.source[order]
        short = request.k - len(product)
        if short > 0 and (kind.filled or kind.bought == "only"):
            more = self._more(request, list_name, product)[:short]
            last = float(score[-1]) if len(score) else np.inf
            product = np.append(product, more)
            score = np.append(score, np.minimum(self.state.table.popularity[more], last))
            source = np.append(source, np.full(len(more), OWN if kind.bought == "only" else POPULAR))
        for code in self._pinned_to(request, list_name):
            at = np.flatnonzero(product == code)
            chance = score[at[0]] if len(at) else self.state.table.popularity[code]
            rest = np.flatnonzero(product != code)[: request.k - 1]
            product, score = np.append(code, product[rest]), np.append(chance, score[rest])
            source = np.append(PINNED, source[rest])
        ids = self.state.history.products.names(product)
        names = [SOURCES[number] for number in source.tolist()]
        return list(zip(ids, score.tolist(), names, strict=True))

    def _pinned_to(self, request: LiveRequest, list_name: str) -> list[int]:
        """Return products pinned by the shop that this customer may be shown, in reverse order."""
        codes = self.state.rules.pinned_to(list_name)
        if not len(codes):
            return []
        leading: list[int] = codes[~request.bars(self.state.rules, list_name, product=codes)][::-1].tolist()
        return leading

    def _more(self, request: LiveRequest, list_name: str, shown: Ints) -> Ints:
        allowed = ~request.barred
        allowed[shown] = False
        mine = request.mine.product
        if LISTS[list_name].bought == "only":
            allowed &= request.owned
        else:
            mine = np.append(mine, request.gone)
            allowed[mine[request.bars(self.state.rules, list_name, product=mine)]] = False
        return self.by_popularity[allowed[self.by_popularity]]


def _group(*parts: tuple[Ints, int]) -> Group:
    """Return products and their sources."""
    sources = [np.full(len(product), source, np.uint8) for product, source in parts]
    return Group(np.concatenate([product for product, _ in parts]), np.concatenate(sources))
