"""One customer as of now: what was known at the scoring, and the events since."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import cast

import numpy as np

from models.decisions.case import Case
from models.decisions.known import Known, settled_by
from models.lists.picks import PERSONAL
from models.policy.actions import NAMES
from models.policy.standing import Standing
from models.policy.subjects import People
from models.ranking.live import Pick
from serving.offer_inputs import CONTACT_DAYS, N_CANDIDATES, goods_now
from serving.state import State
from serving.storefront.answers import Customer, ListQuery, from_ready, live
from serving.storefront.moments import days_on

Contacts = list[tuple[str | None, datetime]]
"""Action and moment of each contact."""


def offer_case(state: State, customer: Customer, exclude: Sequence[str], now: datetime) -> Case:
    """Build the case of one customer: the first products of every personal list."""
    chances: dict[str, float] = {}
    for list_name in PERSONAL if customer.code >= 0 else ():
        for product_id, score, _ in _first(state, list_name, customer, exclude):
            chances.setdefault(product_id, score)
    codes, snapshot = [state.snapshot.product(product_id) for product_id in chances], state.snapshot
    contacts = contacts_of(state, customer, now)
    people, since = people_of(state, customer, contacts), _days_since(state, customer, codes)
    case = Case.of_one(people, codes, list(chances.values()), since)
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


def _first(state: State, list_name: str, customer: Customer, exclude: Sequence[str]) -> list[Pick]:
    """Return the head of a list, in stock or not: the choice itself says what it refuses, and why."""
    ask = ListQuery(list_name, N_CANDIDATES, frozenset(exclude), np.ones_like(state.eligible))
    picks = None if customer.lines else from_ready(state.snapshot, customer.code, ask)
    return live(state.snapshot, customer, ask) if picks is None else picks


def contacts_of(state: State, customer: Customer, now: datetime) -> Contacts:
    """Return action and moment of a customer's contacts since the scoring, of the last 28 days."""
    if customer.code < 0:
        return []
    since = max(state.snapshot.as_of, now - timedelta(days=CONTACT_DAYS))
    return state.view.contacts(cast("str", customer.customer_id), since)


def people_of(state: State, customer: Customer, contacts: Contacts) -> People:
    """Return whether and how this customer may be contacted, with the contacts made since."""
    people = state.snapshot.people
    if customer.code < 0:
        return replace(People.nobody_known(1), consent_recorded=people.consent_recorded)
    more = np.array([len(contacts)], np.int32)
    return people.of(np.array([customer.code], np.int32)).contacted(more)


def standing_of(state: State, customer: Customer, contacts: Contacts, now: datetime) -> Standing:
    """Return where one customer stands now: what was known at the scoring, aged, and the events since."""
    known, snapshot = cast("Known", state.snapshot.known), state.snapshot
    standing = known.standing.of(np.array([customer.code], np.int32)).later(days_on(snapshot, now))
    week = now - timedelta(days=7)
    newest = dict(sorted(contacts, key=lambda contact: contact[1]))
    days: dict[str, float] = {name: float((now - newest[name]).days) for name in NAMES if name in newest}
    recent = np.array([sum(sent_at >= week for _, sent_at in contacts)], np.int32)
    standing = standing.contacted(recent, days)
    bought = [snapshot.product(name) for name, quantity in customer.lines if quantity > 0]
    codes = [code for code in bought if code >= 0]
    return (
        settled_by(standing, float(known.products.settling_days[codes].max(initial=0))) if codes else standing
    )


def _days_since(state: State, customer: Customer, codes: Sequence[int]) -> list[float]:
    """Return days since each product was last bought: 0 if it was since the scoring."""
    new = {name for name, quantity in customer.lines if quantity > 0}
    bought = state.snapshot.last_bought(customer.code)
    names = state.snapshot.catalogue.products.names(codes)
    return [0.0 if name in new else bought.get(code, np.nan) for name, code in zip(names, codes, strict=True)]
