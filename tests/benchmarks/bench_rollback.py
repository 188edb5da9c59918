"""How long a rollback takes: from ``recompra models rollback`` until every answer carries the old version.

``python tests/benchmarks/bench_rollback.py [--customers 2500 --products 27000]``: a real registry with two
versions, made-up scorings by each, the service with its watcher and two workers. ``--home HOME`` takes a home
of yours whose ``churn`` was promoted once, and leaves it rolled back; the new scoring that follows is not
waited for.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from load.server import request, wait_for
from worlds.ports import free_port
from worlds.snapshot import make_home, make_snapshot

from serving.entrance import keys
from serving.store import Store
from training.tracking import Tracking

BAR_SECONDS = 10
RECOMPRA = (sys.executable, "-c", "import recompra; recompra.main()")
SURE = 20
"""So many answers in a row, over new connections, come from both workers."""


def made_up(home: Path, size: tuple[int, int]) -> None:
    """Register two versions of two models and keep a scoring by each; the second one serves."""
    tracking, now, card = Tracking(home), datetime.now(UTC), home.parent / "card"
    card.mkdir()
    (card / "model.json").write_text("{}")
    for name, n in {"cross_sell": 1, "churn": 2}.items():
        for version in range(1, n + 1):
            with tracking.run(name, {}) as run:
                run.files(card, "model")
            tracking.register(name, run.run_id)
            tracking.promote(name, version, now=now, reason="measured")
    made = make_snapshot(*size, 100)
    for version in ("1", "2"):
        stamp = f"20260301T0000-000{version}"
        make_home(home, replace(made, stamp=stamp, models={"cross_sell": "1", "churn": version}))


@contextmanager
def served(home: Path) -> Iterator[int]:
    """Serve a home; give the port."""
    port, env = free_port(), {**os.environ, "RECOMPRA_HOME": str(home)}
    with (home / "said.log").open("wb") as said:
        line = [*RECOMPRA, "serve", "--port", str(port), "--workers", "2"]
        process = subprocess.Popen(line, env=env, stdout=said, stderr=said)
    try:
        wait_for(f"http://127.0.0.1:{port}/readyz", ready=True)
        yield port
    finally:
        process.terminate()
        process.wait(40)


def version(port: int, key: str) -> str:
    """Return which churn answers."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
    body = request("/", {"customer_id": "c000001"}).split(b"\r\n\r\n", 1)[1]
    asked = urllib.request.Request(f"http://127.0.0.1:{port}/recommend", body, headers)
    with urllib.request.urlopen(asked, timeout=5) as found:
        return str(json.load(found)["models"]["churn"])


def until(port: int, key: str, wanted: str) -> float:
    """Wait until all answers are of a version; return when the first of them came (monotonic seconds)."""
    end, first, n = time.monotonic() + 300, 0.0, 0
    while time.monotonic() < end:
        n = n + 1 if version(port, key) == wanted else 0
        first = time.monotonic() if n == 1 else first
        if n == SURE:
            return first
        time.sleep(0.02)
    raise TimeoutError(f"churn v{wanted} does not answer")


def main(arguments: list[str]) -> None:
    """Measure one rollback."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=2_500)
    parser.add_argument("--products", type=int, default=27_000)
    parser.add_argument("--home", type=Path)
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        home = asked.home or Path(folder) / "home"
        if asked.home is None:
            made_up(home, (asked.customers, asked.products))
        store = Store.open(home)
        key = keys.create(store, ["storefront"], now=datetime.now(UTC))
        store.close()
        with served(home) as port:
            before, start = version(port, key), time.monotonic()
            command = [*RECOMPRA, "models", "rollback", "churn", "--reason", "measured"]
            subprocess.run(command, env={**os.environ, "RECOMPRA_HOME": str(home)}, check=True)
            told = time.monotonic() - start
            taken = until(port, key, str(int(before) - 1)) - start
    print(f"the command took {told:.1f} s; after {taken:.1f} s all answers carried it (bar: {BAR_SECONDS} s)")


if __name__ == "__main__":
    main(sys.argv[1:])
