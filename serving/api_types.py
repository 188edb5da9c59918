"""What every request and response is made of.

Ids are strings of 1 to 128 characters without control characters, and read as ingest reads them: blanks
around them are no part of them. Numbers are finite; an unknown field is an error.
"""

from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from features.storage.contracts import BLANKS, LONGEST_ID, id_of


def _whole(value: Any) -> Any:
    """Read 10.0 as 10: to JSON they are the same number."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


WHOLE = BeforeValidator(_whole)
"""Stands behind the limits of a number, which would else be missing from its schema."""
SHOWN = r"[^\x00-\x1f\x7f]"
INK = SHOWN[:-1] + "".join(f"\\u{ord(blank):04x}" for blank in BLANKS) + "]"


@dataclass(frozen=True)
class Cleaned(AfterValidator):
    """Changes a text, save one of ``pattern``: such a text a quick reader may take as it is."""

    pattern: str


Id = Annotated[
    str,
    Field(min_length=1, max_length=LONGEST_ID, pattern=f"^{SHOWN}*{INK}{SHOWN}*$"),
    Cleaned(id_of, pattern=f"^{INK}({SHOWN}*{INK})?$"),
]
Ids = Annotated[list[Id], Field(max_length=1000)]
Amount = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
Quantity = Annotated[float, Field(gt=0, le=1e6, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


class Request(BaseModel):
    """A request: strict types, no unknown field."""

    model_config = ConfigDict(extra="forbid", strict=True, use_attribute_docstrings=True)


class Response(BaseModel):
    """An answer: says what it stands on."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    as_of: str
    """The moment (UTC) up to which orders are in the models' state; events posted since count on top."""
    models: dict[str, str]
    """Version of every model behind the answer."""


class Noted(Response):
    """An answer from scores."""

    notes: list[dict[str, Any]] = []
    """What one must know of them: ``code`` (``carried``: no window of the horizon has closed yet, so they are
    carried from a shorter one, not calibrated; ``season``: of their season no last year tells yet, so totals
    may be too low or too high), ``model``, ``learnt_days``, ``learnt_from``, ``season_from``, and a ``text``.

    Of a file: the header ``X-Notes``, as ``carried:churn``.
    """
