"""The rows of responses, field by field, as the OpenAPI document describes them; a CRM's: ``api_crm_rows``.

Responses are assembled as plain rows, which nothing validates: ``Published`` says what is in them, and tests
hold rows and types equal. In a name ``Nd`` stands for a horizon in days: ``expected_margin_Nd`` is answered
as ``expected_margin_28d``, and published as a pattern. Money is in the response's ``currency``.
"""

from dataclasses import dataclass
from types import GenericAlias
from typing import Annotated, Any

from pydantic import ConfigDict, Field, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import TypedDict

HORIZON = "_Nd"


@dataclass(frozen=True)
class Published:
    """Publishes plain data under a type that is never used to read or write it."""

    kind: Any

    def __get_pydantic_json_schema__(
        self, _plain: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        """Return the schema of ``kind``; the docstrings of its fields are their descriptions."""
        rows: Any = GenericAlias(list, self.kind)  # a bare type may have no config
        described = TypeAdapter(rows, config=ConfigDict(use_attribute_docstrings=True))
        schema: JsonSchemaValue = handler(described.core_schema)["items"]
        return schema


Day = Annotated[str, Field(json_schema_extra={"format": "date"})]
Moment = Annotated[str, Field(json_schema_extra={"format": "date-time"})]


class Note(TypedDict):
    """A caveat on scores."""

    code: str
    """``carried``: no window of the horizon has closed yet, so they are extrapolated from a shorter one and
    not calibrated. ``season``: last year does not cover their season yet, so totals may be too low or too
    high."""
    model: str
    """The model whose scores it concerns."""
    horizon_days: int
    """The horizon, in days."""
    learnt_days: int
    """The horizon of the windows it was learnt from, in days."""
    learnt_from: Day
    """From this cutoff on, the horizon can be learnt from its own windows."""
    season_from: Day | None
    """From this cutoff on, last year shows the season; null if it does already."""
    text: str
    """The caveat as a sentence."""


class Money(TypedDict):
    """The worth of an offer."""

    expected_incremental_margin_Nd: float
    """Margin it is expected to earn within the horizon after its costs, compared with doing nothing."""
    purchase_probability_Nd: float | None
    """Chance (0 to 1), without the offer, of buying the product within the horizon, or, if it has none, of
    an order; null for nothing."""


ActWindow = TypedDict(
    "ActWindow",
    {
        "from": Annotated[Moment, Field(description="First moment to act.")],
        "until": Annotated[Moment | None, Field(description="Last moment (exclusive); null: open.")],
    },
)
"""When to act, in the shop's time zone."""


class RunnerUp(TypedDict):
    """One of the next best options."""

    action: str
    """The action, or ``nothing``."""
    product_id: str | None
    """The product offered; null for nothing and for an action without one."""
    expected_incremental_margin_Nd: float
    """Margin it is expected to earn within the horizon after its costs, compared with doing nothing."""


class RuledOut(TypedDict):
    """A product that no action may offer."""

    product_id: str | None
    """The product; null if one rule refused everything."""
    rule: str
    """The name of the rule."""
    reason: str
    """The rule's reason, in words."""


class RuledOutAction(TypedDict):
    """An action that may not be taken."""

    action: str
    """The name of the action."""
    rule: str
    """The name of the rule."""
    reason: str
    """The rule's reason, in words."""
