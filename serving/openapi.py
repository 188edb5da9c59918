"""The OpenAPI document, from the table of endpoints: what is refused, and how, stands in it too."""

from functools import cache
from typing import Any

import msgspec
from pydantic import BaseModel, ConfigDict
from pydantic.json_schema import models_json_schema

from serving.endpoints import ALL, Endpoint

REFUSALS = {
    "400": "The body is no JSON of the right form; the reason names the field.",
    "401": "No key, an unknown one, or a revoked one.",
    "403": "A key of another scope.",
    "413": "The body is larger than 1 MB.",
    "415": "The body is not sent as application/json.",
    "503": "Nothing has been scored yet, or the database is away; see Retry-After.",
}


class Refusal(BaseModel):
    """Why a request was not answered."""

    model_config = ConfigDict(extra="allow")

    error: str
    request_id: str
    detail: list[Any] | None = None


@cache
def document() -> bytes:
    """Return the document as JSON."""
    return msgspec.json.encode(build())


def build() -> dict[str, Any]:
    """Lay out the document; examples are those of the models."""
    models = [model for endpoint in ALL for model in (endpoint.request, endpoint.response)]
    modes = [(model, "validation") for model in [*models, Refusal]]
    _, schemas = models_json_schema(modes, ref_template="#/components/schemas/{model}")  # type: ignore[arg-type]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Recompra", "version": "0.1.0", "description": "What each customer will buy next."},
        "security": [{"key": []}],
        "paths": {endpoint.path: {"post": _operation(endpoint)} for endpoint in ALL} | _probes(),
        "components": {
            "schemas": schemas["$defs"],
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def _operation(endpoint: Endpoint) -> dict[str, Any]:
    extra: Any = endpoint.request.model_config.get("json_schema_extra")
    first = extra["examples"][0] if extra else {}
    told = {status: _json("Refusal", text) for status, text in REFUSALS.items()}
    return {
        "operationId": endpoint.path.strip("/"),
        "summary": endpoint.summary,
        "description": f"Needs a key of the scope {' or '.join(endpoint.scopes)}.",
        "tags": list(endpoint.scopes[:1]),
        "requestBody": {"required": True, **_content(endpoint.request.__name__, first)},
        "responses": {"200": _json(endpoint.response.__name__, "Answered."), **told},
    }


def _json(schema: str, description: str) -> dict[str, Any]:
    return {"description": description, **_content(schema)}


def _content(schema: str, example: Any = None) -> dict[str, Any]:
    shown = {"schema": {"$ref": f"#/components/schemas/{schema}"}}
    if example is not None:
        shown["example"] = example
    return {"content": {"application/json": shown}}


def _probes() -> dict[str, Any]:
    plain = {"200": {"description": "Yes."}}
    probes = {
        "/livez": ("Is the process alive?", plain),
        "/readyz": ("Can it answer?", {**plain, "503": NOT_YET}),
    }
    paths = {
        path: {"get": {"summary": text, "operationId": path.strip("/"), "security": [], "responses": told}}
        for path, (text, told) in probes.items()
    }
    metrics = {"summary": "Prometheus metrics.", "operationId": "metrics", "responses": plain}
    metrics["description"] = "Needs a key of the scope admin."
    return {**paths, "/metrics": {"get": metrics}}


NOT_YET = {"description": "No; the body says why."}
