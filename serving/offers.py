"""What to do now for one customer: one product offered, or nothing, by expected incremental margin.

The choice is ``models.decisions.offer.choose``, the very function the batch uses; here it sees the stock, the
contacts and the orders of this minute.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any, cast
from uuid import uuid4

import numpy as np

from features.errors import NotFound
from models.contact_policy import Goods, People
from models.decisions.offer import Case, Terms, choose
from models.decisions.words import explain
from serving.answers import Ask, Pick, Who, from_ready, live, who
from serving.api import Offer, OfferRequest
from serving.snapshot import PERSONAL
from serving.state import State

N_CANDIDATES = 20
N_RULED_OUT = 10
DECIMALS = 6
CONTACT_DAYS = 28


def next_best_offer(state: State, request: OfferRequest, now: datetime) -> Offer:
    """Choose the offer with the highest expected incremental margin that every rule permits, or nothing."""
    customer = who(state, request.customer_id)
    if state.snapshot.desk is None:
        return _offer(state, request, {"product_id": None, "reason": "no next_best_offer model serves yet"})
    goods, terms = goods_now(state)
    case = offer_case(state, customer, request.exclude, now)
    codes = case.product[0]
    ids, names = state.snapshot.catalogue.products.names(codes), state.snapshot.catalogue.names(codes)
    said = explain(choose(case, goods, terms), case, terms, 0, products=ids, names=names)
    offer = _offer(state, request, said)
    offer.fallback = (
        None if customer.code >= 0 else "the customer is unknown: nothing is known of their chances"
    )
    if request.record:
        offer.decision_id = record_decision(state, offer, said.get(terms.money), now)
    return offer


def goods_now(state: State) -> tuple[Goods, Terms]:
    """Return what an offer needs to know of the goods, with the stock of this minute, and its terms."""
    if state.snapshot.desk is None:
        raise NotFound("no next_best_offer model serves yet", "run `recompra train`, then `recompra score`")
    goods, terms = state.snapshot.desk
    return replace(goods, stock=state.stock), terms


def offer_case(state: State, customer: Who, exclude: Sequence[str], now: datetime) -> Case:
    """Lay out what could be offered to one customer: the first of every personal list."""
    found: dict[str, float] = {}
    for list_name in PERSONAL if customer.code >= 0 else ():
        for product_id, score, _ in _first(state, list_name, customer, exclude):
            found.setdefault(product_id, score)
    codes = [state.snapshot.product(product_id) for product_id in found]
    return Case.of_one(
        people_of(state, customer, now), codes, list(found.values()), _days_since(state, customer, codes)
    )


def _first(state: State, list_name: str, customer: Who, exclude: Sequence[str]) -> list[Pick]:
    """Return the head of a list, in stock or not: the choice says itself what it refuses, and why."""
    ask = Ask(list_name, N_CANDIDATES, frozenset(exclude), np.ones_like(state.shelf))
    picks = None if customer.lines else from_ready(state.snapshot, customer.code, ask)
    return live(state.snapshot, customer, ask) if picks is None else picks


def people_of(state: State, customer: Who, now: datetime) -> People:
    """Return what decides whether this one customer may be contacted, with the contacts made since."""
    people = state.snapshot.people
    if customer.code < 0:
        return replace(People.nobody_known(1), consent_recorded=people.consent_recorded)
    since = max(state.snapshot.as_of, now - timedelta(days=CONTACT_DAYS))
    n_more = state.view.n_contacts(cast("str", customer.customer_id), since)
    return people.of(np.array([customer.code], np.int32)).contacted(np.array([n_more], np.int32))


def _days_since(state: State, customer: Who, codes: Sequence[int]) -> list[float]:
    """Return days since each product was last bought: 0 where it was since the scoring."""
    new = {name for name, _, quantity in customer.lines if quantity > 0}
    bought = state.snapshot.last_bought(customer.code)
    names = state.snapshot.catalogue.products.names(codes)
    return [0.0 if name in new else bought.get(code, np.nan) for name, code in zip(names, codes, strict=True)]


def _offer(state: State, request: OfferRequest, said: dict[str, Any]) -> Offer:
    product_id = said["product_id"]
    code = -1 if product_id is None else state.snapshot.product(product_id)
    said = _rounded(said)
    money = {name: said[name] for name in said if name.startswith(("expected_", "purchase_"))}
    return Offer(
        as_of=state.snapshot.moment,
        models=dict(state.snapshot.models),
        customer_id=request.customer_id,
        action="nothing" if product_id is None else "offer",
        product_id=product_id,
        product_name=None if code < 0 else state.snapshot.catalogue.names([code])[0],
        money=money,
        currency=said.get("currency", state.snapshot.currency),
        effect=said.get("effect", ""),
        reason=said["reason"],
        runners_up=said.get("runners_up", []),
        ruled_out=said.get("ruled_out", [])[:N_RULED_OUT],
        decision_id=None,
        fallback=None,
    )


def _rounded(value: Any) -> Any:
    """Round every number of an explanation, however deep it stands."""
    if isinstance(value, float):
        return round(value, DECIMALS)
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value


def record_decision(state: State, offer: Offer, money: float | None, now: datetime) -> str:
    """Keep a decision; the policy is deterministic, so its propensity is 1."""
    row = {
        "decision_id": uuid4().hex,
        "customer_id": offer.customer_id,
        "decided_at": now,
        "action": offer.action,
        "product_id": offer.product_id,
        "propensity": 1.0,
        "expected_margin": money,
        "models": ",".join(f"{name}={version}" for name, version in offer.models.items()),
        "as_of": state.snapshot.as_of,
    }
    state.view.store.decide([row])
    return cast("str", row["decision_id"])
