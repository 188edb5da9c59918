"""The service against its own OpenAPI document, by schemathesis: a few requests of each kind.

``tests/benchmarks/bench_api.py --examples 10000`` asks many more, of the running service.
"""

from collections.abc import Iterator
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from worlds.contract import POSITIVE
from worlds.framework import Service, framework
from worlds.snapshot import make_home, make_snapshot, with_known

from serving.endpoints import ALL
from serving.entrance.openapi import build

CONFIG = schemathesis.Config.from_dict(
    {"checks": {"positive_data_acceptance": {"expected-statuses": [*POSITIVE]}}}
)
SCHEMA = schemathesis.openapi.from_dict(build() | {"security": []}, config=CONFIG)
"""Bodies alone are made up here: keys have a sweep of their own."""
CHECKS = [
    "not_a_server_error",
    "status_code_conformance",
    "content_type_conformance",
    "response_headers_conformance",
    "response_schema_conformance",
    "positive_data_acceptance",
    "negative_data_rejection",
]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    home = tmp_path_factory.mktemp("home")
    make_home(home, with_known(make_snapshot()))
    with framework(home) as made:
        yield made


@pytest.mark.parametrize("mode", list(schemathesis.GenerationMode), ids=lambda mode: mode.value)
@pytest.mark.parametrize(("path", "method"), [(one.path, method) for one in ALL for method in one.methods])
def test_what_the_document_promises_is_what_the_service_does(
    service: Service, path: str, method: str, mode: Any
) -> None:
    checks = schemathesis.checks.CHECKS.get_by_names(CHECKS)

    @settings(max_examples=12, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(case=SCHEMA[path][method].as_strategy(generation_mode=mode))
    def every(case: Any) -> None:
        asked = case.as_transport_kwargs(base_url="http://shop")
        headers = {**asked["headers"], "authorization": f"Bearer {service.keys['admin']}"}
        content = {"json": asked["json"]} if "json" in asked else {"content": asked.get("data")}
        answer = service.send(method, path, headers=headers, params=asked["params"], **content)
        case.validate_response(answer, checks=checks)

    every()
