"""How schemathesis is set up for the service: all its checks, strict ones included."""

from pathlib import Path
from typing import Any

import schemathesis

from serving.entrance.openapi import build

POSITIVE = ("2xx", "3xx", "401", "403", "404", "409", "410", "429")
"""What a well-formed request may be answered with: beside the defaults 410, for a cursor may be too old; and
no 5xx, which the defaults allow."""


def settings(place: Path) -> Path:
    """Write schemathesis' own settings file."""
    file, statuses = place / "schemathesis.toml", ", ".join(f'"{status}"' for status in POSITIVE)
    file.write_text(
        f"[checks.positive_data_acceptance]\nexpected-statuses = [{statuses}]\n", encoding="utf-8"
    )
    return file


def closed() -> Any:
    """Load the document with every object closed: a field it does not name is a fault of a response."""
    document = build()
    for schema in document["components"]["schemas"].values():
        schema.setdefault("additionalProperties", False)
    return schemathesis.openapi.from_dict(document)
