"""The online state: events since the last scoring, contacts, decisions, keys, and who was erased.

SQLite in WAL mode by default, PostgreSQL by URL (``RECOMPRA_STORE_URL``), with the same code. Every write
first increments a counter of its topic in the one row of ``clock``; that row's lock serialises writers, so a
reader that has seen counter ``n`` has seen every row numbered up to ``n``, whichever process wrote it.
"""

import logging
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from math import inf
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import Any
from weakref import finalize

import sqlalchemy as sa

from features.errors import SettingsError, first_line
from features.storage.database import alone, check_takes_writes, engine_of, is_missing, online_url, to_read
from serving.online.tables import CLOCK, CONTACTS, DECISIONS, ERASURES, EVENTS, METADATA, SALT, STOCK, TOPICS

log = logging.getLogger("recompra.serving")
UNWRITTEN = (sa.exc.OperationalError, sa.exc.InternalError)
"""Errors of a database that cannot be written: a full disk, a read-only one, a dead server."""
TROUBLE_SECONDS = 60.0
"""A failed write is reported for this time, unless one has succeeded since."""

OrderLine = tuple[str, str | None, float, float | None, datetime]
ORDER_LINE = ("customer_id", "product_id", "quantity", "unit_price", "occurred_at")
"""What is read of an order line."""


