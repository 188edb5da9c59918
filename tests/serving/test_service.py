"""The BentoML service in this process: every endpoint through the framework, and the hot routes' twins."""

import asyncio
import json
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.framework import Service, framework
from worlds.snapshot import make_home, names

from serving.endpoints import ALL, BY_PATH
from serving.entrance.access import HOT, AccessControl
from serving.worker import Worker


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("home")
    make_home(home)
    with framework(home) as made:
        yield made


def test_access_is_checked_before_everything_the_framework_puts_there(service: Service) -> None:
    outermost = service.app.middleware_stack
    assert isinstance(outermost, AccessControl)
    assert not isinstance(outermost.app, AccessControl)
    assert service.ask("/customer", {"customer_id": "c000001"}).status_code == 200
    keyless = Service(service.runner, service.app, {"admin": "none"})
    assert keyless.ask("/customer", {"customer_id": "c000001"}).status_code == 401


def test_access_control_inside_the_framework_is_as_strict(service: Service) -> None:
    behind = Service(service.runner, service.app.middleware_stack.app, {"admin": "none"})
    for path in ("/customer", "/recommend", "/docs.json"):
        assert behind.ask(path, {"customer_id": "c000001"}).status_code == 401


@pytest.mark.usefixtures("service")
def test_a_look_that_fails_is_followed_by_the_next() -> None:
    from serving.service import _repeated

    ends: list[type[BaseException]] = [asyncio.CancelledError, ValueError]

    async def look(_: Worker) -> None:
        raise ends.pop()

    with pytest.raises(asyncio.CancelledError):
        asyncio.run(_repeated(look, Worker()))
    assert not ends


@pytest.mark.parametrize("endpoint", ALL, ids=lambda endpoint: endpoint.path)
def test_every_endpoint_answers_its_own_example(service: Service, endpoint: Any) -> None:
    example = endpoint.request.model_config["json_schema_extra"]["examples"][0]
    answer = service.ask(endpoint.path, example)
    assert answer.status_code == 200, answer.text
    read = endpoint.response.model_validate_json(answer.content)
    assert read.as_of == "2026-03-01T00:00:00+00:00"
    assert read.models == {"cross_sell": "1", "churn": "1"}


ASKED = [
    ("/recommend", {"customer_id": "c000001", "cart": ["p000003"], "exclude": ["p000005"]}),
    ("/recommend", {"customer_id": "c000001", "product_id": "p000003", "list": "upsell"}),
    ("/next_best_offer", {"customer_id": "c000001", "exclude": ["p000005"]}),
    ("/customer", {"customer_id": "c000001"}),
    ("/contact_plan", {"customer_ids": ["c000001"]}),
]


@pytest.mark.parametrize("slow", [False, True])
@pytest.mark.parametrize(("path", "body"), ASKED)
def test_blanks_around_an_id_are_no_part_of_it(service: Service, path: str, body: Any, slow: bool) -> None:
    def told(asked: Any) -> Any:
        answer = service.ask(path, asked, slow=slow)
        return answer.status_code, {**answer.json(), "request_id": None, "window": None}  # now

    padded = json.loads(re.sub(r'"((?:c0|p0)\w+)"', r'" \1 "', json.dumps(body)))
    assert padded != body
    assert told(padded) == told(body)
    assert told(body)[0] == 200


def test_what_is_posted_under_an_id_with_blanks_is_found_and_goes_with_its_customer(service: Service) -> None:
    order = {"event_id": "e1 ", "kind": "order", "customer_id": " padded", "product_id": "p000003 "}
    posted = service.ask(
        "/events", {"events": [order, {**order, "event_id": " e1", "customer_id": "padded"}]}
    )
    assert (posted.json()["accepted"], posted.json()["duplicates"]) == (1, 1)
    (kept,) = service.ask("/customer", {"customer_id": "padded"}).json()["events"]
    assert (kept["event_id"], kept["product_id"]) == ("e1", "p000003")
    assert service.ask("/erase", {"customer_id": "padded  "}).json()["events"] == 1


ids = st.sampled_from([*names("c", 25), "nobody", "Zoë"])
products = st.lists(st.sampled_from([*names("p", 62), "no such"]), max_size=8)


@settings(max_examples=60, deadline=None)
@given(
    body=st.fixed_dictionaries(
        {},
        optional={
            "customer_id": ids,
            "k": st.integers(-1, 210),
            "cart": products,
            "exclude": products,
            "category": st.sampled_from(["food", "food > kind2", "é"]),
            "details": st.booleans(),
            "list": st.sampled_from(["for_you", "buy_again", "new_for_you", "popular", "upsell", "wrong"]),
            "unknown": st.none(),
        },
    )
)
def test_a_hot_route_and_its_documented_twin_answer_alike(service: Service, body: dict[str, Any]) -> None:
    for path in HOT:
        known = {*BY_PATH[path].request.model_fields, "unknown"}
        alike(service, path, {name: value for name, value in body.items() if name in known})


