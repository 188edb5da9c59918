"""The service under load, beside a no-op of BentoML and of uvicorn + Starlette, in turn, in one run.

``python tests/benchmarks/bench_serving.py``: two workers each, a closed loop of 16 connections on
127.0.0.1 from this process, generated customers and products, the best of three rounds. Compare ratios
within a run, not rates.
"""

import asyncio
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from socket import socket

import numpy as np
import pandas as pd
import uvloop
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from worlds.snapshot import make_home, make_snapshot, names

from features.ingest import ingest
from features.shop import Shop
from models.registry import model_class
from serving import keys, snapshot
from serving.build import Build
from serving.rights import Forgotten
from serving.run import environment
from serving.score import end_of_orders
from serving.state import Pointer
from serving.store import Store

N_CUSTOMERS, N_PRODUCTS, K = 20_000, 5_000, 100
N_LIVE_CUSTOMERS, LEARNT = 2_000, ("popular", "cross_sell")
CONNECTIONS, SECONDS, WARM_UP, ROUNDS = 16, 2.0, 0.5, 3
HERE = Path(__file__).resolve().parent
SERVICE = "import sys; from pathlib import Path; from serving.run import serve; "
Figures = tuple[float, float, float]


def free_port() -> int:
    """Return a port nobody listens on."""
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_for(url: str, seconds: float = 60) -> None:
    """Wait until a URL answers at all."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            urllib.request.urlopen(url, timeout=1).close()
            return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.1)
    raise TimeoutError(url)


def request(path: str, body: object, key: str = "") -> bytes:
    """Return a request as it goes over the wire."""
    content = json.dumps(body).encode()
    head = f"POST {path} HTTP/1.1\r\nHost: shop\r\nContent-Type: application/json\r\n"
    head += f"Authorization: Bearer {key}\r\nContent-Length: {len(content)}\r\n\r\n"
    return head.encode() + content


async def _visit(port: int, requests: Sequence[bytes], until: float, taken: list[float]) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    turn = 0
    while time.perf_counter() < until:
        start = time.perf_counter()
        writer.write(requests[turn % len(requests)])
        head = await reader.readuntil(b"\r\n\r\n")
        if not head.startswith(b"HTTP/1.1 200"):
            raise RuntimeError(head.decode())
        length = int(head.lower().split(b"content-length:")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        taken.append(time.perf_counter() - start)
        turn += 1
    writer.close()


def load(port: int, requests: Sequence[bytes]) -> Figures:
    """Ask as fast as answers come; return requests per second and milliseconds at p50 and p99."""

    async def all_at_once(seconds: float) -> list[float]:
        taken: list[float] = []
        until = time.perf_counter() + seconds
        parts = [list(requests[start::CONNECTIONS]) or list(requests) for start in range(CONNECTIONS)]
        await asyncio.gather(*(_visit(port, part, until, taken) for part in parts))
        return taken

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(all_at_once(WARM_UP))
        taken = np.array(runner.run(all_at_once(SECONDS))) * 1000
    return len(taken) / SECONDS, float(np.percentile(taken, 50)), float(np.percentile(taken, 99))


@dataclass(frozen=True)
class Server:
    """What is measured: how it starts, when it is ready, what it is asked."""

    label: str
    command: tuple[str, ...]
    env: dict[str, str]
    ready: str
    requests: Sequence[bytes]
    port: int = field(default_factory=free_port)

    @classmethod
    def of_home(cls, label: str, home: Path, bodies: Sequence[dict[str, object]], **env: str) -> "Server":
        """Serve a home, and ask it for lists."""
        store = Store.open(home)
        key = keys.create(store, ["storefront"], now=datetime.now(UTC))
        store.close()
        code = f"{SERVICE}sys.exit(serve(Path({str(home)!r}), workers=2, port=int(sys.argv[-1])))"
        asked = [request("/recommend", body, key) for body in bodies]
        return cls(label, ("-c", code), {**os.environ, **env}, "/readyz", asked)


@contextmanager
def running(server: Server) -> Iterator[None]:
    """Run a server in its own process until it answers, and stop it in the end."""
    quiet, line = subprocess.DEVNULL, [sys.executable, *server.command, str(server.port)]
    process = subprocess.Popen(line, env=server.env, stdout=quiet, stderr=quiet, cwd=HERE)
    try:
        wait_for(f"http://127.0.0.1:{server.port}{server.ready}")
        yield
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(20)


def noops(place: Path) -> list[Server]:
    """Return servers of an empty answer."""
    ping, env = [request("/ping", {"x": 1})], {**environment(place, workers=2), "PYTHONPATH": str(HERE)}
    bento = ("-m", "bentoml", "serve", "noops:Noop", "--port")
    bare = ("-m", "uvicorn", "noops:starlette", "--workers", "2", "--port")
    return [
        Server("no-op, BentoML by default", bento, env, "/ping", ping),
        Server("no-op, uvicorn + Starlette", bare, env, "/ping", ping),
    ]


def ready_lists(home: Path) -> list[Server]:
    """Return servers of ready lists, by the fast path and by its documented twin."""
    make_home(home, make_snapshot(N_CUSTOMERS, N_PRODUCTS, K))
    body = {"k": 10, "exclude": ["p000001", "p000002"]}
    lists = [body | {"customer_id": name} for name in names("c", N_CUSTOMERS)]
    return [
        Server.of_home("recommend, ready lists", home, lists),
        Server.of_home("the same through @bentoml.api", home, lists, RECOMPRA_HOT="0"),
    ]


def live_lists(place: Path) -> list[Server]:
    """Return a server of answers made on the spot, by a ranker learnt from a generated shop."""
    carts = [[f"p{number % 97}", f"p{number % 89}"] for number in range(5000)]
    lists: list[dict[str, object]] = [
        {"customer_id": f"c{number % N_LIVE_CUSTOMERS}", "k": 10, "cart": cart}
        for number, cart in enumerate(carts)
    ]
    return [Server.of_home("recommend, live with a cart", small_shop(place), lists)]


def small_shop(folder: Path) -> Path:
    """Generate a shop, learn the ranker and put one scoring in service."""
    source, home = folder / "source", folder / "live"
    source.mkdir()
    rng, n = np.random.default_rng(0), N_LIVE_CUSTOMERS * 60
    customer = rng.integers(0, N_LIVE_CUSTOMERS, n)
    product = np.where(rng.random(n) < 0.5, customer * 7 % N_PRODUCTS, rng.zipf(1.3, n) % N_PRODUCTS)
    day = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 120, n), "D")
    columns = {
        "customer_id": customer,
        "ordered_at": day,
        "product_id": product,
        "unit_price": 1 + product % 9,
    }
    lines = pd.DataFrame(columns).astype({"customer_id": str, "product_id": str})
    lines["customer_id"], lines["product_id"] = "c" + lines["customer_id"], "p" + lines["product_id"]
    lines.to_parquet(source / "order_lines.parquet")
    (source / "recompra.toml").write_text("horizon_days = 14\n")
    ingest(str(source), home)
    shop = Shop(home)
    cutoff = end_of_orders(shop)
    models = {name: model_class(name).fit(shop, cutoff, model_class(name).Config()) for name in LEARNT}
    build = Build(shop, cutoff, models, dict.fromkeys(LEARNT, "1"), Forgotten.of(home))
    snapshot.write(home / "lists" / "live-0001", build.snapshot(), more=build.save_more)
    Pointer("live-0001", cutoff.isoformat(), build.versions).move(home)
    return home


def measure(servers: Sequence[Server]) -> dict[str, Figures]:
    """Start them all, load one at a time, in rounds; return the best round of each."""
    rounds: dict[str, list[Figures]] = {server.label: [] for server in servers}
    with ExitStack() as stack:
        for server in servers:
            stack.enter_context(running(server))
        for _ in range(ROUNDS):
            for server in servers:
                rounds[server.label].append(load(server.port, server.requests))
    return {label: max(figures) for label, figures in rounds.items()}


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        figures = measure([*noops(place), *ready_lists(place / "home"), *live_lists(place)])
    default, bare = (figures[label][0] for label in list(figures)[:2])
    columns = ("what", "requests/s", "p50 ms", "p99 ms", "x BentoML no-op", "x Starlette no-op")
    title = f"2 workers, {N_CUSTOMERS:,} customers x {N_PRODUCTS:,} products, key, scope and exclusions on"
    table = Table(*columns, title=title)
    for label, (rate, median, worst) in figures.items():
        cells = f"{rate:,.0f}", f"{median:.2f}", f"{worst:.2f}", f"{rate / default:.2f}", f"{rate / bare:.2f}"
        table.add_row(label, *cells)
    Console().print(table)


if __name__ == "__main__":
    main()