class Store:
    """A database with those tables; safe to share between threads, and to open in many processes."""

    def __init__(self, url: str) -> None:
        self.engine = engine_of(url, pool_pre_ping=not url.startswith("sqlite"), connect_args=_patience(url))
        finalize(self, self.engine.dispose).atexit = False  # a store that is dropped leaves nothing open
        self._failed_at = -inf
        if (kind := self.engine.dialect.name) not in TUNED:
            raise SettingsError(f"the store cannot be kept in {kind}", "use SQLite or PostgreSQL")
        sa.event.listen(self.engine, "connect", TUNED[kind])

    @classmethod
    def open(cls, home: Path) -> "Store":
        """Open the store of a home (or of ``RECOMPRA_STORE_URL``), creating missing tables.

        Raises ``SettingsError`` if they cannot be written.
        """
        home.mkdir(parents=True, exist_ok=True)
        check_takes_writes(url := online_url(home))
        store = cls(url)
        store.prepare()
        return store

    @classmethod
    def to_read(cls, home: Path) -> "Store":
        """Open the store of a home for reading; on a read-only disk (a backup) without writing anything.

        A missing one is not created.
        """
        url = online_url(home)
        if not is_missing(url):
            if (as_it_stands := to_read(url)) == url:
                return cls.open(home)
            store = cls(as_it_stands)
            if sa.inspect(store.engine).has_table(CLOCK.name):
                return store
        (empty := cls("sqlite://")).prepare()
        return empty

    def prepare(self) -> None:
        """Create what is missing; many processes may do so at once, and wait for each other."""
        with alone(self.engine) as db:
            METADATA.create_all(db)
            _add_columns(db)
            if db.execute(sa.select(CLOCK.c.id)).first() is None:
                db.execute(CLOCK.insert().values(id=1, **dict.fromkeys(TOPICS, 0)))
                db.execute(SALT.insert().values(salt=os.urandom(32)))
            for topic in TOPICS:  # a topic that an earlier version's clock lacked starts at 0
                db.execute(CLOCK.update().where(CLOCK.c[topic].is_(None)).values({topic: 0}))

    @property
    def driver_error(self) -> type[Exception]:
        """The base class of the driver's errors, where SQLAlchemy does not wrap them."""
        error: type[Exception] = self.engine.dialect.loaded_dbapi.Error
        return error

    def read(self) -> sa.Connection:
        """Open a connection for reading; ``with`` closes it."""
        return self.engine.connect()

    @property
    def unwritten(self) -> str:
        """Return for a minute that the newest write failed; empty while all is well."""
        failed = monotonic() - self._failed_at < TROUBLE_SECONDS
        return "the store cannot be written; the log says why" if failed else ""

    @contextmanager
    def _begin(self) -> Iterator[sa.Connection]:
        """Open a transaction; the reason of a failure is logged, without any content."""
        try:
            with self.engine.begin() as db:
                yield db
        except UNWRITTEN as error:
            self._failed_at = monotonic()
            log.error("the store cannot be written: %s", first_line(error))
            raise
        self._failed_at = -inf

    @contextmanager
    def write(self, topic: str) -> Iterator[tuple[sa.Connection, int]]:
        """Open an exclusive write transaction: the connection, and the number of its rows in ``topic``."""
        with self._begin() as db:
            db.execute(CLOCK.update().values({topic: CLOCK.c[topic] + 1}))
            yield db, db.execute(sa.select(CLOCK.c[topic])).scalar_one()

    def salt(self) -> bytes:
        """Return the random bytes that prevent erased ids from being guessed from their digests."""
        with self.read() as db:
            return bytes(db.execute(sa.select(SALT.c.salt)).scalar_one())

    def close(self) -> None:
        """Close every connection."""
        self.engine.dispose()

    def keep(
        self,
        events: Sequence[Mapping[str, Any]],
        contacts: Sequence[Mapping[str, Any]] = (),
        *,
        digests: Mapping[str, bytes] = MappingProxyType({}),
    ) -> tuple[set[str], set[str]]:
        """Store new events (rows of ``events``); return the ids of the new ones, and of those refused.

        Refused are events of erased customers. ``contacts`` are rows of ``contacts`` whose ``contact_id`` is
        an event's id; they are stored if that event is new. ``digests`` are those of the customers, by id.
        They are looked up in the same transaction, so that an erasure just made by another worker counts.
        """
        with self.write("events") as (db, seq):
            query = sa.select(ERASURES.c.digest).where(ERASURES.c.digest.in_(digests.values()))
            gone = {bytes(digest) for digest in db.execute(query).scalars()}
            erased = {row["event_id"] for row in events if digests.get(row["customer_id"]) in gone}
            events = [row for row in events if row["event_id"] not in erased]
            ids = [row["event_id"] for row in events]
            known = set(db.execute(sa.select(EVENTS.c.event_id).where(EVENTS.c.event_id.in_(ids))).scalars())
            fresh = {row["event_id"]: {**row, "seq": seq} for row in events if row["event_id"] not in known}
            if fresh:
                db.execute(EVENTS.insert(), list(fresh.values()))
            sent = {row["contact_id"]: row for row in contacts if row["contact_id"] in fresh}
            if sent:
                db.execute(CONTACTS.insert(), list(sent.values()))
            _move_stock(db, [row for row in fresh.values() if row["kind"] == "stock"])
            return set(fresh), erased

    def decide(self, decisions: Sequence[Mapping[str, Any]]) -> None:
        """Store decisions, with the policy's probability of each."""
        with self._begin() as db:
            db.execute(DECISIONS.insert(), list(decisions))

    def of_customer(self, customer_id: str, *, last: int = 1000) -> dict[str, list[dict[str, Any]]]:
        """Return the newest ``last`` events, contacts and decisions held on one customer, newest first."""
        tables = (
            (EVENTS, EVENTS.c.occurred_at),
            (CONTACTS, CONTACTS.c.sent_at),
            (DECISIONS, DECISIONS.c.decided_at),
        )
        rows = {}
        with self.read() as db:
            for table, time in tables:
                query = (
                    sa.select(table)
                    .where(table.c.customer_id == customer_id)
                    .order_by(time.desc())
                    .limit(last)
                )
                rows[table.name] = [dict(row) for row in db.execute(query).mappings()]
        return rows

    def everything(self, table: sa.Table) -> list[dict[str, Any]]:
        """Return every row of a table, as plain mappings."""
        with self.read() as db:
            return [dict(row) for row in db.execute(sa.select(table)).mappings()]

    def contacts_made(self, moment: datetime) -> list[tuple[str, str | None, datetime]]:
        """Return customer, action and moment of the contacts actually made since ``moment``."""
        query = sa.select(CONTACTS.c.customer_id, CONTACTS.c.action, CONTACTS.c.sent_at)
        query = query.where(CONTACTS.c.sent_at >= moment, CONTACTS.c.treated)
        with self.read() as db:
            return [(row[0], row[1], row[2]) for row in db.execute(query)]

    def orders_made(self, moment: datetime) -> list[OrderLine]:
        """Return each order line since ``moment``."""
        query = sa.select(*(EVENTS.c[name] for name in ORDER_LINE))
        query = query.where(EVENTS.c.occurred_at >= moment, EVENTS.c.kind == "order")
        with self.read() as db:
            return [(row[0], row[1], row[2], row[3], row[4]) for row in db.execute(query)]


