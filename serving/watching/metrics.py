"""Metrics of a worker. Labels are our own paths, statuses and list names, never what a client sent."""

import os
from bisect import bisect_left
from collections import Counter as Counts
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from serving.state import refusal, registry_trouble
from serving.worker import Worker

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
BUCKETS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)


HISTOGRAMS = {
    "recompra_request_seconds": ("Time to answer.", ["path"]),
    "recompra_list_seconds": ("Time to make a list.", ["list"]),
}
COUNTERS = {
    "recompra_requests_total": ("Requests, by path and status.", ["path", "status"]),
    "recompra_lists_total": ("Lists answered, by how.", ["list", "answered_from"]),
    "recompra_offers_total": ("Next best offers, by action chosen.", ["name"]),
    "recompra_offer_refusals_total": ("Next best offers for which a rule refused something.", ["rule"]),
}
GAUGES = {
    "recompra_scoring_as_of_seconds": "The moment the scoring in service stands at (Unix).",
    "recompra_scoring_swaps": "New scorings taken into service by a worker since it started.",
    "recompra_scoring_refusals": "New scorings refused by a worker since it started.",
    "recompra_scoring_refused": "1 while a newer scoring, or the making of one, is refused.",
    "recompra_store_down": "1 while the online store cannot be read, or written.",
    "recompra_registry_down": "1 while the watcher cannot read the model registry.",
}


class Metrics:
    """The metrics of a worker; ``text`` sums those of all if ``PROMETHEUS_MULTIPROC_DIR`` is set."""

    def __init__(self) -> None:
        self.registry = here = CollectorRegistry()
        self._seconds, self._list_seconds = (
            Histogram(name, text, labels, buckets=BUCKETS, registry=here)
            for name, (text, labels) in HISTOGRAMS.items()
        )
        self._requests, self._lists, self._offers, self._rules = (
            Counter(name, text, labels, registry=here) for name, (text, labels) in COUNTERS.items()
        )
        self._versions = Gauge(
            "recompra_model_version",
            "The version of each model behind the answers.",
            ["model"],
            registry=here,
            multiprocess_mode="livemostrecent",
        )
        self._gauges = {
            name: Gauge(name, text, registry=here, multiprocess_mode="livemax")
            for name, text in GAUGES.items()
        }
        self._took: defaultdict[tuple[str, int], list[float]] = defaultdict(list)
        self._answered: defaultdict[tuple[str, str], list[float]] = defaultdict(list)

    def request(self, path: str, status: int, *, seconds: float) -> None:
        """Count and time one request."""
        self._took[path, status].append(seconds)

    def list_answered(self, list_name: str, answered_from: str, *, seconds: float) -> None:
        """Count and time one list."""
        self._answered[list_name, answered_from].append(seconds)

    def flush(self) -> None:
        """Write what was counted since the last time for Prometheus: too slow to do for each request."""
        took, self._took = self._took, defaultdict(list)
        answered, self._answered = self._answered, defaultdict(list)
        for (path, status), seconds in took.items():
            self._requests.labels(path, str(status)).inc(len(seconds))
            _observe(self._seconds.labels(path), seconds)
        for labels, seconds in answered.items():
            self._lists.labels(*labels).inc(len(seconds))
            _observe(self._list_seconds.labels(labels[0]), seconds)

    def record_worker(self, worker: Worker) -> None:
        """Record a worker's status, and what it offered."""
        values: Mapping[str, float] = {
            "recompra_scoring_swaps": worker.n_swaps,
            "recompra_scoring_refusals": worker.n_refusals,
            "recompra_scoring_refused": bool(worker.refused or refusal(worker.home)),
            "recompra_store_down": bool(worker.view and worker.view.trouble),
            "recompra_registry_down": bool(registry_trouble(worker.home)),
            "recompra_scoring_as_of_seconds": worker.state.snapshot.as_of.timestamp() if worker.state else 0,
        }
        for name, value in values.items():
            self._gauges[name].set(value)
        for name, version in worker.state.snapshot.models.items() if worker.state else ():
            self._versions.labels(name).set(float(version))
        offered, worker.offered = worker.offered, Counts()
        for (what, name), n in offered.items():
            (self._rules if what == "rule" else self._offers).labels(name).inc(n)

    def text(self) -> bytes:
        """Return the exposition Prometheus reads."""
        self.flush()
        if (folder := os.environ.get("PROMETHEUS_MULTIPROC_DIR")) is None:
            return generate_latest(self.registry)
        _forget_the_dead(Path(folder))
        together = CollectorRegistry()
        MultiProcessCollector(together)  # type: ignore[no-untyped-call]
        return generate_latest(together)


def _forget_the_dead(folder: Path) -> None:
    """Drop the status of killed workers, which would otherwise be reported forever."""
    for pid in {int(file.stem.rsplit("_", 1)[1]) for file in folder.glob("gauge_live*.db")}:
        try:
            os.kill(pid, 0)
        except ProcessLookupError:
            mark_process_dead(pid, str(folder))  # type: ignore[no-untyped-call]


def _observe(histogram: Any, seconds: Sequence[float]) -> None:
    """Do ``observe`` for several values at once: its counters are files, and each write is slow.

    prometheus_client has no public way to do this; a property test holds it equal to ``observe``.
    """
    for bucket, n in Counts(bisect_left(BUCKETS, took) for took in seconds).items():
        histogram._buckets[bucket].inc(n)
    histogram._sum.inc(sum(seconds))
