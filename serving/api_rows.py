"""The rows of responses, field by field: what the OpenAPI document says of them.

Responses are assembled as plain rows, which nothing validates: ``Published`` says what is in them, and tests
hold rows and types equal. In a name ``Nd`` stands for a horizon in days: ``expected_margin_Nd`` is answered
as ``expected_margin_28d``, and published as a pattern. Money is in the response's ``currency``.
"""

from dataclasses import dataclass
from types import GenericAlias
from typing import Annotated, Any, NotRequired

from pydantic import ConfigDict, Field, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from typing_extensions import TypedDict

from models.customers.rfm_grid import Segment

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


class ChurnReason(TypedDict):
    """A reason why a customer may leave or stay."""

    code: str
    """What it is about, as ``silence`` or ``rhythm``."""
    effect: str
    """Its effect on the risk of leaving: ``raises`` or ``lowers``."""
    text: str
    """The reason as a sentence."""


class Scores(TypedDict, total=False):
    """The scores of one customer, as far as models serve that give them."""

    churn_probability_Nd: Annotated[
        float | None, Field(description="Chance (0 to 1) of no order within these days.")
    ]
    churn_reason_1: Annotated[
        str | None,
        Field(description="The strongest reason for that chance and its effect, as silence:raises."),
    ]
    churn_reason_2: Annotated[str | None, Field(description="The second reason.")]
    churn_reason_3: Annotated[str | None, Field(description="The third reason.")]
    expected_orders_Nd: Annotated[
        float | None, Field(description="Expected days with an order within the horizon.")
    ]
    expected_revenue_Nd: Annotated[float | None, Field(description="Expected revenue within the horizon.")]
    expected_revenue_Nd_p10: Annotated[
        float | None,
        Field(description="Lower end of its interval, which covers 80% of all customers."),
    ]
    expected_revenue_Nd_p90: Annotated[float | None, Field(description="Upper end of its interval.")]
    expected_margin_Nd: Annotated[float | None, Field(description="Expected margin within the horizon.")]
    days_between_orders: Annotated[
        float | None, Field(description="Typical days between two days with an order.")
    ]
    next_order_at: Annotated[
        Moment | None, Field(description="When half of customers like this one have ordered again.")
    ]
    next_order_p10: Annotated[Moment | None, Field(description="When 10% of them have.")]
    next_order_p90: Annotated[Moment | None, Field(description="When 90% of them have.")]
    segment: Annotated[Segment | None, Field(description="RFM segment.")]
    persona: Annotated[str | None, Field(description="Persona: what sets the customer apart.")]


class ScoresRow(Scores):
    """One customer's row of scores."""

    customer_id: str
    """The customer."""
    as_of: Moment
    """The moment of the scores, later than the scoring's if an order or return came since."""


class HeldEvent(TypedDict):
    """An event of the customer, as posted."""

    event_id: str
    """Its id, chosen by the client."""
    kind: str
    """``order``, ``return`` or ``contact``."""
    product_id: str | None
    """The product, if one was named."""
    quantity: float | None
    """Units ordered or returned."""
    unit_price: float | None
    """Price per unit, net of discounts."""
    occurred_at: Moment
    """When it happened."""
    received_at: Moment
    """When it was posted."""


class HeldContact(TypedDict):
    """A contact with the customer, as posted."""

    contact_id: str
    """The id of its event."""
    sent_at: Moment
    """When it was sent."""
    channel: str | None
    """How the customer was reached."""
    action: str | None
    """The action."""
    product_id: str | None
    """The product offered."""
    treated: bool
    """False if it was withheld, from a control group."""
    propensity: float | None
    """The chance (0 to 1) with which it was to be sent."""
    cost: float | None
    """Its cost."""


class HeldDecision(TypedDict):
    """A decision recorded for the customer."""

    decision_id: str
    """Its id."""
    decided_at: Moment
    """When it was made."""
    action: str
    """The action chosen, or ``nothing``."""
    product_id: str | None
    """The product chosen."""
    propensity: float
    """The policy's probability (0 to 1) of this decision."""
    expected_margin: float | None
    """Margin it was expected to earn within the horizon after its costs, compared with doing nothing."""
    models: str
    """The versions of the models behind it, as ``churn=3,ltv=2``."""
    as_of: Moment
    """The moment of the scoring behind it."""


class RankedTarget(TypedDict):
    """A customer to keep, with a plain retention contact."""

    rank: int
    """From 1, the best."""
    customer_id: str
    """The customer."""
    churn_probability_Nd: float | None
    """Chance (0 to 1) of no order within the horizon, without a contact."""
    expected_margin_if_stays_Nd: float | None
    """Expected margin within the horizon of a customer like this one who orders."""
    contact_cost: float
    """Cost of the contact."""
    expected_incremental_margin_Nd: float
    """Margin the contact is expected to earn within the horizon after its cost."""
    contact_effect: NotRequired[float]
    """Change of the chance of an order by the contact, if it was learnt from an experiment."""


class TargetByAction(TypedDict):
    """A customer to keep, with the best of the requested actions."""

    rank: int
    """From 1, the best."""
    customer_id: str
    """The customer."""
    action: str
    """The action."""
    channel: str
    """How to reach the customer."""
    expected_incremental_margin_Nd: float
    """Margin the contact is expected to earn within the horizon after its costs."""
    order_probability_Nd: float
    """Chance (0 to 1) of an order within the horizon, without the contact."""
    spend: float
    """Cost of the contact and its expected discount."""
    effect: str
    """``assumed`` until it has been learnt from an experiment, then ``learnt``."""


class CurvePoint(TypedDict):
    """What a budget buys."""

    budget: float
    """The budget."""
    n_customers: int
    """How many customers it contacts."""
    expected_incremental_margin: float
    """Margin they are expected to earn within the horizon after costs."""


class PlannedContact(TypedDict):
    """One contact of a plan."""

    on: Day
    """Its day."""
    at: Moment
    """Its moment, in the shop's time zone."""
    until: Day
    """The last day on which it still makes sense."""
    customer_id: str
    """The customer."""
    action: str
    """The action."""
    channel: str
    """How to reach the customer."""
    product_id: str | None
    """The product to offer; null for an action without one."""
    product_name: str | None
    """Its name."""
    next_order_on: Day | None
    """When the customer's next order is expected; null if unknown."""
    expected_incremental_margin_Nd: float
    """Margin it is expected to earn within the horizon after its costs."""
    purchase_probability_Nd: float
    """Chance (0 to 1), without the contact, of buying the product within the horizon, or, if it has none, of
    an order."""
    spend: float
    """Its cost and expected discount."""
    effect: str
    """``assumed`` until it has been learnt from an experiment, then ``learnt``."""
    reason: str
    """Why, in words."""


class NotPlanned(TypedDict):
    """A customer without a contact in the plan."""

    customer_id: str
    """The customer."""
    reason: str
    """Why, in words."""
