"""The rights of a person: to be forgotten, and to know all that is held on them."""

import hashlib
import hmac
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import sqlalchemy as sa

from features.errors import NotFound
from serving.store import CONTACTS, DECISIONS, ERASURES, EVENTS, REFRESHED, Store

TABLES = ("order_lines", "returns", "customers", "contacts", "surveys")


def digest_of(salt: bytes, customer_id: str) -> bytes:
    """Return the 32 bytes kept in place of an erased id: enough to know it again, too little to tell it."""
    return hmac.new(salt, customer_id.encode(), hashlib.sha256).digest()


def forget(store: Store, customer_id: str, *, now: datetime) -> dict[str, int]:
    """Delete a customer's events, contacts and decisions, and remember never to answer with their data again.

    Returns the number of rows deleted, by table. Forgetting twice changes nothing more.
    """
    digest = digest_of(store.salt(), customer_id)
    gone = {}
    with store.write("erasures") as (db, seq):
        for table in (EVENTS, CONTACTS, DECISIONS, REFRESHED):
            gone[table.name] = db.execute(table.delete().where(table.c.customer_id == customer_id)).rowcount
        if db.execute(sa.select(ERASURES.c.seq).where(ERASURES.c.digest == digest)).first() is None:
            db.execute(ERASURES.insert().values(digest=digest, seq=seq, erased_at=now))
    return gone


@dataclass(frozen=True)
class Forgotten:
    """Everyone who asked to be forgotten, by digest."""

    salt: bytes
    digests: frozenset[bytes]

    @classmethod
    def of(cls, home: Path) -> "Forgotten":
        """Read them from the store of a home."""
        store = Store.open(home)
        try:
            with store.read() as db:
                digests = db.execute(sa.select(ERASURES.c.digest)).scalars()
                return cls(store.salt(), frozenset(bytes(digest) for digest in digests))
        finally:
            store.close()

    def without(self, names: list[str]) -> list[str]:
        """Leave them out."""
        if not self.digests:
            return names
        return [name for name in names if digest_of(self.salt, name) not in self.digests]


def erase(home: Path, customer_id: str, *, now: datetime) -> dict[str, int]:
    """Forget a customer of a home: a running service obeys at its next request, scorings leave them out."""
    store = Store.open(home)
    try:
        return forget(store, customer_id, now=now)
    finally:
        store.close()


def export(home: Path, customer_id: str) -> dict[str, Any]:
    """Return all that is held on one customer: the warehouse's rows, the online state, and the scores.

    Raises ``NotFound`` where nothing is held.
    """
    held: dict[str, Any] = _warehouse(home, customer_id)
    store = Store.open(home)
    try:
        held["online"] = store.of_customer(customer_id, last=1_000_000)
    finally:
        store.close()
    held["scoring"] = _scoring(home, customer_id)
    if not any(rows for part in held.values() for rows in part.values()):
        raise NotFound(f"nothing is held on the customer {customer_id!r}")
    return {"customer_id": customer_id} | held


def _warehouse(home: Path, customer_id: str) -> dict[str, Any]:
    from features.warehouse import Warehouse

    con = Warehouse(home).connect()
    found = {}
    for table in TABLES:
        rows = con.raw_sql(f"SELECT * FROM {table} WHERE customer_id = ?", parameters=[customer_id])
        names = [column[0] for column in rows.description]
        found[table] = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
    return {"warehouse": found}


def _scoring(home: Path, customer_id: str) -> dict[str, Any]:
    from serving.snapshot import load
    from serving.state import Pointer

    try:
        snapshot = load(home / "lists" / Pointer.read(home).stamp)
    except NotFound:
        return {}
    code = snapshot.customer(customer_id)
    if code < 0:
        return {}
    return {"features": snapshot.features.row(code), "scores": snapshot.scores.row(code)}
