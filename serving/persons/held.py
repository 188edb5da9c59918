"""All data held on one person, for their right of access."""

from contextlib import closing
from dataclasses import fields
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import sqlalchemy as sa

from features.errors import NotFound
from features.storage.contracts import id_of
from models.policy.standing import Standing
from serving.persons.rights import OF_CUSTOMERS, spelt
from serving.store import Store

if TYPE_CHECKING:
    from serving.scoring.snapshot import Snapshot


def export(home: Path, customer_id: str) -> dict[str, Any]:
    """Return everything held on one customer: the warehouse's rows, the online state, and the scores.

    Raises ``NotFound`` if nothing is held.
    """
    customer_id = id_of(customer_id)
    held: dict[str, Any] = _warehouse(home, customer_id)
    with closing(Store.to_read(home)) as store:
        held["online"] = online(store, customer_id)
    held["scoring"] = _scoring(home, customer_id)
    if not any(rows for part in held.values() for rows in part.values()):
        message = f"no data on a customer {customer_id!r} is stored in {home}"
        raise NotFound(message, "check the id (capital letters and leading zeros count), and RECOMPRA_HOME")
    return {"customer_id": customer_id} | held


def online(store: Store, customer_id: str) -> dict[str, list[dict[str, Any]]]:
    """Return every row the store holds on a customer, by table."""
    named = spelt(store, customer_id)
    with store.read() as db:
        rows = {t.name: db.execute(sa.select(t).where(t.c.customer_id.in_(named))) for t in OF_CUSTOMERS}
        return {name: [dict(row) for row in held.mappings()] for name, held in rows.items()}


def _warehouse(home: Path, customer_id: str) -> dict[str, Any]:
    from features.ingest.refused import whose as whose_row
    from features.storage.tables import SCHEMAS, literal
    from features.storage.warehouse import TABLES, Warehouse

    warehouse = Warehouse(home)
    con: Any = warehouse.connect()
    returns = literal(warehouse.folder / "return_lines.parquet")
    con.raw_sql(f"CREATE VIEW return_lines AS FROM read_parquet({returns})")
    named = [name for name in TABLES if "customer_id" in SCHEMAS.get(name, ())]
    whose = dict.fromkeys(["order_lines", "return_lines", *named], "customer_id = $id")
    whose["deliveries"] = "order_id IN (SELECT order_id FROM order_lines WHERE customer_id = $id)"
    whose["quarantine"] = f"list_contains({whose_row(warehouse.folder)}, $id)"
    held = {}
    for table, condition in whose.items():
        rows = con.raw_sql(f"SELECT * FROM {table} WHERE {condition}", parameters={"id": customer_id})
        names = [column[0] for column in rows.description]
        held[table] = [dict(zip(names, row, strict=True)) for row in rows.fetchall()]
    return {"warehouse": held}


def _scoring(home: Path, customer_id: str) -> dict[str, Any]:
    from serving.scoring.folder import load
    from serving.state import Pointer

    try:
        snapshot = load(home / "lists" / Pointer.read(home).stamp)
    except NotFound:
        return {}
    code = snapshot.customer(customer_id)
    segments = [] if snapshot.segments is None else snapshot.segments.of_customer(customer_id)
    held = {"segments": segments} | _registered(snapshot, customer_id)
    return held | (_scored(snapshot, code) if code >= 0 else {})


def _registered(snapshot: "Snapshot", customer_id: str) -> dict[str, Any]:
    """Return what a scoring holds on somebody who had not ordered."""
    known = None if snapshot.registered is None else snapshot.registered.take(customer_id)
    return {} if known is None else {"standing": _stands(known[0]), "n_contacts_28d": int(known[1][0])}


def _scored(snapshot: "Snapshot", code: int) -> dict[str, Any]:
    """Return everything a scoring holds on one customer."""
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
        row = known.standing.take(np.array([code], np.int32))
        held["standing"] = _stands(row)
        held["learnt_effects"] = {name: float(change[code]) for name, change in known.learnt.items()}
    return held


def _stands(row: Standing) -> dict[str, Any]:
    return {field.name: _plain(getattr(row, field.name)[0].tolist()) for field in fields(Standing)}


def _plain(value: Any) -> Any:
    """Return a value with None in place of NaN, which JSON does not have."""
    if isinstance(value, list):
        return [_plain(inner) for inner in value]
    return None if isinstance(value, float) and isnan(value) else value
