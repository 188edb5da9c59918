"""Requests and responses of a CRM."""

from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, PrivateAttr

from models.customers.rfm_grid import Segment
from serving.api import Product
from serving.api_crm_rows import (
    ChurnReason,
    CurvePoint,
    HeldContact,
    HeldDecision,
    HeldEvent,
    NotPlanned,
    PlannedContact,
    RankedTarget,
    Scores,
    ScoresRow,
    TargetByAction,
)
from serving.api_rows import Published
from serving.api_types import WHOLE, Amount, Id, Locale, Request, Response, ScoredResponse, Share

Format = Literal["json", "ndjson", "csv"]
Count = Annotated[int, Field(ge=0, le=1_000_000), WHOLE]
Names = Annotated[list[Id], Field(min_length=1, max_length=100)]
Cursor = Annotated[str, Field(pattern=r"^[0-9]{8}T[0-9]{4}-[0-9]{4,9}:[0-9]{1,9}$")]
"""A scoring's name, and the row at which to continue."""


class CustomerRequest(Request):
    """One customer."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customer_id": "1234"}]})

    customer_id: Id
    locale: Locale | None = None
    """Language of the reasons and notes, such as en; by default the shop's. An unsupported one gives en."""


class Profile(ScoredResponse):
    """Everything known and predicted about one customer."""

    customer_id: str
    known: bool
    """False if there is no order before ``as_of``; features, scores and lists are then empty. ``as_of`` is
    the moment of features and scores: just after the newest order or return within 28 days of the scoring,
    otherwise the scoring's."""
    currency: str
    """Of all amounts below; empty if the shop has none."""
    features: dict[str, float | None]
    """For units see ``recompra features``."""
    scores: Annotated[dict[str, float | str | None], Published(Scores)]
    """Names contain the horizon in days."""
    behind: str | None
    """Why features and scores do not include the newest order or return (the scoring is too old); otherwise
    null."""
    reasons: Annotated[list[dict[str, str]], Published(list[ChurnReason])]
    """Why the customer may leave or stay, the strongest first."""
    lists: dict[str, list[Product]]
    """The first five of each list, ranked live if there were events since the scoring."""
    events: Annotated[list[dict[str, Any]], Published(list[HeldEvent])]
    """The last hundred events posted, newest first; features and scores include those before ``as_of``."""
    contacts: Annotated[list[dict[str, Any]], Published(list[HeldContact])]
    """The last hundred contacts posted, newest first."""
    decisions: Annotated[list[dict[str, Any]], Published(list[HeldDecision])]
    """The last hundred decisions recorded, newest first."""


class ScoresRequest(Request):
    """Scores of the customers that match all filters, page by page or as one stream."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"limit": 2},
                {"limit": None, "format": "csv"},
                {"min_churn_probability": 0.5, "min_expected_margin": 10.0, "segments": ["at risk"]},
            ]
        }
    )

    limit: Annotated[int, Field(ge=1, le=10_000), WHOLE] | None = 1000
    """Rows per page, 1,000 by default. Null (in a URL ``limit=``): all that remain, in one stream as
    ``ndjson`` or ``csv``; at most 10,000 as ``json``."""
    cursor: Cursor | None = None
    """``next_cursor`` of the previous page, with the same filters. It stays on the scoring it began with
    while newer ones arrive; after two newer ones it may be refused (410): start again."""
    format: Format = "json"
    """``ndjson`` and ``csv`` return the next cursor in the header ``X-Next-Cursor``.

    By default what ``Accept`` asks for. In CSV an id that a spreadsheet would read as a formula (``=``,
    ``@``) is prefixed with an apostrophe.
    """
    min_churn_probability: Share | None = None
    """Of the shop's horizon, as in the scoring (rows refreshed since may differ); unknown values match no
    range."""
    max_churn_probability: Share | None = None
    """Inclusive."""
    min_expected_margin: Amount | None = None
    """Expected margin within the horizon, in the shop's currency."""
    max_expected_margin: Amount | None = None
    """Inclusive."""
    segments: Annotated[list[Segment], Field(min_length=1)] | None = None
    """RFM segments, as in the column ``segment``."""
    personas: Names | None = None
    """Personas, as in the column ``persona``."""
    min_n_orders: Count | None = None
    """Orders so far."""
    max_n_orders: Count | None = None
    """Inclusive."""
    min_days_since_last_order: Count | None = None
    """Days from the last order to ``as_of``."""
    max_days_since_last_order: Count | None = None
    """Inclusive."""


class ScoresPage(ScoredResponse):
    """A page of scores, ordered by customer id."""

    currency: str
    """Of all amounts in the rows, empty if the shop has none; of a file, in the header ``X-Currency``."""
    scores: Annotated[list[dict[str, Any]], Published(list[ScoresRow])]
    """Each row with its ``as_of``, later than the scoring's if an order or return came since. Filters use the
    scoring's values; customers new since then appear in the next scoring."""
    n_customers: int
    """Customers of the scoring, without those erased since."""
    n_found: int
    """Of those, the number that match the filters."""
    next_cursor: str | None
    """Null on the last page."""


