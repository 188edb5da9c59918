import asyncio
import gzip
import json
import logging
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from sqlalchemy.exc import OperationalError
from worlds.snapshot import NOW, make_snapshot
from worlds.visits import Client, echo, make_keys, visitor

from serving.endpoints import ALL, BY_PATH
from serving.entrance import access, keys
from serving.entrance.access import AccessControl
from serving.entrance.bodies import MAX_BODY, body_of, replay
from serving.entrance.openapi import build
from serving.entrance.quick import reader
from serving.entrance.refusals import Refused
from serving.store import Store
from serving.watcher import Watcher
from serving.worker import Worker

DOCUMENT = build()["paths"]
WITHOUT_KEY = {
    path for path, how in DOCUMENT.items() if all(told.get("security") == [] for told in how.values())
}
PATHS = sorted(DOCUMENT.keys() - WITHOUT_KEY)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    made, worker = visitor(tmp_path_factory.mktemp("home"))
    yield made
    worker.close()


@pytest.mark.parametrize("path", [*PATHS, "/", "/docs.json", "/schema.json", "/static_content/x", "/nothing"])
@pytest.mark.parametrize("key", [None, "", "rk_wrong", "rk_00000000_wrong", "ü"])
def test_without_a_key_or_with_a_wrong_one_nothing_opens(client: Client, path: str, key: str | None) -> None:
    headers = {} if key is None else {"authorization": f"Bearer {key}".encode()}
    for method in ("GET", "POST", "PUT", "DELETE", "OPTIONS", "HEAD"):
        answer = client.send(method, path, headers=headers)
        assert answer.status_code == 401, (method, path)
        assert answer.headers["www-authenticate"] == "Bearer"
        if method != "HEAD":
            reason = "no key was given" if key is None else "this key is not known, or was revoked"
            assert answer.json()["error"].startswith(f"{reason}. Hint: send")


def test_only_liveness_and_readiness_are_documented_without_a_key() -> None:
    assert {"/livez", "/healthz", "/readyz"} == WITHOUT_KEY
    assert set(PATHS) == {endpoint.path for endpoint in ALL} | {"/metrics", "/openapi.json"}


@pytest.mark.parametrize("endpoint", ALL, ids=lambda endpoint: endpoint.path)
@pytest.mark.parametrize("scope", ["storefront", "crm"])
def test_a_key_of_another_scope_opens_nothing(client: Client, endpoint: Any, scope: str) -> None:
    answer = client.ask(endpoint.path, {"customer_id": "c000001", "budget": 1.0, "events": []}, scope=scope)
    if scope in endpoint.scopes:
        assert answer.status_code in (200, 400)
    else:
        assert answer.status_code == 403
        assert f"; {endpoint.scopes[0]} " in answer.json()["error"]


