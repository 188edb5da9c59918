"""Rows of responses against the types they are published under, closed: no field may be unnamed."""

from collections.abc import Iterator
from typing import Any

import pytest
from worlds.contract import closed
from worlds.framework import Service, framework
from worlds.snapshot import make_home, make_snapshot, names, with_known, with_live

from serving.endpoints import ALL
from serving.entrance.openapi import build

CONTRACT = closed()
UNSAID = ("customer_id", "product_id", "kind")
CUSTOMER = {"customer_id": "c000001"}
EVENTS = [
    {"event_id": "o", "kind": "order", **CUSTOMER, "product_id": "p000003", "unit_price": 2.5},
    {"event_id": "c", "kind": "contact", **CUSTOMER, "channel": "email", "action": "win_back"},
]
SOLD_OUT = [{"event_id": name, "kind": "stock", "product_id": name, "stock": 0} for name in names("p", 30)]
ASKED: list[tuple[str, dict[str, Any], set[str]]] = [
    ("/recommend", CUSTOMER, {"products"}),
    ("/recommend", CUSTOMER | {"details": True}, {"products"}),
    ("/next_best_offer", CUSTOMER | {"record": True}, {"window", "money", "runners_up", "ruled_out_actions"}),
    ("/events", {"events": EVENTS}, set()),
    ("/customer", CUSTOMER, {"scores", "lists", "events", "contacts", "decisions"}),
    ("/scores", {}, {"scores"}),
    ("/retention_targets", {"budget": 50.0}, {"targets", "curve", "policies"}),
    ("/retention_targets", {"budget": 50.0, "actions": ["win_back", "thank_you"]}, {"targets", "curve"}),
    ("/contact_plan", {"customer_ids": ["c000003", "c000004", "nobody"]}, {"contacts", "not_planned"}),
    ("/events", {"events": SOLD_OUT}, set()),
    ("/next_best_offer", {"customer_id": "c000002"}, {"ruled_out"}),
    ("/erase", {"customer_id": "c000009"}, set()),
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("home")
    make_home(home, with_live(with_known(make_snapshot())))
    with framework(home) as made:
        yield made


def test_every_field_of_every_row_is_published(service: Service) -> None:
    for path, body, filled in ASKED:
        answer = service.ask(path, body)
        assert answer.status_code == 200, answer.text
        CONTRACT[path]["POST"].validate_response(answer)
        assert {name for name in filled if not answer.json()[name]} == set(), path


def test_probes_and_refusals_are_published_as_they_are(service: Service) -> None:
    ready = service.send("GET", "/readyz")
    assert ready.json()["ready"]
    CONTRACT["/readyz"]["GET"].validate_response(ready)
    CONTRACT["/livez"]["GET"].validate_response(service.send("GET", "/livez"))
    refused = service.ask("/customer", {"customer": 1})
    assert refused.json()["detail"]
    CONTRACT["/customer"]["POST"].validate_response(refused)


def test_every_field_of_a_response_is_described() -> None:
    schemas = build()["components"]["schemas"]
    asked = {endpoint.request.__name__ for endpoint in ALL}
    undescribed = {
        f"{kind} {name}"
        for kind, schema in schemas.items()
        for name, field in (schema.get("properties", {}) | schema.get("patternProperties", {})).items()
        if kind not in asked
        and "description" not in field
        and name not in ("customer_id", "product_id", "kind")
    }
    assert undescribed == set()


def test_no_object_of_a_response_is_published_without_its_fields() -> None:
    free = {"models", "features", "policies", "lists"}  # names are the shop's, or those of rankings
    open_ones = {
        f"{kind} {name}"
        for kind, schema in build()["components"]["schemas"].items()
        for name, field in schema.get("properties", {}).items()
        if "additionalProperties" in str(field) and name not in free | {"attributes"}
    }
    assert open_ones == set()


def test_a_name_with_a_horizon_is_published_as_a_pattern() -> None:
    row = build()["components"]["schemas"]["ScoresRow"]
    assert "^expected_revenue_[0-9]+d_p10$" in row["patternProperties"]
    assert row["required"] == ["customer_id", "as_of"]
