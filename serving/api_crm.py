"""Requests and responses of a CRM."""

from collections.abc import Iterable
from datetime import date
from typing import Annotated, Any, Literal, Self

from pydantic import ConfigDict, Field, PrivateAttr

from serving.api import Product
from serving.api_types import WHOLE, Amount, Id, Noted, Request, Response, Share

Format = Literal["json", "ndjson", "csv"]
Count = Annotated[int, Field(ge=0, le=1_000_000), WHOLE]
Names = Annotated[list[Id], Field(min_length=1, max_length=100)]
Cursor = Annotated[str, Field(pattern=r"^[0-9]{8}T[0-9]{4}-[0-9]{4,9}:[0-9]{1,9}$")]
"""A scoring's name, and the row to go on from."""


class CustomerRequest(Request):
    """One customer."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customer_id": "1234"}]})

    customer_id: Id
    locale: Annotated[str, Field(max_length=35)] | None = None
    """The language of ``reasons``, such as en; absent: the shop's. One that is not spoken reads as en."""


class Profile(Noted):
    """All we know and expect of one customer."""

    customer_id: str
    known: bool
    """False: no order before ``as_of``; features, scores and lists are then empty. ``as_of`` is the moment of
    features and scores: just after the newest order or return within 28 days of the scoring, else its own."""
    currency: str
    """Of all money below; empty where the shop names none."""
    features: dict[str, float | None]
    """See ``recompra features`` for units."""
    scores: dict[str, float | str | None]
    """Names carry the horizon in days."""
    behind: str | None
    """Why features and scores do not hold the newest order or return: the scoring is too old; else null."""
    reasons: list[dict[str, str]]
    """Why they may leave or stay, the strongest first: ``code``, ``effect`` on the risk, ``text``."""
    lists: dict[str, list[Product]]
    """The first five of each list, ranked live where something happened since the scoring."""
    events: list[dict[str, Any]]
    """The last hundred that were posted, newest first; features and scores hold those before ``as_of``."""
    contacts: list[dict[str, Any]]
    decisions: list[dict[str, Any]]


class ScoresRequest(Request):
    """Scores of the customers whom every filter given lets through, page by page or as one stream."""

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
    """Rows of a page. Null: as ``ndjson`` or ``csv`` all that are left, in one stream; as ``json`` 10,000."""
    cursor: Cursor | None = None
    """``next_cursor`` of the page before, with the same filters; it stays on the scoring it began with, while
    newer ones land. Once two have, it may be refused (410): start again."""
    format: Format = "json"
    """``ndjson`` and ``csv`` bear the next cursor in the header ``X-Next-Cursor``.

    Absent: what ``Accept`` asks for. In CSV an id that begins as a formula (``=``, ``@``) is led by an
    apostrophe.
    """
    min_churn_probability: Share | None = None
    """Of the shop's horizon, as in the scoring (rows refreshed since may differ); unknown is in no range."""
    max_churn_probability: Share | None = None
    """The end of the range, itself included."""
    min_expected_margin: Amount | None = None
    """Value: what the customer is expected to bring within the horizon, in the shop's currency."""
    max_expected_margin: Amount | None = None
    """The end of the range, itself included."""
    segments: Names | None = None
    """RFM segments, as in the column ``segment``."""
    personas: Names | None = None
    """Personas, as in the column ``persona``."""
    min_n_orders: Count | None = None
    """Orders so far."""
    max_n_orders: Count | None = None
    """The end of the range, itself included."""
    min_days_since_last_order: Count | None = None
    """Days from the last order to ``as_of``."""
    max_days_since_last_order: Count | None = None
    """The end of the range, itself included."""


class ScoresPage(Noted):
    """A page of scores, in the order of customer ids."""

    currency: str
    """Of all money in the rows, empty where the shop names none; of a file: the header ``X-Currency``."""
    scores: list[dict[str, Any]]
    """Each row with its ``as_of``: later than the scoring's where an order or a return came since. Filters
    read the scoring; who is new since comes with the next one."""
    n_customers: int
    """Of the scoring, less who was erased since."""
    n_found: int
    """Of those, whom the filters let through."""
    next_cursor: str | None
    """Null on the last page."""


