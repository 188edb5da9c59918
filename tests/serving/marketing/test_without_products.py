"""A shop of which only churn and value are known: contacts without a product, and what is switched off."""

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from worlds.champions import registry_of
from worlds.fakes import FakeChurn, FakeConfig, FakeValue
from worlds.orders import make_home, order_lines
from worlds.refreshing import AS_OF as MOMENT

from features.errors import NotFound
from features.shop import Shop
from models.model import Model
from models.policy.actions import CATALOGUE
from models.popular import Popular
from serving import score
from serving.api import EventsRequest, OfferRequest
from serving.api_crm import PlanRequest, TargetsRequest
from serving.marketing.plan import contact_plan
from serving.marketing.plan_file import PlanAsked, write_plan
from serving.marketing.retention import retention_targets
from serving.marketing.targets import targets_by_action
from serving.offer_inputs import switched_off
from serving.online.view import View
from serving.scoring.folder import load
from serving.state import Pointer, State
from serving.store import Store
from serving.storefront import events
from serving.storefront.offers import next_best_offer

NOW = MOMENT + pd.Timedelta(hours=10)
ALONE = {action.name for action in CATALOGUE if not action.offers_product}
OFF = "actions with a product are switched off: no next_best_offer model serves"
RULES = "[contact_policy]\nsettling_days = 5\n[actions.thank_you]\neffect = 0.9\n"


def scored(folder: Path, *, products: bool, value: bool = True, more: str = RULES) -> Path:
    """Score a shop whose champions know its customers, and at most what sells."""
    lines = order_lines(30)
    home = make_home(folder, lines if products else lines.drop(columns="product_id"), more=more)
    models: dict[str, Model] = {"churn": FakeChurn(FakeConfig(), MOMENT)}
    models |= {"ltv": FakeValue(FakeConfig(), MOMENT)} if value else {}
    models |= {"popular": Popular.fit(Shop(home), MOMENT, config=Popular.Config())} if products else {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(score, "Registry", registry_of(models, dict.fromkeys(models, "1")))
        score.score(home, MOMENT)
    return home


@pytest.fixture(scope="module", params=["no product named", "no ranker"])
def home(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return scored(tmp_path_factory.mktemp("shop"), products=request.param == "no ranker")


@pytest.fixture
def state(home: Path) -> Iterator[State]:
    with closing(Store.open(home)) as store, closing(View(store, MOMENT)) as view:
        yield State.of(load(home / "lists" / Pointer.read(home).stamp), view)


def test_the_next_best_offer_is_a_contact_without_a_product(state: State) -> None:
    found = [*offers(state)]
    assert {offer.action for offer in found} == {"contact", "nothing"}
    assert {offer.name for offer in found} <= {*ALONE, "nothing"}
    assert {offer.switched_off for offer in found} == {OFF}
    assert {row["product_id"] for offer in found for row in (*offer.ruled_out, offer.model_dump())} == {None}
    assert not any("candidates" in offer.reason for offer in found)


def test_a_plan_holds_contacts_and_says_what_it_cannot_hold(state: State, home: Path) -> None:
    plan = contact_plan(state, PlanRequest(), now=NOW)
    assert {row["action"] for row in plan.contacts} <= ALONE and plan.contacts
    assert {row["product_id"] for row in plan.contacts} == {None}
    assert plan.switched_off == OFF
    written, content = write_plan(home, PlanAsked(n_days=14), now=NOW, kind="ndjson")
    assert written.n_contacts == len(content.splitlines()) > 0 and written.switched_off == OFF


def test_targets_with_and_without_actions_are_chosen(state: State) -> None:
    for asked, choose in (([], retention_targets), (["thank_you", "survey"], targets_by_action)):
        assert choose(state, TargetsRequest(budget=1.0, actions=asked), now=NOW).n_targets == 10
    with pytest.raises(NotFound, match=r"'cross_sell' without a product.*win_back"):
        targets_by_action(state, TargetsRequest(budget=1.0, actions=["cross_sell"]), now=NOW)


def test_an_order_since_settles_there_too(state: State) -> None:
    who = next(offer.customer_id for offer in offers(state) if offer.action == "contact")
    named = "p00" if len(state.snapshot.catalogue.products) else None
    order = {"event_id": who, "kind": "order", "customer_id": who, "product_id": named}
    events.post_events(state, EventsRequest.model_validate({"events": [order]}), now=NOW)
    state.view.sync()
    assert "has only just arrived" in ask(state, who).reason


def test_what_lacks_churn_or_value_says_that_contacts_without_a_product_are_off(state: State) -> None:
    models = dict.fromkeys(("next_best_offer", "cross_sell", "ltv"), "1")
    without = replace(state, snapshot=replace(state.snapshot, models=models))
    assert switched_off(without) == "actions without a product are switched off: no churn model serves"
    served = replace(state.snapshot, models=models | {"churn": "1"})
    assert switched_off(replace(state, snapshot=served)) is None


@pytest.mark.parametrize("lacks", ["no ltv", "no prices"])
def test_where_value_is_not_known_either_nothing_can_be_weighed(tmp_path: Path, lacks: str) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(FakeValue, "worth", float("nan"))
        home = scored(tmp_path, products=False, value=lacks == "no prices")
    with pytest.raises(
        NotFound, match=r"no next_best_offer.*need both churn and ltv, in money.*recompra train"
    ):
        write_plan(home, PlanAsked(), now=NOW)


def ask(state: State, customer_id: str) -> Any:
    return next_best_offer(state, OfferRequest(customer_id=customer_id), now=NOW)


def offers(state: State) -> Iterator[Any]:
    return (ask(state, name) for name in state.snapshot.customers.all_names())
