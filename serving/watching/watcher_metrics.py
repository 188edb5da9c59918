"""Metrics of the watcher, read from ``watcher.json`` when Prometheus asks."""

from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.metrics_core import (
    CounterMetricFamily,
    GaugeMetricFamily,
    HistogramMetricFamily,
    Metric,
)
from prometheus_client.registry import Collector

from serving.watching.watcher_status import BOUNDS, Durations, WatcherStatus


def watcher_metrics(home: Path, now: datetime) -> bytes:
    """Return the watcher's metrics in Prometheus' format: of no worker, so never summed over workers."""
    registry = CollectorRegistry()
    registry.register(_WatcherMetrics(WatcherStatus.read(home), now))
    return generate_latest(registry)


class _WatcherMetrics(Collector):
    def __init__(self, status: WatcherStatus | None, now: datetime) -> None:
        self.status, self.now = status, now

    def collect(self) -> Iterator[Metric]:
        """Yield the metrics; without a watcher only that it is down."""
        status = self.status
        down = status is None or bool(status.down(self.now))
        yield GaugeMetricFamily("recompra_refresh_down", "1 while no customer is refreshed.", float(down))
        if status is None:
            return
        yield GaugeMetricFamily(
            "recompra_event_lag_seconds",
            "How long the order or return that waits longest is not in its customer's scores.",
            status.lag_seconds(self.now),
        )
        yield GaugeMetricFamily("recompra_refresh_waiting", "Customers waiting.", status.waiting)
        yield CounterMetricFamily("recompra_refreshed", "Customers refreshed.", status.refreshed)
        yield CounterMetricFamily(
            "recompra_refresh_skipped", "Customers whose refresh failed, see the log.", status.skipped
        )
        yield _histogram("recompra_refresh_seconds", "Time to refresh some customers.", status.batch)
        yield _histogram(
            "recompra_event_to_score_seconds", "From an event to the scores that hold it.", status.lag
        )
        drift = GaugeMetricFamily(
            "recompra_feature_psi",
            "Drift of a served feature from training (PSI, less what is usual): from .25 on one to act on.",
            labels=["feature"],
        )
        for name, value in status.psi.items():
            drift.add_metric([name], value)
        yield drift


def _histogram(name: str, text: str, seconds: Durations) -> HistogramMetricFamily:
    bounds = [*(str(bound) for bound in BOUNDS), "+Inf"]
    sums = [float(sum(seconds.counts[: at + 1])) for at in range(len(bounds))]
    return HistogramMetricFamily(
        name, text, buckets=list(zip(bounds, sums, strict=True)), sum_value=seconds.total
    )
