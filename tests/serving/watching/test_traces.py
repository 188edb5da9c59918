"""Spans, as a collector receives them: a real one, on 127.0.0.1."""

import subprocess
import sys
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from worlds.visits import Client, visitor

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Collector(HTTPServer):
    """Takes OTLP over HTTP and keeps what came."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.came: list[ExportTraceServiceRequest] = []

    @property
    def resource(self) -> dict[str, Any]:
        return attributes(self.came[0].resource_spans[0].resource)

    def spans(self) -> list[Any]:
        groups = [group for message in self.came for of in message.resource_spans for group in of.scope_spans]
        return [span for group in groups for span in group.spans]


class Handler(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert (self.path, self.headers["content-type"]) == ("/v1/traces", "application/x-protobuf")
        body = self.rfile.read(int(self.headers["content-length"]))
        self.server.came.append(ExportTraceServiceRequest.FromString(body))  # type: ignore[attr-defined]
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def attributes(of: Any) -> dict[str, Any]:
    return {pair.key: pair.value.string_value or pair.value.int_value for pair in of.attributes}


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as made:
        thread = Thread(target=made.serve_forever, args=(0.01,))
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def client(collector: Collector, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Client]:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", f"http://127.0.0.1:{collector.server_port}")
    made, worker = visitor(tmp_path)
    yield made
    worker.close()


def test_an_answer_is_a_span_that_says_what_answered(client: Client, collector: Collector) -> None:
    answer = client.ask("/recommend", {"customer_id": "c000001"}, headers={"traceparent": PARENT})
    client.app.traces.flush()
    (span,) = collector.spans()
    assert collector.resource["service.name"] == "recompra"
    assert (span.name, span.kind) == ("POST /recommend", span.SPAN_KIND_SERVER)
    assert (span.trace_id.hex(), span.parent_span_id.hex()) == tuple(PARENT.split("-")[1:3])
    assert 0 < span.end_time_unix_nano - span.start_time_unix_nano < 60e9
    assert attributes(span) == {
        "http.request.method": "POST",
        "http.route": "/recommend",
        "http.response.status_code": 200,
        "recompra.request_id": answer.headers["x-request-id"],
        "recompra.list": "for_you",
        "recompra.answered_from": "ready",
        "recompra.scoring": "20260301T0000-0001",
        "recompra.model.cross_sell": "1",
        "recompra.model.churn": "1",
    }


def test_a_refusal_is_a_span_without_a_word_of_what_was_sent(client: Client, collector: Collector) -> None:
    client.ask("/customer/c000001", {"customer_id": "c000001"}, headers={"traceparent": "none"})
    client.ask("/recommend", {"customer_id": "c000001", "k": "c000001"})
    client.send("GET", "/readyz")
    client.app.traces.flush()
    spans = collector.spans()
    assert [(span.name, attributes(span)["http.response.status_code"]) for span in spans] == [
        ("POST other", 404),
        ("POST /recommend", 400),
    ]
    assert len({span.trace_id for span in spans}) == 2
    assert not any(b"c000001" in message.SerializeToString() for message in collector.came)


def test_a_server_error_is_marked_as_one(client: Client, collector: Collector) -> None:
    async def broken(*_: object) -> None:
        raise RuntimeError

    client.app.app = broken
    assert client.ask("/customer", {"customer_id": "c000001"}).status_code == 500
    client.app.traces.flush()
    (span,) = collector.spans()
    assert span.status.code == span.status.STATUS_CODE_ERROR


def test_a_collector_that_is_away_costs_no_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "1")
    client, worker = visitor(tmp_path)
    assert client.ask("/recommend", {"customer_id": "c000001"}).status_code == 200
    client.app.traces.flush()
    worker.close()
    assert "c000001" not in caplog.text


def test_without_its_package_the_service_serves_and_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9")
    monkeypatch.setitem(sys.modules, "opentelemetry.exporter.otlp.proto.http.trace_exporter", None)
    client, worker = visitor(tmp_path)
    assert client.ask("/recommend", {"customer_id": "c000001"}).status_code == 200
    worker.close()
    assert "install `recompra[otel]`" in caplog.text


def test_unasked_for_nothing_of_it_is_imported() -> None:
    code = "import sys, serving.entrance.access\n"
    code += "assert not [name for name in sys.modules if 'opentelemetry' in name]"
    subprocess.run([sys.executable, "-c", code], check=True)
