"""One worker's view of the store: kept up to date with its clock, at one cheap read per request.

The store's clock is one row of counters. Each request reads it; only if a counter changed is anything else
read, and then only rows above the last number seen. So an event posted to one worker affects the next answer
of every other.

One thread at a time calls ``sync``: it alone opens and closes the connection that reads the clock. Any thread
may read a customer's lines and contacts; a thread that finds the store lost only says so.
"""

import logging
from datetime import datetime
from hashlib import sha256
from time import monotonic
from typing import Any
from weakref import finalize

import sqlalchemy as sa

from features.errors import first_line
from serving.entrance.keys import Key, holder
from serving.online.clock import counters
from serving.online.tables import CONTACTS, ERASURES, EVENTS, KEYS, MOVING, STOCK, TOPICS
from serving.online.wal_header import WalHeader
from serving.persons.rights import digest_of
from serving.store import Store

log = logging.getLogger("recompra.serving")
DEAD = (sa.exc.DBAPIError,)
"""What is raised if the store cannot be read: SQLAlchemy's wrapping of the driver's errors."""
UNREADABLE = "the store cannot be read; the log says why"
SURE_SECONDS = 0.2
"""After this time the clock is read even if nothing seems to have been written, to notice a lost store."""
READ_CLOCK = f"SELECT {', '.join(TOPICS)} FROM clock"
MAX_CACHED = 5_000
"""The lines of at most this many customers are cached; then the cache is emptied."""


