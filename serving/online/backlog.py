"""The queue of customers to refresh: those with an order or return that their scores do not include yet."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

import sqlalchemy as sa

from serving.online.refreshed import LASTS
from serving.online.tables import CLOCK, CONTACTS, EVENTS, MOVING, REFRESHED
from serving.store import Store

AHEAD = timedelta(hours=1)
"""Events further ahead than this were dated by a clock that was wrong: they tell nothing of the time."""


@dataclass(frozen=True)
class NewEvents:
    """Events of some customers since a scoring, up to the counter ``seq`` of the store's clock."""

    seq: int
    events: list[dict[str, Any]]
    contacts: list[dict[str, Any]]

    def take(self, ids: Sequence[str]) -> "NewEvents":
        """Return the part of some of the customers."""
        mine = set(ids)
        events, contacts = (
            [row for row in rows if row["customer_id"] in mine] for rows in (self.events, self.contacts)
        )
        return NewEvents(self.seq, events, contacts)


@dataclass
class Backlog:
    """The queue, longest waiting first, for the scoring ``stamp`` of ``as_of``.

    Events ``LASTS`` after the scoring or later queue nobody: see ``newest``.
    """

    store: Store
    stamp: str
    as_of: datetime
    waiting: dict[str, datetime] = field(default_factory=dict)
    """The moment since which each customer waits."""
    seen: int = -1
    """The counter of the last look; negative before the first."""
    newest: datetime | None = None
    """The moment of the newest order or return seen that does not lie in the future."""

    @property
    def oldest(self) -> datetime | None:
        """The moment since which the first waits."""
        return next(iter(self.waiting.values()), None)

    def look(self, now: datetime) -> None:
        """Queue customers with new events; at the first look, all whose row does not include every event."""
        with self.store.read() as db:
            seq = int(db.execute(sa.select(CLOCK.c.events)).scalar_one())
            if seq == self.seen:
                return
            changed = db.execute(_moved(self.seen, seq, self.as_of)).all()
            ahead = self.newest is not None and self.newest > now + AHEAD  # the clock was set back since
            after, before = (-1, None) if ahead else (self.seen, self.newest)
            newest = db.execute(_newest(after, seq, until=now + AHEAD)).scalar()
            held = db.execute(_held(self.stamp)).all() if self.seen < 0 else []
        known = {row[0]: row[1] for row in held}
        for customer, last, since in sorted(changed, key=lambda row: row[2]):
            if known.get(customer, -1) < last:
                self.waiting.setdefault(customer, now if self.seen < 0 else since)
        self.seen = seq
        self.newest = max(filter(None, (before, newest)), default=None)

    def take(self, n: int) -> dict[str, datetime]:
        """Take up to ``n`` customers off the head, each with the moment since which it waits."""
        taken = dict(islice(self.waiting.items(), n))
        for name in taken:
            del self.waiting[name]
        return taken

    def news(self, ids: Sequence[str]) -> NewEvents:
        """Return all events of these customers since the scoring."""
        events = sa.select(EVENTS).where(EVENTS.c.customer_id.in_(ids), EVENTS.c.kind.in_(MOVING))
        contacts = sa.select(CONTACTS).where(CONTACTS.c.customer_id.in_(ids))
        with self.store.read() as db:
            seq = int(db.execute(sa.select(CLOCK.c.events)).scalar_one())
            lines = db.execute(events.where(*_since(self.as_of))).mappings()
            sent = db.execute(contacts.where(CONTACTS.c.sent_at >= self.as_of)).mappings()
            return NewEvents(seq, [dict(row) for row in lines], [dict(row) for row in sent])


def _since(as_of: datetime) -> tuple[Any, Any]:
    return EVENTS.c.occurred_at >= as_of, EVENTS.c.occurred_at < as_of + LASTS


def _newest(after: int, seq: int, *, until: datetime) -> Any:
    query = sa.select(sa.func.max(EVENTS.c.occurred_at)).where(EVENTS.c.seq > after, EVENTS.c.seq <= seq)
    query = query.where(EVENTS.c.occurred_at <= until)
    return query.where(EVENTS.c.kind.in_(MOVING), EVENTS.c.customer_id.is_not(None))


def _moved(after: int, seq: int, as_of: datetime) -> Any:
    """Return each customer's last number and first moment of arrival among the events after a number."""
    query = sa.select(EVENTS.c.customer_id, sa.func.max(EVENTS.c.seq), sa.func.min(EVENTS.c.received_at))
    query = query.where(EVENTS.c.seq > after, EVENTS.c.seq <= seq, *_since(as_of))
    query = query.where(EVENTS.c.kind.in_(MOVING), EVENTS.c.customer_id.is_not(None))
    return query.group_by(EVENTS.c.customer_id)


def _held(stamp: str) -> Any:
    return sa.select(REFRESHED.c.customer_id, REFRESHED.c.events_seq).where(REFRESHED.c.stamp == stamp)
