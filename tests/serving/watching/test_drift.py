"""How far served features are from training, and how the watcher fares, as Prometheus sees it."""

import logging
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.snapshot import NOW, make_home, make_snapshot

from features.sketch import Sketch
from serving.scoring.columns import Columns
from serving.watching import drift
from serving.watching.watcher_metrics import watcher_metrics
from serving.watching.watcher_status import SILENT_SECONDS, Durations, WatcherStatus

STAMP = "20260301T0000-0001"
N = 400


def scored(home: Path, then: "np.ndarray", now: "np.ndarray") -> Path:
    """Put a scoring in a home whose churn model was trained on customers with ``then`` orders."""
    made = replace(make_snapshot(N), features=Columns.of(pd.DataFrame({"n_orders": now})))
    make_home(home, made)
    model = home / "models" / "churn" / "1"
    model.mkdir(parents=True)
    Sketch.of(pd.DataFrame({"n_orders": then})).save(model)
    drift.keep(home / "lists" / STAMP, home, versions=made.models, cutoff=NOW)
    return home / "lists" / STAMP


def orders(mean: float, seed: int) -> "np.ndarray":
    return np.random.default_rng(seed).poisson(mean, N).astype(float)


def test_customers_like_those_of_training_have_not_drifted(tmp_path: Path) -> None:
    assert drift.served(scored(tmp_path, orders(5, 1), orders(5, 2)), {})["n_orders"] < 0.1


def test_other_customers_have_and_the_log_names_the_feature(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = scored(tmp_path, orders(5, 1), orders(9, 2))
    assert drift.served(folder, {})["n_orders"] > 0.25
    assert "n_orders" in caplog.text


def test_who_was_refreshed_counts_as_they_are_now(tmp_path: Path) -> None:
    now = orders(5, 2)
    folder = scored(tmp_path, orders(5, 1), now)
    some = [f"c{number:06d}" for number in range(200)]
    same = {name: {"n_orders": value} for name, value in zip(some, now.tolist(), strict=False)}
    assert drift.served(folder, same) == drift.served(folder, {})
    more = {name: {"n_orders": 30.0} for name in [*some, "somebody new"]}
    assert drift.served(folder, more)["n_orders"] > 0.25


def test_models_that_kept_no_sketch_tell_no_drift(tmp_path: Path) -> None:
    made = make_home(tmp_path)
    drift.keep(tmp_path / "lists" / made.stamp, tmp_path, versions=made.models, cutoff=NOW)
    assert drift.served(tmp_path / "lists" / made.stamp, {}) == {}


def test_a_feature_is_told_once_while_it_stays_away(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        reported = drift.log_new({"a": 0.5, "b": 0.1}, set())
        drift.log_new({"a": 0.6, "b": 0.1}, reported)
    assert len(caplog.records) == 1


def test_lag_durations_and_drift_are_metrics(tmp_path: Path) -> None:
    status = WatcherStatus(waiting=3, oldest=(NOW - timedelta(seconds=7)).isoformat(), psi={"n_orders": 0.3})
    status.lag.add(0.3)
    status.lag.add(0.3)
    status.write(tmp_path, NOW)
    text = watcher_metrics(tmp_path, NOW + timedelta(seconds=1)).decode()
    assert "recompra_event_lag_seconds 8.0" in text
    assert 'recompra_event_to_score_seconds_bucket{le="0.25"} 0.0' in text
    assert 'recompra_event_to_score_seconds_bucket{le="0.5"} 2.0' in text
    assert "recompra_event_to_score_seconds_count 2.0" in text
    assert 'recompra_feature_psi{feature="n_orders"} 0.3' in text
    assert "recompra_refresh_down 0.0" in text


def test_a_watcher_that_is_silent_or_missing_is_down(tmp_path: Path) -> None:
    assert "recompra_refresh_down 1.0" in watcher_metrics(tmp_path, NOW).decode()
    WatcherStatus().write(tmp_path, NOW)
    for seconds in (SILENT_SECONDS + 1, -SILENT_SECONDS - 1):  # or its clock was set back
        late = NOW + timedelta(seconds=seconds)
        assert "recompra_refresh_down 1.0" in watcher_metrics(tmp_path, late).decode()


def test_a_clock_set_back_lowers_no_sum_of_durations() -> None:
    found = Durations()
    found.add(0.5)
    found.add(-3600.0)
    assert (found.total, sum(found.counts)) == (0.5, 2)
