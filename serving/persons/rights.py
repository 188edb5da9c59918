"""The rights of a person: to be forgotten, and to know all that is held on them."""

import hmac
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from datetime import datetime
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from features.errors import NotFound
from models.policy.standing import Standing
from serving.online.tables import ERASURES, METADATA
from serving.store import Store

if TYPE_CHECKING:
    from serving.scoring.snapshot import Snapshot

TABLES = ("order_lines", "return_lines", "returns", "orders", "days", "customers", "contacts", "surveys")
OF_CUSTOMERS = [table for table in METADATA.sorted_tables if "customer_id" in table.c]


def digest_of(salt: bytes, customer_id: str) -> bytes:
    """Return the 32 bytes kept in place of an erased id: enough to know it again, too little to tell it."""
    return hmac.digest(salt, customer_id.encode(), "sha256")


def forget(store: Store, customer_id: str, *, now: datetime) -> dict[str, int]:
    """Delete all the store holds on a customer, and remember never to answer with their data again.

    Returns the number of rows deleted, by table. Forgetting twice changes nothing more. What was deleted is
    overwritten; ``scrub`` also empties the log of the database.
    """
    digest = digest_of(store.salt(), customer_id)
    gone = {}
    with store.write("erasures") as (db, seq):
        overwrite(db)
        for table in OF_CUSTOMERS:
            gone[table.name] = db.execute(table.delete().where(table.c.customer_id == customer_id)).rowcount
        if db.execute(sa.select(ERASURES.c.seq).where(ERASURES.c.digest == digest)).first() is None:
            db.execute(ERASURES.insert().values(digest=digest, seq=seq, erased_at=now))
    return gone


def overwrite(db: sa.Connection) -> None:
    """Let what this connection deletes be overwritten (PostgreSQL does so when it vacuums)."""
    if db.dialect.name == "sqlite":
        db.execute(sa.text("PRAGMA secure_delete = ON"))


def scrub(store: Store) -> None:
    """Make the database let go of what was deleted: nothing of it is left in its log, or in dead rows."""
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        if store.engine.dialect.name == "sqlite":
            db.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))
        else:
            db.execute(sa.text(f"VACUUM {', '.join(table.name for table in OF_CUSTOMERS)}"))


@dataclass(frozen=True)
class Forgotten:
    """Everyone who asked to be forgotten, by digest."""

    salt: bytes
    digests: frozenset[bytes]

    @classmethod
    def of(cls, home: Path, *, make: bool = False) -> "Forgotten":
        """Read them from the store of a home; there is nobody where there is no store yet.

        With ``make`` there is one from now on, so that its salt is known.

        Raises ``NotFound`` where the store is away: nobody who was forgotten may come back meanwhile.
        """
        if not (make or os.environ.get("RECOMPRA_STORE_URL") or (home / "online.db").is_file()):
            return cls(b"", frozenset())
        try:
            with closing(Store.open(home)) as store, store.read() as db:
                digests = db.execute(sa.select(ERASURES.c.digest)).scalars()
                return cls(store.salt(), frozenset(bytes(digest) for digest in digests))
        except sa.exc.SQLAlchemyError as error:
            first = str(getattr(error, "orig", error)).splitlines()[0]
            told = f"the store cannot be read ({first}), and only it knows who asked to be forgotten"
            raise NotFound(told, "start it, give it room, or mend RECOMPRA_STORE_URL") from error

    def among(self, names: Sequence[str]) -> dict[str, str]:
        """Return those of some ids who are forgotten, each with its digest in hexadecimal."""
        if not self.digests:
            return {}
        digests = ((name, digest_of(self.salt, name)) for name in names)
        return {name: digest.hex() for name, digest in digests if digest in self.digests}

    def without(self, names: list[str]) -> list[str]:
        """Leave them out."""
        gone = self.among(names)
        return [name for name in names if name not in gone] if gone else names


def export(home: Path, customer_id: str) -> dict[str, Any]:
    """Return all that is held on one customer: the warehouse's rows, the online state, and the scores.

    Raises ``NotFound`` where nothing is held.
    """
    held: dict[str, Any] = _warehouse(home, customer_id)
    store = Store.open(home)
    try:
        held["online"] = online(store, customer_id)
    finally:
        store.close()
    held["scoring"] = _scoring(home, customer_id)
    if not any(rows for part in held.values() for rows in part.values()):
        raise NotFound(f"nothing is held on the customer {customer_id!r}")
    return {"customer_id": customer_id} | held


def online(store: Store, customer_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return every row the store holds on a customer, by table."""
    with store.read() as db:
        rows = {t.name: db.execute(sa.select(t).where(t.c.customer_id == customer_id)) for t in OF_CUSTOMERS}
        return {name: [dict(row) for row in found.mappings()] for name, found in rows.items()}


def _warehouse(home: Path, customer_id: str) -> dict[str, Any]:
    from features.storage.tables import literal
    from features.storage.warehouse import Warehouse

    warehouse = Warehouse(home)
    con: Any = warehouse.connect()
    returns = literal(warehouse.folder / "return_lines.parquet")
    con.raw_sql(f"CREATE VIEW return_lines AS FROM read_parquet({returns})")
    whose = dict.fromkeys(TABLES, "customer_id = $id")
    whose["deliveries"] = "order_id IN (SELECT order_id FROM order_lines WHERE customer_id = $id)"
    whose["quarantine"] = """list_contains(json_extract_string(row, '$.*'), $id)"""
    found = {}
    for table, condition in whose.items():
        rows = con.raw_sql(f"SELECT * FROM {table} WHERE {condition}", parameters={"id": customer_id})
        names = [column[0] for column in rows.description]
        found[table] = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
    return {"warehouse": found}


def _scoring(home: Path, customer_id: str) -> dict[str, Any]:
    from serving.scoring.folder import load
    from serving.state import Pointer

    try:
        snapshot = load(home / "lists" / Pointer.read(home).stamp)
    except NotFound:
        return {}
    code = snapshot.customer(customer_id)
    segments = [] if snapshot.segments is None else snapshot.segments.of_customer(customer_id)
    return {"segments": segments} | (_scored(snapshot, code) if code >= 0 else {})


def _scored(snapshot: "Snapshot", code: int) -> dict[str, Any]:
    """Return all that a scoring holds on one customer."""
    goods, known = snapshot.catalogue.products, snapshot.known
    ready = {name: ready.product[code] for name, ready in snapshot.ready.items()}
    held: dict[str, Any] = {
        "features": snapshot.features.row(code),
        "scores": snapshot.scores.row(code),
        "lists": {name: goods.names(product[product >= 0]) for name, product in ready.items()},
        "due": {} if snapshot.live is None else snapshot.live.due(snapshot.customers.names([code])[0]),
        "consent": int(snapshot.people.consent[code]),
        "n_contacts_28d": int(snapshot.people.n_contacts_28d[code]),
    }
    if snapshot.retention is not None:
        at = np.flatnonzero(snapshot.retention.number("customer") == code)
        held["retention"] = snapshot.retention.row(int(at[0])) if len(at) else {}
    if known is not None:
        row = known.standing.of(np.array([code], np.int32))
        held["standing"] = {f.name: _plain(getattr(row, f.name)[0].tolist()) for f in fields(Standing)}
        held["learnt_effects"] = {name: float(change[code]) for name, change in known.learnt.items()}
    return held


def _plain(value: Any) -> Any:
    """Return a value with None in place of NaN, which JSON does not know."""
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and isnan(value) else value
