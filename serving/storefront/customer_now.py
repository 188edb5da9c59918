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
from serving.online.recent import Recent
from serving.state import State
from serving.storefront.answers import Customer, ListQuery, from_ready, live


def offer_case(state: State, customer: Customer, exclude: Sequence[str], now: datetime) -> Case:
    """Build the case of one customer: the first products of every personal list."""
    snapshot = state.snapshot
    if customer.code < 0:
        nobody = People.nobody_known(1)
        return Case.of_one(replace(nobody, consent_recorded=snapshot.people.consent_recorded), [], [], [])
    chances: dict[str, float] = {}
    for list_name in PERSONAL if snapshot.offers_products else ():
        for product_id, score, _ in _first(state, list_name, customer, exclude):
            chances.setdefault(product_id, score)
    row = np.array([customer.code], np.int32)
    recent = Recent.of_one(state, cast("str", customer.customer_id), now)
    product = np.array([[snapshot.product(product_id) for product_id in chances]], np.int32)
    return case_now(
        state,
        row,
        recent,
        people=recent.people(state, row),
        product=product,
        chance=np.array([[*chances.values()]], np.float64),
        standing=None if snapshot.known is None else recent.standing(state, row, now),
    )


def _first(state: State, list_name: str, customer: Customer, exclude: Sequence[str]) -> list[Pick]:
    """Return the head of a list, in stock or not: the choice itself says what it refuses, and why."""
    query = ListQuery(list_name, N_CANDIDATES, frozenset(exclude), np.ones_like(state.eligible))
    picks, whole = ([], False) if customer.lines else from_ready(state.snapshot, customer.code, query)
    return picks if whole else live(state.snapshot, customer, query)
