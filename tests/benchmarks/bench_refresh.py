"""How long an order takes into its customer's scores, on a running service with its watcher.

``python tests/benchmarks/bench_refresh.py [--home .recompra]``: Complete Journey, its customer models fitted
and scored in a throw-away home, or a home that was scored before (its store then keeps the orders posted).
One order at a time, from the answer to ``/events`` to ``/customer`` with a later ``as_of``; then one order of
each customer at once; and what the watcher costs while nothing happens.
"""

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import sqlalchemy as sa
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from load.server import wait_for
from worlds.ports import free_port

from features.ingest import ingest
from features.shop import Shop
from models.registry import model_class
from serving.entrance import keys
from serving.online import refreshed
from serving.online.tables import EVENTS
from serving.persons.rights import Forgotten
from serving.run import environment
from serving.score import end_of_orders
from serving.scoring.build import Build
from serving.scoring.folder import load, write
from serving.state import Pointer
from serving.store import Store
from serving.watching.watcher_status import STATUS_FILE, WatcherStatus

N_SINGLE, N_IDLE_SECONDS, MOST_SECONDS = 30, 10, 60
BAR_SECONDS = 1.0
MODELS = ("churn", "ltv", "segments")
STAMP = "20180101T0000-0001"
SERVE = "import sys; from pathlib import Path; from serving.run import serve; "
TICKS = os.sysconf("SC_CLK_TCK")


@contextmanager
def fitted() -> Iterator[Path]:
    """Give a throw-away home of Complete Journey with its customer models in service."""
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        ingest("complete_journey", home)
        shop = Shop(home)
        cutoff = end_of_orders(shop)
        kinds = [model_class(model) for model in MODELS]
        models = {kind.name: kind.fit(shop, cutoff, config=kind.Config()) for kind in kinds}
        for model, made in models.items():
            made.save(home / "models" / model / "1")
        versions = dict.fromkeys(models, "1")
        build = Build(shop, cutoff, models, versions, Forgotten.of(home))
        write(home / "lists" / STAMP, build.snapshot(), more=build.save_more)
        Pointer(STAMP, cutoff.isoformat(), versions).move(home)
        yield home


@contextmanager
def serving(home: Path) -> Iterator[httpx.Client]:
    """Give a client of the service, with its watcher, on two workers."""
    store, port = Store.open(home), free_port()
    key = keys.create(store, ["admin"], name="bench", now=datetime.now(UTC))
    store.close()
    run = f"{SERVE}sys.exit(serve(Path({str(home)!r}), port={port}, workers=2))"
    env = environment(home, workers=2)
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen([sys.executable, "-c", run], env=env, stderr=log, stdout=log)
        try:
            wait_for(f"http://127.0.0.1:{port}/readyz")
            headers = {"Authorization": f"Bearer {key}"}
            with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=10) as client:
                yield client
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


class Bench:
    """One run."""

    def __init__(self, home: Path, client: httpx.Client) -> None:
        self.home, self.client, self.pointer = home, client, Pointer.read(home)
        self.store = Store.open(home)
        self.customers = load(home / "lists" / self.pointer.stamp).customers.all_names()
        with self.store.read() as db:
            newest = db.execute(sa.select(sa.func.max(EVENTS.c.occurred_at))).scalar()
        since = datetime.fromisoformat(self.pointer.as_of)
        self.moment = max(since + timedelta(hours=9), newest or since)

    def ask(self, path: str, body: Any) -> dict[str, Any]:
        """Ask, and take nothing but an answer."""
        answer = self.client.post(path, json=body)
        answer.raise_for_status()
        found: dict[str, Any] = answer.json()
        return found

    def orders(self, customers: list[str]) -> None:
        """Post one order of each, a little later than the ones before."""
        self.moment += timedelta(seconds=1)
        event = {"kind": "order", "product_id": "1082185", "unit_price": 1.99}
        event |= {"occurred_at": self.moment.isoformat()}
        for start in range(0, len(customers), 1000):
            some = customers[start : start + 1000]
            made = [
                event | {"event_id": f"bench-{time.time_ns()}-{at}", "customer_id": name}
                for at, name in enumerate(some)
            ]
            self.ask("/events", {"events": made})

    def idle(self) -> str:
        """Return what the watcher takes once it has loaded what it needs."""
        until = time.perf_counter() + MOST_SECONDS
        while WatcherStatus.read(self.home) is None and time.perf_counter() < until:
            time.sleep(0.1)
        time.sleep(5)
        pid = watcher()
        before = cpu_seconds(pid)
        time.sleep(N_IDLE_SECONDS)
        return f"{(cpu_seconds(pid) - before) / N_IDLE_SECONDS:.1%} of a core, {pss_mb(pid):.0f} MB"

    def single(self, customer: str) -> float:
        """Return the seconds from an order's answer to a profile that holds it."""
        before = self.ask("/customer", {"customer_id": customer})
        self.orders([customer])
        started = time.perf_counter()
        while time.perf_counter() - started < MOST_SECONDS:
            now = self.ask("/customer", {"customer_id": customer})
            if now["as_of"] != before["as_of"]:
                assert now["features"]["n_orders"] == before["features"]["n_orders"] + 1
                return time.perf_counter() - started
            time.sleep(0.01)
        raise TimeoutError(f"{customer} was not refreshed within {MOST_SECONDS} seconds")

    def burst(self) -> tuple[int, float]:
        """Return how many customers order at once, and the seconds until all of them are refreshed."""
        self.orders(self.customers)
        started, wanted = time.perf_counter(), len(self.customers)
        while time.perf_counter() - started < 3 * MOST_SECONDS:
            rows = refreshed.of_customers(self.store, self.pointer.stamp, ids=self.customers)
            if sum(row.as_of >= self.moment.isoformat() for row in rows.values()) == wanted:
                return wanted, time.perf_counter() - started
            time.sleep(0.25)
        raise TimeoutError("the burst was not worked through")


def watcher() -> int:
    """Return the process id of the watcher that this run started."""
    mine = os.getpid()
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        words = path.read_bytes().split(b"\0")
        if b"serving.watcher" in words:
            pid = int(path.parent.name)
            if mine in _parents(pid):
                return pid
    raise LookupError("no watcher runs")


def _parents(pid: int) -> list[int]:
    found = []
    while pid > 1:
        pid = int(Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()[1])
        found.append(pid)
    return found


def cpu_seconds(pid: int) -> float:
    """Return the CPU a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / TICKS


def pss_mb(pid: int) -> float:
    """Return the memory of a process, what it shares divided among who shares it."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--home", type=Path)
    asked = parser.parse_args()
    table = Table("what", "figure", "bar", title="from an order to the scores")
    with fitted() if asked.home is None else nullcontext(asked.home.resolve()) as home:
        (home / STATUS_FILE).unlink(missing_ok=True)
        with serving(home) as client:
            bench = Bench(home, client)
            measure(bench, table)
            bench.store.close()
    Console().print(table)


def measure(bench: Bench, table: Table) -> None:
    """Fill the table."""
    table.add_row("the watcher idle", bench.idle(), "")
    took = np.array([bench.single(name) for name in bench.customers[:N_SINGLE]])
    told = ", ".join(f"p{share} {np.percentile(took, share):.2f}" for share in (50, 90, 100))
    table.add_row(f"one order, {N_SINGLE} times", f"{told} s", f"{BAR_SECONDS:.0f} s")
    n, seconds = bench.burst()
    table.add_row(f"{n:,} customers at once", f"{seconds:.1f} s, {n / seconds:,.0f} customers/s", "")


if __name__ == "__main__":
    main()
