from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds.snapshot import AS_OF, GAIN, NOW, make_home, with_live

from features.errors import InputError, NotFound
from models.policy.subjects import People
from serving.api import EventsRequest, OfferRequest
from serving.api_crm import CustomerRequest, EraseRequest, PlanRequest, TargetsRequest
from serving.entrance.audit import Audit
from serving.marketing import customer, plan, retention
from serving.online import refreshed
from serving.online.view import View
from serving.scoring.columns import Columns
from serving.state import State
from serving.store import Store
from serving.storefront import events, offers


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    store = Store.open(tmp_path)
    opened = State.of(with_live(make_home(tmp_path)), View(store, AS_OF))
    yield opened
    opened.view.close()
    store.close()


@pytest.fixture
def audit(tmp_path: Path) -> Iterator[Audit]:
    opened = Audit(tmp_path)
    yield opened
    opened.close()


def post(state: State, *posted: dict[str, Any]) -> Any:
    kept = events.post_events(state, EventsRequest.model_validate({"events": list(posted)}), now=NOW)
    state.view.sync()
    return kept


def contact(customer_id: str, number: int) -> dict[str, Any]:
    return {
        "event_id": f"{customer_id}-{number}",
        "kind": "contact",
        "customer_id": customer_id,
        "channel": "mail",
    }


def test_a_profile_holds_what_is_known_and_expected(state: State) -> None:
    post(state, {"event_id": "e", "kind": "order", "customer_id": "c000003", "product_id": "p000001"})
    found = customer.profile(state, CustomerRequest(customer_id="c000003"))
    assert found.known
    assert set(found.scores) == {"churn_probability_28d", "expected_margin_28d", "next_order_at", "segment"}
    assert [len(products) for products in found.lists.values()] == [5, 5, 5]
    assert [event["event_id"] for event in found.events] == ["e"]
    assert not {"seq", "customer_id"} & set(found.events[0])


def test_reasons_are_in_the_shops_language_where_none_is_asked_for(state: State) -> None:
    rows = state.snapshot.customers.all_names()
    scores = Columns.of(pd.DataFrame({"churn_reason_1": "silence:lowers"}, index=rows))
    features = Columns.of(pd.DataFrame({"days_since_last_order": 3.0, "gap_mean_days": 8.0}, index=rows))
    there = replace(state.snapshot, scores=scores, features=features, locale="pt-BR")
    asked = [CustomerRequest(customer_id="c000003", locale=locale) for locale in (None, "en", "pt", "xx")]
    told = [customer.profile(replace(state, snapshot=there), one).reasons[0]["text"] for one in asked]
    assert told[0] == told[2] != told[1] == told[3]


def test_a_profile_says_that_the_scoring_is_too_old_for_an_order(state: State) -> None:
    order = {"event_id": "e", "kind": "order", "customer_id": "c000003", "product_id": "p000001"}
    post(state, order | {"occurred_at": AS_OF})
    assert customer.profile(state, CustomerRequest(customer_id="c000003")).behind is None
    late = AS_OF + refreshed.LASTS
    sent = [contact("c000003", 1) | {"occurred_at": late}]  # a contact makes no scoring old
    events.post_events(state, EventsRequest.model_validate({"events": sent}), now=late)
    assert customer.profile(state, CustomerRequest(customer_id="c000003")).behind is None
    made = [order | {"event_id": "late", "occurred_at": late}]
    events.post_events(state, EventsRequest.model_validate({"events": made}), now=late)
    found = customer.profile(state, CustomerRequest(customer_id="c000003"))
    assert found.behind is not None and f"too old for what was ordered on {late:%Y-%m-%d}" in found.behind
    assert found.as_of == state.snapshot.moment
    here = customer.profile(state, CustomerRequest(customer_id="c000003", locale="pt"))
    assert here.behind is not None and f"o que foi pedido em {late:%Y-%m-%d}" in here.behind


