"""Faults under load: every answer checked, every acknowledged event counted in the end.

``python tests/benchmarks/bench_faults.py [--requests 20000 --kills 20 --swaps 20 --restarts 2]``

First the service runs on PostgreSQL with two workers while clients ask every endpoint, scorings are put in
service, workers are killed and the database goes away; then processes that write events, score, build lists
and load models are killed at random moments. Violations must be 0. The full size: ``--requests 1000000
--kills 200``.
"""

import argparse
import asyncio
import shutil
import sys
import tempfile
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import sqlalchemy as sa
import uvloop
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from faults.home import Shelf, make_shelf
from faults.kills import Killing, references
from faults.shopper import Book, Shopper
from faults.town import Conductor, serving
from faults.truth import Truth
from worlds import postgres
from worlds.ports import free_port

from serving.entrance import keys
from serving.online.tables import EVENTS
from serving.store import Store

N_SHOPPERS = 16
DATABASE = "postgres"
N_SHOWN = 12


def run(
    shelf: Shelf, database: postgres.Server, asked: argparse.Namespace, log: Path
) -> tuple[Book, Conductor, float]:
    """Load the service while faults happen; return what was seen."""
    url = database.url.format(database=DATABASE)
    store = Store(url)
    store.prepare()
    made = {scope: keys.create(store, [scope], now=datetime.now(UTC)) for scope in ("storefront", "crm")}
    book, truth, port = Book(), Truth.of(shelf.templates), free_port()
    conductor = Conductor(shelf, truth, database, 0, port, lambda: book.done)
    conductor.publish()
    shoppers = [Shopper(number, N_SHOPPERS, truth, book, made, port) for number in range(N_SHOPPERS)]
    with serving(shelf.home, port, url, log) as process:
        conductor.serve_pid = process.pid
        begun = time.monotonic()
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(_together(shoppers, conductor, asked))
        taken = time.monotonic() - begun
    count_events(store, shoppers, book)
    store.close()
    return book, conductor, taken


async def _together(shoppers: list[Shopper], conductor: Conductor, asked: argparse.Namespace) -> None:
    faults = asyncio.create_task(
        conductor.conduct(asked.requests, asked.swaps, asked.workers_killed, asked.restarts, asked.hangs)
    )
    enough = lambda: conductor.counted() >= asked.requests and faults.done()  # noqa: E731
    await asyncio.gather(*(shopper.shop(enough) for shopper in shoppers))
    await faults


def count_events(store: Store, shoppers: list[Shopper], book: Book) -> None:
    """Compare the store with what was acknowledged: all of it, once, nothing else, in order."""
    with store.read() as db:
        query = sa.select(EVENTS.c.event_id, EVENTS.c.customer_id).order_by(
            EVENTS.c.seq, EVENTS.c.occurred_at
        )
        held = [(row[0], row[1] or "") for row in db.execute(query)]
    wanted = {name: person for shopper in shoppers for name, person in shopper.acknowledged.items()}
    times = Counter(name for name, _ in held)
    lost, strange = wanted.keys() - times.keys(), times.keys() - wanted.keys()
    for what, names in (("lost", lost), ("not acknowledged", strange)):
        if names:
            book.wrong(f"{len(names)} events {what}: {sorted(names)[:5]}")
    if any(number > 1 for number in times.values()) or any(wanted.get(name) != who for name, who in held):
        book.wrong("events twice, or of another customer")
    for shopper in shoppers:
        mine = [name for name, _ in held if name.startswith(f"e{shopper.number}-")]
        posted = [name for name in shopper.order if name in shopper.acknowledged]
        if sorted(mine, key=_number) != sorted(posted, key=_number) or mine != sorted(mine, key=_number):
            book.wrong(f"events of client {shopper.number} are not in the order they were posted")
    book.n_events = len(held)


def _number(event_id: str) -> int:
    return int(event_id.rpartition("-")[2])


def show(book: Book, conductor: Conductor, taken: float) -> None:
    """Print what was seen."""
    table = Table("endpoint", "answers", "statuses", "p50 ms", "p99 ms", "max ms", title="under faults")
    for path in sorted({path for path, _ in book.statuses}):
        statuses = {status: n for (of, status), n in sorted(book.statuses.items()) if of == path}
        times = np.array(book.times.get(path, [np.nan])) * 1000
        told = ", ".join(f"{status}: {n:,}" for status, n in statuses.items())
        figures = [f"{np.percentile(times, share):.1f}" for share in (50, 99, 100)]
        table.add_row(path, f"{sum(statuses.values()):,}", told, *figures)
    console = Console()
    console.print(table)
    restarts = ", ".join(f"{seconds:.1f}" for seconds in conductor.restarts)
    console.print(
        f"{book.done:,} requests in {taken:.0f} s ({book.done / taken:,.0f}/s); "
        f"{conductor.n_swaps - 1} swaps, each in service everywhere within {conductor.truth.lag:.1f} s, "
        f"{conductor.n_kills} workers killed (the next one answered after {restarts} s), "
        f"{conductor.n_aways} times without the database, {conductor.n_hangs} times with one that hangs; "
        f"{book.reconnects} reconnects, {book.retries} retries; "
        f"{book.n_events:,} events held"
    )
    for violation in book.violations[:N_SHOWN]:
        console.print(violation, style="red", markup=False)
    console.print(f"violations: {len(book.violations)}", style="bold")


def kill(shelf: Shelf, n: int, seed: int) -> Killing:
    """Kill processes at work, on a store of the home's own."""
    shutil.rmtree(shelf.home / "lists")
    (shelf.home / "lists").mkdir()
    shelf.publish(0)
    killing = Killing(shelf, references(shelf, shelf.home.parent / "scored"))
    killing.run(n, seed)
    return killing


def show_kills(killing: Killing) -> None:
    """Print what was killed."""
    table = Table("killed at", "times", "work done before", title="kill -9 at a random moment")
    for role, n in killing.kills.items():
        table.add_row(role, f"{n}", f"{killing.turns[role]:,}")
    console = Console()
    console.print(table)
    told = f"{sum(killing.kills.values())} kills in {killing.seconds:.0f} s; "
    console.print(f"{told}{len(killing.acknowledged):,} events acknowledged")
    for violation in killing.violations[:N_SHOWN]:
        console.print(violation, style="red", markup=False)
    console.print(f"violations: {len(killing.violations)}", style="bold")


def main(arguments: list[str]) -> int:
    """Run both parts and print tables; return 1 where anything was wrong."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    parser.add_argument("--swaps", type=int, default=20)
    parser.add_argument("--workers-killed", type=int, default=5)
    parser.add_argument("--restarts", type=int, default=2)
    parser.add_argument("--hangs", type=int, default=1)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0, help="of the moments of the kills")
    parser.add_argument("--customers", type=int, default=400)
    parser.add_argument("--products", type=int, default=300)
    parser.add_argument("--log", type=Path, help="where the service's own output goes")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        shelf = make_shelf(Path(folder) / "shop", asked.customers, asked.products)
        wrong = 0
        if asked.requests:
            with postgres.running("-c synchronous_commit=on") as database:
                book, *more = run(shelf, database, asked, asked.log or Path(folder) / "log")
            show(book, *more)
            wrong += len(book.violations)
        if asked.kills:
            killing = kill(shelf, asked.kills, asked.seed)
            show_kills(killing)
            wrong += len(killing.violations)
    return int(bool(wrong))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
