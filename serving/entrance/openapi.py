"""The OpenAPI document, generated from the table of endpoints, including all refusals."""

from functools import cache
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema
from typing_extensions import TypedDict

from serving.api_rows import HORIZON
from serving.endpoints import ALL, Endpoint
from serving.entrance.queries import parameters

REFUSALS = {
    "400": "The body is not JSON of the right form; the reason names the field.",
    "401": "No key, an unknown one, or a revoked one.",
    "403": "A key of another scope.",
    "408": "The body did not come in time.",
    "413": "The body is larger than 1 MB.",
    "415": "The body is not sent as application/json, or is compressed.",
    "429": "The key may not ask so often; see Retry-After.",
    "500": "An error of the service, logged under the request_id.",
    "503": "Nothing has been scored yet, or the database is unavailable; see Retry-After.",
    "504": "The answer took too long.",
}
SOME = {
    "404": "This shop does not have it: the reason names what there is.",
    "409": "It contradicts what is known: a future event, an order of no product, a plan for the past.",
    "410": "The scoring of this cursor is no longer kept: start again without one.",
}
"""Statuses of some endpoints only: see ``Endpoint.more``."""
UNCHANGED = "The client has it already: what If-None-Match names has not changed."
OF_BODIES = ("408", "413", "415")
"""Statuses that requests without a body never get."""
HEADERS = {
    "X-Request-Id": "The request's id, in the log too; one sent with the request is taken over.",
    "Retry-After": "Seconds to wait.",
    "WWW-Authenticate": "Bearer.",
    "ETag": "Names this content; send it as If-None-Match of a GET.",
    "X-Next-Cursor": "Where the next page starts; absent on the last one.",
    "X-As-Of": "The scoring's moment, of a file.",
    "X-Currency": "The currency of all money in a file.",
    "X-Notes": "Caveats on a file's scores: code and model, as carried:churn; absent if there are none.",
}
IF_NONE_MATCH = {
    "name": "If-None-Match",
    "in": "header",
    "description": "ETags of answers the client holds.",
    "schema": {"type": "string"},
}
OF_SCORES = ("X-Next-Cursor", "X-As-Of", "X-Currency")
FILES = ("text/csv", "application/x-ndjson")
ROWS = {"type": "string", "description": "The rows alone, one per line, with the fields they have in JSON."}
ABOUT = (
    "What each customer will buy next. A name that contains a horizon in days (expected_margin_28d) is"
    " described by a pattern. Whatever takes a GET takes a HEAD, and answers it without a body."
    " It is for servers, not for pages: no origin is allowed (CORS), since anybody can"
    " read a key in a web page."
)


class Fault(TypedDict):
    """What is wrong with one field of a request."""

    field: str
    """Where it is, as ``events.0.kind``; empty for the whole body."""
    problem: str
    """What was expected, what came, and what to do."""


class Refusal(BaseModel):
    """Why a request was not answered."""

    model_config = ConfigDict(extra="allow", use_attribute_docstrings=True)

    error: str
    """The reason in words, and what to do."""
    request_id: str
    """Finds the request in the log."""
    detail: list[Fault | str] | None = None
    """Of a 400 the first faults of the request, of a 404 the paths there are."""


class Status(BaseModel):
    """The state of a worker."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    ready: bool
    """Whether it can answer."""
    scoring: str | None
    """The scoring it answers from."""
    as_of: str | None
    """The moment of that scoring."""
    models: dict[str, str]
    """Version of every model behind it."""
    refused: str | None
    """Why a newer scoring, or the registry's champions, do not serve; null while they do."""
    store: str
    """``ok``, or what is wrong with the online store."""
    registry: str
    """``ok``, or why the registry cannot be read."""
    refresh: str
    """``ok``, or why customers are not refreshed after their orders."""


@cache
def document() -> bytes:
    """Return the document as JSON."""
    return msgspec.json.encode(build())


