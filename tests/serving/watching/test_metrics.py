import asyncio
import os
import subprocess
from functools import partial
from pathlib import Path
from time import perf_counter

import httpx
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest
from prometheus_client.values import MultiProcessValue
from worlds.snapshot import NOW
from worlds.visits import visitor

from serving.api import OfferRequest
from serving.entrance import access
from serving.storefront.offers import next_best_offer
from serving.watching.metrics import BUCKETS, Metrics


@given(st.lists(st.floats(0, 5), max_size=20))
@example([*BUCKETS, 0.0, 99.0])
def test_what_is_flushed_is_what_prometheus_would_have_observed(seconds: list[float]) -> None:
    metrics, registry = Metrics(), CollectorRegistry()
    plain = Histogram(
        "recompra_request_seconds", "Time to answer.", ["path"], buckets=BUCKETS, registry=registry
    )
    for took in seconds:
        metrics.request("/recommend", 200, seconds=took)
        plain.labels("/recommend").observe(took)
    told, expected = figures(metrics.text()), figures(generate_latest(registry))
    assert {name: told[name] for name in expected} == pytest.approx(expected)
    assert told.get('recompra_requests_total{path="/recommend",status="200"}', 0) == len(seconds)


def figures(text: bytes) -> dict[str, float]:
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    found = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}
    return {name: value for name, value in found.items() if "_created" not in name}


def test_a_killed_worker_troubles_nobody_any_more_and_what_it_counted_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(tmp_path))
    with subprocess.Popen(["true"]) as killed:
        killed.wait()
    for pid in (os.getpid(), killed.pid):
        kept = MultiProcessValue(partial(int, pid))  # type: ignore[no-untyped-call]
        kept("gauge", "down", "down", [], [], "", "livemax").set(float(pid == killed.pid))
        kept("counter", "asked", "asked_total", [], [], "").inc(2)
    assert figures(Metrics().text()) == {"down": 0.0, "asked_total": 4.0}


def test_what_is_counted_is_written_time_and_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(access, "FLUSH_SECONDS", 0.0)
    client, worker = visitor(tmp_path)
    asked = {"path": "/livez", "status": "200"}

    async def twice() -> list[float | None]:
        found, transport = [], httpx.ASGITransport(client.app)
        async with httpx.AsyncClient(transport=transport, base_url="http://shop") as shopper:
            for _ in range(2):
                await shopper.get("/livez")
                await asyncio.sleep(0.01)
                found.append(client.app.metrics.registry.get_sample_value("recompra_requests_total", asked))
        return found

    assert asyncio.run(twice()) == [1.0, 2.0]
    assert client.app.metrics.registry.get_sample_value("recompra_model_version", {"model": "churn"}) == 1
    worker.close()


def test_the_time_of_a_request_and_of_its_list_is_what_they_took(tmp_path: Path) -> None:
    client, worker = visitor(tmp_path)
    begun = perf_counter()
    client.ask("/recommend", {"customer_id": "c000001"})
    took = perf_counter() - begun
    told = figures(client.get("/metrics").content)
    worker.close()
    of_list = told['recompra_list_seconds_sum{list="for_you"}']
    assert 0 < of_list < told['recompra_request_seconds_sum{path="/recommend"}'] < took


def test_nothing_is_counted_twice() -> None:
    metrics = Metrics()
    metrics.list_answered("for_you", "ready", seconds=0.001)
    once = figures(metrics.text())
    assert once == figures(metrics.text())
    assert once['recompra_lists_total{answered_from="ready",list="for_you"}'] == 1
    assert once['recompra_list_seconds_count{list="for_you"}'] == 1


def test_versions_offers_and_what_rules_refused_are_shown(tmp_path: Path) -> None:
    client, worker = visitor(tmp_path)
    offer = next_best_offer(worker.serving(), OfferRequest(customer_id="c000001"), now=NOW)
    offer.ruled_out = [{"rule": "stock"}, {"rule": "stock"}, {"rule": "consent"}]
    worker.count_offer(offer)
    for _ in range(2):
        told = figures(client.get("/metrics").content)
    worker.close()
    assert told['recompra_model_version{model="churn"}'] == 1
    assert told[f'recompra_offers_total{{name="{offer.name}"}}'] == 1
    assert told['recompra_offer_refusals_total{rule="stock"}'] == 1
    assert told['recompra_offer_refusals_total{rule="consent"}'] == 1


def test_champions_that_the_watcher_refused_are_seen(tmp_path: Path) -> None:
    client, worker = visitor(tmp_path)
    before = figures(client.get("/metrics").content)
    (tmp_path / "refused.json").write_text('{"models": {}, "reason": "no model.json"}')
    after = figures(client.get("/metrics").content)
    worker.close()
    assert [told["recompra_scoring_refused"] for told in (before, after)] == [0, 1]
