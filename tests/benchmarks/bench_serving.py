"""The service under load, beside a no-op of BentoML and of uvicorn + Starlette: rates, memory, swaps.

``python tests/benchmarks/bench_serving.py [--customers 100000 --products 20000] [--place DIR] [--only rates
memory swaps]``: two workers each, 16 connections on 127.0.0.1, load and service on one machine; servers in
turn, in one run: compare ratios, not rates. ``--place`` keeps the generated customers, products and models,
which take longer to make than all that is measured.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from load.client import Figures, client, closed, figures, paced
from load.memory import held, imported, megabytes, replaced
from load.server import Server, noops, running
from load.swaps import N_SWAPS, SECONDS, Outcome, swaps
from load.world import live_bodies, live_home, ready_bodies, ready_home

from serving.state import Pointer

ROUND_SECONDS, ROUNDS, PACED_SECONDS = 3.0, 3, 8.0
PARTS = ("rates", "memory", "swaps")
BARS = {"ready": (4.0, 0.35), "live": (1.0, 0.0)}
"""What ready and live lists must reach, times the two no-ops."""
LIVE_P99_MS, P99_TIMES = 10.0, 3.0
MEMORY_TIMES, READY_SECONDS, SWAP_TIMES = 1.6, 5.0, 1.5


def measure(servers: Sequence[Server]) -> tuple[dict[str, Figures], dict[str, Figures]]:
    """Load servers one at a time, in rounds; return each one's median round, and figures at half its rate."""
    rounds: dict[str, list[Figures]] = {server.label: [] for server in servers}
    with ExitStack() as stack:
        for server in servers:
            stack.enter_context(running(server))
        for _ in range(ROUNDS):
            for server in servers:
                rounds[server.label].append(closed(server.port, server.requests, ROUND_SECONDS))
        middle = {label: sorted(found)[len(found) // 2] for label, found in rounds.items()}
        half = {}
        for server in servers[2:]:
            told = paced(server.port, server.requests, middle[server.label].rate / 2, PACED_SECONDS)
            failed = [one for one in told if one.status != 200]
            assert not failed, failed[:3]
            half[server.label] = figures(told, PACED_SECONDS)
    return middle, half


def rates(ready: Path, live: Path, size: tuple[int, int]) -> Table:
    """Return the table of rates, each beside its bar."""
    servers = [
        *noops(ready),
        Server.of_home("ready lists", ready, ready_bodies(size[0])),
        Server.of_home("ready lists, by @bentoml.api", ready, ready_bodies(size[0]), RECOMPRA_HOT="0"),
        Server.of_home("live, with a cart", live, live_bodies(*size)),
    ]
    middle, half = measure(servers)
    default, bare = (middle[server.label].rate for server in servers[:2])
    columns = ("what", "requests/s", "p50 ms", "p99 ms", "x BentoML no-op", "x Starlette no-op", "bars")
    table = Table(*columns, "p99 ms at half the rate", title=f"rates, 2 workers; load by {client()}")
    for label, found in middle.items():
        bars = BARS.get(label.split()[0].strip(",")) if "api" not in label else None
        told = f">= {bars[0]:g} and {bars[1]:g}" if bars else ""
        paced_p99 = f"{half[label].p99:.1f}" if label in half else ""
        bound = f" (< {LIVE_P99_MS:g})" if label.startswith("live") else ""
        cells = (
            f"{found.rate:,.0f}",
            f"{found.p50:.2f}",
            f"{found.p99:.2f} ({found.p99 / found.p50:.1f} x p50)",
        )
        table.add_row(
            label, *cells, f"{found.rate / default:.2f}", f"{found.rate / bare:.2f}", told, paced_p99 + bound
        )
    return table


def memory(home: Path, size: tuple[int, int]) -> Table:
    """Return the table of memory, readiness and imports."""
    step = max(size[0] // 4000, 1)
    bodies: list[dict[str, object]] = [
        {"customer_id": f"c{number}", "k": 10} for number in range(0, size[0], step)
    ]
    bodies += live_bodies(*size)[:500]
    one, four = held(home, bodies, 1), held(home, bodies, 4)
    files = megabytes(home / "lists" / Pointer.read(home).stamp)
    heavy = imported(home)
    table = Table("what", "found", "bar", title=f"a scoring of {files:,.0f} MB of files")
    table.add_row("PSS of 1 worker, MB", f"{one.workers:,.0f}", "")
    table.add_row("PSS of 4 workers, MB", f"{four.workers:,.0f}", "")
    table.add_row("4 workers / 1", f"{four.workers / one.workers:.2f}", f"<= {MEMORY_TIMES:g}")
    table.add_row("whole service, 4 / 1", f"{four.service / one.service:.2f}", "")
    table.add_row("worker ready, from its start, s", f"{one.worker_seconds:.1f}", f"<= {READY_SECONDS:g}")
    table.add_row("a killed worker's place taken, s", f"{replaced(home):.1f}", f"<= {READY_SECONDS:g}")
    table.add_row("service of 1 / of 4 ready, s", f"{one.seconds:.1f} / {four.seconds:.1f}", "")
    table.add_row("heavy imports of a worker", ", ".join(heavy) or "none", "none")
    return table


def swapped(home: Path, size: tuple[int, int]) -> Table:
    """Return the table of swaps under load."""
    bodies: list[dict[str, object]] = [
        {"customer_id": f"c{number}", "k": 10} for number in range(0, size[0], max(size[0] // 4000, 1))
    ]
    for turn, body in enumerate(live_bodies(*size)[: len(bodies) // 10]):
        bodies[turn * 10] = body  # one in ten is answered live
    with running(trial := Server.of_home("trial", home, bodies)):
        rate = median(closed(trial.port, trial.requests, 2).rate for _ in range(3)) / 4
        # a quarter: the client that checks every answer takes more of the machine than the service
    return _outcome(swaps(home, bodies, rate))


def _outcome(found: Outcome) -> Table:
    title = f"{N_SWAPS} swaps in {SECONDS:.0f} s at {found.calm.rate:,.0f} requests/s, 1 in 10 live"
    table = Table("what", "found", "bar", title=title)
    table.add_row("answers, of versions", f"{found.answers:,}: {dict(found.served)}", "")
    table.add_row("failed", str(len(found.failed)), "0")
    table.add_row("mixed", str(len(found.mixed)), "0")
    for reason in found.refused:
        table.add_row("refused", reason, "said in /readyz")
    table.add_row("p99 ms without, with", f"{found.calm.p99:.2f}, {found.swapped.p99:.2f}", "")
    table.add_row("p99 with / without", f"{found.swapped.p99 / found.calm.p99:.2f}", f"<= {SWAP_TIMES:g}")
    for told in (*found.failed[:3], *found.mixed[:3]):
        table.add_row("for example", told, "")
    return table


def main(arguments: Sequence[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=100_000)
    parser.add_argument("--products", type=int, default=20_000)
    parser.add_argument("--place", type=Path, help="a folder to keep what is generated in")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    asked = parser.parse_args(arguments)
    size, console = (asked.customers, asked.products), Console()
    with tempfile.TemporaryDirectory() as folder:
        place = (asked.place or Path(folder)) / f"{size[0]}x{size[1]}"
        ready, live = ready_home(place / "ready", *size), live_home(place, *size)
        console.print(
            f"{size[0]:,} customers x {size[1]:,} products, generated; key, scope, exclusions, stock on"
        )
        if "rates" in asked.only:
            console.print(rates(ready, live, size))
        if "memory" in asked.only:
            console.print(memory(live, size))
        if "swaps" in asked.only:
            console.print(swapped(live, size))


if __name__ == "__main__":
    main(sys.argv[1:])