def build() -> dict[str, Any]:
    """Build the document; examples are those of the models."""
    models = [model for endpoint in ALL for model in (endpoint.request, endpoint.response)]
    modes = [(model, "validation") for model in [*models, Refusal, Status]]
    _, schemas = models_json_schema(modes, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    for schema in schemas["$defs"].values():
        _by_horizon(schema)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Recompra", "version": "0.1.0", "description": ABOUT},
        "security": [{"key": []}],
        "paths": {endpoint.path: _operations(endpoint) for endpoint in ALL} | _probes(),
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _by_horizon(schema: dict[str, Any]) -> None:
    """Publish fields whose name contains a horizon (see ``serving.api_rows``) as patterns."""
    fields = schema.get("properties", {})
    named = [name for name in fields if HORIZON in name]
    patterns = {f"^{name.replace(HORIZON, '_[0-9]+d')}$": fields.pop(name) for name in named}
    if patterns:
        schema["patternProperties"] = patterns
        schema["required"] = [name for name in schema.get("required", []) if name in fields]


def _operations(endpoint: Endpoint) -> dict[str, Any]:
    extra: Any = endpoint.request.model_config.get("json_schema_extra")
    first = extra["examples"][0] if extra else {}
    name, responses, about = endpoint.path.strip("/"), _responses(endpoint), _about(endpoint)
    body = {"required": True, **_content(endpoint.request.__name__, first)}
    operations = {"post": {"operationId": name, **about, "requestBody": body, "responses": responses}}
    if "GET" in endpoint.methods:
        responses = {status: answer for status, answer in responses.items() if status not in OF_BODIES}
        responses["304"] = {"description": UNCHANGED, "headers": _headers("X-Request-Id", "ETag")}
        asked = {"parameters": [*parameters(endpoint), IF_NONE_MATCH], "responses": responses}
        operations["get"] = {"operationId": f"get_{name}", **about, **asked}
    return operations


def _about(endpoint: Endpoint) -> dict[str, Any]:
    return {
        "summary": endpoint.summary,
        "description": f"Needs a key of the scope {' or '.join(endpoint.scopes)}.",
        "tags": list(endpoint.scopes[:1]),
    }


def _responses(endpoint: Endpoint) -> dict[str, Any]:
    responses = {status: _refusal(status, text) for status, text in REFUSALS.items()}
    responses |= {status: _refusal(status, SOME[status]) for status in endpoint.more}
    answered = _json(endpoint.response.__name__, "Answered.", "X-Request-Id")
    if endpoint.files:
        answered["content"] |= {kind: {"schema": ROWS} for kind in FILES}
        answered["headers"] |= _headers("ETag", "X-Notes", *(OF_SCORES if endpoint.path == "/scores" else ()))
    return {"200": answered, **responses}


def _refusal(status: str, text: str) -> dict[str, Any]:
    more = {"401": ["WWW-Authenticate"], "429": ["Retry-After"], "503": ["Retry-After"]}
    return _json("Refusal", text, "X-Request-Id", *more.get(status, []))


def _json(schema: str, description: str, *headers: str) -> dict[str, Any]:
    return {"description": description, "headers": _headers(*headers), **_content(schema)}


def _headers(*names: str) -> dict[str, Any]:
    return {name: {"description": HEADERS[name], "schema": {"type": "string"}} for name in names}


def _content(schema: str, example: Any = None) -> dict[str, Any]:
    shown: dict[str, Any] = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    if example is not None:
        shown["example"] = example
    return {"content": {"application/json": shown}}


def _probes() -> dict[str, Any]:
    """Describe the paths that are read by GET."""
    status = {"$ref": "#/components/schemas/Status"}
    alive = {"type": "object", "properties": {"alive": {"type": "boolean"}}, "required": ["alive"]}
    probes = {
        "/livez": _probe("Is the process alive?", {"200": _plain("Yes.", alive)}),
        "/healthz": _probe(
            "The same, under the name some orchestrators ask for.", {"200": _plain("Yes.", alive)}
        ),
        "/readyz": _probe(
            "Can it answer?", {"200": _plain("Yes.", status), "503": _plain("No; it says why.", status)}
        ),
    }
    refusals = {status: _refusal(status, REFUSALS[status]) for status in ("401", "403", "429", "500")}
    metrics = {"200": {"description": "In Prometheus' text format.", "content": TEXT}, **refusals}
    itself = {
        "200": _plain("This document.", {"type": "object", "required": ["openapi", "paths"]}),
        **refusals,
    }
    probes["/metrics"] = _probe("Prometheus metrics.", metrics, "Needs a key of the scope admin.")
    probes["/openapi.json"] = _probe("This document.", itself, "Needs a key of any scope.")
    return {path: {"get": {"operationId": path.strip("/"), **probe}} for path, probe in probes.items()}


TEXT = {"text/plain": {"schema": {"type": "string"}}}


def _probe(summary: str, responses: dict[str, Any], description: str = "") -> dict[str, Any]:
    shown = {"summary": summary, "responses": responses}
    return {**shown, "description": description} if description else {**shown, "security": []}


def _plain(description: str, schema: dict[str, Any]) -> dict[str, Any]:
    return {"description": description, "content": {"application/json": {"schema": schema}}}
