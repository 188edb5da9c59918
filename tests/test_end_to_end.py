"""The whole way on a small generated shop: ingest, train, score, serve in a real process, ask over HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from worlds.contract import closed
from worlds.orders import ODD, contacts, order_lines, products
from worlds.ports import free_port

from models.kinds import EffectModel
from models.registry import MODELS, model_class
from serving.api_crm_rows import ScoresRow
from serving.api_rows import HORIZON

READY_SECONDS = 60.0
REFRESH_SECONDS = 1.5
"""Within so long an order is in the scores; 1 second is promised, the rest is a busy machine's."""
SAID, SCORED = "said.log", "scored.log"
CONTRACT = closed()
RECOMPRA = (sys.executable, "-c", "import recompra; recompra.main()")


@dataclass(frozen=True)
class Service:
    """A running service, its process, and a client with a key to everything."""

    process: subprocess.Popen[bytes]
    client: httpx.Client

    def ask(self, path: str, **body: Any) -> dict[str, Any]:
        answer = self.client.post(path, json=body)
        assert answer.status_code == 200, answer.text
        CONTRACT[path]["POST"].validate_response(answer)
        found: dict[str, Any] = answer.json()
        return found

    def after_the_scoring(self) -> str:
        """Return a moment that the scoring is not too old for: this shop's orders end long before today."""
        as_of = datetime.fromisoformat(self.client.get("/readyz").json()["as_of"])
        return (as_of + timedelta(hours=1)).isoformat()

    def listed(self, **body: Any) -> list[str]:
        return [product["product_id"] for product in self.ask("/recommend", **body)["products"]]


def environment(home: Path) -> dict[str, str]:
    """Return where everything is; one thread, for trees of a small shop only spin with more."""
    return {**os.environ, "RECOMPRA_HOME": str(home), "RECOMPRA_THREADS": "1"}


def run(home: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run one command of the CLI."""
    done = subprocess.run(
        [*RECOMPRA, *words], env=environment(home), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done


def command(home: Path, *words: str) -> str:
    """Run one command of the CLI; return what it printed."""
    return run(home, *words).stdout.strip()


def wait_until_ready(client: httpx.Client, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until and process.poll() is None:
        try:
            if client.get("/readyz").status_code == 200:
                return
        except httpx.TransportError:
            time.sleep(0.1)
    raise TimeoutError("the service did not become ready")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the home of a shop that went the whole way, up to the scoring."""
    folder = tmp_path_factory.mktemp("shop") / ODD
    source, home = folder / "source", folder / "home"
    source.mkdir(parents=True)
    lines = order_lines(60)
    (source / "recompra.toml").write_text('currency = "EUR"\nhorizon_days = 28\ntimezone = "Europe/Lisbon"\n')
    for name, table in {"order_lines": lines, "products": products(), "contacts": contacts(lines)}.items():
        table.to_parquet(source / f"{name}.parquet")
    command(home, "ingest", str(source))
    command(home, "train")
    (home / SCORED).write_text(run(home, "score").stderr)
    return home


@pytest.fixture(scope="module")
def service(home: Path) -> Iterator[Service]:
    key, port = command(home, "keys", "create", "--scope", "admin"), free_port()
    line = [*RECOMPRA, "serve", "--port", str(port), "--workers", "2"]
    with (home / SAID).open("wb") as said:
        process = subprocess.Popen(line, env=environment(home), stdout=said, stderr=said)
    headers = {"Authorization": f"Bearer {key}"}
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, timeout=10) as client:
        wait_until_ready(client, process)
        yield Service(process, client)
        process.send_signal(signal.SIGTERM)
        assert process.wait(20) == 0


def test_a_known_customer_is_answered_from_what_was_learnt(service: Service) -> None:
    answer = service.ask("/recommend", customer_id="c03", k=5, details=True)
    assert answer["answered_from"] == "ready"
    assert len(answer["products"]) == 5
    assert {"cross_sell", "churn", "ltv"} <= set(answer["models"])
    assert answer["products"][0]["name"].startswith("Product")


def test_an_order_changes_the_list_at_once_in_every_worker(service: Service) -> None:
    first = service.listed(customer_id="c05", list="new_for_you")[0]
    order = {"event_id": "o1", "kind": "order", "customer_id": "c05", "product_id": first}
    order["occurred_at"] = service.after_the_scoring()
    assert service.ask("/events", events=[order])["accepted"] == 1
    assert service.ask("/events", events=[order])["duplicates"] == 1
    answers = [service.ask("/recommend", customer_id="c05", list="new_for_you") for _ in range(10)]
    assert {answer["answered_from"] for answer in answers} == {"live"}
    assert first not in {product["product_id"] for answer in answers for product in answer["products"]}
    assert first in service.listed(customer_id="c05", list="buy_again", k=12)


def test_an_order_is_in_the_customers_features_and_scores_within_a_second_or_two(service: Service) -> None:
    before = wait_until_refreshed(service, "c11")
    order = {"event_id": "o3", "kind": "order", "customer_id": "c10", "product_id": "p01", "unit_price": 5.0}
    order["occurred_at"] = service.after_the_scoring()
    was = service.ask("/customer", customer_id="c10")
    service.ask("/events", events=[order])
    started, now = time.monotonic(), was
    while now["as_of"] == was["as_of"] and time.monotonic() - started < REFRESH_SECONDS:
        time.sleep(0.02)
        now = service.ask("/customer", customer_id="c10")
    print(f"refreshed after {time.monotonic() - started:.2f} s")
    assert now["features"]["n_orders"] == was["features"]["n_orders"] + 1
    assert now["scores"] != was["scores"]
    rows = {row["customer_id"]: row for row in service.ask("/scores", limit=100)["scores"]}
    assert rows["c10"] == {"customer_id": "c10", "as_of": now["as_of"]} | now["scores"]
    assert rows["c12"]["as_of"] == service.ask("/customer", customer_id="c12")["as_of"] < before["as_of"]


