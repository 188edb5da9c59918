"""Requests by GET: the same request as in a body, read from the query string.

Each field has its own name: lists repeat it for every value, and an empty value is null (``limit=``).
Requests that name customers are only accepted in a body, as proxies log addresses.
"""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl

from pydantic import ValidationError

from serving.endpoints import Endpoint
from serving.entrance.bodies import refusal_of
from serving.entrance.refusals import Refused

MAX_FIELDS = 1_000
"""Maximum number of fields in a query, including repetitions."""
EMPTY = {"type": "string", "maxLength": 0}


def body_of_query(endpoint: Endpoint, query: bytes) -> bytes:
    """Return the equivalent body of a POST; raise ``Refused`` (400) naming the invalid field."""
    fields = dict(askable(endpoint))
    values: dict[str, Any] = {}
    for name, value in _pairs(query):
        if name not in fields:
            message = f"{name[:100]}: a GET takes {', '.join(fields)}; send more in the body of a POST"
            raise Refused(400, message)
        if _many(fields[name]):
            values.setdefault(name, []).append(value)
        elif name in values:
            raise Refused(400, f"{name}: given twice")
        else:
            values[name] = None if value == "" and _nullable(fields[name]) else value
    try:
        asked = endpoint.request.model_validate(values, strict=False)
    except ValidationError as error:
        raise refusal_of(error) from None
    return asked.model_dump_json(exclude_unset=True).encode()


def askable(endpoint: Endpoint) -> Iterator[tuple[str, dict[str, Any]]]:
    """Return the schemas of all fields allowed in a query, by name."""
    for name, schema in endpoint.request.model_json_schema()["properties"].items():
        if name not in endpoint.body_only:
            yield name, schema


def parameters(endpoint: Endpoint) -> list[dict[str, Any]]:
    """Return the fields as query parameters of the OpenAPI document."""
    needed = endpoint.request.model_json_schema().get("required", [])
    return [
        {
            "name": name,
            "in": "query",
            "required": name in needed,
            "description": schema.get("description", ""),
            "schema": _written(schema),
        }
        for name, schema in askable(endpoint)
    ]


def _written(schema: dict[str, Any]) -> dict[str, Any]:
    """Return a field's schema in a query, which has no null: an absent list, otherwise an empty value."""
    kept = {key: value for key, value in schema.items() if key not in ("anyOf", "default", "description")}
    choices = [one for one in schema.get("anyOf", [kept]) if one.get("type") != "null"]
    if len(choices) == 1 and _many(schema):
        return {**kept, **choices[0], "minItems": max(choices[0].get("minItems", 0), 1)}
    return {**kept, "anyOf": [*choices, EMPTY]} if _nullable(schema) else kept


def _pairs(query: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(
            query.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=MAX_FIELDS
        )
    except ValueError as error:
        raise Refused(400, f"the query cannot be read: {error}"[:200]) from None


def _many(schema: dict[str, Any]) -> bool:
    return any(one.get("type") == "array" for one in schema.get("anyOf", [schema]))


def _nullable(schema: dict[str, Any]) -> bool:
    return any(one.get("type") == "null" for one in schema.get("anyOf", []))
