"""The service as it runs, its database, and what happens to both on the way."""

import asyncio
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from faults.home import VERSIONS, Shelf
from faults.truth import Truth, now
from worlds.postgres import Server

SERVE = "import sys; from pathlib import Path; from serving.run import serve; "
WORKER = "_bentoml_impl.worker.service"
AWAY_SECONDS, HANG_SECONDS = 2.0, 5.0
N_WORKERS = 2
UP_SECONDS = 60.0


@contextmanager
def serving(home: Path, port: int, store_url: str, log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    """Run ``recompra serve`` with two workers until it is ready, and end it in the end."""
    code = f"{SERVE}sys.exit(serve(Path({str(home)!r}), workers={N_WORKERS}, port={port}))"
    env = {**os.environ, "RECOMPRA_STORE_URL": store_url}
    with log.open("wb") as out:
        process = subprocess.Popen([sys.executable, "-c", code], env=env, stdout=out, stderr=out)
        try:
            _wait_for(f"http://127.0.0.1:{port}/readyz")
            yield process
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _wait_for(url: str) -> None:
    until = time.monotonic() + UP_SECONDS
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(url, timeout=2).close()
            return
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    raise TimeoutError(url)


def workers(serve_pid: int) -> list[psutil.Process]:
    """Return the service's workers that live."""
    found = []
    for process in psutil.Process(serve_pid).children(recursive=True):
        try:
            if WORKER in process.cmdline() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def _answers(process: psutil.Process, port: int) -> bool:
    """Tell whether a worker holds connections of clients: then it is through its start."""
    try:
        held = process.net_connections(kind="tcp")
    except psutil.Error:
        return False
    return any(one.laddr.port == port and one.status == psutil.CONN_ESTABLISHED for one in held)


@dataclass
class Conductor:
    """Makes the faults happen, each when so many requests were answered; one after the other."""

    shelf: Shelf
    truth: Truth
    database: Server
    serve_pid: int
    port: int
    counted: Callable[[], int]
    restarts: list[float] = field(default_factory=list)
    """Seconds from each kill until the new worker answered."""
    n_swaps: int = 0
    n_kills: int = 0
    n_aways: int = 0
    n_hangs: int = 0

    def publish(self) -> None:
        """Put the next version in service."""
        self.truth.served.append((now(), VERSIONS[self.n_swaps % len(VERSIONS)]))
        self.shelf.publish(self.n_swaps)
        self.n_swaps += 1

    async def conduct(self, total: int, swaps: int, kills: int, aways: int, hangs: int) -> None:
        """Spread the faults over ``total`` requests."""
        plan = [(total * (turn + 0.5) / swaps, self._swap) for turn in range(swaps)]
        plan += [(total * (turn + 0.37) / kills, self._kill) for turn in range(kills)]
        plan += [(total * (turn + 0.61) / aways, self._restart) for turn in range(aways)]
        plan += [(total * (turn + 0.83) / hangs, self._hang) for turn in range(hangs)]
        for at, fault in sorted(plan, key=lambda pair: pair[0]):
            while self.counted() < at:
                await asyncio.sleep(0.02)
            await fault()

    async def _swap(self) -> None:
        await asyncio.to_thread(self.publish)
        await asyncio.sleep(0.5)

    async def _kill(self) -> None:
        """Kill a worker as the system does that is out of memory; wait until another answers in its place."""
        there = workers(self.serve_pid)
        victim = there[self.n_kills % len(there)]
        self.truth.kills.append(now())
        victim.kill()
        self.n_kills += 1
        begun, known = now(), {one.pid for one in there}
        while not await asyncio.to_thread(self._replaced, known) and now() < begun + UP_SECONDS:
            await asyncio.sleep(0.2)
        self.restarts.append(now() - begun)

    def _replaced(self, known: set[int]) -> bool:
        """Tell whether a worker that is none of the ``known`` answers."""
        fresh = [one for one in workers(self.serve_pid) if one.pid not in known]
        return any(_answers(one, self.port) for one in fresh)

    async def _restart(self) -> None:
        """Take the database away for a while: once as in a crash, once in order."""
        self.truth.away.append([now(), float("inf")])
        await asyncio.to_thread(self.database.stop, ("immediate", "fast")[self.n_aways % 2])
        self.n_aways += 1
        await asyncio.sleep(AWAY_SECONDS)
        await asyncio.to_thread(self.database.start)
        self.truth.away[-1][1] = now()

    async def _hang(self) -> None:
        """Let the database hang: it takes connections, and answers nothing."""
        self.truth.away.append([now(), float("inf")])
        with self.database.hanging():
            await asyncio.sleep(HANG_SECONDS)
        self.truth.away[-1][1] = now()
        self.n_hangs += 1