def test_a_hot_route_need_not_answer_with_a_list(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(access.READERS, "/customer", reader(BY_PATH["/customer"].request))
    monkeypatch.setitem(client.app.hot, "/customer", lambda state, asked: {"customer_id": asked.customer_id})
    assert client.ask("/customer", {"customer_id": "c000001"}).json() == {"customer_id": "c000001"}


def test_metrics_take_an_admin(client: Client) -> None:
    for scope in ("storefront", "crm"):
        assert client.get("/metrics", scope=scope).status_code == 403
        assert client.get("/openapi.json", scope=scope).status_code == 200
    client.ask("/recommend", {"customer_id": "c000001"})
    answer = client.get("/metrics")
    text = answer.text
    assert answer.headers["content-type"] == "text/plain; version=0.0.4; charset=utf-8"
    assert 'recompra_requests_total{path="/metrics",status="403"} 2.0' in text
    assert "recompra_refresh_down" in text
    assert 'recompra_lists_total{answered_from="ready",list="for_you"}' in text
    assert 'recompra_requests_total{path="/recommend",status="200"}' in text
    assert "recompra_scoring_refused 0.0" in text


def test_liveness_and_readiness_are_open(client: Client) -> None:
    assert client.send("GET", "/livez").json() == {"alive": True}
    assert client.send("POST", "/livez").status_code == 401
    assert client.ask("/livez").headers["allow"] == "GET, HEAD"
    ready = client.send("GET", "/readyz")
    assert ready.status_code == 200
    assert ready.json()["models"] == {"cross_sell": "1", "churn": "1"}


def test_a_revoked_key_closes_at_once(tmp_path: Path) -> None:
    client, worker = visitor(tmp_path)
    assert client.ask("/recommend", {}).status_code == 200
    store = Store.open(tmp_path)
    keys.revoke(store, client.keys["admin"].split("_")[1], now=NOW)
    store.close()
    assert client.ask("/recommend", {}).status_code == 401
    worker.close()


def test_a_key_with_a_rate_is_told_when_to_come_again(tmp_path: Path) -> None:
    client, worker = visitor(tmp_path)
    store = Store.open(tmp_path)
    client.keys["slow"] = keys.create(store, ["storefront"], now=NOW, per_second=2.0)
    store.close()
    answers = [client.ask("/recommend", {}, scope="slow") for _ in range(4)]
    assert [answer.status_code for answer in answers[:2]] == [200, 200]
    assert answers[3].status_code == 429
    assert int(answers[3].headers["retry-after"]) == 1
    assert answers[3].json()["error"] == "this key may send 2 requests a second"
    assert client.ask("/recommend", {}).status_code == 200
    worker.close()


def test_the_workers_of_a_service_share_a_keys_rate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOMPRA_WORKERS", "4")
    entrance = AccessControl(echo, worker=None, clock=lambda: NOW)  # type: ignore[arg-type]
    assert entrance.limits.n_workers == 4


def test_the_audit_log_names_keys_and_paths_and_no_customer(tmp_path: Path) -> None:
    client, worker = visitor(tmp_path)
    first = client.ask("/customer", {"customer_id": "c000001"})
    client.ask("/customer", {"customer_id": "c000001"}, scope="storefront")
    client.ask("/recommend", {"customer_id": "c000001"})
    text = (tmp_path / "audit.log").read_text(encoding="utf-8")
    lines = [json.loads(line) for line in text.splitlines()]
    assert [(line["path"], line["status"]) for line in lines] == [("/customer", 200), ("/customer", 403)]
    assert lines[0]["key"] == client.keys["admin"].split("_")[1]
    assert lines[0]["request"] == first.headers["x-request-id"]
    assert "c000001" not in text
    worker.close()


def test_what_a_storefronts_key_does_not_open_is_audited_and_nothing_else(tmp_path: Path) -> None:
    client, worker = visitor(tmp_path)
    closed = [each.path for each in ALL if client.ask(each.path, {}, scope="storefront").status_code == 403]
    worker.close()
    lines = (tmp_path / "audit.log").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["path"] for line in lines] == closed


def test_paths_and_methods_that_are_not_there_are_named(client: Client) -> None:
    assert client.ask("/nothing", {}).json()["detail"] == sorted(endpoint.path for endpoint in ALL)
    assert client.ask("/" + 200 * "n", {}).json()["error"].count("n") < 110
    answer = client.get("/recommend")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


@pytest.mark.parametrize("path", ["/livez", "/readyz", "/metrics", "/openapi.json"])
def test_a_head_is_a_get_without_its_body(client: Client, path: str) -> None:
    headers = {"authorization": f"Bearer {client.keys['admin']}", "x-request-id": "1"}
    got, head = (client.send(method, path, headers=headers) for method in ("GET", "HEAD"))
    assert (head.status_code, head.content) == (got.status_code, b"")
    assert {**head.headers, "content-length": ""} == {**got.headers, "content-length": ""}
    assert int(head.headers["content-length"]) > 0


def test_a_get_reaches_the_service_as_a_post_with_the_one_length_of_its_body(tmp_path: Path) -> None:
    heard = []

    async def listening(scope: Any, receive: Any, send: Any) -> None:
        heard.append(scope)
        await echo(scope, receive, send)

    client, worker = visitor(tmp_path, app=listening)
    bodily = {"content-length": "0", "content-type": "application/json; charset=utf-8"}
    headers = {"authorization": f"Bearer {client.keys['crm']}"} | bodily
    answer = client.send("GET", "/scores?limit=2", headers=headers)
    worker.close()
    assert (heard[0]["method"], heard[0]["query_string"]) == ("POST", b"")
    told = [pair for pair in heard[0]["headers"] if pair[0].startswith(b"content-")]
    assert told == [(b"content-type", b"application/json"), (b"content-length", b"11")]
    assert (answer.json(), len(answer.content)) == ({"limit": 2}, 11)


