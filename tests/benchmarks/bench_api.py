"""The service as its clients meet it: one query of everybody, and every check of its contract.

``python tests/benchmarks/bench_api.py`` pulls a million customers in CSV and NDJSON, plain and packed, and
prints rate and memory of the worker. ``--examples N [--seed S]`` instead lets schemathesis ask the running
service N generated requests over its OpenAPI document, all checks on, and exits with 1 where one fails; what
follows goes to ``schemathesis run``.
"""

import argparse
import re
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path

import httpx
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent))
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from load.server import Server, running
from worlds.contract import settings
from worlds.snapshot import AS_OF, make_home, make_snapshot, with_known

from serving.entrance import keys
from serving.entrance.openapi import build
from serving.scoring.columns import Columns
from serving.scoring.snapshot import Snapshot
from serving.store import Store

CUSTOMERS = 1_000_000
MB = 1024
LOOK_SECONDS = 0.05


def everybody(n: int) -> Snapshot:
    """Make a scoring of ``n`` customers with as many columns as a real one has."""
    rng, small = np.random.default_rng(0), make_snapshot(n, 4, 2)
    columns = {f"churn_probability_{days}d": rng.random(n) for days in (28, 30, 60, 90, 180)}
    names = ("expected_orders_28d", "expected_revenue_28d", "expected_margin_28d", "expected_revenue_28d_p90")
    columns |= {name: rng.gamma(2, 20, n) for name in names}
    days = pd.Timestamp(AS_OF) + pd.to_timedelta(rng.integers(0, 90, n), "D")
    words = {
        name: pd.Categorical.from_codes(rng.integers(0, 4, n), list("abcd"))
        for name in ("segment", "persona")
    }
    frame = pd.DataFrame(columns | {"next_order_at": days} | words)
    return replace(small, scores=Columns.of(frame))


def key_of(home: Path) -> str:
    """Make a key that opens everything."""
    store = Store.open(home)
    made = keys.create(store, ["admin"], now=datetime.now(UTC))
    store.close()
    return made


def children(pid: int) -> list[int]:
    """Return a process and all below it."""
    parents = {}
    for place in Path("/proc").glob("[0-9]*/stat"):
        try:
            after = place.read_text().rsplit(")", 1)[1].split()
        except OSError:
            continue
        parents[int(place.parent.name)] = int(after[1])
    found = [pid]
    for one in found:
        found += [child for child, parent in parents.items() if parent == one]
    return found


def memory(pids: Sequence[int]) -> tuple[float, float]:
    """Return PSS, and what of it is the processes' own (not mapped files), in MB."""
    whole = own = 0
    for pid in pids:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        whole += int(re.search(r"^Pss: +(\d+)", text, re.M).group(1))  # type: ignore[union-attr]
        own += int(re.search(r"^Pss_Anon: +(\d+)", text, re.M).group(1))  # type: ignore[union-attr]
    return whole / MB, own / MB


@dataclass
class Peak:
    """The most memory some processes had while something went on."""

    whole: float = 0.0
    own: float = 0.0


@contextmanager
def watched(pids: Sequence[int]) -> Iterator[Peak]:
    """Give the growth of memory over what it was, kept up to date from a thread."""
    peak, done, (whole, own) = Peak(), threading.Event(), memory(pids)

    def look() -> None:
        while not done.wait(LOOK_SECONDS):
            now = memory(pids)
            peak.whole, peak.own = max(peak.whole, now[0] - whole), max(peak.own, now[1] - own)

    thread = threading.Thread(target=look)
    thread.start()
    try:
        yield peak
    finally:
        done.set()
        thread.join()


def query(port: int, key: str, kind: str, encoding: str) -> tuple[int, int, float]:
    """ScoresQuery everybody; return rows, bytes on the wire and seconds."""
    headers = {"authorization": f"Bearer {key}", "accept-encoding": encoding}
    started, rows = time.perf_counter(), 0
    body = {"limit": None, "format": kind}
    with httpx.stream(
        "POST", f"http://127.0.0.1:{port}/scores", json=body, headers=headers, timeout=120
    ) as answer:
        answer.raise_for_status()
        for part in answer.iter_bytes():
            rows += part.count(b"\n")
        size = answer.num_bytes_downloaded
    return rows - (kind == "csv"), size, time.perf_counter() - started


def pulls(home: Path, n: int) -> Table:
    """ScoresQuery a million rows in each way, from one worker."""
    make_home(home, everybody(n))
    table = Table("query", "rows", "MB sent", "seconds", "rows/s", "PSS grew by MB", "of it its own")
    key = key_of(home)
    server = Server.of_home("scores", home, [], workers=1)
    with running(server) as process:
        pids = children(process.pid)
        for kind in ("csv", "ndjson"):
            for encoding in ("identity", "gzip"):
                with watched(pids) as peak:
                    rows, size, seconds = query(server.port, key, kind, encoding)
                assert rows == n, rows
                cells = f"{rows:,}", f"{size / 1e6:.0f}", f"{seconds:.1f}", f"{rows / seconds:,.0f}"
                table.add_row(f"{kind}, {encoding}", *cells, f"{peak.whole:.0f}", f"{peak.own:.0f}")
    return table


def contract(home: Path, n: int, seed: int, more: Sequence[str]) -> int:
    """Ask a running service ``n`` requests, about, made from its own document; return the exit code."""
    make_home(home, with_known(make_snapshot()))
    key, server = key_of(home), Server.of_home("contract", home, [])
    with running(server):
        command = [
            sys.executable,
            "-m",
            "schemathesis.cli",
            "--config-file",
            str(settings(home.parent)),
            "run",
        ]
        command += [f"http://127.0.0.1:{server.port}/openapi.json", "-H", f"Authorization: Bearer {key}"]
        command += [
            "-c",
            "all",
            "--continue-on-failure",
            "--suppress-health-check",
            "all",
            "--seed",
            str(seed),
        ]
        command += ["-n", str(max(n // len(build()["paths"]), 1)), "--warnings", "off", *more]
        return subprocess.run(command, check=False).returncode


def main(arguments: Sequence[str]) -> int:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=CUSTOMERS)
    parser.add_argument("--examples", type=int, help="check the contract with so many requests instead")
    parser.add_argument("--seed", type=int, default=0)
    asked, more = parser.parse_known_args(arguments)
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        home = Path(folder) / "home"
        if asked.examples:
            return contract(home, asked.examples, asked.seed, more)
        Console().print(pulls(home, asked.customers))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
