"""The service under load, beside a no-op of BentoML and of uvicorn + Starlette, in turn, in one run.

``python tests/benchmarks/bench_serving.py [--customers 100000 --products 20000]``: two workers each, a closed
loop of 16 connections on 127.0.0.1 from this process, generated customers and products, the best of three
rounds. Compare ratios within a run, not rates.
"""

import argparse
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

K = 100
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
def running(server: Server) -> "Iterator[subprocess.Popen[bytes]]":
    """Run a server in its own process until it answers, and stop it in the end."""
    quiet, line = subprocess.DEVNULL, [sys.executable, *server.command, str(server.port)]
    process = subprocess.Popen(line, env=server.env, stdout=quiet, stderr=quiet, cwd=HERE)
    try:
        wait_for(f"http://127.0.0.1:{server.port}{server.ready}")
        yield process
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


def ready_lists(home: Path, size: tuple[int, int]) -> list[Server]:
    """Return servers of ready lists, by the fast path and by its documented twin."""
    make_home(home, make_snapshot(*size, K))
    body = {"k": 10, "exclude": ["p000001", "p000002"]}
    lists = [body | {"customer_id": name} for name in names("c", size[0])]
    return [
        Server.of_home("recommend, ready lists", home, lists),
        Server.of_home("the same through @bentoml.api", home, lists, RECOMPRA_HOT="0"),
    ]


def live_lists(place: Path, size: tuple[int, int]) -> list[Server]:
    """Return a server of answers made on the spot, by a ranker learnt from a generated shop."""
    carts = [[f"p{number % 97}", f"p{number % 89}"] for number in range(5000)]
    lists: list[dict[str, object]] = [
        {"customer_id": f"c{number % size[0]}", "k": 10, "cart": cart} for number, cart in enumerate(carts)
    ]
    return [Server.of_home("recommend, live with a cart", live_home(place, *size), lists)]


def generated_shop(folder: Path, n_customers: int, n_products: int) -> Shop:
    """Generate four months of orders, and ingest them."""
    source, home = folder / "source", folder / "live"
    source.mkdir(parents=True)
    rng, n = np.random.default_rng(0), n_customers * 60
    customer = rng.integers(0, n_customers, n)
    product = np.where(rng.random(n) < 0.5, customer * 7 % n_products, rng.zipf(1.3, n) % n_products)
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
    return Shop(home)


def live_home(place: Path, n_customers: int, n_products: int) -> Path:
    """Learn the ranker of a generated shop and put one scoring in service."""
    shop = generated_shop(place, n_customers, n_products)
    home, cutoff = place / "live", end_of_orders(shop)
    configs: dict[str, dict[str, int]] = {
        "popular": {},
        "cross_sell": {"max_customers": 2_000, "n_windows": 2},
    }
    models = {
        name: model_class(name).fit(shop, cutoff, model_class(name).Config(**options))
        for name, options in configs.items()
    }
    build = Build(shop, cutoff, models, dict.fromkeys(configs, "1"), Forgotten.of(home))
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


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--products", type=int, default=5_000)
    parser.add_argument("--live-customers", type=int, default=2_000)
    asked = parser.parse_args(arguments)
    size, live_size = (asked.customers, asked.products), (asked.live_customers, asked.products)
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        servers = [*noops(place), *ready_lists(place / "home", size), *live_lists(place / "shop", live_size)]
        figures = measure(servers)
    default, bare = (figures[label][0] for label in list(figures)[:2])
    columns = ("what", "requests/s", "p50 ms", "p99 ms", "x BentoML no-op", "x Starlette no-op")
    title = f"2 workers, {size[0]:,} customers x {size[1]:,} products, key, scope and exclusions on"
    table = Table(*columns, title=title)
    for label, (rate, median, worst) in figures.items():
        cells = f"{rate:,.0f}", f"{median:.2f}", f"{worst:.2f}", f"{rate / default:.2f}", f"{rate / bare:.2f}"
        table.add_row(label, *cells)
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
