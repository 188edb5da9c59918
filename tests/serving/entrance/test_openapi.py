import json
from typing import Any

import pytest

from serving.endpoints import ALL
from serving.entrance.openapi import build, document


@pytest.mark.parametrize("endpoint", ALL, ids=lambda endpoint: endpoint.path)
def test_every_endpoint_is_documented_with_an_example_it_takes(endpoint: Any) -> None:
    operation = build()["paths"][endpoint.path]["post"]
    example = operation["requestBody"]["content"]["application/json"]["example"]
    assert endpoint.request.model_validate_json(json.dumps(example))
    assert all(scope in operation["description"] for scope in endpoint.scopes)
    assert {"200", "400", "401", "403", "413", "415", "503"} <= set(operation["responses"])


def test_every_reference_is_there() -> None:
    text = document().decode()
    whole = json.loads(text)
    used = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert used <= set(whole["components"]["schemas"])


def test_every_field_of_a_request_is_described() -> None:
    undescribed = {
        f"{endpoint.path} {name}"
        for endpoint in ALL
        for name, field in endpoint.request.model_fields.items()
        if not field.description and name not in ("customer_id", "events", "limit", "format", "budget")
    }
    assert undescribed == set()
