import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry, Histogram, generate_latest

from serving.meters import BUCKETS, Meters


@given(st.lists(st.floats(0, 5), max_size=20))
@example([*BUCKETS, 0.0, 99.0])
def test_what_is_flushed_is_what_prometheus_would_have_observed(seconds: list[float]) -> None:
    meters, registry = Meters(), CollectorRegistry()
    plain = Histogram(
        "recompra_request_seconds", "Time to answer.", ["path"], buckets=BUCKETS, registry=registry
    )
    for took in seconds:
        meters.request("/recommend", 200, took)
        plain.labels("/recommend").observe(took)
    told, expected = figures(meters.text()), figures(generate_latest(registry))
    assert {name: told[name] for name in expected} == pytest.approx(expected)
    assert told.get('recompra_requests_total{path="/recommend",status="200"}', 0) == len(seconds)


def figures(text: bytes) -> dict[str, float]:
    lines = [line for line in text.decode().splitlines() if not line.startswith("#")]
    found = {line.rpartition(" ")[0]: float(line.rpartition(" ")[2]) for line in lines}
    return {name: value for name, value in found.items() if "_created" not in name}


def test_nothing_is_counted_twice() -> None:
    meters = Meters()
    meters.list_answered("for_you", "ready")
    once = figures(meters.text())
    assert once == figures(meters.text())
    assert once['recompra_lists_total{answered_from="ready",list="for_you"}'] == 1
