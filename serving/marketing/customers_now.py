"""Many customers as of now: what was known at the scoring, aged, and the events since."""

from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast

import numpy as np

from features.arrays.dtypes import Bools, Floats, Ints
from features.arrays.history import History
from features.arrays.last_bought import days_since_bought
from models.decisions.case import Case
from models.decisions.known import Known
from models.decisions.offer import merge_lists
from models.lists.picks import PERSONAL
from models.policy.actions import NAMES
from models.policy.standing import Standing
from models.policy.subjects import People
from serving.offer_inputs import CONTACT_DAYS, N_CANDIDATES, goods_now
from serving.state import State
from serving.storefront.moments import days_on


@dataclass(frozen=True)
class Recent:
    """Events of customers since the scoring; arrays by customer code."""

    n_contacts_7d: Ints
    n_contacts_28d: Ints
    days: dict[str, Floats]
    """Days since the last contact by action taken since; NaN without one."""
    ordered: Bools

    @classmethod
    def read(cls, state: State, now: datetime) -> "Recent":
        """Read contacts and orders after the scoring from the store."""
        n, snapshot = len(state.snapshot.customers), state.snapshot
        since = max(snapshot.as_of, now - timedelta(days=CONTACT_DAYS))
        week, month = np.zeros(n, np.int32), np.zeros(n, np.int32)
        days: dict[str, Floats] = {}
        for customer_id, action, sent_at in state.view.store.contacts_made(since):
            code = snapshot.customer(customer_id)
            if code < 0:
                continue
            month[code] += 1
            week[code] += sent_at >= now - timedelta(days=7)
            if action in NAMES:
                column = days.setdefault(action, np.full(n, np.nan, np.float32))
                column[code] = np.fmin(column[code], np.float32((now - sent_at).days))
        ordered = np.zeros(n, bool)
        codes = snapshot.customers.codes(sorted(state.view.active))
        ordered[codes[codes >= 0]] = True
        return cls(week, month, days, ordered)


def everyone(state: State) -> Ints:
    """Return the codes of all customers who were not erased."""
    return np.flatnonzero(~state.erased).astype(np.int32)


def standing_of(state: State, codes: Ints, recent: Recent, now: datetime, days_ahead: int = 0) -> Standing:
    """Return where customers stand ``days_ahead`` days from now, if nothing happens until then.

    Customers who ordered since the scoring wait as long as the slowest goods take: which goods they ordered
    is only considered in their own offer.
    """
    known = cast("Known", state.snapshot.known)
    days = {action: column[codes] for action, column in recent.days.items()}
    standing = known.standing.of(codes).later(days_on(state.snapshot, now))
    standing = standing.contacted(recent.n_contacts_7d[codes], days)
    slowest = float(known.products.settling_days.max(initial=0))
    settles = np.where(recent.ordered[codes], np.maximum(standing.settles_in, slowest), standing.settles_in)
    return replace(standing, settles_in=settles.astype(np.float32)).later(days_ahead)


def people_of(state: State, codes: Ints, recent: Recent) -> People:
    """Return who may be contacted, with the contacts made since the scoring."""
    return state.snapshot.people.of(codes).contacted(recent.n_contacts_28d[codes])


def case_of(state: State, codes: Ints, people: People, standing: Standing | None) -> Case:
    """Build the case for many customers, from the head of each of their personal ready lists."""
    snapshot = state.snapshot
    heads = {
        name: (ready.product[codes, :N_CANDIDATES], ready.score[codes, :N_CANDIDATES])
        for name, ready in snapshot.ready.items()
    }
    product, chance = merge_lists({name: heads[name] for name in PERSONAL if name in heads})
    since = np.full(product.shape, np.nan)
    if snapshot.history is None:
        return Case(people, product, chance, since)
    history: History = snapshot.history.of_customers(codes)
    since = days_since_bought(history, product)
    if snapshot.known is None:
        return Case(people, product, chance, since)
    return snapshot.known.case(
        codes,
        history,
        goods_now(state)[0],
        people=people,
        product=product,
        chance=chance,
        days_since_bought=since,
        standing=standing,
    )
