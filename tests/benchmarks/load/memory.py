"""What workers hold, how soon one is ready, and what it imported."""

import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil
from load.client import closed
from load.server import Server, running, wait_for
from load.world import Body

LISTS = ("for_you", "buy_again", "new_for_you")
TOUCH_SECONDS = 8.0
"""So long each list is asked for before memory is looked at: files count once they were read."""
HEAVY = ("mlflow", "lightgbm", "implicit", "sklearn", "pandas", "scipy.sparse", "duckdb", "ibis")


@dataclass(frozen=True)
class Held:
    """Proportional set sizes in MB, and seconds until the service answered and until its last worker did."""

    workers: float
    service: float
    seconds: float
    worker_seconds: float


def held(home: Path, bodies: Sequence[Body], n_workers: int) -> Held:
    """Start a service, ask it for every kind of list with every detail, and look at its memory."""
    kinds = [{"list": name, "details": True} for name in LISTS]
    asked = [body | kinds[turn % len(kinds)] for turn, body in enumerate(bodies)]
    server = Server.of_home("memory", home, asked, workers=n_workers)
    start = time.time()
    with running(server) as process:
        first = time.time()
        family = psutil.Process(process.pid).children(recursive=True)
        workers = [one for one in family if "_bentoml_impl.worker.service" in " ".join(one.cmdline())]
        assert len(workers) == n_workers, workers
        born = min(worker.create_time() for worker in workers)
        closed(server.port, server.requests, TOUCH_SECONDS)
        whole = sum(pss(one.pid) for one in (psutil.Process(process.pid), *family) if one.is_running())
        return Held(sum(pss(one.pid) for one in workers), whole, first - start, first - born)


def pss(pid: int) -> float:
    """Return a process's share of the memory it maps, in MB."""
    text = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="utf-8")
    line = next(line for line in text.splitlines() if line.startswith("Pss:"))
    return int(line.split()[1]) / 1024


def replaced(home: Path) -> float:
    """Kill the only worker of a service; return the seconds until another one answers."""
    server = Server.of_home("killed", home, [], workers=1)
    with running(server) as process:
        family = psutil.Process(process.pid).children(recursive=True)
        worker = next(one for one in family if "_bentoml_impl.worker.service" in " ".join(one.cmdline()))
        worker.kill()
        start = time.monotonic()
        worker.wait(5)
        wait_for(f"http://127.0.0.1:{server.port}/readyz", ready=True)
        return time.monotonic() - start


def imported(home: Path) -> list[str]:
    """Return which heavy libraries a worker imported after it had answered."""
    code = f"""
import sys
from pathlib import Path
from serving import api
from serving.storefront import answers
from serving.service import WORKER
WORKER.open(Path({str(home)!r}))
name = WORKER.serving().snapshot.customers.names([0])[0]
goods = WORKER.serving().snapshot.catalogue.products.names([0])
for cart in ([], goods):
    answers.recommend(WORKER.serving(), api.RecommendRequest(customer_id=name, cart=cart, details=True))
print(*[name for name in {HEAVY!r} if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return done.stdout.split()


def megabytes(folder: Path) -> float:
    """Return the size of a folder's files."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 1e6