class EraseRequest(Request):
    """Forget a person."""

    model_config = ConfigDict(json_schema_extra={"examples": [{"customer_id": "1234"}]})

    customer_id: Id


class Erased(Response):
    """What was removed at once; from the next request on, no answer has anything of them."""

    events: int
    contacts: int
    decisions: int
    digest: str
    """All that is kept of the id: its HMAC, under a salt of the store."""
    files: str
    """When their rows leave the files of warehouse and scorings, and how to have that proven."""


class Tabled(Noted):
    """An answer whose rows are also given as a file."""

    _names: tuple[str, ...] = PrivateAttr(default=("customer_id",))
    """What the rows' fields are called, also where there is no row: the heading of a CSV."""

    def named(self, names: Iterable[str]) -> Self:
        """Say what the rows' fields are called."""
        self._names = tuple(names)
        return self

    @property
    def names(self) -> tuple[str, ...]:
        """The rows' fields."""
        return self._names


class TargetsRequest(Request):
    """Whom to keep, under a budget."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {"budget": 50.0, "limit": 3},
                {"budget": 50.0, "actions": ["win_back", "thank_you"]},
            ]
        }
    )

    budget: Amount
    """What all contacts together may cost, in the shop's currency."""
    limit: Annotated[int, Field(ge=1, le=10_000), WHOLE] = 1000
    """How many of the chosen to return; the sums are those of all."""
    format: Format = "json"
    """``ndjson`` and ``csv`` hold the targets alone; absent: what ``Accept`` asks for."""
    actions: Annotated[list[Id], Field(max_length=20)] = []
    """Actions without a product to choose among, as ``win_back``; absent: a plain contact to keep them."""


class Targets(Tabled):
    """The customers whose contact is expected to earn most for its cost; never by risk alone."""

    targets: list[dict[str, Any]]
    """Best first; names carry the horizon in days."""
    n_targets: int
    budget: float
    spent: float
    expected_incremental_margin: float
    currency: str
    effect: str
    """``assumed`` until an experiment has been learnt from."""
    reason: str
    at_most: float | None = None
    """No choice within the budget can be expected to earn more."""
    policies: dict[str, float] = {}
    """What ours (``expected gain``) and other rankings would earn, with the same budget and rules; ``all``
    contacts everyone the rules permit, whatever it costs."""
    curve: list[dict[str, Any]] = []
    """Budget, customers and money, from nothing to all that pays for itself."""
    experiment: str | None = None
    """While effects are assumed: the experiment that would measure them."""


class PlanRequest(Request):
    """Whom to contact on which day, with what."""

    model_config = ConfigDict(
        json_schema_extra={"examples": [{"days": 14, "limit": 3}, {"customer_ids": ["1234"], "days": 7}]}
    )

    customer_ids: Annotated[list[Id], Field(min_length=1, max_length=1000)] | None = None
    """Plan for these; absent: for those whom a contact is expected to change most."""
    limit: Annotated[int, Field(ge=1, le=1000), WHOLE] = 100
    """At most so many contacts in the plan."""
    days: Annotated[int, Field(ge=1, le=90), WHOLE] = 14
    """The plan covers so many days, the first one included."""
    first_day: date | None = None
    """In the shop's calendar; absent: today. Once quiet hours are near, today is tomorrow."""
    per_day: Annotated[int, Field(ge=1, le=100_000), WHOLE] = 1000
    """At most so many contacts on one day."""
    budget: Amount | None = None
    """At most so much for contacts and the discounts they are expected to give; absent: no limit."""
    format: Format = "json"
    """``ndjson`` and ``csv`` hold the contacts alone; absent: what ``Accept`` asks for."""


class Plan(Tabled):
    """A calendar of contacts, by day and worth. Nothing in it is against a rule of the shop."""

    contacts: list[dict[str, Any]]
    not_planned: list[dict[str, Any]]
    """Customers left out, each with its reason; the first hundred."""
    n_not_planned: int
    spent: float
    """The sum of the contacts' ``spend``, discounts that are expected to be given included."""
    expected_incremental_margin: float
    """The sum of what the contacts are expected to earn after that, each within the shop's horizon; several
    to one customer count what they change together."""
    currency: str
    effect: str
    experiment: str | None
    """While effects are assumed: the experiment that would measure them."""