class EraseRequest(Request):
    """A request to erase a customer."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customer_id": "1234"}]})

    customer_id: Id


class Erased(Response):
    """What was removed at once; from the next request on, no answer contains anything of the customer."""

    events: int
    """Events removed."""
    contacts: int
    """Contacts removed."""
    decisions: int
    """Decisions removed."""
    digest: str
    """All that is kept of the id: its HMAC with a salt of the store."""
    files: str
    """When the customer's rows leave the files of warehouse and scorings, and how to get proof."""


class TableResponse(ScoredResponse):
    """A response whose rows are also available as a file."""

    _names: tuple[str, ...] = PrivateAttr(default=("customer_id",))
    """The names of the rows' fields, also if there are no rows: the heading of a CSV."""

    def named(self, names: Iterable[str]) -> Self:
        """Set the names of the rows' fields."""
        self._names = tuple(names)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the rows' fields."""
        return self._names


class TargetsRequest(Request):
    """The customers to keep, under a budget."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"budget": 50.0, "limit": 3},
                {"budget": 50.0, "actions": ["win_back", "thank_you"]},
            ]
        }
    )

    budget: Amount
    """Maximum cost of all contacts together, in the shop's currency."""
    limit: Annotated[int, Field(ge=1, le=10_000), WHOLE] = 1000
    """How many of the chosen to return; the sums are over all of them."""
    format: Format = "json"
    """``ndjson`` and ``csv`` contain the targets alone; by default what ``Accept`` asks for."""
    actions: Annotated[list[Id], Field(max_length=20)] = []
    """Actions without a product to choose from, as ``win_back``; by default a plain retention contact."""
    locale: Locale | None = None
    """Language of the reason and notes, such as en; by default the shop's. An unsupported one gives en."""


class Targets(TableResponse):
    """The customers whose contact is expected to earn most for its cost; never by risk alone."""

    targets: Annotated[list[dict[str, Any]], Published(list[RankedTarget] | list[TargetByAction])]
    """Best first; names contain the horizon in days."""
    n_targets: int
    """How many were chosen."""
    budget: float
    """The requested budget."""
    spent: float
    """The sum of what the chosen cost."""
    expected_incremental_margin: float
    """The total expected earnings of their contacts after costs, within the shop's horizon."""
    currency: str
    """Of all amounts; empty if the shop has none."""
    effect: str
    """``assumed`` until it has been learnt from an experiment."""
    reason: str
    """How they were chosen, in words."""
    at_most: float | None = None
    """Upper bound on the expected earnings of any choice within the budget."""
    policies: dict[str, float] = {}
    """What ours (``expected gain``) and other rankings would earn with the same budget and rules; ``all``
    contacts everyone the rules permit, at any cost."""
    curve: Annotated[list[dict[str, Any]], Published(list[CurvePoint])] = []
    """Budget, customers and money, from nothing to everything that pays for itself."""
    experiment: str | None = None
    """While effects are assumed, the experiment that would measure them."""


class PlanRequest(Request):
    """Whom to contact on which day, with what."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"days": 14, "limit": 3}, {"customer_ids": ["1234"], "days": 7}]}
    )

    customer_ids: Annotated[list[Id], Field(min_length=1, max_length=1000)] | None = None
    """Plan for these customers; by default for those expected to be changed most by a contact."""
    limit: Annotated[int, Field(ge=1, le=1000), WHOLE] = 100
    """Maximum number of contacts in the plan."""
    days: Annotated[int, Field(ge=1, le=90), WHOLE] = 14
    """Number of days of the plan, including the first."""
    first_day: date | None = None
    """In the shop's calendar; by default today, or tomorrow if quiet hours are near. For an old scoring today
    is its own day."""
    per_day: Annotated[int, Field(ge=1, le=100_000), WHOLE] = 1000
    """Maximum number of contacts per day."""
    budget: Amount | None = None
    """Maximum cost of contacts and their expected discounts; by default unlimited."""
    locale: Locale | None = None
    """Language of the reasons, such as en; by default the shop's. An unsupported one gives en."""
    format: Format = "json"
    """``ndjson`` and ``csv`` contain the contacts alone; by default what ``Accept`` asks for."""


class Plan(TableResponse):
    """A calendar of contacts, by day and worth, within all rules of the shop."""

    contacts: Annotated[list[dict[str, Any]], Published(list[PlannedContact])]
    """By day and worth."""
    not_planned: Annotated[list[dict[str, Any]], Published(list[NotPlanned])]
    """Customers left out, each with the reason; the first hundred."""
    n_not_planned: int
    """How many were left out."""
    spent: float
    """The sum of the contacts' ``spend``, including expected discounts."""
    expected_incremental_margin: float
    """The total expected earnings of the contacts after costs, each within the shop's horizon; for several
    contacts to one customer, their joint effect."""
    currency: str
    """Of all amounts; empty if the shop has none."""
    effect: str
    """``assumed`` until the effects of all of them have been learnt from experiments."""
    experiment: str | None
    """While effects are assumed, the experiment that would measure them."""
    switched_off: str | None
    """Which actions are not weighed for want of a model, in words; otherwise null."""
