"""Beside the service: customers are refreshed after an order, and a new champion is scored with.

Champions are looked at in a thread of their own, so that neither a slow registry nor a scoring keeps a
customer waiting. Where a champion went back to an older version, a scoring kept of it serves at once, in the
meantime.

A scoring runs in a process of its own, so that a model that cannot be loaded, or eats all memory, takes
nobody with it. What is refused stays refused until the registry changes again; ``refused.json`` says why.
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

from features.errors import RecompraError
from serving.online.refresh import Refresher
from serving.online.view import DEAD
from serving.persons import erasure
from serving.registry import Registry, versions_of
from serving.scoring.kept import way_back
from serving.state import BUSY, REFUSED, REGISTRY, Pointer, write_card
from serving.store import Store
from serving.watching.logs import set_up

log = logging.getLogger("recompra.watcher")
POLL_SECONDS = 2.0
SCORING = "serving.score"
"""The module that scores, in a process of its own."""
SWEEP_AGAIN_SECONDS = 60.0
BUSY_SECONDS = 10.0
"""After so long it is looked again whether another scoring has ended."""
LOOK_SECONDS = 0.2
"""Between two looks for events: one row of the store is read."""
NICE, SCORING_NICE = 5, 5
"""Requests go first, then refreshes, then a scoring (by so much more)."""


class Watcher:
    """Looks at the registry of a home, and scores where what serves is not the champions."""

    def __init__(self, home: Path) -> None:
        self.home = home.resolve()
        self._registry: Registry | None = None
        self._failed: dict[str, str] | None = None
        self._trouble: str | None = None
        self._store: Store | None = None
        self._sweep_at = self._score_at = 0.0

    def look(self) -> bool:
        """Look once; return whether a new scoring was put in service."""
        self._sweep()
        try:
            wanted = self._versions()
            pointer = Pointer.read(self.home)
        except RecompraError as error:  # what serves serves on
            self._tell(str(error))
            return False
        self._tell("")
        if wanted == pointer.models:
            self._accept()
        elif wanted and wanted != self._failed:
            return self._go_back(wanted, pointer) or self._score(wanted, pointer.as_of)
        return False

    def _go_back(self, wanted: dict[str, str], pointer: Pointer) -> bool:
        """Serve what is kept by those versions at once; return whether nothing is left to be made."""
        kept = way_back(self.home, wanted, pointer.models)
        if kept is None:
            return False
        log.info("the champions are now %s: going back to %s at once", wanted, kept.stamp)
        kept.move(self.home)
        return kept.as_of == pointer.as_of and kept.models == wanted

    def _sweep(self) -> None:
        """Take out of the files whoever was forgotten since the last time; what fails is tried again."""
        if time.monotonic() < self._sweep_at:
            return
        try:
            self._store = self._store or Store.open(self.home)
            if not erasure.due(self.home, self._store):
                return
        except (*DEAD, OSError, RecompraError) as error:  # it is asked again
            self._sweep_at = time.monotonic() + SWEEP_AGAIN_SECONDS
            log.warning("whether somebody was erased cannot be told (%s)", type(error).__name__)
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
        """Tell whether the champions are others by now; a registry that is away says nothing."""
        try:
            return self._versions() != wanted
        except RecompraError:
            return False

    def _accept(self) -> None:
        self._failed = None
        (self.home / REFUSED).unlink(missing_ok=True)

    def _tell(self, trouble: str) -> None:
        """Say what is the matter with the registry, to readiness and metrics too: once, until it changes."""
        if trouble == self._trouble:
            return
        if trouble:
            log.warning("%s", trouble)
        write_card(self.home / REGISTRY, {"trouble": trouble})
        self._trouble = trouble

    def _score(self, wanted: dict[str, str], as_of: str) -> bool:
        if time.monotonic() < self._score_at:
            return False
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
            self._score_at = time.monotonic() + BUSY_SECONDS
            return False
        reason = _last(done)
        told = {"fields": {"exception": done.stderr.strip()}}
        log.error("the new champions are refused, the old scoring serves on: %s", reason, extra=told)
        write_card(self.home / REFUSED, {"models": wanted, "reason": reason})
        self._failed = wanted
        return False


def _run(
    module: str, home: Path, *more: str, given_up: Callable[[], bool] = lambda: False
) -> "subprocess.CompletedProcess[str] | None":
    """Run a module of ours to its end; None where it was given up on the way: asked at every poll.

    It is told who we are: it ends with us, however we end.
    """
    ours = ["nice", "-n", str(SCORING_NICE), sys.executable, "-m", module]
    command = [*ours, str(home), str(os.getpid()), *more]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        while True:
            try:
                said = process.communicate(timeout=POLL_SECONDS)[1]
                return subprocess.CompletedProcess(command, process.returncode, "", said)
            except subprocess.TimeoutExpired:
                if given_up():
                    process.terminate()
                    process.communicate()
                    return None


def _last(done: "subprocess.CompletedProcess[str]") -> str:
    """Return the last line a process said before it failed."""
    lines = done.stderr.strip().splitlines()
    return lines[-1] if lines else f"it ended with code {done.returncode}"


def watch(watcher: Watcher, refresher: Refresher) -> None:
    """Look at the champions, and at drift, for as long as this process lives."""
    while True:
        try:
            watcher.look()
            refresher.look_at_drift()
        except RecompraError as error:
            log.error("%s", error)
        except Exception:  # this thread must not end unseen while the others live
            log.exception("the champions, or the drift, could not be looked at")
        time.sleep(POLL_SECONDS)


def main(home: Path, parent: int) -> None:
    """Watch for as long as the process that started this one lives."""
    os.nice(NICE)
    set_up()
    refresher = Refresher(home, lambda: datetime.now(UTC))
    Thread(target=watch, args=(Watcher(home), refresher), daemon=True).start()
    while os.getppid() == parent:
        if not refresher.look():
            time.sleep(LOOK_SECONDS)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))