def test_where_a_get_is_not_taken_a_head_is_not(client: Client) -> None:
    headers = {"authorization": f"Bearer {client.keys['admin']}"}
    answer = client.send("HEAD", "/customer", headers=headers)
    assert (answer.status_code, answer.headers["allow"], answer.content) == (405, "POST", b"")
    allowed = {path: client.send("PUT", path, headers=headers).headers["allow"] for path in PATHS}
    assert allowed["/metrics"] == "GET, HEAD"
    assert allowed["/scores"] == "GET, HEAD, POST"


@pytest.mark.parametrize(
    ("body", "told"),
    [
        (b"", "the body is not valid JSON"),
        (b"{", "not valid JSON"),
        (b"[]", "object"),
        (b"\xff\xfe", "not valid JSON"),
        (b'{"k": NaN}', "k: "),
        (b'{"k": 1e308}', "k: "),
        (b'{"customer_id": "\\ud800"}', "not valid JSON"),
        (b"[" * 5000, "recursion limit"),
        ({"k": 0}, "k: must be at least 1, found 0"),
        ({"k": 10_000}, "k: must be at most 200, found 10000"),
        ({"k": "10"}, 'k: must be a whole number, found "10"'),
        ({"k": True}, "k: must be a whole number, found true"),
        ({"k": 2.5}, "k: "),
        ({"customer_id": 123}, "customer_id: must be a string, found 123"),
        ({"customer_id": ""}, "customer_id: must not be empty"),
        ({"customer_id": "x" * 900_000}, "customer_id: must have at most 128 characters"),
        ({"customer_id": "a\x00"}, "customer_id: is not of the form expected here"),
        ({"list": "best"}, "list: must be 'for_you'"),
        ({"exclude": ["a"] * 1001}, "exclude: must have at most 1000 entries"),
        ({"sku": "1"}, "sku: there is no such field"),
    ],
)
def test_a_request_of_the_wrong_form_gets_the_reason(client: Client, body: Any, told: str) -> None:
    answer = client.ask("/recommend", body)
    assert answer.status_code == 400
    assert told in answer.json()["error"]
    assert len(answer.content) < 5000


@pytest.mark.parametrize(
    ("path", "body", "told"),
    [
        ("/customer", {"customer_id": 7}, ", found 7. Hint: ids and names are strings, in quotes"),
        ("/customer", {"customer_id": "a\nb"}, 'found "a\\nb"'),
        ("/customer", {"customer_id": "x" * 900}, f', found "{"x" * 59}...'),
        ("/customer", b"", "send one JSON object; /openapi.json has an example"),
        ("/recommend", {"sku": "1"}, "/openapi.json names the fields there are"),
        ("/events", {"events": [{"type": "order"}]}, "give its kind; /openapi.json has an example"),
        ("/retention_targets", {"budget": -5}, "must be at least 0, found -5"),
    ],
)
def test_a_refusal_says_what_came_and_what_to_do(client: Client, path: str, body: Any, told: str) -> None:
    answer = client.ask(path, body).json()
    assert told in answer["error"]
    assert told in answer["detail"][0]["problem"]


def test_a_page_in_a_browser_is_told_to_ask_from_the_shops_server(client: Client) -> None:
    asks = {"origin": "https://shop.example", "access-control-request-method": "POST"}
    answer = client.send("OPTIONS", "/recommend", headers=asks)
    assert (answer.status_code, "access-control-allow-origin" in answer.headers) == (401, False)
    assert "ask from the shop's server" in answer.json()["error"]
    for method, headers in (("POST", asks), ("OPTIONS", {})):
        other = client.send(method, "/recommend", headers=headers)
        assert other.json()["error"].startswith("no key was given")


