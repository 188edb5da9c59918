"""Requests and responses of a storefront, with the examples the OpenAPI document shows."""

from typing import Annotated, Any, Literal, get_args

from pydantic import AwareDatetime, ConfigDict, Field
from typing_extensions import TypedDict

from features.settings import ListName
from models.lists.cold import Attribute
from models.policy.actions import Channel
from serving.api_types import WHOLE, Amount, Id, Ids, Noted, Quantity, Request, Response, Share

LIST_NAMES: tuple[ListName, ...] = get_args(ListName)


class RecommendRequest(Request):
    """What to show, now."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"customer_id": "1234", "list": "for_you", "k": 5}]}
    )

    customer_id: Id | None = None
    """Whom to show it to; absent for a visitor nobody knows."""
    k: Annotated[int, Field(ge=1, le=200), WHOLE] = 10
    """How many products (1 to 200); fewer come only where fewer are eligible."""
    cart: Annotated[list[Id], Field(max_length=200)] = []
    """Product ids in the cart: they steer the answer and are not shown again."""
    product_id: Id | None = None
    """The product being looked at; ``bought_together`` and ``upsell`` start from it, else from the cart.

    ``upsell`` holds only better versions of what it starts from, within the shop's price step."""
    exclude: Ids = []
    """Product ids never to show in this answer."""
    attributes: dict[Attribute, Annotated[str, Field(max_length=200)]] = {}
    """What is known of a customer without orders: what sells to those alike is shown."""
    category: Annotated[str, Field(min_length=1, max_length=300)] | None = None
    """Only this category and those below it, as ``a > b``."""
    min_price: Amount | None = None
    """Only products of at least this price; one whose price is unknown is left out."""
    max_price: Amount | None = None
    """Only products of at most this price."""
    details: bool = False
    """Also return each product's name, category and price, and why it is shown."""
    locale: Annotated[str, Field(min_length=2, max_length=35)] | None = None
    """Language of the reasons, such as en; absent: the shop's. One that is not spoken reads as en."""
    list: ListName = "for_you"
    """Which list."""


class Product(TypedDict):
    """One product of a list."""

    product_id: str
    rank: int
    score: float
    source: str


class Reason(TypedDict):
    """Why a product is shown: a code to compare, and a sentence for people."""

    code: str
    text: str


class ProductDetails(Product):
    """One product of a list, with what the catalogue says of it."""

    name: str
    category: str | None
    price: float | None
    due_at: str | None
    """The day this customer is expected to buy it again; null where never is likelier, or it is new."""
    reason: Reason


Products = list[ProductDetails | Product]


class Recommended(Response):
    """A list, best first."""

    customer_id: str | None
    list: ListName
    products: Products
    """``score``: the calibrated chance of buying it within the horizon, its odds raised for what goes with
    the cart; ``source``: where it came from."""
    answered_from: Literal["ready", "live", "fallback"]
    """``ready``: the nightly lists; ``live``: computed now, on events or cart; ``fallback``: see there."""
    fallback: str | None
    """Why this is no personal answer, or an empty one; else null."""


class OfferRequest(Request):
    """What to do now for one customer, or nothing."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customer_id": "1234"}]})

    customer_id: Id
    exclude: Ids = []
    """Product ids never to offer."""
    channel: Channel | None = None
    """Only by this channel; ``site``: shown in the shop, which needs no consent and costs nothing."""
    record: bool = False
    """Keep the decision, with the policy's propensity, so that what it earned can be measured."""


class Offer(Noted):
    """A decision; the names in ``money`` carry their horizon in days."""

    customer_id: str
    action: Literal["offer", "contact", "nothing"]
    """``offer`` comes with a product, ``contact`` without one."""
    name: str
    """Which action of the catalogue: cross_sell, win_back, ..., or nothing."""
    channel: str | None
    """How to reach the customer; null for nothing."""
    product_id: str | None
    product_name: str | None
    shown_with: str | None
    """A best seller to show a slow mover with, by product_id; else null."""
    window: dict[str, str | None] | None
    """When to act, ``from`` and ``until`` (null: open) in the shop's zone, quiet hours left out."""
    money: dict[str, float | None]
    """The worth of the offer over doing nothing, and the chance of a purchase without it."""
    currency: str
    effect: str
    """``assumed`` until an experiment has been learnt from."""
    reason: str
    runners_up: list[dict[str, Any]]
    """The next best options; a null product_id is doing nothing."""
    ruled_out: list[dict[str, Any]]
    """Products refused, by which rule, in words; the first ten."""
    ruled_out_actions: list[dict[str, Any]]
    """Actions refused, by which rule, in words."""
    propensity: float | None
    """The policy's chance of deciding so, where the decision was recorded."""
    decision_id: str | None
    """Set when the decision was recorded."""
    experiment: str | None
    """While effects are assumed: the experiment that would measure them."""
    fallback: str | None


class _Event(Request):
    event_id: Id
    """Yours, unique: posting it twice changes nothing."""
    occurred_at: AwareDatetime | None = None
    """With a time zone; absent: now."""


class OrderEvent(_Event):
    """One line of an order; a customer's lines of one ``occurred_at`` are one order."""

    kind: Literal["order"]
    customer_id: Id
    product_id: Id | None = None
    """Absent only where the shop's orders name none; it then counts for features and scores."""
    quantity: Quantity = 1.0
    unit_price: Amount | None = None
    """Net of discounts; without it the order counts for the customer's features, its money does not."""


class ReturnEvent(_Event):
    """A product brought back."""

    kind: Literal["return"]
    customer_id: Id
    product_id: Id | None = None
    """As the order named it: a return undoes the newest purchase of that product, or of none."""
    quantity: Quantity = 1.0


class StockEvent(_Event):
    """Units on hand: at 0 the product is not shown by the next request; also the way to hide one."""

    kind: Literal["stock"]
    product_id: Id
    stock: Amount


class ContactEvent(_Event):
    """A contact that was made (or held out: ``treated`` false). Its event_id is the contact's id."""

    kind: Literal["contact"]
    customer_id: Id
    channel: Id | None = None
    action: Id | None = None
    product_id: Id | None = None
    treated: bool = True
    propensity: Share | None = None
    cost: Amount | None = None


Event = Annotated[OrderEvent | ReturnEvent | StockEvent | ContactEvent, Field(discriminator="kind")]


class EventsRequest(Request):
    """What just happened; all of it is kept, or none.

    Consent is no event: it is read with the table of customers, at the next ingest and scoring.
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


class EventsKept(Response):
    """How many events were new; the rest were known already or belong to erased customers."""

    accepted: int
    duplicates: int
    erased: int
    """Events of customers who asked to be forgotten; not kept."""
