"""Lists for a customer, answered by plain functions of the state and the request.

Two speeds: a customer without new events and with an empty cart is answered from the ready lists; everybody
else by the live ranker. Unknown customers get best sellers, and the answer says so.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np

from features.arrays.dtypes import Bools, Floats, Ints
from models.decisions.texts import told
from models.lists.cold import segments_of
from models.lists.list_kinds import LISTS, PERSONAL
from models.lists.since import Line
from models.ranking.live import Pick
from models.ranking.reasons import Reasons
from models.texts import DEFAULT
from serving.api import Product, Recommended, RecommendRequest
from serving.scoring.snapshot import Snapshot
from serving.state import State
from serving.storefront.details import detailed, ready_reasons

Path = Literal["ready", "live", "fallback"]


@dataclass(frozen=True)
class Customer:
    """The customer of a request: row in the snapshot (-1 unknown), and the orders since."""

    customer_id: str | None
    code: int
    lines: Sequence[Line] = ()
    """Orders and returns since that name a product, newest last."""
    is_active: bool = False
    """Whether there were any, with or without a product."""

    @property
    def name(self) -> str | None:
        """The id for the live ranker: None for a customer it does not know."""
        return self.customer_id if self.code >= 0 else None


def find_customer(state: State, customer_id: str | None) -> Customer:
    """Look a customer up; an erased one is unknown."""
    if customer_id is None or state.view.is_erased(customer_id):
        return Customer(customer_id, -1)
    code = state.snapshot.customer(customer_id)
    if customer_id not in state.view.active:
        return Customer(customer_id, code)
    return Customer(customer_id, code, _lines(state, customer_id), is_active=True)


def why_unknown(customer: Customer, locale: str = DEFAULT) -> str:
    """Describe a customer that the scoring does not contain."""
    return told("new" if customer.is_active else "unknown", locale)


def _lines(state: State, customer_id: str) -> list[Line]:
    """Return signed lines, oldest first."""
    rows = (row for row in state.view.lines(customer_id) if row["product_id"] is not None)
    return [(row["product_id"], (1 if row["kind"] == "order" else -1) * row["quantity"]) for row in rows]


@dataclass(frozen=True)
class ListQuery:
    """What is asked for, independent of the customer: ``eligible`` by product code, ``banned`` by id."""

    list_name: str
    k: int
    banned: frozenset[str]
    eligible: Bools
    cart: tuple[str, ...] = ()
    segments: tuple[str, ...] = ()

    @classmethod
    def of(cls, state: State, request: RecommendRequest) -> "ListQuery":
        """Read a request: products in the cart, or being viewed, are not shown again."""
        looked_at = (request.product_id,) if request.product_id is not None else ()
        cart = (*request.cart, *looked_at)
        eligible = state.eligible
        if request.category is not None:
            eligible = eligible & state.snapshot.catalogue.within(request.category)
        if request.min_price is not None or request.max_price is not None:
            eligible = eligible & _priced(state.snapshot, request)
        known = segments_of(request.attributes) if request.attributes else ()
        banned = frozenset((*request.exclude, *cart))
        return cls(request.list, request.k, banned, eligible, cart, tuple(known))


def recommend(state: State, request: RecommendRequest) -> Recommended:
    """Answer with exactly min(k, eligible) products, none of them excluded, in the cart, or out of stock."""
    return Recommended.model_construct(**recommended(state, request))


def recommended(state: State, request: RecommendRequest) -> dict[str, Any]:
    """Return the fields of the answer of ``recommend`` for serialisation."""
    ask, customer = ListQuery.of(state, request), find_customer(state, request.customer_id)
    picks, path, fallback = picked(state, customer, ask=ask)
    products: Any = _products(picks)
    if request.details:
        reasons = _reasons(state.snapshot, customer, ask=ask, picks=picks, path=path)
        products = detailed(
            state.snapshot, products, why=reasons, locale=request.locale, due=due_of(state.snapshot, customer)
        )
    if not picks and fallback is None and request.list == "upsell":
        fallback = "no better version within the price step can be shown"
    if not picks and fallback is None:
        kind = "product" if request.category is None else f"product of the category {request.category!r}"
        if request.min_price is not None or request.max_price is not None:
            kind += " within the price range"
        fallback = f"no {kind} can be shown: the rest is excluded, sold out, or not of this list"
    return {
        "as_of": state.snapshot.moment,
        "models": state.snapshot.models,
        "customer_id": request.customer_id,
        "list": request.list,
        "products": products,
        "answered_from": path,
        "fallback": fallback,
    }


def due_of(snapshot: Snapshot, customer: Customer) -> dict[str, str]:
    """Return when the customer is due, by product; without those bought since."""
    if snapshot.live is None or customer.name is None:
        return {}
    return snapshot.live.due(customer.name, without=[name for name, _ in customer.lines])


def picked(state: State, customer: Customer, *, ask: ListQuery) -> tuple[list[Pick], Path, str | None]:
    """Return the list, its origin, and why it is not a personal one."""
    snapshot = state.snapshot
    if customer.lines:
        ask = _not_since(snapshot, customer, ask)
    waits = snapshot.live is not None and (customer.lines or ask.cart)
    if ask.list_name in PERSONAL and customer.code >= 0 and not waits:
        picks, whole = from_ready(snapshot, customer.code, ask=ask)
        if picks and len(picks) < ask.k and snapshot.live is None:
            picks, whole = _continued(snapshot, _new_to(snapshot, customer, ask), picks), True
        if whole:
            return picks, "ready", None
    ask = _new_to(snapshot, customer, ask)
    reason = _why_not_live(snapshot, customer, ask)
    if reason is None:
        return live(snapshot, customer, ask=ask), "live", None
    if ask.list_name == "popular" and len(snapshot.catalogue.products):
        return popular(snapshot, ask), "ready", None
    if not LISTS[ask.list_name].filled and (customer.code >= 0 or customer.lines):
        return [], "fallback", f"{reason}: there is nothing to show"
    if (alike := _alike(state, customer, ask)) is not None:
        return alike
    picks = popular(snapshot, ask)
    message = "this is what sells now" if picks else "nothing of what sells can be shown"
    return picks, "fallback", f"{reason}: {message}"


def _not_since(snapshot: Snapshot, customer: Customer, ask: ListQuery) -> ListQuery:
    """Return the query without what was bought since the scoring, where no ranker knows when it is due."""
    if snapshot.live is not None or LISTS[ask.list_name].bought == "any":
        return ask
    return replace(ask, banned=ask.banned.union(name for name, _ in customer.lines))


def _new_to(snapshot: Snapshot, customer: Customer, ask: ListQuery) -> ListQuery:
    """Return the query without what was bought before, where no ranker knows it: for lists of new products.

    Ready lists are without it.
    """
    history = snapshot.history
    if snapshot.live is not None or LISTS[ask.list_name].bought != "never":
        return ask
    if history is None or customer.code < 0:
        return ask
    mine = np.unique(history.product[history.rows(customer.code)])
    return replace(ask, banned=ask.banned.union(snapshot.catalogue.products.names(mine)))


def _alike(state: State, customer: Customer, ask: ListQuery) -> tuple[list[Pick], Path, str | None] | None:
    """Return what sells to customers with the same attributes; None if none of these is known."""
    segments = state.snapshot.segments
    if segments is None or not LISTS[ask.list_name].by_attributes:
        return None
    known = [*ask.segments]
    if not known and customer.customer_id is not None and not state.view.is_erased(customer.customer_id):
        known = segments.of_customer(customer.customer_id)
    best = segments.best(known, state.snapshot.popular, chance=state.snapshot.popular_score)
    if best is None:
        return None
    product, score = best
    picks = _best(state.snapshot, ask, product=product, score=score, source="segment")
    message = f"the customer has no orders: this is what sells to customers with {', '.join(known)}"
    return (picks, "fallback", message) if picks else None


def _reasons(
    snapshot: Snapshot, customer: Customer, *, ask: ListQuery, picks: Sequence[Pick], path: Path
) -> Reasons:
    """Return the reasons of a list: stored with it, computed now, or that it sells."""
    if path == "live" and snapshot.live is not None:
        return snapshot.live.reasons(customer.name, customer.lines, cart=ask.cart, picks=picks)
    if path == "ready" and ask.list_name in PERSONAL:
        return ready_reasons(snapshot, snapshot.ready[ask.list_name], customer=customer.code, picks=picks)
    reasons = Reasons.none(len(picks))
    reasons.put(np.array([source == "segment" for _, _, source in picks], bool), "alike")
    return reasons


def _why_not_live(snapshot: Snapshot, customer: Customer, ask: ListQuery) -> str | None:
    """Return why this request gets best sellers; None if the live ranker can answer it."""
    if not len(snapshot.catalogue.products):
        return "the orders of this shop name no products"
    if ask.list_name == "popular":
        return "asked for"
    if snapshot.live is None:
        return "no cross_sell model serves"
    if ask.list_name == "upsell" and "upsell" not in snapshot.models:
        return "no upsell model serves (it needs prices, and customers who moved up)"
    if customer.code >= 0 or customer.lines or any(snapshot.product(name) >= 0 for name in ask.cart):
        return None
    message = "no customer_id was given" if customer.customer_id is None else "the customer is unknown"
    return "neither the customer nor any product of the cart is known" if ask.cart else message


def _priced(snapshot: Snapshot, request: RecommendRequest) -> Bools:
    """Mark the products of a price range, inclusive; products without a price are in none."""
    low = 0.0 if request.min_price is None else request.min_price
    high = np.inf if request.max_price is None else request.max_price
    price = snapshot.catalogue.price
    return np.asarray((price >= np.float32(low)) & (price <= np.float32(high)))


def from_ready(snapshot: Snapshot, code: int, *, ask: ListQuery) -> tuple[list[Pick], bool]:
    """Filter a ready list; return it and whether it is whole, not too short to know what comes next.

    A customer with no product left was not ranked: an empty answer is complete only for ``buy_again``.
    """
    ready = snapshot.ready.get(ask.list_name)
    if ready is None:
        return [], False
    eligible, banned, goods = ask.eligible, ask.banned, snapshot.catalogue.products.ids
    chances, sources = ready.score[code], ready.source[code]
    picks: list[Pick] = []
    last = -1
    for at, last in enumerate(ready.product[code].tolist()):
        if last >= 0 and eligible[last] and (name := goods[last].decode()) not in banned:
            picks.append((name, float(chances[at]), snapshot.sources[sources[at]]))
            if len(picks) == ask.k:
                return picks, True
    return picks, last < 0 and (bool(picks) or not LISTS[ask.list_name].filled)


def _continued(snapshot: Snapshot, ask: ListQuery, picks: list[Pick]) -> list[Pick]:
    """Continue a list that nothing can rank further by best sellers, no chance above its last."""
    if not LISTS[ask.list_name].filled:
        return picks
    shown, last = [name for name, _, _ in picks], picks[-1][1]
    more = popular(snapshot, replace(ask, banned=ask.banned.union(shown), k=ask.k - len(picks)))
    return [*picks, *((name, min(chance, last), source) for name, chance, source in more)]


def live(snapshot: Snapshot, customer: Customer, *, ask: ListQuery) -> list[Pick]:
    """Rank now, on the history in the snapshot, the lines since it and the cart."""
    if snapshot.live is None:
        return []
    return snapshot.live.rank(
        customer.name,
        customer.lines,
        cart=ask.cart,
        list_name=ask.list_name,
        k=ask.k,
        exclude=sorted(ask.banned),
        eligible=ask.eligible,
    )


def popular(snapshot: Snapshot, ask: ListQuery) -> list[Pick]:
    """Return the best sellers among the eligible."""
    return _best(snapshot, ask, product=snapshot.popular, score=snapshot.popular_score, source="popular")


def _best(snapshot: Snapshot, ask: ListQuery, *, product: Ints, score: Floats, source: str) -> list[Pick]:
    """Return the first eligible products of an order."""
    at = np.flatnonzero(ask.eligible[product])[: ask.k + len(ask.banned)]
    ids = snapshot.catalogue.products.names(product[at])
    picks = zip(ids, score[at].tolist(), strict=True)
    return [(name, chance, source) for name, chance in picks if name not in ask.banned][: ask.k]


def _products(picks: Sequence[Pick]) -> list[Product]:
    return [
        {"product_id": name, "rank": rank, "score": round(score, 6), "source": source}
        for rank, (name, score, source) in enumerate(picks, start=1)
    ]
