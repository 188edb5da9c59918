"""The rows of a CRM's responses, field by field: see ``serving.api_rows``."""

from typing import Annotated, NotRequired

from pydantic import Field
from typing_extensions import TypedDict

from models.customers.rfm_grid import Segment
from serving.api_rows import Day, Moment


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
