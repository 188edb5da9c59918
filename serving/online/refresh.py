"""Refreshing a customer's features and scores within a second of an order or return.

Done by the watcher, never by a worker: a few customers at a time, from the rows stored with the scoring in
service and the events since, by the scoring's own features and models. A row is as of just after the newest
event in its batch, never as of the clock, so repeating it is harmless.
"""

import logging
import os
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from time import monotonic

from features.errors import ArtefactError, first_line
from serving.online import refreshed
from serving.online.backlog import Backlog, NewEvents
from serving.online.rescoring import Rescoring, by_day
from serving.online.view import DEAD, UNREADABLE
from serving.state import POINTER
from serving.store import Store
from serving.watching import drift
from serving.watching.watcher_status import WatcherStatus

log = logging.getLogger("recompra.watcher")
BATCH = 200
"""Customers refreshed at once."""
IDLE_SECONDS, BUSY_SECONDS = 5.0, 1.0
"""How often the watcher's status is written."""
AGAIN_SECONDS = 30.0
"""What could not be opened is retried after this time, or when the scoring changes."""
DRIFT_SECONDS = 60.0
DRIFT_ROWS = 20_000
"""Drift is measured on at most this many refreshed customers."""
Clock = Callable[[], datetime]


class Refresher:
    """Follows the store of a home, and refreshes the customers in the queue."""

    def __init__(self, home: Path, clock: Clock, *, store: Store | None = None) -> None:
        self.home, self.clock = home.resolve(), clock
        self._store = store
        self.status = WatcherStatus()
        self.rescoring: Rescoring | None = None
        self.backlog: Backlog | None = None
        self._pointer: tuple[int, int] | None = None
        self._again = self._status_due = self._drift = 0.0
        self._counted = ("", -1)
        self._drifted: set[str] = set()

    @property
    def store(self) -> Store:
        """The store, opened at the first look: the watcher starts without it too."""
        if self._store is None:
            self._store = Store.open(self.home)
        return self._store

    def look(self) -> bool:
        """Refresh some customers of the queue; return whether there were any. Never raises for bad data."""
        try:
            self._follow()
            return self._work()
        except DEAD as error:
            if self.status.trouble != UNREADABLE:
                log.error("the store cannot be read: %s", first_line(error))
            self.status.trouble = UNREADABLE
            self._pointer = None  # the next look opens the scoring anew and queues all who wait
            return False
        finally:
            self._write_status()

    def _work(self) -> bool:
        if self.backlog is None or self.rescoring is None:
            return False
        self.backlog.look(self.clock())
        newest = self.backlog.newest
        self._tell(refreshed.beyond(self.backlog.as_of, newest) if newest else "")
        taken = self.backlog.take(BATCH)
        if not taken:
            return False
        news = self.backlog.news(list(taken))
        for ids, part in by_day(news, self.rescoring.excerpt.timezone):
            self._refresh({name: taken[name] for name in ids}, part)
        return True

    def _refresh(self, taken: dict[str, datetime], news: NewEvents) -> None:
        """Refresh customers together; if that fails, find the one it fails for and skip that one."""
        started, rescoring, ids = self.clock(), self.rescoring, list(taken)
        if rescoring is None:
            return
        try:
            rows = rescoring.rows(ids, news)
        except Exception as error:  # whatever an event does to a query or a model, the others go on
            return self._split(taken, news, error)
        self.status.refreshed += refreshed.keep(self.store, rows)
        done = self.clock()
        self.status.batch.add((done - started).total_seconds())
        for since in taken.values():
            self.status.lag.add((done - since).total_seconds())

    def _split(self, taken: dict[str, datetime], news: NewEvents, error: Exception) -> None:
        names = list(taken)
        if len(names) > 1:
            for half in (names[: len(names) // 2], names[len(names) // 2 :]):
                self._refresh({name: taken[name] for name in half}, news.take(half))
            return
        try:
            if self.rescoring is not None:
                self.rescoring.probe()
        except Exception as broken:  # not this customer: nobody can be refreshed
            return self._close(f"customers cannot be refreshed: {first_line(broken)}")
        last = max(news.events, key=lambda row: row["seq"])["event_id"]
        why = first_line(error)
        log.error("the customer of event %s is not refreshed, the old scores stay: %s", last, why)
        self.status.skipped += 1

    def _follow(self) -> None:
        """Open the scoring in service, if it has changed."""
        try:
            status = os.stat(self.home / POINTER)
        except OSError:
            return
        pointer = (status.st_mtime_ns, status.st_ino)
        failed = self.rescoring is None and monotonic() >= self._again
        if pointer == self._pointer and not failed:
            return
        self._pointer = pointer
        try:
            self.rescoring = Rescoring.open(self.home)
        except Exception as error:  # whatever is wrong with the models, the old scores stay
            return self._close(f"customers cannot be refreshed: {first_line(error)}")
        refreshed.drop_others(self.store, self.rescoring.stamp)
        self.backlog = Backlog(self.store, self.rescoring.stamp, self.rescoring.as_of)
        self._drift = 0.0
        self._tell("")

    def _close(self, trouble: str) -> None:
        self.rescoring = self.backlog = None
        self._again = monotonic() + AGAIN_SECONDS
        self._tell(trouble)

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self.status.trouble:
            log.error("%s", trouble)
        self.status.trouble = trouble

    def look_at_drift(self) -> None:
        """Compare served features with training from time to time, if any changed."""
        rescoring, done = self.rescoring, self.status.refreshed
        if rescoring is None or (rescoring.stamp, done) == self._counted or monotonic() < self._drift:
            return
        self._counted, self._drift = (rescoring.stamp, done), monotonic() + DRIFT_SECONDS
        try:
            some = sorted(refreshed.names(self.store, rescoring.stamp))[:DRIFT_ROWS]
            rows = refreshed.of_customers(self.store, rescoring.stamp, ids=some)
            folder = self.home / "lists" / rescoring.stamp
            self.status.psi = drift.served(folder, {name: row.features for name, row in rows.items()})
        except (ArtefactError, *DEAD) as error:
            log.error("drift cannot be measured: %s", first_line(error))
        self._drifted = drift.log_new(self.status.psi, self._drifted)

    def _write_status(self) -> None:
        """Write the watcher's status from time to time."""
        waiting = len(self.backlog.waiting) if self.backlog else 0
        if (waiting > 0) == (self.status.waiting > 0) and monotonic() < self._status_due:
            return
        oldest = self.backlog.oldest if self.backlog else None
        self.status.waiting, self.status.oldest = waiting, oldest.isoformat() if oldest else ""
        self._status_due = monotonic() + (BUSY_SECONDS if waiting else IDLE_SECONDS)
        try:
            self.status.write(self.home, self.clock())
        except OSError as error:  # a full disk: the customers matter more
            log.error("the watcher's status cannot be written: %s", first_line(error))
