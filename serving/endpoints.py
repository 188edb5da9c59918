"""The table of all endpoints: the access control, the OpenAPI document and the tests read it."""

from dataclasses import dataclass

from serving import api, api_crm
from serving.api_types import Request, Response

SHOP, CRM = ("storefront",), ("crm",)


@dataclass(frozen=True)
class Endpoint:
    """A path that takes a POST: its scopes, its request and its response."""

    path: str
    scopes: tuple[str, ...]
    request: type[Request]
    response: type[Response]
    summary: str
    stored: bool = True
    """Whether it needs the online store; the others work without it."""
    files: bool = False
    """Whether it also answers in CSV and NDJSON, and to a GET: unchanged content is then not sent again."""
    body_only: tuple[str, ...] = ()
    """Fields that a GET does not accept: they name customers, and addresses end up in logs."""
    more: tuple[str, ...] = ()
    """Further statuses of this endpoint, described in ``serving.entrance.openapi``."""

    @property
    def methods(self) -> tuple[str, ...]:
        """Its methods: POST, and if it takes a GET also HEAD."""
        return ("GET", "POST") if self.files else ("POST",)


ALL = (
    Endpoint(
        "/recommend",
        SHOP,
        api.RecommendRequest,
        api.Recommended,
        "What to show a customer, now.",
        stored=False,
    ),
    Endpoint(
        "/next_best_offer", SHOP + CRM, api.OfferRequest, api.Offer, "What to offer a customer, or nothing."
    ),
    Endpoint(
        "/events",
        SHOP + CRM,
        api.EventsRequest,
        api.EventsKept,
        "Orders, returns, stock, contacts.",
        more=("409",),
    ),
    Endpoint("/customer", CRM, api_crm.CustomerRequest, api_crm.Profile, "All we know of one customer."),
    Endpoint(
        "/scores",
        CRM,
        api_crm.ScoresRequest,
        api_crm.ScoresPage,
        "Scores of all customers, in pages or as one stream.",
        stored=False,
        files=True,
        more=("404", "410"),
    ),
    Endpoint(
        "/retention_targets",
        CRM,
        api_crm.TargetsRequest,
        api_crm.Targets,
        "Whom to keep, under a budget.",
        files=True,
        more=("404",),
    ),
    Endpoint(
        "/contact_plan",
        CRM,
        api_crm.PlanRequest,
        api_crm.Plan,
        "Whom to contact when, with what.",
        files=True,
        body_only=("customer_ids",),
        more=("404", "409"),
    ),
    Endpoint("/erase", CRM, api_crm.EraseRequest, api_crm.Erased, "Forget a customer."),
)
BY_PATH = {endpoint.path: endpoint for endpoint in ALL}
