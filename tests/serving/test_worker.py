import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from math import nan
from pathlib import Path
from time import thread_time
from typing import Any

import numpy as np
import pytest
from sqlalchemy.exc import OperationalError
from worlds.snapshot import AS_OF, NOW, FakeLive, make_home, make_snapshot, with_live

from features.errors import ArtefactError
from serving.api import RecommendRequest
from serving.online.view import View
from serving.state import POINTER, Pointer
from serving.store import Store
from serving.storefront.answers import recommend
from serving.watching.metrics import Metrics
from serving.watching.watcher_status import WatcherStatus
from serving.worker import Worker, canary

NEWER = "20260302T0000-0002"


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    make_home(tmp_path)
    opened = Worker()
    opened.open(tmp_path)
    yield opened
    opened.close()


def newer(home: Path, **more: object) -> None:
    make_home(home, replace(make_snapshot(seed=7, version="2"), stamp=NEWER, **more))  # type: ignore[arg-type]


def follow(worker: Worker) -> None:
    if worker.moved():
        worker.swap(worker.load())


def test_a_newer_scoring_serves_after_the_pointer_moved(worker: Worker, tmp_path: Path) -> None:
    request = RecommendRequest(customer_id="c000001")
    before = recommend(worker.serving(), request)
    assert not worker.moved()
    newer(tmp_path)
    follow(worker)
    after = recommend(worker.serving(), request)
    assert (before.models["cross_sell"], after.models["cross_sell"]) == ("1", "2")
    assert before.products != after.products
    assert worker.status()["scoring"] == NEWER


def test_a_broken_scoring_is_refused_and_the_old_one_serves_on(worker: Worker, tmp_path: Path) -> None:
    newer(tmp_path)
    victim = tmp_path / "lists" / NEWER / "buy_again.score.npy"
    os.truncate(victim, victim.stat().st_size - 1)
    follow(worker)
    status = worker.status()
    assert status["scoring"] == "20260301T0000-0001"
    assert status["ready"]
    assert "buy_again.score.npy" in str(status["refused"])
    assert not worker.moved()


def test_a_scoring_that_cannot_answer_is_refused(worker: Worker, tmp_path: Path) -> None:
    broken = replace(make_snapshot().catalogue, category=make_snapshot().catalogue.category[:-10])
    made = make_snapshot()
    newer(tmp_path, catalogue=replace(broken, stock=made.catalogue.stock[:-10]))
    follow(worker)
    assert "cannot answer its test requests" in worker.refused or "cannot be read" in worker.refused
    assert worker.serving().snapshot.stamp != NEWER


def test_a_pointer_to_nothing_is_refused_until_it_moves_again(worker: Worker, tmp_path: Path) -> None:
    Pointer("20260303T0000-0003", "2026-03-03T00:00:00+00:00", {}).move(tmp_path)
    follow(worker)
    assert "20260303T0000-0003" in worker.refused
    newer(tmp_path)
    follow(worker)
    assert (worker.refused, worker.n_swaps) == ("", 2)


def test_a_half_written_pointer_is_refused(worker: Worker, tmp_path: Path) -> None:
    (tmp_path / POINTER).write_text('{"lists": "2026')
    follow(worker)
    assert "cannot be read" in worker.refused
    assert worker.serving()


def test_stock_reports_outlive_a_swap(worker: Worker, tmp_path: Path) -> None:
    row = {"event_id": "s", "customer_id": None, "kind": "stock", "product_id": "p000003", "quantity": 0.0}
    worker.store.keep([row | {"unit_price": None, "occurred_at": NOW, "received_at": NOW}])
    worker.sync()
    assert not worker.serving().eligible[3]
    newer(tmp_path)
    follow(worker)
    assert not worker.serving().eligible[3]


@pytest.mark.parametrize(("told", "shown"), [(nan, False), (5.0, True)])
def test_a_stock_report_stands_until_a_scoring_knows_better(
    worker: Worker, tmp_path: Path, told: float, shown: bool
) -> None:
    row = {"event_id": "s", "customer_id": None, "kind": "stock", "product_id": "p000003", "quantity": 0.0}
    worker.store.keep([row | {"unit_price": None, "occurred_at": NOW, "received_at": NOW}])
    catalogue = make_snapshot().catalogue
    stock = np.full_like(catalogue.stock, told)
    newer(tmp_path, as_of=NOW + timedelta(days=1), catalogue=replace(catalogue, stock=stock))
    follow(worker)
    assert worker.serving().eligible[3] == shown


def test_a_worker_that_starts_beside_a_refused_scoring_serves_the_one_before(
    worker: Worker, tmp_path: Path
) -> None:
    newer(tmp_path)
    victim = tmp_path / "lists" / NEWER / "buy_again.score.npy"
    os.truncate(victim, victim.stat().st_size - 1)
    other = Worker()
    other.open(tmp_path)
    assert other.status()["scoring"] == "20260301T0000-0001"
    assert "buy_again.score.npy" in other.refused
    assert recommend(other.serving(), RecommendRequest(customer_id="c000001")).products
    other.close()


