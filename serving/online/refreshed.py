"""Features and scores as of a customer's newest order or return, which replace the scoring's until the next.

A row belongs to the scoring it was made on (``stamp``): answers of another scoring do not use it. Events
``LASTS`` after the scoring or later are left for the next one: other orders in between may not have been
posted, and a refreshed customer would look silent for all that time.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import msgspec
import sqlalchemy as sa

from models.decisions.texts import told
from models.texts import DEFAULT
from serving.online.tables import ERASURES, REFRESHED
from serving.persons.rights import digest_of, overwrite
from serving.store import Store

Row = dict[str, float | str | None]
LASTS = timedelta(days=28)
AT_ONCE = 5_000
"""Customers per query."""


@dataclass(frozen=True)
class Refreshed:
    """One customer's row."""

    as_of: str
    """The moment just after the newest event in it."""
    features: Row
    scores: Row


def beyond(as_of: datetime, moment: datetime, *, locale: str = DEFAULT) -> str:
    """Return why an event at ``moment`` is left out of a scoring of ``as_of``; empty if it is not."""
    if moment < as_of + LASTS:
        return ""
    scored, ordered = as_of.date().isoformat(), moment.date().isoformat()
    return told("too_old", locale, scored=scored, ordered=ordered, days=LASTS.days)


def keep(store: Store, rows: Sequence[Mapping[str, Any]]) -> int:
    """Insert rows of ``refreshed``, replacing older ones of the same customers; return how many.

    Holds the write lock, so that customers erased meanwhile are not written again.
    """
    with store.write("refreshed") as (db, _):
        overwrite(db)
        salt = store.salt()
        digests = {digest_of(salt, row["customer_id"]): row for row in rows}
        gone = sa.select(ERASURES.c.digest).where(ERASURES.c.digest.in_(list(digests)))
        for digest in db.execute(gone).scalars().all():
            del digests[bytes(digest)]
        ids = [row["customer_id"] for row in digests.values()]
        db.execute(REFRESHED.delete().where(REFRESHED.c.customer_id.in_(ids)))
        if digests:
            db.execute(REFRESHED.insert(), [{**row, **_packed(row)} for row in digests.values()])
        return len(digests)


def _packed(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: msgspec.json.encode(row[name]).decode() for name in ("features", "scores")}


def drop_others(store: Store, stamp: str) -> None:
    """Delete rows refreshed on other scorings."""
    with store.write("refreshed") as (db, _):
        overwrite(db)
        db.execute(REFRESHED.delete().where(REFRESHED.c.stamp != stamp))


def names(store: Store, stamp: str) -> set[str]:
    """Return the customers with a row on this scoring."""
    with store.read() as db:
        return set(db.execute(sa.select(REFRESHED.c.customer_id).where(REFRESHED.c.stamp == stamp)).scalars())


def scores(store: Store, stamp: str, *, customer_id: str | None = None) -> dict[str, Row]:
    """Return the scores of every row on this scoring, by customer; of one customer's if named."""
    query = sa.select(REFRESHED.c.customer_id, REFRESHED.c.scores).where(REFRESHED.c.stamp == stamp)
    if customer_id is not None:
        query = query.where(REFRESHED.c.customer_id == customer_id)
    with store.read() as db:
        return {name: msgspec.json.decode(scores) for name, scores in db.execute(query)}


def of_customer(store: Store, stamp: str, *, customer_id: str) -> Refreshed | None:
    """Return one customer's row on this scoring; None without one."""
    return of_customers(store, stamp, ids=[customer_id]).get(customer_id)


def of_customers(store: Store, stamp: str, *, ids: Sequence[str]) -> dict[str, Refreshed]:
    """Return the rows on this scoring of those among ``ids`` that have one."""
    newest: dict[str, Refreshed] = {}
    with store.read() as db:
        for start in range(0, len(ids), AT_ONCE):
            wanted = list(ids[start : start + AT_ONCE])
            query = sa.select(REFRESHED).where(REFRESHED.c.stamp == stamp)
            rows = db.execute(query.where(REFRESHED.c.customer_id.in_(wanted))).mappings()
            newest |= {row["customer_id"]: _read(dict(row)) for row in rows}
    return newest


def _read(row: Mapping[str, Any]) -> Refreshed:
    features, scores = (msgspec.json.decode(row[name]) for name in ("features", "scores"))
    return Refreshed(row["as_of"].isoformat(), features, scores)
