"""Requests and responses of a storefront, with the examples shown in the OpenAPI document."""

from typing import Annotated, Any, Literal, get_args

from pydantic import AwareDatetime, ConfigDict, Field
from typing_extensions import TypedDict

from features.settings import ListName
from models.lists.cold import Attribute
from models.policy.actions import Channel
from serving.api_rows import ActWindow, Money, Published, RuledOut, RuledOutAction, RunnerUp
from serving.api_types import (
    WHOLE,
    Amount,
    Id,
    Ids,
    Locale,
    Quantity,
    Request,
    Response,
    ScoredResponse,
    Share,
)

LIST_NAMES: tuple[ListName, ...] = get_args(ListName)


class RecommendRequest(Request):
    """The products to show a customer now."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_id": "1234", "list": "for_you", "k": 5}]}
    )

    customer_id: Id | None = None
    """The customer to show them to; absent for an unknown visitor."""
    k: Annotated[int, Field(ge=1, le=200), WHOLE] = 10
    """Number of products (1 to 200); fewer are returned only if fewer are eligible."""
    cart: Annotated[list[Id], Field(max_length=200)] = []
    """Product ids in the cart: they influence the answer and are not shown again."""
    product_id: Id | None = None
    """The product being viewed; ``bought_together`` and ``upsell`` start from it, otherwise from the cart.

    ``upsell`` contains only better versions of these, within the shop's price step.
    """
    exclude: Ids = []
    """Product ids never to show in this answer."""
    attributes: dict[Attribute, Annotated[str, Field(max_length=200)]] = {}
    """Attributes of a customer without orders: the answer is what sells to similar customers."""
    category: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    """Only this category and its subcategories, as ``a > b``."""
    min_price: Amount | None = None
    """Only products of at least this price; one whose price is unknown is left out."""
    max_price: Amount | None = None
    """Only products of at most this price."""
    details: bool = False
    """Also return each product's name, category and price, and why it is shown."""
    locale: Locale | None = None
    """Language of the reasons, such as en; by default the shop's. An unsupported one gives en."""
    list: ListName = "for_you"
    """Which list."""


class Product(TypedDict):
    """One product of a list."""

    product_id: Annotated[str, Field(description="The product.")]
    rank: Annotated[int, Field(description="From 1, the best.")]
    score: Annotated[
        float,
        Field(
            description="The calibrated chance (0 to 1) of buying it within the horizon, with raised odds if"
            " it goes with the cart."
        ),
    ]
    source: Annotated[str, Field(description="Why it is a candidate.")]


class Reason(TypedDict):
    """Why a product is shown: a code to compare, and a sentence for people."""

    code: str
    """The reason's name."""
    text: str
    """The reason as a sentence."""


class ProductDetails(Product):
    """One product of a list, with what the catalogue says of it."""

    name: str
    """Its name in the catalogue, or its id."""
    category: str | None
    """Its category, as ``a > b``."""
    price: float | None
    """Its price, in the shop's currency."""
    due_at: str | None
    """The day this customer is expected to buy it again; null for a new product, or if never is likelier."""
    reason: Reason
    """Why it is shown."""


Products = list[ProductDetails | Product]


class Recommended(Response):
    """A list, best first."""

    customer_id: str | None
    list: ListName
    """Which list."""
    products: Products
    """The products, best first."""
    answered_from: Literal["ready", "live", "fallback"]
    """``ready``: the nightly lists; ``live``: computed now from events or cart; ``fallback``: see
    ``fallback``."""
    fallback: str | None
    """Why this is not a personal answer, or is empty; otherwise null."""


class OfferRequest(Request):
    """The best action for one customer now, or nothing."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customer_id": "1234"}]})

    customer_id: Id
    exclude: Ids = []
    """Product ids never to offer."""
    channel: Channel | None = None
    """Only by this channel; ``site`` is shown in the shop, which needs no consent and costs nothing."""
    record: bool = False
    """Store the decision with the policy's propensity, so that its outcome can be measured."""
    locale: Locale | None = None
    """Language of the reasons, such as en; by default the shop's. An unsupported one gives en."""