def test_lag_and_drift_are_metrics(service: Service) -> None:
    wait_until_refreshed(service, "c13")
    until, drift = time.monotonic() + READY_SECONDS, 'recompra_feature_psi{feature="n_orders"}'
    text = service.client.get("/metrics").text
    while drift not in text and time.monotonic() < until:  # looked at beside, and written now and then
        time.sleep(0.5)
        text = service.client.get("/metrics").text
    assert drift in text
    assert "recompra_refresh_down 0.0" in text
    assert "recompra_event_lag_seconds 0.0" in text


def test_an_order_of_today_in_a_shop_scored_years_ago_is_kept_and_said_not_to_be_in_the_scores(
    service: Service,
) -> None:
    was = service.ask("/customer", customer_id="c14")
    assert was["behind"] is None
    service.ask(
        "/events", events=[{"event_id": "o4", "kind": "order", "customer_id": "c14", "product_id": "p01"}]
    )
    now = service.ask("/customer", customer_id="c14")
    assert "too old" in now["behind"]
    assert len(now["events"]) == 1
    assert (now["as_of"], now["features"]) == (was["as_of"], was["features"])


def wait_until_refreshed(service: Service, customer_id: str) -> dict[str, Any]:
    """Let a first event pass, while the watcher may still be importing what it needs."""
    order = {"kind": "order", "customer_id": customer_id, "product_id": "p01"}
    order |= {"event_id": f"first of {customer_id}", "occurred_at": service.after_the_scoring()}
    was = service.ask("/customer", customer_id=customer_id)
    service.ask("/events", events=[order])
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        now = service.ask("/customer", customer_id=customer_id)
        if now["as_of"] != was["as_of"]:
            return now
        time.sleep(0.1)
    raise TimeoutError("the watcher did not refresh anybody")


def test_a_cart_steers_the_answer(service: Service) -> None:
    answer = service.ask("/recommend", customer_id="c07", cart=["p01"], list="bought_together", k=3)
    assert answer["answered_from"] == "live"
    assert "p01" not in [product["product_id"] for product in answer["products"]]


def test_a_stranger_gets_what_sells_and_is_told_so(service: Service) -> None:
    answer = service.ask("/recommend", customer_id="nobody")
    assert answer["fallback"]
    assert answer["products"]


def test_a_crm_reads_profile_scores_targets_and_plan(service: Service) -> None:
    profile = service.ask("/customer", customer_id="c03")
    assert 0 <= profile["scores"]["churn_probability_28d"] <= 1
    page = service.ask("/scores", limit=100)
    assert len(page["scores"]) == page["n_customers"] == 60
    assert {name.replace(HORIZON, "_28d") for name in ScoresRow.__annotations__} <= {*page["scores"][0]}
    targets = service.ask("/retention_targets", budget=1)
    assert targets["spent"] <= 1
    assert service.ask("/contact_plan", customer_ids=["c03", "c04"])["effect"] == "assumed"
    assert service.ask("/next_best_offer", customer_id="c03")["reason"]


def test_a_head_answers_what_a_get_would_and_the_connection_goes_on(service: Service) -> None:
    for path in ("/readyz", "/openapi.json", "/scores", "/scores?format=csv", "/scores?limit=0"):
        head, got = service.client.head(path), service.client.get(path)
        assert (head.status_code, head.content) == (got.status_code, b"")
        assert got.content
        for name in ("content-type", "content-length", "etag"):
            assert head.headers.get(name) == got.headers.get(name), (path, name)


def test_a_plan_is_written_for_everyone(home: Path, service: Service) -> None:
    file = home / "plan.csv"
    assert "contacts to" in command(home, "plan", "--days", "14", "--out", str(file))
    assert file.read_text().startswith("on,at,until,customer_id,action,channel")
    answer = service.client.post("/contact_plan", json={"format": "csv", "limit": 5})
    assert answer.headers["content-type"].startswith("text/csv")


def test_nobody_comes_in_without_a_key(service: Service) -> None:
    answer = service.client.post("/scores", json={}, headers={"Authorization": ""})
    assert answer.status_code == 401


def test_every_first_version_serves_and_readiness_says_so(service: Service) -> None:
    ready = service.client.get("/readyz", headers={"Authorization": ""}).json()
    models = service.ask("/recommend", customer_id="c03")["models"]
    # no propensity, no effect
    learnt = [name for name in MODELS if not issubclass(model_class(name), EffectModel)]
    assert models == ready["models"] == dict.fromkeys(learnt, "1")
    assert ready["refused"] is None


def test_all_that_scoring_service_workers_and_watcher_say_is_json(home: Path, service: Service) -> None:
    refused = service.client.post("/recommend", json={"k": -1}).json()["request_id"]
    for _ in range(50):  # a line is written after its answer
        if refused in (said := (home / SAID).read_text()):
            break
        time.sleep(0.1)
    lines = [json.loads(line) for line in ((home / SCORED).read_text() + said).splitlines()]
    loggers = {"recompra.score", "bentoml.serve", "recompra.serving", "recompra.access"}
    assert loggers <= {line["logger"] for line in lines}
    assert refused in {line.get("request_id") for line in lines}
