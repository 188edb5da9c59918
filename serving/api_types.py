"""The base types of all requests and responses.

Ids are strings of 1 to 128 characters without control characters, and read as ingest reads them: blanks
around them are no part of them. Numbers are finite; an unknown field is an error.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from features.storage.contracts import BLANKS, LONGEST_ID, id_of
from serving.api_rows import Note, Published


def _whole(value: Any) -> Any:
    """Read 10.0 as 10: to JSON they are the same number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""Follows a number's limits, which would otherwise be missing from its schema."""
SHOWN = r"[^\x00-\x1f\x7f]"
INK = SHOWN[:-1] + "".join(f"\\u{ord(blank):04x}" for blank in BLANKS) + "]"


@dataclass(frozen=True)
class Cleaned(AfterValidator):
    """Cleans a text; one that matches ``pattern`` is clean already, so a quick reader may accept it."""

    pattern: str


Id = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_ID, pattern=f"^{SHOWN}*{INK}{SHOWN}*$"),
    Cleaned(id_of, pattern=f"^{INK}({SHOWN}*{INK})?$"),
]
Ids = Annotated[list[Id], Field(max_length=1000)]
Locale = Annotated[str, Field(min_length=2, max_length=35)]
Amount = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Quantity = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Request(BaseModel):
    """A request: strict types, no unknown field."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class Response(BaseModel):
    """A response, with what it is based on."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    as_of: str
    """The moment (UTC) up to which orders are in the models' state; events posted since are added."""
    models: dict[str, str]
    """Version of every model behind the response."""


class ScoredResponse(Response):
    """A response based on scores."""

    notes: Annotated[list[dict[str, Any]], Published(list[Note])] = []
    """Caveats on the scores. Of a file: in the header ``X-Notes``, as ``carried:churn``."""
