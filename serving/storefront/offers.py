"""The next best offer for one customer: one action or nothing, by expected incremental margin.

The choice is ``models.decisions.offer.choose``, the same function as in the batch, with the current stock,
contacts and orders.
"""

from datetime import datetime
from random import random
from typing import Any, cast
from uuid import uuid4

import numpy as np

from models.decisions.case import NOTHING, Case, Terms
from models.decisions.explore import explore
from models.decisions.offer import choose
from models.decisions.texts import called, told
from models.decisions.words import effect_of, explain
from models.policy.actions import DO_NOTHING
from serving.api import Offer, OfferRequest
from serving.offer_inputs import goods_now, no_offers, switched_off
from serving.online import refreshed
from serving.state import State
from serving.storefront.answers import Customer, find_customer, why_unknown
from serving.storefront.customer_now import offer_case
from serving.storefront.moments import act_window

N_RULED_OUT = 10
DECIMALS = 6


def next_best_offer(state: State, request: OfferRequest, *, now: datetime) -> Offer:
    """Choose the action with the highest expected incremental margin that every rule permits, or nothing.

    A recorded decision may explore, if the shop's settings say so (``contact_policy.exploration``); others
    never do. For an erased customer nothing is recorded.
    """
    customer, locale = find_customer(state, request.customer_id), request.locale or state.snapshot.locale
    record = request.record and not state.view.is_erased(request.customer_id)
    if state.snapshot.goods_and_terms is None:
        return _offer(state, request, {"product_id": None, "reason": no_offers(state, locale).message})
    goods, terms = goods_now(state)
    terms = terms if request.channel is None else terms.through[request.channel]
    case = offer_case(state, customer, exclude=request.exclude, now=now)
    codes = case.product[0]
    ids, names = state.snapshot.catalogue.products.names(codes), state.snapshot.catalogue.names(codes)
    chosen = choose(case, goods, terms=terms)
    decision = explain(chosen, case, terms=terms, row=0, products=ids, names=names, locale=locale)
    if customer.code < 0 and not len(codes) and case.standing is None:
        why = told("no_orders", locale, who=why_unknown(customer, locale))
        decision["reason"] = told("nothing", locale, why=why)
    if record:
        decision |= explored(state, case, terms=terms, decision=decision, locale=locale)
    decision["window"] = act_window(
        decision["window"],
        now,
        timezone=state.snapshot.timezone,
        policy=terms.policy,
        channel=decision["channel"],
    )
    offer = _offer(state, request, decision)
    if case.standing is not None:  # a season affects all offers alike
        offer.notes = state.snapshot.notes_in(locale, leave_out="season")
    offer.fallback = _why_not_personal(state, customer, case, locale=locale)
    if record:
        offer.decision_id = record_decision(state, offer, decision=decision, now=now)
    return offer


def _why_not_personal(state: State, customer: Customer, case: Case, *, locale: str) -> str | None:
    """Return what is not known of a customer whom the scoring does not contain; None if all is."""
    snapshot, who = state.snapshot, why_unknown(customer, locale)
    if customer.code >= 0:
        return None
    if case.standing is None:
        return told("no_chances", locale, who=who)
    scored = f"churn_probability_{snapshot.horizon_days}d" in snapshot.scores.kinds
    if np.isfinite(case.standing.risk[0]) or not scored:
        return None
    newest = max(line["occurred_at"] for line in state.view.lines(str(customer.customer_id)))
    late = refreshed.beyond(snapshot.as_of, newest, locale=locale)
    return f"{who}: {late}" if late else told("no_scores", locale, who=who)


def explored(
    state: State, case: Case, *, terms: Terms, decision: dict[str, Any], locale: str
) -> dict[str, Any]:
    """Draw an action by the shop's policy; return its propensity and, if it is not the best, the action."""
    drawn = explore(case, goods_now(state)[0], terms=terms, uniform=np.array([random()]))
    action, propensity = int(drawn.action[0]), {"propensity": float(drawn.propensity[0])}
    name = drawn.options.names[action]
    if name == decision["action"]:
        return propensity
    product, worth, chance, _ = drawn.options.at(drawn.action)
    code, names = int(product[0]), state.snapshot.catalogue.products
    best = {what: decision[what] for what in ("action", "product_id", terms.money)}
    return propensity | {
        "runners_up": [best, *(other for other in decision["runners_up"] if other["action"] != name)],
        "action": name,
        "product_id": None if code < 0 else names.names([code])[0],
        "channel": None if action < 0 else drawn.options.table.actions[action].channel,
        terms.money: float(worth[0]),
        terms.probability: None if action < 0 else float(chance[0]),
        "effect": effect_of(name, case, terms=terms),
        "window": None if action < 0 else {"opens_in_days": 0, "closes_in_days": None},
        "reason": told("tried", locale, action=called(name, locale), how=terms.policy.exploration),
    }


def _offer(state: State, request: OfferRequest, decision: dict[str, Any]) -> Offer:
    product_id = decision["product_id"]
    code = -1 if product_id is None else state.snapshot.product(product_id)
    name = decision.get("action", DO_NOTHING)
    decision = _rounded(decision)
    money = {name: decision[name] for name in decision if name.startswith(("expected_", "purchase_"))}
    return Offer(
        as_of=state.snapshot.moment,
        models=dict(state.snapshot.models),
        customer_id=request.customer_id,
        action="offer" if product_id is not None else "nothing" if name == DO_NOTHING else "contact",
        name=name,
        channel=decision.get("channel"),
        shown_with=_shown_with(state, code) if name == "flash_sale" else None,
        window=decision.get("window"),
        product_id=product_id,
        product_name=None if code < 0 else state.snapshot.catalogue.names([code])[0],
        money=money,
        currency=decision.get("currency", state.snapshot.currency),
        effect=decision.get("effect", ""),
        reason=decision["reason"],
        runners_up=decision.get("runners_up", []),
        ruled_out=decision.get("ruled_out", [])[:N_RULED_OUT],
        ruled_out_actions=decision.get("ruled_out_actions", []),
        propensity=decision.get("propensity"),
        decision_id=None,
        experiment=state.snapshot.experiment_for(decision.get("effect", ""), request.locale),
        switched_off=switched_off(state, request.locale or state.snapshot.locale),
        fallback=None,
    )


def _shown_with(state: State, code: int) -> str | None:
    """Return the best seller to show a slow mover with."""
    known = state.snapshot.known
    partner = NOTHING if known is None else int(known.products.partner[code])
    return None if partner < 0 else state.snapshot.catalogue.products.names([partner])[0]


def _rounded(value: Any) -> Any:
    """Round every number of an explanation, at any depth."""
    if isinstance(value, float):
        return round(value, DECIMALS)
    if isinstance(value, dict):
        return {name: _rounded(inner) for name, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value


def record_decision(state: State, offer: Offer, *, decision: dict[str, Any], now: datetime) -> str:
    """Store a decision with the policy's exact probability of it."""
    row = {
        "decision_id": uuid4().hex,
        "customer_id": offer.customer_id,
        "decided_at": now,
        "action": offer.name,
        "product_id": offer.product_id,
        "propensity": decision["propensity"],
        "expected_margin": decision.get(goods_now(state)[1].money),
        "models": ",".join(f"{name}={version}" for name, version in offer.models.items()),
        "as_of": state.snapshot.as_of,
    }
    state.view.store.decide([row])
    return cast("str", row["decision_id"])
