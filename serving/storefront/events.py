"""Events of the shop, stored once and seen by every worker."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from features.errors import Conflict
from serving.api import ContactEvent, Event, EventsKept, EventsRequest, StockEvent
from serving.online.tables import EPOCH, MOVING
from serving.persons.rights import digest_of
from serving.state import State

CLOCK_SKEW = timedelta(hours=1)


def post_events(state: State, request: EventsRequest, *, now: datetime) -> EventsKept:
    """Store new events; all of them are in the store, and visible to every worker, when this returns.

    So they survive the end of any process. For power cuts see ``store.synchronous``.
    """
    _check_named(state, request.events)
    now = max(now, state.snapshot.as_of)  # a clock set back would date events as if the scoring knew them
    wanted = [event for event in request.events if not _erased(state, event)]
    contacts = [_contact_row(event, now) for event in wanted if isinstance(event, ContactEvent)]
    rows = [_event_row(event, now) for event in wanted]
    people = {row["customer_id"] for row in rows} - {None}
    digests = {name: digest_of(state.view.salt, name) for name in people}
    new, erased = state.view.store.keep(rows, contacts, digests=digests) if rows else (set(), set())
    return EventsKept(
        as_of=state.snapshot.moment,
        models=dict(state.snapshot.models),
        accepted=len(new),
        duplicates=len(wanted) - len(new) - len(erased),
        erased=len(request.events) - len(wanted) + len(erased),
    )


def _check_named(state: State, events: Sequence[Event]) -> None:
    """Raise ``Conflict`` for an order or return without a product, in a shop whose orders name them."""
    nameless = [event.event_id for event in events if event.kind in MOVING and event.product_id is None]
    if nameless and len(state.snapshot.catalogue.products):
        message = f"event {nameless[0]!r} names no product, as this shop's orders do"
        raise Conflict(message, "give its product_id")


def _erased(state: State, event: Event) -> bool:
    return not isinstance(event, StockEvent) and state.view.is_erased(event.customer_id)


def _moment(event: Event, now: datetime) -> datetime:
    """Return when it happened; raise ``Conflict`` for an implausible moment."""
    occurred_at = event.occurred_at or now
    for wrong, where in (
        (occurred_at > now + CLOCK_SKEW, f"in the future: here it is {now:%Y-%m-%d %H:%M} UTC"),
        (occurred_at < EPOCH, f"before {EPOCH.year}"),
    ):
        if wrong:
            raise Conflict(
                f"occurred_at of event {event.event_id!r} is {occurred_at}, {where}",
                "check the clock and the time zone of what sends it, and this computer's clock",
            )
    return occurred_at


def _event_row(event: Event, now: datetime) -> dict[str, Any]:
    quantity = event.stock if isinstance(event, StockEvent) else getattr(event, "quantity", None)
    return {
        "event_id": event.event_id,
        "customer_id": getattr(event, "customer_id", None),
        "kind": event.kind,
        "product_id": event.product_id,
        "quantity": quantity,
        "unit_price": getattr(event, "unit_price", None),
        "occurred_at": _moment(event, now),
        "received_at": now,
    }


def _contact_row(event: ContactEvent, now: datetime) -> dict[str, Any]:
    row = event.model_dump(
        include={"customer_id", "channel", "action", "product_id", "treated", "propensity", "cost"}
    )
    return {"contact_id": event.event_id, "sent_at": event.occurred_at or now, **row}
