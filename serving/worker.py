"""The state of a worker: the store, the scoring in service, and why a newer one was refused."""

import gc
import logging
import os
import sys
from collections import Counter as Counts
from contextlib import suppress
from datetime import UTC, datetime
from math import isfinite
from pathlib import Path
from statistics import median
from time import monotonic, sleep, thread_time

from features.errors import ArtefactError, NotFound, RecompraError, first_line
from features.settings import ListName
from models.lists.list_kinds import PERSONAL
from serving.api import LIST_NAMES, Offer, RecommendRequest
from serving.entrance.audit import Audit
from serving.online.view import DEAD, UNREADABLE, View
from serving.scoring.folder import load
from serving.scoring.kept import scorings
from serving.state import POINTER, Pointer, State, refusal, registry_trouble
from serving.store import Store
from serving.storefront import answers
from serving.watching.watcher_status import WatcherStatus

log = logging.getLogger("recompra.serving")
NEVER = datetime.max.replace(tzinfo=UTC)
FOLLOW_SECONDS = 0.2
STORE_SECONDS = 30.0
"""Maximum time that a starting worker waits for the store."""
REFUSED_SECONDS = 10.0
"""Time after which a refused scoring is tried again."""
SWITCH_SECONDS = 0.0005
"""Thread switch interval, so that a thread loading a scoring does not delay responses (Python's: 0.005)."""
N_CANARIES, N_TIMED = 20, 5
SLOWEST_MS = 20.0
"""Maximum median CPU time of a live list: ten times the target."""
NOTHING_SCORED = NotFound("nothing has been scored yet", "run `recompra train`, then `recompra score`")


class Worker:
    """One per process, empty until ``open``. ``state`` is read once per request and replaced as a whole."""

    def __init__(self) -> None:
        self.home = Path()
        self.state: State | None = None
        self.view: View | None = None
        self.refused = ""
        """Why the newest scoring is not served; empty while it is."""
        self.n_swaps = self.n_refusals = 0
        self.offered = Counts[tuple[str, str]]()
        """Next best offers since the last look: ``("offer", action)`` and ``("rule", who refused)``."""
        self.followed = False
        """Whether ``recheck_store`` is called in the background: then no request waits for a store that is
        unavailable."""
        self._seen: tuple[int, int] | None = None
        self._look_again = 0.0

    def open(self, home: Path) -> None:
        """Open the store and serve the newest valid scoring, if there is one."""
        self.home, self.store, self.audit = home, Store.open(home), Audit(home)
        self.view = View(self.store, NEVER)
        if self.moved():
            self.swap(self.load())
        if self.state is None:
            self._serve_older()
        gc.collect()
        gc.freeze()
        gc.set_threshold(50_000, 20, 100)
        sys.setswitchinterval(SWITCH_SECONDS)

    def open_patiently(self, home: Path) -> None:
        """Open, waiting for a store that is unavailable: a worker that exits would only be restarted.

        Raises the database's error after ``STORE_SECONDS``: without keys nobody can be admitted.
        """
        until = monotonic() + STORE_SECONDS
        while True:
            try:
                return self.open(home)
            except DEAD as error:
                if monotonic() >= until:
                    raise
                log.error("the store cannot be opened, trying again: %s", first_line(error))
                sleep(FOLLOW_SECONDS * 5)

    def close(self) -> None:
        """Close the store."""
        gc.unfreeze()
        if self.view is not None:
            self.view.close()
            self.store.close()
            self.audit.close()

    def _serve_older(self) -> None:
        """Serve the previous scoring, as workers do that are running when a new one is refused."""
        reason = self.refused
        for scoring in scorings(self.home) if reason else ():
            with suppress(Exception):  # if that is broken too, the one before it
                self.swap(self._load(scoring.path.name))
                self.refused = reason
                return

    def sync(self) -> None:
        """Catch up with the store: called once per request, before anything is answered."""
        if self.view is None or (self.followed and self.view.down):
            return
        self.view.sync()
        if self.view.new_stock and self.state is not None:
            self.state.restock(self.view.take_new_stock())

    def recheck_store(self) -> None:
        """Check whether an unavailable store is back; may block, so it is not called while answering.

        Until it is back no request syncs, so this may run in another thread. The next request applies stock
        reports that it read.
        """
        if self.view is not None and self.view.down:
            self.view.sync()

    def moved(self) -> bool:
        """Return whether the pointer changed since the last look, or a refused scoring is to be retried."""
        try:
            status = os.stat(self.home / POINTER)
        except OSError:
            return False
        if self.refused and monotonic() >= self._look_again:
            self._seen = None  # the disk may have been at fault
        seen, self._seen = self._seen, (status.st_mtime_ns, status.st_ino)
        return self._seen != seen

    def load(self) -> State | None:
        """Load and test the scoring in the pointer; None, with a reason in ``refused``, if it is broken."""
        stamp = ""
        try:
            stamp = Pointer.read(self.home).stamp
            return self._load(stamp)
        except RecompraError as error:
            self._refuse(str(error))
        except (*DEAD, self.store.driver_error) as error:
            self._seen = None  # the scoring may be fine: look again
            log.error("the store cannot be read: %s", first_line(error))
            self._refuse(UNREADABLE)
        except Exception:  # whatever is wrong with a new scoring, the old one stays in service
            log.exception("a new scoring failed its canary")
            self._refuse(f"the scoring {stamp} cannot answer its test requests; the log says why")
        return None

    def _load(self, stamp: str) -> State:
        snapshot = load(self.home / "lists" / stamp)
        view = View(self.store, snapshot.as_of)
        try:
            state = State.of(snapshot, view)
            canary(state)
        except BaseException:
            view.close()
            raise
        return state

    def _refuse(self, reason: str) -> None:
        if reason != self.refused:
            log.error("a new scoring is refused, the previous one stays in service: %s", reason)
            self.n_refusals += 1
        self.refused, self._look_again = reason, monotonic() + REFUSED_SECONDS

    def swap(self, state: State | None) -> None:
        """Serve ``state`` from the next request on; None changes nothing."""
        if state is None:
            return
        if self.view is not None:
            self.view.close()
        self.state, self.view, self.refused = state, state.view, ""
        self.n_swaps += 1
        log.info("serving %s", state.snapshot.stamp)

    def status(self) -> dict[str, object]:
        """Return this worker's status; ``ready`` if it can answer.

        It is visible without a key, so it does not reveal where the home is.
        """
        snapshot = self.state.snapshot if self.state else None
        refresh = "no watcher" if (status := WatcherStatus.read(self.home)) is None else status.trouble
        words = {
            "refused": self.refused or refusal(self.home) or (None if snapshot else str(NOTHING_SCORED)),
            "store": (self.view.trouble if self.view else "not open") or "ok",
            "registry": registry_trouble(self.home) or "ok",
            "refresh": refresh or "ok",
        }
        here = str(self.home.resolve())
        return {
            "ready": snapshot is not None,
            "scoring": snapshot.stamp if snapshot else None,
            "as_of": snapshot.as_of.isoformat() if snapshot else None,
            "models": snapshot.models if snapshot else {},
            **{name: text and text.replace(here, "the home") for name, text in words.items()},
        }

    def count_offer(self, offer: Offer) -> None:
        """Count an offer, and the rules that refused others."""
        rules = {str(refused["rule"]) for refused in (*offer.ruled_out, *offer.ruled_out_actions)}
        self.offered.update([("offer", offer.name), *(("rule", rule) for rule in rules)])

    def serving(self) -> State:
        """Return the state to answer from; raise ``NotFound`` before the first scoring."""
        if self.state is None:
            raise NotFound(self.refused or NOTHING_SCORED.message, NOTHING_SCORED.hint)
        return self.state