def test_a_websocket_is_closed_and_nothing_else_is_done(client: Client) -> None:
    sent: list[Any] = []

    async def send(message: Any) -> None:
        sent.append(message)

    asyncio.run(client.app({"type": "websocket", "path": "/recommend", "headers": []}, None, send))
    assert sent == [{"type": "websocket.close"}]


numbers = st.one_of(st.integers(), st.floats(), st.just(1e308))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), numbers, st.text()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=5,
)
fields = st.sampled_from(
    ["customer_id", "k", "list", "cart", "exclude", "category", "events", "budget", "limit", "cursor", "days"]
)


@settings(max_examples=200, deadline=None)
@given(path=st.sampled_from([endpoint.path for endpoint in ALL]), body=st.dictionaries(fields, json_values))
@example(path="/recommend", body={"customer_id": "'; DROP TABLE events; --"})
@example(path="/recommend", body={"customer_id": "../../etc/passwd", "category": "%s%n\u202e"})
def test_no_request_makes_a_server_error(client: Client, path: str, body: dict[str, Any]) -> None:
    answer = client.ask(path, body)
    assert answer.status_code in (200, 400)
    if answer.status_code == 400:
        assert answer.json()["error"]


def test_a_body_too_large_is_stopped_before_it_is_read(client: Client) -> None:
    answer = client.ask("/recommend", b"x" * (MAX_BODY + 1))
    assert answer.status_code == 413

    async def chunks() -> Any:
        for _ in range(30):
            yield b"x" * 50_000

    headers = {"authorization": f"Bearer {client.keys['admin']}"}
    answer = client.send("POST", "/recommend", content=chunks(), headers=headers)
    assert answer.status_code == 413


@pytest.mark.parametrize(
    ("headers", "n_read"),
    [
        ({}, 30),
        ({b"content-length": b"1500000"}, 30),
        ({b"content-length": b"1500000", b"expect": b"100-continue"}, 0),
    ],
)
def test_who_still_sends_a_body_too_large_is_told_the_reason_once_it_has_passed(
    headers: Any, n_read: int
) -> None:
    sent = [{"type": "http.request", "body": b"x" * 50_000, "more_body": at < 29} for at in range(30)]
    left = iter(sent)

    async def receive() -> Any:
        return next(left)

    with pytest.raises(Refused) as refused:
        asyncio.run(body_of(headers, receive))
    assert (refused.value.status, len(list(left))) == (413, 30 - n_read)


def test_a_body_that_does_not_come_is_not_waited_for(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.entrance.bodies.BODY_SECONDS", 0.05)

    async def never() -> Any:
        yield b'{"customer_id":'
        await asyncio.sleep(60)

    headers = {"authorization": f"Bearer {client.keys['admin']}"}
    answer = client.send("POST", "/recommend", content=never(), headers=headers)
    assert (answer.status_code, answer.headers["connection"]) == (408, "close")
    assert "0.05 seconds" in answer.json()["error"]


def test_an_answer_may_take_longer_than_its_body_was_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.entrance.bodies.BODY_SECONDS", 0.01)

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.1)
        await echo(scope, receive, send)

    client, worker = visitor(tmp_path, app=slow)
    assert client.ask("/customer", {"customer_id": "c1"}).json() == {"customer_id": "c1"}
    worker.close()


def test_who_listens_on_after_a_body_hears_what_the_client_does_next() -> None:
    async def gone() -> Any:
        return {"type": "http.disconnect"}

    async def heard() -> list[str]:
        again = replay(b"{}", gone)
        return [(await again())["type"] for _ in range(3)]

    assert asyncio.run(heard()) == ["http.request", "http.disconnect", "http.disconnect"]


def test_a_body_that_is_not_json_is_refused_by_its_type(client: Client) -> None:
    answer = client.ask("/events", b"a=1", headers={"content-type": "application/vnd.bentoml+pickle"})
    assert answer.status_code == 415
    assert "must be application/json" in answer.json()["error"]
    assert "found application/vnd.bentoml+pickle" in answer.json()["error"]


def test_a_packed_body_is_refused_by_its_encoding(client: Client) -> None:
    body = gzip.compress(b'{"customer_id": "c1"}')
    answer = client.ask("/customer", body, headers={"content-encoding": "gzip"})
    assert (answer.status_code, answer.headers["accept-encoding"]) == (415, "identity")


