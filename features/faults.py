"""What is wrong with a value, in words: pydantic's faults as sentences for users."""

import json
from typing import Any

from pydantic_core import ErrorDetails

N_SHOWN = 60
"""Maximum number of characters quoted of a value."""
WITHOUT_VALUE = frozenset(
    {
        "json_invalid",
        "missing",
        "extra_forbidden",
        "too_long",
        "too_short",
        "union_tag_invalid",
        "value_error",
    }
)
"""Faults whose sentence need not quote the value."""
WORDS = {
    "missing": "this field is required",
    "extra_forbidden": "there is no such field",
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be more than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "finite_number": "must be a finite number",
    "string_type": "must be a string",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
    "string_pattern_mismatch": "is not of the form expected here",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "literal_error": "must be {expected}",
    "json_invalid": "is not valid JSON: {error}",
    "union_tag_invalid": "kind must be one of {expected_tags}, found '{tag}'",
    "union_tag_not_found": "no kind is given",
    "value_error": "{error}",
}
KINDS = {
    "int_": "must be a whole number",
    "float_": "must be a number",
    "bool_": "must be true or false",
    "date_": "must be a date such as 2026-03-29",
    "datetime_": "must be a date and time such as 2026-03-29T23:30:00+00:00",
    "timezone_": "must have an offset from UTC, as 2026-03-29T23:30:00+00:00 has",
    "list_": "must be a list",
    "tuple_": "must be a list",
    "dict_": "must be an object",
    "model_": "must be an object",
}
"""By how the fault's type begins, for types that are not in ``WORDS``."""


def problem(fault: ErrorDetails) -> str:
    """Return what was expected, and what came; pydantic's own message for a fault that has no words here."""
    kind, facts = fault["type"], {name: _plain(fact) for name, fact in fault.get("ctx", {}).items()}
    words = WORDS.get(kind) or next((KINDS[start] for start in KINDS if kind.startswith(start)), None)
    if facts.get("min_length") == 1:
        words = "must not be empty"
    expected = fault["msg"] if words is None else words.format(**facts)
    return expected if kind in WITHOUT_VALUE else f"{expected}, found {shown(fault['input'])}"


def _plain(fact: Any) -> Any:
    """Return a limit as people write it: 0 for 0.0."""
    return int(fact) if isinstance(fact, float) and fact.is_integer() else fact


def shown(value: Any) -> str:
    """Return a value as JSON, shortened."""
    text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= N_SHOWN else f"{text[:N_SHOWN]}..."
