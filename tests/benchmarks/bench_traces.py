"""What a span costs: CPU of one ``/recommend`` through the access control, with and without a collector.

``python tests/benchmarks/bench_traces.py [--requests 20000]``: in this process, which also encodes and sends
the spans; the collector is a process of its own. The two take turns.
"""

import argparse
import asyncio
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from worlds.snapshot import NOW, make_home, make_snapshot
from worlds.visits import echo, make_keys

from serving.entrance.access import AccessControl
from serving.worker import Worker

COLLECTOR = """
from http.server import BaseHTTPRequestHandler, HTTPServer
class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    def do_POST(self):
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200); self.send_header("content-length", "0"); self.end_headers()
    def log_message(self, *_): pass
server = HTTPServer(("127.0.0.1", 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
"""
BODY = b'{"customer_id": "c000001", "k": 10}'
ROUNDS = 5


async def _ask(access: AccessControl, key: str, n: int) -> None:
    headers = [(b"authorization", f"Bearer {key}".encode()), (b"content-type", b"application/json")]

    async def receive() -> Any:
        return {"type": "http.request", "body": BODY}

    async def send(_: Any) -> None:
        """Take the answer."""

    for _ in range(n):
        scope = {"type": "http", "path": "/recommend", "method": "POST", "headers": headers}
        await access(scope, receive, send)


def microseconds(access: AccessControl, key: str, n: int) -> float:
    """Return the CPU of a request, the sending of its span included."""
    start = time.process_time()
    asyncio.run(_ask(access, key, n))
    if access.traces is not None:
        access.traces.flush()
    return (time.process_time() - start) / n * 1e6


def main(arguments: list[str]) -> None:
    """Measure, in turns, and print the best of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000)
    n = parser.parse_args(arguments).requests
    collector = subprocess.Popen([sys.executable, "-c", COLLECTOR], stdout=subprocess.PIPE, text=True)
    try:
        assert collector.stdout is not None
        port = collector.stdout.readline().strip()
        with tempfile.TemporaryDirectory() as folder:
            home = Path(folder)
            make_home(home, make_snapshot(1_000, 500))
            key, worker = make_keys(home)["storefront"], Worker()
            worker.open(home)
            without = AccessControl(echo, worker=worker, clock=lambda: NOW)
            os.environ.update(
                OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{port}", OTEL_BSP_MAX_QUEUE_SIZE=str(n)
            )
            traced = AccessControl(echo, worker=worker, clock=lambda: NOW)
            taken = [
                [microseconds(access, key, n // ROUNDS) for access in (without, traced)]
                for _ in range(ROUNDS)
            ]
            worker.close()
    finally:
        collector.kill()
    plain, spanned = (min(column) for column in zip(*taken, strict=True))
    print(f"without {plain:.0f} us, traced {spanned:.0f} us: {spanned - plain:.0f} us a request")


if __name__ == "__main__":
    main(sys.argv[1:])