def test_a_request_keeps_its_id_and_the_framework_is_not_named(client: Client) -> None:
    answer = client.ask("/customer", {"customer_id": "c1"}, headers={"x-request-id": "abc-1"})
    assert answer.headers["x-request-id"] == "abc-1"
    assert "server" not in answer.headers
    assert answer.json() == {"customer_id": "c1"}
    longest = client.ask("/customer", {"customer_id": "c1"}, headers={"x-request-id": "a" * 64})
    assert longest.headers["x-request-id"] == "a" * 64
    for bad in ("no good\n" * 3, "a" * 65, ""):
        other = client.ask("/customer", {"customer_id": "c1"}, headers={"x-request-id": bad})
        assert other.headers["x-request-id"].isalnum() and other.headers["x-request-id"] != bad


def test_an_error_of_ours_shows_no_trace_but_in_the_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def broken(scope: Any, receive: Any, send: Any) -> None:
        raise ZeroDivisionError("/secret/path")

    client, worker = visitor(tmp_path, app=broken)
    answer = client.ask("/customer", {"customer_id": "c1"})
    assert answer.status_code == 500
    assert answer.json() == {
        "error": "something went wrong here; the request_id finds it in the log",
        "request_id": answer.headers["x-request-id"],
    }
    assert f"request {answer.headers['x-request-id']} failed" in caplog.text
    assert "ZeroDivisionError: /secret/path" in caplog.text
    assert ("recompra.access", logging.ERROR, "500 /customer") in caplog.record_tuples
    worker.close()


def test_before_the_first_scoring_the_service_says_so(tmp_path: Path) -> None:
    made = make_keys(tmp_path)
    worker = Worker()
    worker.open(tmp_path)
    client = Client(AccessControl(lambda *_: None, worker=worker, clock=lambda: NOW), made)  # type: ignore[arg-type, return-value]
    Watcher(tmp_path).look()
    ready = client.send("GET", "/readyz")
    assert (ready.status_code, str(tmp_path) in ready.text) == (503, False)
    assert ready.json()["registry"].startswith("no model has been trained in the home.")
    answer = client.ask("/recommend", {})
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "nothing has been scored" in answer.json()["error"]
    worker.close()


def test_an_answer_is_json_of_its_model(client: Client) -> None:
    from serving.api import Recommended

    answer: httpx.Response = client.ask("/recommend", {"customer_id": "c000001", "k": 2, "details": True})
    read = Recommended.model_validate_json(answer.content)
    assert len(read.products) == 2
    assert set(json.loads(answer.content)) == set(Recommended.model_fields)


def test_a_shop_of_strange_names_is_served(tmp_path: Path) -> None:
    client, worker = visitor(tmp_path, make_snapshot(5))
    answer = client.ask("/recommend", {"customer_id": "Zoë & søn — 測試", "category": "café > thé"})
    assert answer.status_code == 200
    worker.close()


def test_without_the_store_lists_and_scores_are_answered_and_the_rest_is_told_to_come_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client, worker = visitor(tmp_path)
    assert worker.view is not None

    def away() -> tuple[int, ...]:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(worker.view, "_read_clock", away)
    monkeypatch.setattr(worker.view, "_sure_until", 0.0)
    bodies = {
        endpoint.path: endpoint.request.model_config["json_schema_extra"]["examples"][0] for endpoint in ALL
    }
    answers = {path: client.ask(path, body) for path, body in bodies.items()}
    answered = {path for path, answer in answers.items() if answer.status_code == 200}
    assert answered == {endpoint.path for endpoint in ALL if not endpoint.stored} >= {"/recommend", "/scores"}
    refused = [answer for answer in answers.values() if answer.status_code != 200]
    assert {(answer.status_code, answer.headers["retry-after"]) for answer in refused} == {(503, "5")}
    ready = client.get("/readyz")
    assert ready.status_code == 200
    assert "cannot be read" in ready.json()["store"]
    assert "recompra_store_down 1.0" in client.get("/metrics").text
    worker.close()
