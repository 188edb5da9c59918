"""The process beside the service: refreshes customers after an order, and scores with new champions.

Champions are checked in a thread of their own, so that neither a slow registry nor a scoring delays a
refresh. After a rollback, a retained scoring of the older version serves at once, in the meantime.

A scoring runs in a process of its own, so that a model that cannot be loaded, or uses all memory, harms
nothing else. Champions that cannot score are refused; ``refused.json`` says why. They are tried again later,
since a full disk or a lack of memory may have been at fault, and other champions at once.
"""

import logging
import os
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from threading import Thread

from features.errors import RecompraError, first_line
from serving.online.refresh import Refresher
from serving.online.view import DEAD
from serving.persons import erasure
from serving.registry import Registry, versions_of
from serving.scoring.kept import way_back
from serving.state import BUSY, REFUSED, REGISTRY, Pointer, moving, write_card
from serving.store import Store
from serving.watching.logs import set_up

log = logging.getLogger("recompra.watcher")
POLL_SECONDS = 2.0
SCORING = "serving.score"
"""The module that scores, in a process of its own."""
SWEEP_AGAIN_SECONDS = 60.0
BUSY_SECONDS = 10.0
"""Interval for checking whether another scoring has ended."""
RETRY_SECONDS, LONGEST_RETRY_SECONDS = 60.0, 3600.0
"""Refused champions are tried again after the first, then after twice as long, up to the second."""
LOOK_SECONDS = 0.2
"""Interval between looks for events: one row of the store is read."""
NICE, SCORING_NICE = 5, 5
"""Requests have priority over refreshes, and these over a scoring (added to the first)."""


class Watcher:
    """Checks the registry of a home, and scores if the champions are not those in service."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self._registry: Registry | None = None
        self._put_off: dict[str, str] | None = None
        self._retry_seconds = RETRY_SECONDS
        self._trouble: str | None = None
        self._store: Store | None = None
        self._sweep_at = self._score_at = 0.0

    def look(self) -> bool:
        """Check once; return whether a new scoring was put in service."""
        self._sweep()
        try:
            wanted = self._versions()
            pointer = Pointer.read(self.home)
        except RecompraError as error:  # the scoring in service stays
            self._tell(str(error))
            return False
        self._tell("")
        if wanted == pointer.models:
            self._accept()
            return False
        if wanted != self._put_off:
            self._put_off, self._retry_seconds = None, RETRY_SECONDS
        if not wanted or (self._put_off and time.monotonic() < self._score_at):
            return False
        return self._go_back(wanted, pointer) or self._score(wanted, pointer.as_of)

    def _go_back(self, wanted: dict[str, str], pointer: Pointer) -> bool:
        """Serve a retained scoring of those versions at once; return whether no new one is needed."""
        with moving(self.home):
            kept = way_back(self.home, wanted, served=pointer.models)
            if kept is None:
                return False
            log.info("the champions are now %s: going back to %s at once", wanted, kept.stamp)
            kept.move(self.home)
        return kept.as_of == pointer.as_of and kept.models == wanted

    def _sweep(self) -> None:
        """Remove customers erased since the last time from the files; failures are retried."""
        if time.monotonic() < self._sweep_at:
            return
        try:
            self._store = self._store or Store.open(self.home)
            if not erasure.due(self.home, self._store):
                return
        except (*DEAD, OSError, RecompraError) as error:  # checked again at the next look
            self._sweep_at = time.monotonic() + SWEEP_AGAIN_SECONDS
            log.warning("erasures cannot be read from the store: %s", first_line(error))
            return
        log.info("customers were erased: their rows leave warehouse and scorings")
        done = _run("serving.persons.erasure", self.home)
        if done is not None and done.returncode != 0:
            self._sweep_at = time.monotonic() + SWEEP_AGAIN_SECONDS
            log.error("not all could be erased, it is tried again: %s", _last(done))

    def _versions(self) -> dict[str, str]:
        if self._registry is None:
            self._registry = Registry(self.home)
        return versions_of(self._registry.champions())

    def _changed(self, wanted: dict[str, str]) -> bool:
        """Return whether the champions have changed; False if the registry is unavailable."""
        try:
            return self._versions() != wanted
        except RecompraError:
            return False

    def _accept(self) -> None:
        self._put_off = None
        (self.home / REFUSED).unlink(missing_ok=True)

    def _tell(self, trouble: str) -> None:
        """Report a problem of the registry, also to readiness and metrics: once, until it changes."""
        if trouble == self._trouble:
            return
        if trouble:
            log.warning("%s", trouble)
        write_card(self.home / REGISTRY, {"trouble": trouble})
        self._trouble = trouble

    def _score(self, wanted: dict[str, str], as_of: str) -> bool:
        log.info("the champions are now %s: scoring as of %s", wanted, as_of)
        done = _run(SCORING, self.home, as_of, given_up=lambda: self._changed(wanted))
        if done is None:
            log.info("the champions changed meanwhile: this scoring is given up")
            return False
        if done.returncode == 0:
            self._accept()
            return True
        if done.returncode == BUSY:
            log.info("another scoring is at work: its end is waited for")
            self._put_off, self._score_at = wanted, time.monotonic() + BUSY_SECONDS
            return False
        self._refuse(wanted, done)
        return False

    def _refuse(self, wanted: dict[str, str], done: "subprocess.CompletedProcess[str]") -> None:
        reason, details = _last(done), {"fields": {"exception": done.stderr.strip()}}
        log.error(
            "the new champions are refused, the old scoring stays in service: %s", reason, extra=details
        )
        write_card(self.home / REFUSED, {"models": wanted, "reason": reason})
        self._put_off, self._score_at = wanted, time.monotonic() + self._retry_seconds
        self._retry_seconds = min(2 * self._retry_seconds, LONGEST_RETRY_SECONDS)


def _run(
    module: str, home: Path, *more: str, given_up: Callable[[], bool] = lambda: False
) -> "subprocess.CompletedProcess[str] | None":
    """Run one of our modules to its end; None if ``given_up`` (asked at every poll) ends it early.

    It is passed our process id, and ends when we do.
    """
    ours = ["nice", "-n", str(SCORING_NICE), sys.executable, "-m", module]
    command = [*ours, str(home), str(os.getpid()), *more]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while True:
            try:
                errors = process.communicate(timeout=POLL_SECONDS)[1]
                return subprocess.CompletedProcess(command, process.returncode, "", errors)
            except subprocess.TimeoutExpired:
                if given_up():
                    process.terminate()
                    process.communicate()
                    return None


def _last(done: "subprocess.CompletedProcess[str]") -> str:
    """Return why a process failed: the last line it wrote, unless it was killed."""
    if done.returncode < 0:
        return f"its process was killed (signal {-done.returncode}); usually memory has run out"
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"its process ended without a word (code {done.returncode})"


def watch(watcher: Watcher, refresher: Refresher) -> None:
    """Check the champions, and the drift, until this process ends."""
    while True:
        try:
            watcher.look()
            refresher.look_at_drift()
        except RecompraError as error:
            log.error("%s", error)
        except Exception:  # this thread must not end unnoticed while the others live
            log.exception("the champions, or the drift, could not be looked at")
        time.sleep(POLL_SECONDS)


def main(home: Path, parent: int) -> None:
    """Watch until the process that started this one ends."""
    os.nice(NICE)
    set_up()
    refresher = Refresher(home, lambda: datetime.now(UTC))
    Thread(target=watch, args=(Watcher(home), refresher), daemon=True).start()
    while os.getppid() == parent:
        if not refresher.look():
            time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