def test_a_scoring_refused_while_the_disk_was_away_serves_later(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.worker.REFUSED_SECONDS", 0.0)
    newer(tmp_path)
    (tmp_path / "lists").rename(tmp_path / "away")
    follow(worker)
    assert worker.refused
    assert worker.serving().snapshot.stamp != NEWER
    (tmp_path / "away").rename(tmp_path / "lists")
    follow(worker)
    assert (worker.refused, worker.serving().snapshot.stamp) == ("", NEWER)


def test_a_store_that_goes_while_a_scoring_is_loaded_leaves_the_old_one_its_keys(
    worker: Worker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(_: View) -> tuple[int, ...]:
        raise OperationalError("SELECT", {}, Exception("gone"))

    newer(tmp_path)
    with monkeypatch.context() as patch:
        patch.setattr(View, "_read_clock", away)
        follow(worker)
    assert worker.serving().snapshot.stamp != NEWER
    follow(worker)
    assert worker.serving().snapshot.stamp == NEWER


def test_no_request_waits_for_a_store_that_is_away_while_somebody_else_looks_after_it(
    worker: Worker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert worker.view is not None
    worker.followed, worker.view.down = True, "gone"
    monkeypatch.setattr(worker.view, "_read_clock", lambda: pytest.fail("a request waited"))
    worker.sync()
    monkeypatch.undo()
    worker.view._sure_until = 0.0
    worker.recheck_store()
    assert worker.status()["store"] == "ok"


def test_stock_reported_while_the_store_was_away_counts_from_the_next_request_on(
    worker: Worker,
) -> None:
    assert worker.view is not None and worker.state is not None
    product = worker.state.snapshot.catalogue.products.names([0])[0]
    report = {"event_id": "s1", "kind": "stock", "product_id": product, "quantity": 0.0}
    report |= {"customer_id": None, "unit_price": None, "occurred_at": NOW, "received_at": NOW}
    worker.store.keep([report])
    worker.followed, worker.view.down, worker.view._sure_until = True, "gone", 0.0
    worker.recheck_store()
    assert worker.state.eligible[0]
    worker.sync()
    assert not worker.state.eligible[0]


class Slow(FakeLive):
    """A ranker that takes its time."""

    def rank(self, *asked: Any, **options: Any) -> list[tuple[str, float, str]]:
        until = thread_time() + 0.002
        while thread_time() < until:
            pass
        return super().rank(*asked, **options)


class NoNumbers(FakeLive):
    """A ranker that knows no chances."""

    def rank(self, *asked: Any, **options: Any) -> list[tuple[str, float, str]]:
        return [(name, nan, source) for name, _, source in super().rank(*asked, **options)]


@pytest.mark.parametrize(("kind", "told"), [(Slow, "ms of a core"), (NoNumbers, "NaN or infinite chances")])
def test_a_scoring_that_answers_too_slowly_or_with_no_numbers_fails_its_canary(
    worker: Worker, monkeypatch: pytest.MonkeyPatch, kind: type[FakeLive], told: str
) -> None:
    monkeypatch.setattr("serving.worker.SLOWEST_MS", 1.0)
    snapshot = with_live(make_snapshot())
    assert isinstance(snapshot.live, FakeLive)
    state = replace(
        worker.serving(), snapshot=replace(snapshot, live=kind(snapshot.live.order, snapshot.live.known))
    )
    with pytest.raises(ArtefactError, match=told) as error:
        canary(state)
    assert snapshot.stamp in str(error.value)


def test_refusals_are_counted(worker: Worker, tmp_path: Path) -> None:
    metrics = Metrics()
    for stamp in ("20260303T0000-0003", "20260304T0000-0004"):
        Pointer(stamp, "2026-03-03T00:00:00+00:00", {}).move(tmp_path)
        follow(worker)
        assert stamp in str(worker.status()["refused"])
    metrics.record_worker(worker)
    assert b"recompra_scoring_refusals 2.0" in metrics.text()
    assert b"recompra_scoring_refused 1.0" in metrics.text()


def test_readiness_says_why_nobody_is_refreshed_and_stays_ready(worker: Worker, tmp_path: Path) -> None:
    assert worker.status()["refresh"] == "no watcher"
    WatcherStatus(trouble="churn v1 cannot be loaded").write(tmp_path, AS_OF)
    assert worker.status()["refresh"] == "churn v1 cannot be loaded"
    assert worker.status()["ready"]
    WatcherStatus().write(tmp_path, AS_OF)
    assert worker.status()["refresh"] == "ok"


def test_a_worker_that_starts_waits_for_a_store_that_is_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_home(tmp_path)
    monkeypatch.setattr("serving.worker.FOLLOW_SECONDS", 0.0)
    tries, there = iter([True, True]), Store.open

    def open_store(home: Path) -> Store:
        if next(tries, False):
            raise OperationalError("connect", {}, Exception("refused"))
        return there(home)

    monkeypatch.setattr(Store, "open", open_store)
    made = Worker()
    made.open_patiently(tmp_path)
    assert made.status()["ready"]
    made.close()
    monkeypatch.setattr("serving.worker.STORE_SECONDS", 0.0)
    tries = iter([True])
    with pytest.raises(OperationalError):
        Worker().open_patiently(tmp_path)
