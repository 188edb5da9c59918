"""What a CRM asks about one customer: everything known and predicted, and erasure."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from models.customers import reasons
from models.lists.list_kinds import PERSONAL
from serving.api import Product
from serving.api_crm import (
    CustomerRequest,
    Erased,
    EraseRequest,
    Profile,
)
from serving.entrance.audit import Audit
from serving.online import refreshed
from serving.online.refreshed import Row
from serving.online.tables import MOVING
from serving.persons import rights
from serving.state import State
from serving.storefront.answers import Customer, ListQuery, find_customer, picked
from serving.watching.logs import REQUEST_ID

N_PROFILE_PRODUCTS = 5
N_PROFILE_EVENTS = 100


def profile(state: State, request: CustomerRequest) -> Profile:
    """Return what is known and predicted about one customer, as of their newest order or return.

    For a customer who never ordered, only other events since the scoring are known.
    """
    snapshot, customer = state.snapshot, find_customer(state, request.customer_id)
    as_of, features, scores = _latest(state, customer)
    locale = request.locale or snapshot.locale
    known = bool(features) or customer.code >= 0
    held = state.view.store.of_customer(request.customer_id, last=N_PROFILE_EVENTS)
    return Profile(
        as_of=as_of,
        models=snapshot.models,
        customer_id=request.customer_id,
        known=known,
        currency=snapshot.currency,
        features=features,
        scores=scores,
        behind=_behind(snapshot.as_of, held["events"], locale),
        reasons=reasons.sentences(scores, features, locale=locale),
        lists={name: _head(state, name, customer) for name in PERSONAL} if known else {},
        notes=snapshot.notes_in(locale),
        **{name: [_shown(row) for row in rows] for name, rows in held.items()},
    )


def _latest(state: State, customer: Customer) -> tuple[str, Row, Row]:
    """Return moment, features and scores: those refreshed since the scoring, else the scoring's."""
    snapshot, code = state.snapshot, customer.code
    if customer.customer_id is not None and not state.view.is_erased(customer.customer_id):
        row = refreshed.of_customer(state.view.store, snapshot.stamp, customer_id=customer.customer_id)
        if row is not None:
            return row.as_of, row.features, row.scores
    if code < 0:
        return snapshot.moment, {}, {}
    return snapshot.moment, snapshot.features.row(code), snapshot.scores.row(code)


def _behind(as_of: datetime, events: Sequence[Mapping[str, Any]], locale: str) -> str | None:
    moving = [row["occurred_at"] for row in events if row["kind"] in MOVING]
    return refreshed.beyond(as_of, max(moving, default=as_of), locale=locale) or None


def _head(state: State, list_name: str, customer: Customer) -> list[Product]:
    """Return the head of a list, as a shop would show it now."""
    ask = ListQuery(list_name, N_PROFILE_PRODUCTS, frozenset(), state.eligible)
    picks, _, _ = picked(state, customer, ask=ask)
    return [
        Product(product_id=name, rank=rank, score=round(score, 6), source=source)
        for rank, (name, score, source) in enumerate(picks, start=1)
    ]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name not in ("seq", "customer_id")}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in kept.items()}


def erase(state: State, request: EraseRequest, *, now: datetime, audit: Audit) -> Erased:
    """Erase a customer: from the next request on, no worker answers with anything of theirs."""
    store = state.view.store
    gone = rights.forget(store, request.customer_id, now=now)
    digest = rights.digest_of(state.view.salt, request.customer_id).hex()
    audit.erased(digest, at=now, what={"request": REQUEST_ID.get()})
    counts = {name: gone[name] for name in ("events", "contacts", "decisions")}
    return Erased(
        as_of=state.snapshot.moment, models=state.snapshot.models, digest=digest, files=FILES_FOLLOW, **counts
    )


FILES_FOLLOW = (
    "the watcher beside the service rewrites warehouse and scorings without them: it begins within seconds"
    " and is done when a scoring is (minutes); `recompra erase` does it before it ends, and certifies it"
)