@pytest.mark.parametrize(("stamp", "risk"), [(None, 0.125), ("20250101T0000-0001", None)])
def test_a_profile_shows_what_was_refreshed_on_this_scoring_and_not_on_another(
    state: State, stamp: str | None, risk: float | None
) -> None:
    before = customer.profile(state, CustomerRequest(customer_id="c000003")).scores["churn_probability_28d"]
    row = {"customer_id": "c000003", "stamp": stamp or state.snapshot.stamp, "as_of": NOW, "events_seq": 1}
    refreshed.keep(state.view.store, [row | {"features": {}, "scores": {"churn_probability_28d": 0.125}}])
    found = customer.profile(state, CustomerRequest(customer_id="c000003"))
    assert found.scores["churn_probability_28d"] == (before if risk is None else risk)


def test_an_unknown_customer_has_an_empty_profile(state: State) -> None:
    found = customer.profile(state, CustomerRequest(customer_id="nobody"))
    assert not found.known
    assert (found.features, found.scores, found.lists) == ({}, {}, {})


def test_targets_spend_the_budget_on_what_earns_most(state: State) -> None:
    answer = retention.retention_targets(state, TargetsRequest(budget=0.35), now=NOW)
    assert (answer.n_targets, answer.spent) == (3, 0.3)
    gains = [target[GAIN] for target in answer.targets]
    assert gains == sorted(gains, reverse=True)
    assert answer.expected_incremental_margin == pytest.approx(sum(gains), abs=1e-4)
    assert "assumed" in answer.reason


def test_targets_come_with_what_other_rankings_would_earn_and_money_against_budget(state: State) -> None:
    answer = retention.retention_targets(state, TargetsRequest(budget=0.35), now=NOW)
    assert answer.policies["expected gain"] == answer.expected_incremental_margin == answer.at_most
    assert {"risk", "response", "value", "random", "all", "none"} < set(answer.policies)
    assert max(answer.policies, key=lambda name: answer.policies[name]) in ("expected gain", "all")
    assert answer.curve[0] == {"budget": 0.0, "n_customers": 0, "expected_incremental_margin": 0.0}
    whole = retention.retention_targets(state, TargetsRequest(budget=1000), now=NOW)
    assert answer.curve[-1]["n_customers"] == whole.n_targets
    assert answer.curve[-1]["expected_incremental_margin"] == whole.expected_incremental_margin


def test_a_limit_shortens_the_list_but_not_the_sums(state: State) -> None:
    answer = retention.retention_targets(state, TargetsRequest(budget=0.5, limit=1), now=NOW)
    assert (len(answer.targets), answer.n_targets, answer.spent) == (1, 5, 0.5)


def test_who_had_their_fill_of_contacts_or_was_erased_is_no_target(state: State, audit: Audit) -> None:
    request = TargetsRequest(budget=0.25)
    first, second = (
        row["customer_id"] for row in retention.retention_targets(state, request, now=NOW).targets
    )
    post(state, contact(first, 1), contact(first, 2), contact("nobody", 1))
    customer.erase(state, EraseRequest(customer_id=second), now=NOW, audit=audit)
    state.view.sync()
    assert {first, second}.isdisjoint(
        row["customer_id"]
        for row in retention.retention_targets(state, TargetsRequest(budget=100), now=NOW).targets
    )


def test_who_was_ruled_out_at_the_scoring_is_no_target(state: State) -> None:
    everybody, table = TargetsRequest(budget=100), state.snapshot.retention
    assert table is not None
    first, *others = (
        row["customer_id"] for row in retention.retention_targets(state, everybody, now=NOW).targets
    )
    rows = pd.DataFrame([table.row(at) for at in range(20)])
    named = np.array(state.snapshot.customers.names(rows["customer"].astype(int).to_numpy()))
    ruled = Columns.of(rows.assign(ruled_out_by=np.where(named == first, "consent", None)))
    there = replace(state, snapshot=replace(state.snapshot, retention=ruled))
    left = retention.retention_targets(there, everybody, now=NOW).targets
    assert [row["customer_id"] for row in left] == others


def test_where_no_contact_pays_for_itself_the_reason_says_so(state: State) -> None:
    table = state.snapshot.retention
    assert table is not None
    numbers = np.full_like(table.numbers, -0.1)
    there = replace(state, snapshot=replace(state.snapshot, retention=replace(table, numbers=numbers)))
    answer = retention.retention_targets(there, TargetsRequest(budget=100), now=NOW)
    assert answer.n_targets == 0
    assert answer.reason.startswith(
        "no customer who may be contacted is worth a contact; a contact is assumed"
    )


