"""Kill processes at random moments, and look at what they leave behind."""

import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from multiprocessing import get_context
from pathlib import Path
from random import Random

import pyarrow.parquet as pq
from faults.home import KEPT, Shelf
from faults.truth import Version
from faults.victims import ROLES, SCORED, SHARES

from serving.online.tables import EVENTS
from serving.scoring.folder import load
from serving.state import Pointer
from serving.store import Store
from serving.worker import Worker

PRELOADED = ("faults.victims", "models.ranking.live")
AT_MOST = {"events": 0.15, "lists": 1.2, "scoring": 4.0, "loading": 0.6}
"""Seconds of work before the kill, drawn evenly: each about as long as two turns of the role's work."""
PATIENCE = 60.0


@dataclass
class Killing:
    """What was killed, and what was wrong afterwards."""

    shelf: Shelf
    versions: dict[str, Version]
    kills: Counter[str] = field(default_factory=Counter)
    turns: Counter[str] = field(default_factory=Counter)
    """Finished pieces of work before the kills."""
    acknowledged: set[str] = field(default_factory=set)
    violations: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def run(self, n: int, seed: int = 0) -> None:
        """Kill ``n`` times, each role in its share; check after each."""
        begun, random = time.monotonic(), Random(seed)
        for cycle, role in enumerate(_in_turn(n)):
            self._once(cycle, role, random)
            self._check(f"{role}, kill {cycle}")
        self._check_events()
        self.seconds = time.monotonic() - begun

    def _once(self, cycle: int, role: str, random: Random) -> None:
        context = get_context("forkserver")
        context.set_forkserver_preload([*PRELOADED])
        ours, theirs = context.Pipe(duplex=False)
        victim = context.Process(target=ROLES[role], args=(self.shelf, cycle, theirs))
        victim.start()
        theirs.close()
        if not ours.poll(PATIENCE):
            self.violations.append(f"{role}, kill {cycle}: never began")
        time.sleep(random.uniform(0, AT_MOST[role]))
        if victim.exitcode is not None:
            self.violations.append(f"{role}, kill {cycle}: ended by itself with code {victim.exitcode}")
        victim.kill()
        victim.join()
        for told in _heard(ours):
            self._note(role, told)
        self.kills[role] += 1

    def _note(self, role: str, told: object) -> None:
        self.turns[role] += told != "ready"
        if isinstance(told, list):
            self.acknowledged.update(told)

    def _check(self, when: str) -> None:
        """Start again where the victim stood: a scoring serves, all of one version, and answers."""
        pointer = Pointer.read(self.shelf.home)
        folder = self.shelf.home / "lists" / pointer.stamp
        made, version = load(folder), {*pointer.models.values()}
        if {*made.models.values()} != version or Version.of(made) != self.versions[version.pop()]:
            self.violations.append(f"{when}: the scoring {pointer.stamp} is not that of {pointer.models}")
        if pq.read_metadata(folder / "scores.parquet").num_rows != len(made.customers):
            self.violations.append(f"{when}: scores.parquet is not whole")
        worker = Worker()
        worker.open(self.shelf.home)
        if not worker.status()["ready"] or worker.refused or worker.status()["store"] != "ok":
            self.violations.append(f"{when}: {worker.status()}")
        worker.close()
        left = sorted(path.name for path in (self.shelf.home / "lists").iterdir())
        if len(left) > KEPT + 4:
            self.violations.append(f"{when}: much is left behind: {left}")

    def _check_events(self) -> None:
        """Every acknowledged event once; a batch that was not is there whole, or not at all."""
        store = Store.open(self.shelf.home)
        held = Counter(row["event_id"] for row in store.everything(EVENTS))
        store.close()
        if lost := self.acknowledged - held.keys():
            self.violations.append(f"{len(lost)} acknowledged events are lost: {sorted(lost)[:3]}")
        batches = Counter((name.rpartition("-")[0], name.rpartition("of")[2]) for name in held)
        halves = [batch for (batch, n), there in batches.items() if there != int(n)]
        if halves or max(held.values(), default=1) > 1:
            self.violations.append(f"batches by halves: {halves[:3]}, or events twice")


def _heard(pipe: object) -> Iterator[object]:
    """Read what a killed process still said; a word cut short was not said."""
    try:
        while pipe.poll(0):  # type: ignore[attr-defined]
            yield pipe.recv()  # type: ignore[attr-defined]
    except (EOFError, OSError):
        return


def _in_turn(n: int) -> list[str]:
    """Spread the roles evenly over ``n`` kills."""
    whole = sum(SHARES.values())
    places = [((turn + 0.5) / share, role) for role, share in SHARES.items() for turn in range(share)]
    order = [role for _, role in sorted(places)]
    return [order[cycle % whole] for cycle in range(n)]


def references(shelf: Shelf, scored: Path) -> dict[str, Version]:
    """Read every version that may serve."""
    folders = {str(version): folder for version, folder in shelf.templates.items()} | {SCORED: scored}
    return {version: Version.of(load(folder)) for version, folder in folders.items()}