class Offer(ScoredResponse):
    """A decision; the names in ``money`` contain their horizon in days."""

    customer_id: str
    action: Literal["offer", "contact", "nothing"]
    """``offer`` comes with a product, ``contact`` without one."""
    name: str
    """The action: cross_sell, win_back, ..., or nothing."""
    channel: str | None
    """How to reach the customer; null for nothing."""
    product_id: str | None
    """The product to offer; null for nothing and for an action without one."""
    product_name: str | None
    """Its name."""
    shown_with: str | None
    """The product_id of a best seller to show a slow mover with; otherwise null."""
    window: Annotated[dict[str, str | None] | None, Published(ActWindow | None)]
    """When to act, ``from`` and ``until`` (null: open) in the shop's time zone, outside quiet hours."""
    money: Annotated[dict[str, float | None], Published(Money)]
    """The worth of the offer compared with doing nothing, and the chance of a purchase without it."""
    currency: str
    """Of all amounts; empty if the shop has none."""
    effect: str
    """``assumed`` until it has been learnt from an experiment."""
    reason: str
    """Why this decision, in words."""
    runners_up: Annotated[list[dict[str, Any]], Published(list[RunnerUp])]
    """The next best options; a null product_id is doing nothing."""
    ruled_out: Annotated[list[dict[str, Any]], Published(list[RuledOut])]
    """Products refused, with the rule and its reason; the first ten."""
    ruled_out_actions: Annotated[list[dict[str, Any]], Published(list[RuledOutAction])]
    """Actions refused, with the rule and its reason."""
    propensity: float | None
    """The policy's probability of this decision, if it was recorded."""
    decision_id: str | None
    """Present if the decision was recorded."""
    experiment: str | None
    """While effects are assumed, the experiment that would measure them."""
    switched_off: str | None
    """Which actions are not weighed for want of a model, in words; otherwise null."""
    fallback: str | None
    """Why this is not a personal decision; otherwise null."""


class _Event(Request):
    event_id: Id
    """Chosen by the client, unique: posting the same event twice changes nothing."""
    occurred_at: AwareDatetime | None = None
    """With a time zone; by default now."""


class OrderEvent(_Event):
    """One line of an order; a customer's lines with the same ``occurred_at`` are one order."""

    kind: Literal["order"]
    customer_id: Id
    product_id: Id | None = None
    """May be absent only if the shop's orders name no products; the event then counts for features and
    scores."""
    quantity: Quantity = 1.0
    """Units ordered."""
    unit_price: Amount | None = None
    """Net of discounts; without it the order counts for the customer's features, but without revenue."""


class ReturnEvent(_Event):
    """A returned product."""

    kind: Literal["return"]
    customer_id: Id
    product_id: Id | None = None
    """The same as in the order: a return undoes the newest purchase of that product, or of an unnamed one."""
    quantity: Quantity = 1.0
    """Units returned."""


class StockEvent(_Event):
    """Units on hand: at 0 the product is hidden from the next request on."""

    kind: Literal["stock"]
    product_id: Id
    stock: Amount
    """Units on hand."""


class ContactEvent(_Event):
    """A contact made, or withheld (``treated`` false). Its event_id is the contact's id."""

    kind: Literal["contact"]
    customer_id: Id
    channel: Id | None = None
    """How the customer was reached."""
    action: Id | None = None
    """The action: cross_sell, win_back, ..."""
    product_id: Id | None = None
    """The product offered."""
    treated: bool = True
    """False if it was withheld, from a control group."""
    propensity: Share | None = None
    """The chance (0 to 1) with which it was to be sent."""
    cost: Amount | None = None
    """Its cost, in the shop's currency."""


Event = Annotated[OrderEvent | ReturnEvent | StockEvent | ContactEvent, Field(discriminator="kind")]


class EventsRequest(Request):
    """New events; either all of them are stored, or none.

    Consent is not an event: it is read from the customers table at the next ingest and scoring.
    """

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "events": [
                        {
                            "event_id": "order-981-1",
                            "kind": "order",
                            "customer_id": "1234",
                            "product_id": "1082185",
                            "quantity": 2,
                            "unit_price": 1.09,
                        },
                        {"event_id": "stock-5", "kind": "stock", "product_id": "995242", "stock": 0},
                    ]
                }
            ]
        }
    )

    events: Annotated[list[Event], Field(min_length=1, max_length=1000)]
    """Up to a thousand."""


class EventsKept(Response):
    """The number of new events; the others were known already or belong to erased customers."""

    accepted: int
    """Events stored."""
    duplicates: int
    """Events known already."""
    erased: int
    """Events of customers who were erased; they are not stored."""
