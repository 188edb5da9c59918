"""What to do now for one customer: one product offered, or nothing, by expected incremental margin.

The choice is ``models.decisions.offer.choose``, the very function the batch uses; here it sees the stock, the
contacts and the orders of this minute.
"""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from random import random
from typing import Any, cast
from uuid import uuid4

import numpy as np

from features.errors import NotFound
from models.decisions.case import NOTHING, Case, Terms
from models.decisions.explore import explore
from models.decisions.known import Known, settled_by
from models.decisions.offer import choose
from models.decisions.words import explain
from models.policy.actions import DO_NOTHING, NAMES
from models.policy.rules import Goods, People
from models.policy.standing import Standing
from models.ranking.live import Pick
from serving.api import Offer, OfferRequest
from serving.scoring.snapshot import PERSONAL
from serving.state import State
from serving.storefront.answers import Ask, Who, from_ready, live, who
from serving.storefront.moments import act_window, days_on

N_CANDIDATES = 20
N_RULED_OUT = 10
DECIMALS = 6
CONTACT_DAYS = 28


def next_best_offer(state: State, request: OfferRequest, now: datetime) -> Offer:
    """Choose the action with the highest expected incremental margin that every rule permits, or nothing.

    A recorded decision may explore, where the shop says so (``contact_policy.exploration``); one that is only
    asked for never does. Of a customer who was erased nothing is recorded.
    """
    customer = who(state, request.customer_id)
    record = request.record and not state.view.is_erased(request.customer_id)
    if state.snapshot.desk is None:
        return _offer(state, request, {"product_id": None, "reason": no_offers(state).message})
    goods, terms = goods_now(state)
    terms = terms if request.channel is None else terms.through[request.channel]
    case = offer_case(state, customer, request.exclude, now)
    codes = case.product[0]
    ids, names = state.snapshot.catalogue.products.names(codes), state.snapshot.catalogue.names(codes)
    said = explain(choose(case, goods, terms), case, terms, 0, products=ids, names=names)
    if record:
        said |= tried(state, case, terms, said)
    said["window"] = act_window(said["window"], now, state.snapshot.timezone, terms.policy, said["channel"])
    offer = _offer(state, request, said)
    offer.fallback = (
        None if customer.code >= 0 else "the customer is unknown: nothing is known of their chances"
    )
    if record:
        offer.decision_id = record_decision(state, offer, said, now)
    return offer


def tried(state: State, case: Case, terms: Terms, said: dict[str, Any]) -> dict[str, Any]:
    """Draw what to do by the shop's policy: return its propensity and, where it is not the best, it."""
    drawn = explore(case, goods_now(state)[0], terms, np.array([random()]))
    action, propensity = int(drawn.action[0]), {"propensity": float(drawn.propensity[0])}
    name = drawn.options.names[action]
    if name == said["action"]:
        return propensity
    product, worth, chance, _ = drawn.options.at(drawn.action)
    code, names = int(product[0]), state.snapshot.catalogue.products
    best = {what: said[what] for what in ("action", "product_id", terms.money)}
    return propensity | {
        "runners_up": [best, *(other for other in said["runners_up"] if other["action"] != name)],
        "action": name,
        "product_id": None if code < 0 else names.names([code])[0],
        "channel": None if action < 0 else drawn.options.deck.actions[action].channel,
        terms.money: float(worth[0]),
        terms.probability: None if action < 0 else float(chance[0]),
        "window": None if action < 0 else {"opens_in_days": 0, "closes_in_days": None},
        "reason": f"{name}, tried to learn what it is worth ({terms.policy.exploration})",
    }


def no_offers(state: State) -> NotFound:
    """Say why nothing can be offered, and no contact planned."""
    missing = "next_best_offer" if "next_best_offer" not in state.snapshot.models else "cross_sell"
    lists = ", so there are no lists to offer from" if missing == "cross_sell" else ""
    hint = f"`recompra train --only {missing}` says what it lacks; then `recompra score`"
    return NotFound(f"no {missing} model serves{lists}", hint)


def goods_now(state: State) -> tuple[Goods, Terms]:
    """Return what an offer needs to know of the goods, with the stock of this minute, and its terms."""
    if state.snapshot.desk is None:
        raise no_offers(state)
    goods, terms = state.snapshot.desk
    return replace(goods, stock=state.stock), terms


def offer_case(state: State, customer: Who, exclude: Sequence[str], now: datetime) -> Case:
    """Lay out what could be offered to one customer: the first of every personal list."""
    found: dict[str, float] = {}
    for list_name in PERSONAL if customer.code >= 0 else ():
        for product_id, score, _ in _first(state, list_name, customer, exclude):
            found.setdefault(product_id, score)
    codes, snapshot = [state.snapshot.product(product_id) for product_id in found], state.snapshot
    contacts = contacts_of(state, customer, now)
    people, since = people_of(state, customer, contacts), _days_since(state, customer, codes)
    case = Case.of_one(people, codes, list(found.values()), since)
    if snapshot.known is None or snapshot.history is None or customer.code < 0:
        return case
    row = np.array([customer.code], np.int32)
    return snapshot.known.case(
        row,
        snapshot.history.of_customers(row),
        goods_now(state)[0],
        people=people,
        product=case.product,
        chance=case.chance,
        days_since_bought=case.days_since_bought,
        standing=standing_of(state, customer, contacts, now),
    )


