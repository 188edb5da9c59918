"""One customer's case for an offer, as of now: candidates of every personal list, and the events since."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from typing import cast

import numpy as np

from models.decisions.case import Case
from models.lists.list_kinds import PERSONAL
from models.policy.subjects import People
from models.ranking.live import Pick
from serving.offer_inputs import N_CANDIDATES, case_now
from serving.online.newcomers import admitted
from serving.online.recent import Recent
from serving.state import State
from serving.storefront.answers import Customer, ListQuery, from_ready, live


def offer_case(state: State, customer: Customer, *, exclude: Sequence[str], now: datetime) -> Case:
    """Build the case of one customer: the first products of every personal list.

    A customer who is new since the scoring is admitted to it; of anybody else whom it does not contain
    nothing is known.
    """
    snapshot, customer_id = state.snapshot, cast("str", customer.customer_id)
    if customer.code < 0 and not _has_ordered(state, customer):
        nobody = People.nobody_known(1)
        return Case.of_one(
            replace(nobody, consent_recorded=snapshot.people.consent_recorded),
            [],
            chance=[],
            days_since_bought=[],
        )
    chances: dict[str, float] = {}
    for list_name in PERSONAL if snapshot.offers_products else ():
        for product_id, score, _ in _first(state, list_name, customer=customer, exclude=exclude):
            chances.setdefault(product_id, score)
    known = state if customer.code >= 0 else admitted(state, customer_id)
    row = np.array([max(customer.code, 0)], np.int32)
    recent = Recent.of_one(known, customer_id, now=now)
    product = np.array([[snapshot.product(product_id) for product_id in chances]], np.int32)
    return case_now(
        known,
        row,
        recent=recent,
        people=recent.people(known, row),
        product=product,
        chance=np.array([[*chances.values()]], np.float64),
        standing=None if snapshot.known is None else recent.standing(known, row, now=now),
    )


def _has_ordered(state: State, customer: Customer) -> bool:
    """Return whether a customer ordered since the scoring."""
    lines = state.view.lines(cast("str", customer.customer_id)) if customer.is_active else ()
    return any(line["kind"] == "order" for line in lines)


def _first(state: State, list_name: str, *, customer: Customer, exclude: Sequence[str]) -> list[Pick]:
    """Return the head of a list, in stock or not: the choice itself says what it refuses, and why."""
    query = ListQuery(list_name, N_CANDIDATES, frozenset(exclude), np.ones_like(state.eligible))
    if customer.code < 0 or customer.lines:
        return live(state.snapshot, customer, ask=query)
    picks, whole = from_ready(state.snapshot, customer.code, ask=query)
    return picks if whole else live(state.snapshot, customer, ask=query)