def canary(state: State) -> None:
    """Send a new scoring typical requests; raise if an answer is invalid, or takes too long.

    These are also a worker's first calls of numba's functions, so that no request waits for compilation. The
    time is CPU time, independent of the machine's load.
    """
    names, goods = state.snapshot.customers, state.snapshot.catalogue.products
    step = max(len(names) // N_CANARIES, 1)
    some = [*names.names(range(0, len(names), step)), None]
    cart = goods.names(range(min(len(goods), 2)))
    personal = [list_name for list_name in LIST_NAMES if list_name in PERSONAL]
    asked: list[tuple[str | None, ListName, list[str]]]
    asked = [(name, list_name, []) for name in some for list_name in personal]
    asked += [(name, list_name, cart) for name in (some[0], None) for list_name in LIST_NAMES]
    for name, list_name, its_cart in asked:
        _ask(state, name, list_name=list_name, cart=its_cart)
    took = [
        _ask(state, name, list_name=list_name, cart=cart) for name in some[:N_TIMED] for list_name in personal
    ]
    if median(took) > SLOWEST_MS:
        message = f"the scoring {state.snapshot.stamp} takes {median(took):.0f} ms of a core to answer a cart"
        raise ArtefactError(f"{message}, the bound is {SLOWEST_MS:.0f}", "train a ranker of fewer trees")


def _ask(state: State, customer_id: str | None, *, list_name: ListName, cart: list[str]) -> float:
    """Request a list; return its CPU time in milliseconds, and raise if a chance is NaN or infinite."""
    request = RecommendRequest.model_construct(customer_id=customer_id, list=list_name, k=5, cart=cart)
    start = thread_time()
    answer = answers.recommended(state, request)
    took = 1000 * (thread_time() - start)
    if not all(isfinite(product["score"]) for product in answer["products"]):
        message = f"the scoring {state.snapshot.stamp} answers {list_name} with NaN or infinite chances"
        raise ArtefactError(message, "score again")
    return took