def _first(state: State, list_name: str, customer: Who, exclude: Sequence[str]) -> list[Pick]:
    """Return the head of a list, in stock or not: the choice says itself what it refuses, and why."""
    ask = Ask(list_name, N_CANDIDATES, frozenset(exclude), np.ones_like(state.shelf))
    picks = None if customer.lines else from_ready(state.snapshot, customer.code, ask)
    return live(state.snapshot, customer, ask) if picks is None else picks


Contacts = list[tuple[str | None, datetime]]


def contacts_of(state: State, customer: Who, now: datetime) -> Contacts:
    """Return action and moment of a customer's contacts since the scoring, of the last 28 days."""
    if customer.code < 0:
        return []
    since = max(state.snapshot.as_of, now - timedelta(days=CONTACT_DAYS))
    return state.view.contacts(cast("str", customer.customer_id), since)


def people_of(state: State, customer: Who, contacts: Contacts) -> People:
    """Return what decides whether this one customer may be contacted, with the contacts made since."""
    people = state.snapshot.people
    if customer.code < 0:
        return replace(People.nobody_known(1), consent_recorded=people.consent_recorded)
    more = np.array([len(contacts)], np.int32)
    return people.of(np.array([customer.code], np.int32)).contacted(more)


def standing_of(state: State, customer: Who, contacts: Contacts, now: datetime) -> Standing:
    """Return where one customer stands now: what was known at the scoring, aged, and what happened since."""
    known, snapshot = cast("Known", state.snapshot.known), state.snapshot
    standing = known.standing.of(np.array([customer.code], np.int32)).later(days_on(snapshot, now))
    week = now - timedelta(days=7)
    since_action = standing.since_action.copy()
    for action, sent_at in contacts:
        if action in NAMES:
            since_action[0, NAMES.index(action)] = (now - sent_at).days
    recent = sum(sent_at >= week for _, sent_at in contacts)
    standing = replace(
        standing, n_contacts_7d=standing.n_contacts_7d + np.int32(recent), since_action=since_action
    )
    bought = [snapshot.product(name) for name, _, quantity in customer.lines if quantity > 0]
    codes = [code for code in bought if code >= 0]
    return settled_by(standing, float(known.shelf.settling_days[codes].max(initial=0))) if codes else standing


def _days_since(state: State, customer: Who, codes: Sequence[int]) -> list[float]:
    """Return days since each product was last bought: 0 where it was since the scoring."""
    new = {name for name, _, quantity in customer.lines if quantity > 0}
    bought = state.snapshot.last_bought(customer.code)
    names = state.snapshot.catalogue.products.names(codes)
    return [0.0 if name in new else bought.get(code, np.nan) for name, code in zip(names, codes, strict=True)]


def _offer(state: State, request: OfferRequest, said: dict[str, Any]) -> Offer:
    product_id = said["product_id"]
    code = -1 if product_id is None else state.snapshot.product(product_id)
    name = said.get("action", DO_NOTHING)
    said = _rounded(said)
    money = {name: said[name] for name in said if name.startswith(("expected_", "purchase_"))}
    return Offer(
        as_of=state.snapshot.moment,
        models=dict(state.snapshot.models),
        customer_id=request.customer_id,
        action="offer" if product_id is not None else "nothing" if name == DO_NOTHING else "contact",
        name=name,
        channel=said.get("channel"),
        shown_with=_shown_with(state, code) if name == "flash_sale" else None,
        window=said.get("window"),
        product_id=product_id,
        product_name=None if code < 0 else state.snapshot.catalogue.names([code])[0],
        money=money,
        currency=said.get("currency", state.snapshot.currency),
        effect=said.get("effect", ""),
        reason=said["reason"],
        runners_up=said.get("runners_up", []),
        ruled_out=said.get("ruled_out", [])[:N_RULED_OUT],
        ruled_out_actions=said.get("ruled_out_actions", []),
        propensity=said.get("propensity"),
        decision_id=None,
        experiment=state.snapshot.experiment_for(said.get("effect", "")),
        fallback=None,
    )


def _shown_with(state: State, code: int) -> str | None:
    """Return the best seller to show a slow mover with."""
    partner = int(state.snapshot.known.shelf.partner[code]) if state.snapshot.known is not None else NOTHING
    return None if partner < 0 else state.snapshot.catalogue.products.names([partner])[0]


def _rounded(value: Any) -> Any:
    """Round every number of an explanation, however deep it stands."""
    if isinstance(value, float):
        return round(value, DECIMALS)
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value


def record_decision(state: State, offer: Offer, said: dict[str, Any], now: datetime) -> str:
    """Keep a decision with the chance the policy had of deciding so, as exact as it was drawn."""
    row = {
        "decision_id": uuid4().hex,
        "customer_id": offer.customer_id,
        "decided_at": now,
        "action": offer.name,
        "product_id": offer.product_id,
        "propensity": said["propensity"],
        "expected_margin": said.get(goods_now(state)[1].money),
        "models": ",".join(f"{name}={version}" for name, version in offer.models.items()),
        "as_of": state.snapshot.as_of,
    }
    state.view.store.decide([row])
    return cast("str", row["decision_id"])