@pytest.mark.parametrize("path", HOT)
def test_a_hot_route_and_its_documented_twin_answer_the_example_alike(service: Service, path: str) -> None:
    assert alike(service, path, BY_PATH[path].request.model_config["json_schema_extra"]["examples"][0]) == 200


def alike(service: Service, path: str, body: dict[str, Any]) -> int:
    hot, slow = service.ask(path, body), service.ask(path, body, slow=True)
    assert hot.status_code == slow.status_code
    left, right = hot.json(), slow.json()
    for answer in (left, right):
        answer.pop("request_id", None)
    assert left == right
    return hot.status_code


@pytest.mark.parametrize(
    ("path", "body", "status", "told"),
    [
        ("/scores", {"cursor": "../x:1"}, 400, "cursor: "),
        ("/scores", {"cursor": "20250101T0000-0001:1"}, 410, "start again"),
        ("/scores", {"segments": ["at_risk"]}, 400, "'at risk'"),
        ("/retention_targets", {"budget": -1}, 400, "budget"),
        ("/contact_plan", {"customer_ids": []}, 400, "customer_ids"),
        ("/events", {"events": [{"kind": "gift", "event_id": "1"}]}, 400, "events.0"),
    ],
)
def test_a_refusal_gives_its_reason(service: Service, path: str, body: Any, status: int, told: str) -> None:
    answer = service.ask(path, body)
    assert answer.status_code == status
    assert told in answer.json()["error"]
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_scores_come_as_csv_and_ndjson_with_a_cursor(service: Service) -> None:
    answer = service.ask("/scores", {"limit": 3, "format": "csv"})
    assert answer.headers["content-type"].startswith("text/csv")
    assert answer.headers["x-next-cursor"] == "20260301T0000-0001:3"
    assert len(answer.text.splitlines()) == 4
    lines = service.ask("/scores", {"limit": 3, "format": "ndjson"}).text.splitlines()
    assert [json.loads(line)["customer_id"] for line in lines] == names("c", 3)


def test_what_is_pulled_streams_packed_through_the_framework_and_is_not_sent_twice(service: Service) -> None:
    body = {"limit": None, "format": "ndjson"}
    answer = service.ask("/scores", body, headers={"accept-encoding": "gzip"})
    assert answer.headers["content-encoding"] == "gzip"
    assert [json.loads(line)["customer_id"] for line in answer.text.splitlines()] == names("c", 20)
    for asked in (body, {"limit": 5}):
        tag = service.ask("/scores", asked).headers["etag"]
        again = service.get("/scores", asked, headers={"if-none-match": tag})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert service.get("/scores", body, headers={"if-none-match": "*"}).status_code == 304


@pytest.mark.parametrize("asked", [{"budget": 0.5}, {"budget": 0.5, "format": "csv"}, {"days": 2}])
def test_targets_and_plans_that_have_not_changed_are_not_sent_again(service: Service, asked: Any) -> None:
    path = "/contact_plan" if "days" in asked else "/retention_targets"
    tag = service.get(path, asked).headers["etag"]
    again = service.get(path, asked, headers={"if-none-match": tag})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)


@pytest.mark.parametrize("path", ["/scores?limit=2", "/retention_targets?budget=0.5", "/contact_plan?days=2"])
def test_who_names_no_format_gets_the_one_they_accept(service: Service, path: str) -> None:
    accepts = {"accept": "text/csv, application/json;q=0.5"}
    written = service.get(f"{path}&format=csv", {})
    assert service.get(path, {}, headers=accepts).content == written.content
    assert service.get(f"{path}&format=json", {}, headers=accepts).json()
    assert "accept," in written.headers["vary"]


def test_a_post_is_answered_whole_whatever_the_client_holds(service: Service) -> None:
    tag = service.ask("/scores", {"limit": 5}).headers["etag"]
    again = service.ask("/scores", {"limit": 5}, headers={"if-none-match": tag})
    assert (again.status_code, len(again.json()["scores"])) == (200, 5)