class View:
    """Follows a store. ``since`` is the moment of the ready lists: only later events matter.

    Raises the database's error if the store cannot be read at first; later, ``down`` says so.
    """

    def __init__(self, store: Store, since: datetime) -> None:
        self.store, self.since = store, since
        self.salt = store.salt()
        self.seen = dict.fromkeys(TOPICS, 0)
        self.active: dict[str, int] = {}
        """Customers with orders or returns since, and the turn in which their last ones were seen."""
        self.stock: dict[str, float] = {}
        """The newest report of each product, whenever it was made."""
        self.early: set[str] = set()
        """Products whose newest report is from before the ready lists."""
        self.new_stock: dict[str, float] = {}
        """Reports since they were last taken, by ``take_new_stock``."""
        self.erased: set[bytes] = set()
        self.keys: dict[str, Key] = {}
        self._holders: dict[bytes, Key] = {}
        self.down = ""
        """Why the store could not be read the last time; empty while all is well."""
        self._clock: Any = None
        self._wal_header: WalHeader | None = None
        self._header_seen = b""
        self._sure_until = 0.0
        self._turn = 0
        self._kept: dict[str, tuple[int, list[dict[str, Any]]]] = {}
        try:
            self._catch_up()  # raises: a view that has read nothing knows neither keys nor erasures
        except BaseException:
            self._let_go(spoilt=True)
            raise

    def sync(self) -> set[str]:
        """Catch up with the store; return the topics that changed: none if it cannot be read."""
        now = monotonic()
        if now < self._sure_until and self._unmoved():
            return set()
        try:
            moved = self._catch_up()
        except (*DEAD, self.store.driver_error) as error:
            self._mark_down(error)
            self._let_go(spoilt=True)
            return set()
        self.down = ""
        return moved

    def _catch_up(self) -> set[str]:
        now = monotonic()
        clock = self._read_clock()
        moved = {topic for topic, value in zip(TOPICS, clock, strict=True) if value != self.seen[topic]}
        for topic in moved:
            getattr(self, f"_sync_{topic}")(self.seen[topic])
        self.seen, self._sure_until = dict(zip(TOPICS, clock, strict=True)), now + SURE_SECONDS
        return moved

    def _unmoved(self) -> bool:
        """Return whether nobody has written since the clock was read; False if that cannot be seen."""
        return self._wal_header is not None and self._wal_header.read() == self._header_seen

    def _mark_down(self, error: Exception) -> None:
        if not self.down:
            log.error("the store cannot be read, answers go on with what is known: %s", first_line(error))
        self.down = UNREADABLE

    def _let_go(self, *, spoilt: bool = False) -> None:
        if self._wal_header is not None:
            self._wal_header.close()
            self._wal_header = None
        if self._clock is not None:
            (connection, _, end), self._clock = self._clock, None
            end.detach()
            connection.invalidate() if spoilt else connection.close()

    def _read_clock(self) -> tuple[int, ...]:
        """Read the counters by a bare cursor: this may run at every request."""
        if self._clock is None:
            connection = self.store.engine.connect().execution_options(isolation_level="AUTOCOMMIT")
            end = finalize(self, connection.invalidate)  # a view that is dropped leaves nothing open
            end.atexit = False
            self._clock = (connection, connection.connection.cursor(), end)
            if self.store.engine.dialect.name == "sqlite":
                self._clock[1].execute(READ_CLOCK).fetchone()  # creates the WAL index if there is none
                self._wal_header = WalHeader.of(self._clock[1])
        if self._wal_header is not None:
            # before the counters, so that what is written meanwhile is read next time
            self._header_seen = self._wal_header.read()
        return counters(self._clock[1], READ_CLOCK)

    def _sync_events(self, after: int) -> None:
        query = sa.select(EVENTS.c.customer_id).distinct()
        query = query.where(
            EVENTS.c.seq > after, EVENTS.c.occurred_at >= self.since, EVENTS.c.customer_id.is_not(None)
        )
        query = query.where(EVENTS.c.kind.in_(MOVING))
        self._turn += 1  # first: whoever reads lines from here on reads what moved the clock
        with self.store.read() as db:
            self.active.update(dict.fromkeys(db.execute(query).scalars(), self._turn))

    def _sync_stock(self, after: int) -> None:
        query = sa.select(STOCK.c.product_id, STOCK.c.stock, STOCK.c.occurred_at).where(STOCK.c.seq > after)
        with self.store.read() as db:
            rows = db.execute(query).all()
        new = {row[0]: row[1] for row in rows}
        self.early = (self.early - new.keys()) | {row[0] for row in rows if row[2] < self.since}
        self.stock |= new
        self.new_stock |= new

    def take_new_stock(self) -> dict[str, float]:
        """Return the stock reports since the last call."""
        taken, self.new_stock = self.new_stock, {}
        return taken

    def _sync_erasures(self, after: int) -> None:
        with self.store.read() as db:
            query = sa.select(ERASURES.c.digest).where(ERASURES.c.seq > after)
            self.erased.update(bytes(digest) for digest in db.execute(query).scalars())

    @property
    def trouble(self) -> str:
        """Why the store cannot be read or written; empty while all is well."""
        return self.down or self.store.unwritten

    def holder(self, presented: bytes) -> Key | None:
        """Return the valid key in an ``Authorization`` header, or None.

        A header that was accepted before is looked up by its SHA-256: timing reveals nothing of a secret.
        """
        digest = sha256(presented).digest()
        known = self._holders.get(digest)
        if known is not None:
            return known
        kind, _, secret = presented.decode("latin-1").partition(" ")
        key = holder(self.keys, secret.strip()) if kind.lower() == "bearer" else None
        if key is not None and len(self._holders) < MAX_CACHED:
            self._holders[digest] = key
        return key

    def _sync_keys(self, after: int) -> None:
        self._holders.clear()
        with self.store.read() as db:
            for row in db.execute(sa.select(KEYS).where(KEYS.c.seq > after)).mappings():
                self.keys[row["key_id"]] = Key.of(row)

    def _sync_refreshed(self, after: int) -> None:
        """Read nothing: rows of ``refreshed`` are read when needed; the counter only marks the change."""

    def close(self) -> None:
        """Close the connection that reads the clock."""
        self._let_go()

    def is_erased(self, customer_id: str) -> bool:
        """Return whether this customer was erased."""
        return bool(self.erased) and digest_of(self.salt, customer_id) in self.erased

    def lines(self, customer_id: str) -> list[dict[str, Any]]:
        """Return a customer's orders and returns since the ready lists, in the order they happened.

        They are cached until the customer's next event. If the store is unavailable the last ones read are
        used: a storefront is answered without the newest events rather than not at all, or after a long wait.
        """
        turn, rows = self._kept.get(customer_id, (-1, []))
        if turn >= self.active.get(customer_id, 0) or self.down:
            return rows
        turn = self._turn
        try:
            newest = self._lines(customer_id)
        except DEAD as error:
            self._mark_down(error)
            return rows
        if len(self._kept) >= MAX_CACHED:
            self._kept.clear()
        self._kept[customer_id] = (turn, newest)
        return newest

    def _lines(self, customer_id: str) -> list[dict[str, Any]]:
        query = sa.select(EVENTS).where(
            EVENTS.c.customer_id == customer_id, EVENTS.c.occurred_at >= self.since
        )
        query = query.where(EVENTS.c.kind.in_(MOVING))
        query = query.order_by(EVENTS.c.occurred_at, EVENTS.c.seq)
        with self.store.read() as db:
            return [dict(row) for row in db.execute(query).mappings()]

    def contacts(self, customer_id: str, since: datetime) -> list[tuple[str | None, datetime]]:
        """Return action and moment of the contacts a customer received since a moment."""
        query = sa.select(CONTACTS.c.action, CONTACTS.c.sent_at).where(CONTACTS.c.customer_id == customer_id)
        with self.store.read() as db:
            received = db.execute(query.where(CONTACTS.c.sent_at >= since, CONTACTS.c.treated))
            return [(action, sent_at) for action, sent_at in received]