def test_without_a_ranking_there_are_no_targets_and_a_reason(state: State) -> None:
    bare = replace(state, snapshot=replace(state.snapshot, retention=None))
    answer = retention.retention_targets(bare, TargetsRequest(budget=5), now=NOW)
    assert (answer.targets, answer.spent) == ([], 0)
    assert "churn and ltv are not both in service" in answer.reason


def test_without_prices_there_are_no_targets_and_a_reason(state: State) -> None:
    numbers = np.full_like(state.snapshot.retention.numbers, np.nan)  # type: ignore[union-attr]
    unknown = replace(state.snapshot, retention=replace(state.snapshot.retention, numbers=numbers))  # type: ignore[type-var]
    answer = retention.retention_targets(replace(state, snapshot=unknown), TargetsRequest(budget=5), now=NOW)
    assert (answer.targets, answer.n_targets) == ([], 0)
    assert "unit_price" in answer.reason


def test_without_a_model_that_plans_a_request_for_anybody_is_refused_in_words(state: State) -> None:
    bare = replace(state, snapshot=replace(state.snapshot, goods_and_terms=None, models={}))
    with pytest.raises(NotFound, match="no next_best_offer model serves"):
        plan.contact_plan(bare, PlanRequest(), now=NOW)
    named = plan.contact_plan(bare, PlanRequest(customer_ids=["c000001"]), now=NOW)
    assert [row["reason"][:24] for row in named.not_planned] == ["no next_best_offer model"]


def test_an_offer_is_the_one_worth_most(state: State) -> None:
    offer = offers.next_best_offer(state, OfferRequest(customer_id="c000003"), now=NOW)
    worth = offer.money["expected_incremental_margin_28d"]
    assert offer.action == "offer"
    assert worth is not None
    assert worth >= max(option["expected_incremental_margin_28d"] for option in offer.runners_up)
    assert offer.effect == "assumed"


def test_an_excluded_or_sold_out_product_is_not_offered(state: State) -> None:
    first = offers.next_best_offer(state, OfferRequest(customer_id="c000003"), now=NOW).product_id
    assert first is not None
    other = offers.next_best_offer(state, OfferRequest(customer_id="c000003", exclude=[first]), now=NOW)
    assert other.product_id not in (None, first)
    state.restock({first: 0.0})
    refused = offers.next_best_offer(state, OfferRequest(customer_id="c000003"), now=NOW)
    assert refused.product_id == other.product_id
    assert {"product_id": first, "rule": "out_of_stock", "reason": "it is out of stock"} in refused.ruled_out


def test_who_had_their_fill_of_contacts_is_offered_nothing(state: State) -> None:
    post(state, contact("c000003", 1), contact("c000003", 2))
    offer = offers.next_best_offer(state, OfferRequest(customer_id="c000003"), now=NOW)
    assert offer.action == "nothing"
    assert "2 contacts in 28 days" in offer.reason


def test_an_unknown_customer_is_offered_nothing_and_it_says_so(state: State) -> None:
    offer = offers.next_best_offer(state, OfferRequest(customer_id="nobody"), now=NOW)
    assert (offer.action, offer.product_id) == ("nothing", None)
    assert "unknown" in (offer.fallback or "")


def test_a_recorded_decision_is_kept_with_its_propensity(state: State) -> None:
    offer = offers.next_best_offer(state, OfferRequest(customer_id="c000003", record=True), now=NOW)
    kept = state.view.store.of_customer("c000003")["decisions"]
    assert [(row["decision_id"], row["propensity"]) for row in kept] == [(offer.decision_id, 1.0)]


def test_a_plan_contacts_on_the_day_of_the_next_order_or_the_first(state: State) -> None:
    found = plan.contact_plan(state, PlanRequest(days=7, limit=20), now=NOW)
    assert found.contacts
    for row in found.contacts:
        expected = row["next_order_on"]
        assert row["on"] == (expected if expected <= "2026-03-07" else "2026-03-01")