@pytest.mark.parametrize(
    ("path", "asked"),
    [
        ("/scores", {"limit": 3, "min_churn_probability": 0.2, "segments": ["loyal", "at risk"]}),
        ("/retention_targets", {"budget": 0.5, "actions": []}),
        ("/contact_plan", {"days": 2, "first_day": "2026-03-03", "budget": None}),
    ],
)
def test_a_get_answers_as_a_post_of_the_same_question(service: Service, path: str, asked: Any) -> None:
    posted, got = service.ask(path, asked), service.get(path, asked)
    assert posted.status_code == 200, posted.text
    assert got.content == posted.content


@pytest.mark.parametrize(
    "asked",
    [
        "/scores?limit=3",
        "/scores?format=csv&limit=",
        "/retention_targets?budget=0.5",
        "/contact_plan?days=2&format=csv",
        "/contact_plan?days=0",
    ],
)
def test_a_head_is_a_get_without_its_body(service: Service, asked: str) -> None:
    headers = {"authorization": f"Bearer {service.keys['admin']}", "x-request-id": "1"}
    got, head = (service.send(method, asked, headers=headers) for method in ("GET", "HEAD"))
    assert (head.status_code, head.headers, head.content) == (got.status_code, got.headers, b"")
    assert got.content


def test_a_head_tells_who_holds_it_already_that_nothing_has_changed(service: Service) -> None:
    headers = {"authorization": f"Bearer {service.keys['admin']}"}
    tag = service.send("HEAD", "/scores", headers=headers).headers["etag"]
    again = service.send("HEAD", "/scores", headers=headers | {"if-none-match": tag})
    assert (again.status_code, again.headers["etag"]) == (304, tag)


def test_for_a_head_no_row_of_a_stream_is_made(service: Service, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[int] = []
    monkeypatch.setattr("serving.marketing.scores.Scoring.rows", lambda *_, **__: made.append(1) or [])
    headers = {"authorization": f"Bearer {service.keys['admin']}"}
    for method in ("HEAD", "GET"):
        assert made == []
        assert service.send(method, "/scores?format=csv&limit=", headers=headers).status_code == 200
    assert made


@pytest.mark.parametrize(
    ("path", "query", "told"),
    [
        ("/scores", "limit=0", "limit: "),
        ("/scores", "limit=1&limit=2", "limit: given twice"),
        ("/scores", "segment=loyal", "segment: a GET takes limit, cursor"),
        ("/scores", "segments=%FF", "the query cannot be read"),
        ("/retention_targets", "", "budget: this field is required"),
        ("/contact_plan", "customer_ids=c000001", "customer_ids: a GET takes limit"),
    ],
)
def test_a_query_that_is_wrong_is_told_its_field(service: Service, path: str, query: str, told: str) -> None:
    answer = service.get(f"{path}?{query}", {})
    assert (answer.status_code, answer.json()["error"][: len(told)]) == (400, told)


@pytest.mark.parametrize(
    ("path", "body"), [("/retention_targets", {"budget": 0.5}), ("/contact_plan", {"days": 2, "limit": 4})]
)
def test_targets_and_plans_come_as_csv_and_ndjson(service: Service, path: str, body: Any) -> None:
    rows = service.ask(path, body).json()["contacts" if path == "/contact_plan" else "targets"]
    assert rows
    answer = service.ask(path, {**body, "format": "ndjson"})
    assert [json.loads(line) for line in answer.text.splitlines()] == rows
    again = service.ask(path, {**body, "format": "csv"}, headers={"if-none-match": "nothing"})
    assert again.text.splitlines()[0] == ",".join(rows[0])
    assert len(again.text.splitlines()) == len(rows) + 1


@pytest.mark.parametrize(
    ("path", "body", "none"),
    [
        ("/retention_targets", {"budget": 0.5}, {"budget": 0}),
        ("/contact_plan", {"days": 2, "limit": 4}, {"budget": 0}),
        ("/scores", {"limit": 1}, {"segments": ["champions"]}),
    ],
)
def test_a_table_without_a_row_has_the_heading_of_every_other(
    service: Service, path: str, body: Any, none: Any
) -> None:
    some, empty = (service.ask(path, asked | {"format": "csv"}).text for asked in (body, body | none))
    assert empty == some.splitlines()[0] + "\n"


def test_an_event_posted_changes_the_next_offer(service: Service) -> None:
    first = service.ask("/next_best_offer", {"customer_id": "c000005"}).json()["product_id"]
    sold_out = {"events": [{"event_id": "s", "kind": "stock", "product_id": first, "stock": 0}]}
    assert service.ask("/events", sold_out).json()["accepted"] == 1
    assert service.ask("/next_best_offer", {"customer_id": "c000005"}).json()["product_id"] != first


numbers = st.one_of(st.integers(), st.floats(allow_nan=False), st.just(1e308))
values = st.one_of(st.none(), st.booleans(), numbers, st.text(), st.lists(st.text(), max_size=3), ids)
fields = [name for endpoint in ALL for name in endpoint.request.model_fields]


@settings(max_examples=100, deadline=None)
@given(
    path=st.sampled_from(sorted(BY_PATH)), body=st.dictionaries(st.sampled_from(fields), values, max_size=4)
)
def test_no_request_makes_a_server_error(service: Service, path: str, body: dict[str, Any]) -> None:
    if path != "/erase":
        answer = service.ask(path, body)
        assert answer.status_code in (200, 400), answer.text


def test_more_events_than_can_be_kept_at_once_are_kept_or_sent_away_and_none_is_lost(
    service: Service,
) -> None:
    bodies = [
        {
            "events": [
                {"event_id": f"flood-{number}", "kind": "order", "customer_id": "f", "product_id": "p000001"}
            ]
        }
        for number in range(300)
    ]
    answers = service.ask_at_once("/events", bodies)
    statuses = Counter(answer.status_code for answer in answers)
    assert {200, 503} <= statuses.keys() <= {200, 503, 504}, statuses
    assert all("retry-after" in answer.headers for answer in answers if answer.status_code > 200)
    held = service.ask("/customer", {"customer_id": "f"}).json()["events"]
    assert len(held) >= min(statuses[200], 100)
    again = [service.ask("/events", body).json() for body in bodies[:3] + bodies[-3:]]
    assert {kept["accepted"] + kept["duplicates"] for kept in again} == {1}


HOSTILE = [
    "'; DROP TABLE events; --",
    "1' OR '1'='1",
    "../../../../etc/passwd",
    "%2e%2e%2f",
    "${jndi:ldap://x}",
    "{{7*7}}",
    "<script>alert(1)</script>",
    "\u202e\u0000",
    "\u200b\ufeff",
    "測試 Zoë 🛒",
    "=cmd|' /C calc'!A0",
    "x" * 990_000,
]
NUMBERS = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e308",
    "1e400",
    "-1e308",
    "0.1e-999",
    "9" * 400,
    "-0",
    "[" * 4000,
]


