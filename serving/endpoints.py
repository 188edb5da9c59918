"""Every endpoint in one table: the doors, the OpenAPI document and the tests all read this."""

from dataclasses import dataclass

from serving import api, api_crm


@dataclass(frozen=True)
class Endpoint:
    """A path that takes a POST: who may, what it takes, what it gives."""

    path: str
    scope: str
    request: type[api.Request]
    response: type[api.Response]
    summary: str


ALL = (
    Endpoint(
        "/recommend", "storefront", api.RecommendRequest, api.Recommended, "What to show a customer, now."
    ),
    Endpoint(
        "/next_best_offer", "storefront", api.OfferRequest, api.Offer, "What to offer a customer, or nothing."
    ),
    Endpoint("/events", "storefront", api.EventsRequest, api.EventsKept, "Orders, returns, stock, contacts."),
    Endpoint("/customer", "crm", api_crm.CustomerRequest, api_crm.Profile, "All we know of one customer."),
    Endpoint(
        "/scores", "crm", api_crm.ScoresRequest, api_crm.ScoresPage, "Scores of all customers, in pages."
    ),
    Endpoint(
        "/retention_targets", "crm", api_crm.TargetsRequest, api_crm.Targets, "Whom to keep, under a budget."
    ),
    Endpoint("/contact_plan", "crm", api_crm.PlanRequest, api_crm.Plan, "Whom to contact when, with what."),
    Endpoint("/erase", "crm", api_crm.EraseRequest, api_crm.Erased, "Forget a customer."),
)
BY_PATH = {endpoint.path: endpoint for endpoint in ALL}
