"""The service under load, beside a no-op of BentoML and of uvicorn + Starlette, in turn, in one run.

``python tests/benchmarks/bench_serving.py``: two workers each, a closed loop of 16 connections on
127.0.0.1 from this process, generated customers and products. Compare ratios within a run, not rates.
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
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from socket import socket

import numpy as np
import uvloop
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from worlds.snapshot import make_home, make_snapshot, names

from serving import keys
from serving.run import environment
from serving.store import Store

N_CUSTOMERS, N_PRODUCTS, K = 20_000, 5_000, 100
CONNECTIONS, SECONDS, WARM_UP = 16, 4.0, 1.0
HERE = Path(__file__).resolve().parent
SERVICE = "import sys; from pathlib import Path; from serving.run import serve; "
Figures = tuple[float, float, float]


def free_port() -> int:
    """Return a port nobody listens on."""
    with closing(socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextmanager
def running(command: Sequence[str], env: dict[str, str], port: int, ready: str) -> Iterator[None]:
    """Run a server in its own process until it answers, and stop it in the end."""
    quiet = subprocess.DEVNULL
    server = subprocess.Popen([sys.executable, *command], env=env, stdout=quiet, stderr=quiet, cwd=HERE)
    try:
        wait_for(f"http://127.0.0.1:{port}{ready}")
        yield
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(20)


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


def ours(home: Path) -> dict[str, Figures]:
    """Measure the service: ready lists, the documented twin of the same route, events."""
    make_home(home, make_snapshot(N_CUSTOMERS, N_PRODUCTS, K))
    store = Store.open(home)
    key = keys.create(store, ["storefront"], now=datetime.now(UTC))
    store.close()
    lists = [
        request("/recommend", {"customer_id": name, "k": 10, "exclude": ["p000001", "p000002"]}, key)
        for name in names("c", N_CUSTOMERS)
    ]
    found = {}
    for label, hot in (("recommend, ready lists", "1"), ("the same through @bentoml.api", "0")):
        port = free_port()
        code = f"{SERVICE}sys.exit(serve(Path({str(home)!r}), port={port}, workers=2))"
        env = {**os.environ, "RECOMPRA_HOT": hot}
        with running(["-c", code], env, port, "/readyz"):
            found[label] = load(port, lists)
    return found


def noops(home: Path) -> dict[str, Figures]:
    """Measure what an empty answer costs."""
    ping, found = [request("/ping", {"x": 1})], {}
    env = {**environment(home, workers=2), "PYTHONPATH": str(HERE)}
    commands = {
        "no-op, BentoML by default": ["-m", "bentoml", "serve", "noops:Noop", "--port"],
        "no-op, uvicorn + Starlette": ["-m", "uvicorn", "noops:starlette", "--workers", "2", "--port"],
    }
    for label, command in commands.items():
        port = free_port()
        with running([*command, str(port)], env, port, "/ping"):
            found[label] = load(port, ping)
    return found


def main() -> None:
    """Print the table."""
    with tempfile.TemporaryDirectory() as folder:
        figures = noops(Path(folder)) | ours(Path(folder) / "home")
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