def _bodies(endpoint: Any) -> Iterator[bytes]:
    """Put each hostile text and broken number into every field of an example, as it stands on the wire."""
    example = endpoint.request.model_config["json_schema_extra"]["examples"][0]
    for name in endpoint.request.model_fields:
        for value in [*map(json.dumps, HOSTILE), *NUMBERS, "{}", "[]", "null", json.dumps([HOSTILE[0]])]:
            others = {field: other for field, other in example.items() if field != name}
            head = json.dumps(others)[:-1] + (", " if others else "")
            yield f"{head}{json.dumps(name)}: {value}}}".encode()


@pytest.mark.parametrize("endpoint", ALL, ids=lambda endpoint: endpoint.path)
def test_hostile_texts_and_broken_numbers_are_refused_with_a_reason_or_are_nobody(
    service: Service, endpoint: Any
) -> None:
    headers = {"authorization": f"Bearer {service.keys['admin']}", "content-type": "application/json"}
    for body in _bodies(endpoint):
        answer = service.send("POST", endpoint.path, content=body, headers=headers)
        assert answer.status_code in (200, 400, 404, 413), (body[:200], answer.text[:300])
        if answer.status_code != 200:
            assert answer.json()["error"] and len(answer.content) < 6000


HEAVY = ("mlflow", "lightgbm", "implicit", "sklearn", "pandas", "scipy.sparse", "duckdb", "ibis")


def test_a_worker_imports_nothing_heavy(tmp_path: Path) -> None:
    make_home(tmp_path)
    code = f"""
import sys
from datetime import UTC, datetime
from pathlib import Path
from serving.service import WORKER
from serving import api, api_crm
from serving.marketing import customer, plan, retention
from serving.storefront import answers, offers
WORKER.open(Path({str(tmp_path)!r}))
state, now = WORKER.serving(), datetime.now(UTC)
answers.recommend(state, api.RecommendRequest(customer_id="c000001"))
offers.next_best_offer(state, api.OfferRequest(customer_id="c000001"), now=now)
retention.retention_targets(state, api_crm.TargetsRequest(budget=1.0), now=now)
plan.contact_plan(state, api_crm.PlanRequest(), now=now)
print(sorted({HEAVY!r} & sys.modules.keys()))
"""
    code = code.replace(repr(HEAVY), repr(set(HEAVY)))
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_bentoml_can_describe_it_as_a_build_does(service: Service) -> None:
    from serving.service import Recompra

    assert set(BY_PATH) <= set(Recompra.openapi_spec.asdict()["paths"])