def _add_columns(db: sa.Connection) -> None:
    """Add columns that an earlier version's database lacks: the schema only grows, by nullable ones."""
    there = sa.inspect(db)
    for table in METADATA.sorted_tables:
        present = {column["name"] for column in there.get_columns(table.name)}
        for column in table.columns:
            if column.name not in present:
                kind = column.type.compile(db.dialect)
                db.execute(sa.text(f"ALTER TABLE {table.name} ADD COLUMN {column.name} {kind}"))


def _move_stock(db: sa.Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    """Store each product's newest stock; an older report changes nothing.

    Unless the known one lies in the future: the clock that dated it was wrong, and may have been by a year.
    """
    if not rows:
        return
    db.execute(CLOCK.update().values(stock=CLOCK.c.stock + 1))
    seq = db.execute(sa.select(CLOCK.c.stock)).scalar_one()
    for row in sorted(rows, key=lambda row: row["occurred_at"]):
        product, moment = row["product_id"], row["occurred_at"]
        known = db.execute(sa.select(STOCK.c.occurred_at).where(STOCK.c.product_id == product)).scalar()
        values = {"stock": row["quantity"], "occurred_at": moment, "seq": seq}
        if known is None:
            db.execute(STOCK.insert().values(product_id=product, **values))
        elif known <= moment or known > row["received_at"]:
            db.execute(STOCK.update().where(STOCK.c.product_id == product).values(values))


def _tune_sqlite(connection: Any, _record: Any) -> None:
    for pragma in ("journal_mode=WAL", f"synchronous={synchronous()}", "busy_timeout=5000"):
        connection.execute(f"PRAGMA {pragma}").close()


def synchronous() -> str:
    """Return how SQLite waits for the disk at each write: ``RECOMPRA_STORE_SYNC``, or ``normal``.

    ``normal`` survives any end of a process; a power cut may lose the last writes, never more. ``full``
    survives that too, at one disk flush per write. PostgreSQL does by default. Raises ``SettingsError`` for
    another word.
    """
    wanted = os.environ.get("RECOMPRA_STORE_SYNC", "normal").lower()
    if wanted not in ("normal", "full"):
        raise SettingsError(f"RECOMPRA_STORE_SYNC is {wanted!r}", "set it to normal or full")
    return wanted


PATIENCE = {
    "connect_timeout": 3,
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8_000,
}
"""libpq's settings: a server or network that no longer answers is given up."""
LIMITS = {"lock_timeout": 5_000, "idle_in_transaction_session_timeout": 30_000}
"""Milliseconds. A client whose machine is gone does not hold the clock's row for ever."""


def _patience(url: str) -> dict[str, Any]:
    """Return the options that the URL does not set itself."""
    if not url.startswith("postgres"):
        return {}
    in_url = sa.make_url(url).query
    return {name: value for name, value in PATIENCE.items() if name not in in_url}


def _tune_server(connection: Any, _record: Any) -> None:
    with connection.cursor() as cursor:
        for name, value in LIMITS.items():
            cursor.execute(f"SET {name} = {value}")
    connection.commit()


TUNED = {"sqlite": _tune_sqlite, "postgresql": _tune_server}