def test_a_plans_sums_are_those_of_its_contacts_and_nothing_of_nobody(state: State) -> None:
    some, none = (
        plan.contact_plan(state, PlanRequest(days=7, budget=budget), now=NOW) for budget in (0.5, 0)
    )
    assert 0 < some.spent <= 0.5
    assert some.spent == pytest.approx(sum(row["spend"] for row in some.contacts))
    assert some.expected_incremental_margin == pytest.approx(sum(row[GAIN] for row in some.contacts))
    assert (none.contacts, none.spent, none.expected_incremental_margin) == ([], 0, 0)


def test_a_full_day_passes_contacts_on_and_a_full_plan_says_so(state: State) -> None:
    found = plan.contact_plan(state, PlanRequest(days=2, per_day=2, limit=20), now=NOW)
    days = [row["on"] for row in found.contacts]
    assert [days.count(day) for day in ("2026-03-01", "2026-03-02")] == [2, 2]
    assert "is full" in found.not_planned[0]["reason"]


def test_a_plan_leaves_out_who_did_not_agree(state: State) -> None:
    people = People(np.zeros(20, np.int8), np.zeros(20, np.int32))
    asked = replace(state, snapshot=replace(state.snapshot, people=people))
    found = plan.contact_plan(asked, PlanRequest(customer_ids=["c000001", "nobody"]), now=NOW)
    assert found.contacts == []
    reasons = {row["customer_id"]: row["reason"] for row in found.not_planned}
    assert "has not agreed" in reasons["c000001"]
    assert reasons["nobody"] == "the customer is unknown"


def test_erasing_removes_what_is_held_and_what_is_posted_later(
    state: State, audit: Audit, tmp_path: Path
) -> None:
    post(state, contact("c000003", 1))
    gone = customer.erase(state, EraseRequest(customer_id="c000003"), now=NOW, audit=audit)
    state.view.sync()
    assert (gone.events, gone.contacts, gone.decisions) == (1, 1, 0)
    told = (tmp_path / "audit.log").read_text(encoding="utf-8")
    assert gone.digest in told and "c000003" not in told
    assert post(state, contact("c000003", 2)).erased == 1
    assert not customer.profile(state, CustomerRequest(customer_id="c000003")).known


def test_an_erasure_another_worker_has_just_made_counts(state: State, audit: Audit) -> None:
    customer.erase(state, EraseRequest(customer_id="c000003"), now=NOW, audit=audit)
    kept = post(state, contact("c000003", 2))
    assert (kept.accepted, kept.duplicates, kept.erased) == (0, 0, 1)
    held = state.view.store.of_customer("c000003")
    assert (held["events"], held["contacts"]) == ([], [])


def test_an_event_of_the_future_is_refused(state: State) -> None:
    late = {**contact("c000003", 1), "occurred_at": NOW + timedelta(hours=2)}
    with pytest.raises(InputError, match="in the future"):
        post(state, late)


def test_an_event_of_before_all_clocks_is_refused_and_harms_nobody(state: State) -> None:
    zero = {**contact("c000003", 1), "occurred_at": datetime.fromisoformat("0001-01-01T00:00:00+14:00")}
    with pytest.raises(InputError, match="before 1970"):
        post(state, zero)
    assert customer.profile(state, CustomerRequest(customer_id="c000003")).contacts == []


def test_who_asks_of_scores_carried_from_a_shorter_horizon_is_told_so(state: State) -> None:
    note = {"code": "carried", "model": "ltv", "horizon_days": 28, "learnt_days": 20}
    note |= {"learnt_from": "2026-04-01"}
    young = replace(state, snapshot=replace(state.snapshot, notes=(note,)))
    answers = [
        customer.profile(young, CustomerRequest(customer_id="c000003")),
        retention.retention_targets(young, TargetsRequest(budget=5.0), now=NOW),
        plan.contact_plan(young, PlanRequest(days=3), now=NOW),
    ]
    assert all("not calibrated" in answer.notes[0]["text"] for answer in answers)
    asked = CustomerRequest(customer_id="c000003", locale="pt-BR")
    assert "não calibrado" in customer.profile(young, asked).notes[0]["text"]
