"""The plan of a shop whose customers are known: actions, days, hours, caps, files and audiences."""

import csv
import hashlib
import io
import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds import orders
from worlds.snapshot import AS_OF, NOW, make_home, make_snapshot, with_known

from features.errors import Conflict, NotFound, SettingsError
from features.settings import ContactPolicy
from models.policy.actions import CATALOGUE, catalogue
from serving.api import EventsRequest
from serving.api_crm import PlanRequest, TargetsRequest
from serving.marketing.candidates import everyone
from serving.marketing.period import Period
from serving.marketing.plan import chosen_customers, contact_plan
from serving.marketing.plan_file import PlanAsked, write_plan
from serving.marketing.plan_rows import rows_of
from serving.marketing.planning import make_plan
from serving.marketing.retention import barred, retention_targets
from serving.online.view import View
from serving.state import State
from serving.store import Store
from serving.storefront import events

MONTH = Period(AS_OF.date(), 28)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    store = Store.open(tmp_path)
    opened = State.of(with_known(make_snapshot(60)), View(store, AS_OF))
    yield opened
    opened.view.close()
    store.close()


def planned(state: State, period: Period = MONTH) -> list[dict[str, Any]]:
    return rows_of(state, make_plan(state, everyone(state), period=period, now=NOW), period=period)


def post(state: State, customer_id: str, moment: datetime, action: str = "survey") -> None:
    event = {"event_id": f"{customer_id}{moment}", "kind": "contact", "customer_id": customer_id}
    asked = {"events": [event | {"action": action, "occurred_at": moment}]}
    events.post_events(state, EventsRequest.model_validate(asked), now=NOW)
    state.view.sync()


def test_a_month_holds_no_more_contacts_a_customer_than_allowed(state: State) -> None:
    rows = planned(state)
    per_customer = Counter(row["customer_id"] for row in rows)
    assert max(per_customer.values()) == state.snapshot.economics.max_contacts_28d == 2
    for customer in per_customer:
        days = sorted(date.fromisoformat(row["on"]) for row in rows if row["customer_id"] == customer)
        assert sum(day < days[0] + timedelta(days=7) for day in days) <= 2


def test_a_plan_holds_actions_with_products_and_without(state: State) -> None:
    actions = {row["action"]: row["product_id"] for row in planned(state)}
    assert {name for name, product in actions.items() if product is None}
    assert {name for name, product in actions.items() if product is not None}


def test_what_was_ordered_since_the_scoring_is_not_offered_again(state: State) -> None:
    offered = next(row for row in planned(state) if row["product_id"] is not None)
    who, product = offered["customer_id"], offered["product_id"]
    line = {"kind": "order", "product_id": product, "occurred_at": AS_OF}
    asked = {"events": [line | {"event_id": "now", "customer_id": who}]}
    events.post_events(state, EventsRequest.model_validate(asked), now=NOW)
    state.view.sync()
    goods = [row["product_id"] for row in planned(state) if row["customer_id"] == who]
    assert product not in goods


def test_a_contact_names_its_product_the_first_of_the_catalogue_too(state: State) -> None:
    alone = {action.name for action in CATALOGUE if not action.offers_product}
    found = make_plan(state, everyone(state), period=MONTH, now=NOW)
    first = np.where(found.calendar.product >= 0, 0, -1).astype(np.int32)
    for row in rows_of(state, replace(found, calendar=replace(found.calendar, product=first)), period=MONTH):
        assert row["product_id"] == (None if row["action"] in alone else "p000000")
        assert (row["product_name"] is None) == (row["action"] in alone)


def test_whoever_is_asked_for_gets_a_contact_or_is_told_why_not(state: State) -> None:
    asked = ["c000000", "c000001", "nobody", "c000000"]
    answer = contact_plan(state, PlanRequest(customer_ids=asked), now=NOW)
    left = [row["customer_id"] for row in answer.not_planned]
    assert sorted({row["customer_id"] for row in answer.contacts} | {*left}) == sorted({*asked})


def test_in_a_large_shop_a_request_is_for_those_most_worth_keeping(
    state: State, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.marketing.plan.CUSTOMERS_AT_ONCE", 10)
    codes, _ = chosen_customers(state, PlanRequest(limit=5), now=NOW)
    best = retention_targets(state, TargetsRequest(budget=1000), now=NOW).targets[:5]
    assert state.snapshot.customers.names(codes) == [row["customer_id"] for row in best]


def test_an_action_goes_to_no_more_customers_than_it_may(state: State) -> None:
    assert state.snapshot.goods_and_terms is not None
    goods, terms = state.snapshot.goods_and_terms
    few = goods, replace(terms, actions=catalogue({"thank_you": {"most_customers": 2}}))
    scarce = replace(state, snapshot=replace(state.snapshot, goods_and_terms=few))
    plans = [Counter(row["action"] for row in planned(asked)) for asked in (state, scarce)]
    assert plans[0]["thank_you"] > 2 == plans[1]["thank_you"]


def test_a_plan_that_begins_later_knows_that_windows_will_have_closed(state: State) -> None:
    rows = planned(state, replace(MONTH, first=AS_OF.date() + timedelta(days=10)))
    assert rows and "thank_you" not in {row["action"] for row in rows}  # a week after the delivery at most


def test_contacts_go_out_on_their_day_outside_quiet_hours(state: State) -> None:
    for row in planned(state):
        at = datetime.fromisoformat(row["at"])
        assert row["on"] == at.date().isoformat() <= row["until"]
        assert 8 <= at.hour < 21


def hours_planned(state: State, hour_mean: Any) -> set[tuple[int, int]]:
    """Plan for customers who order at those hours; return each one's parity and the hour of contact."""
    from serving.scoring.columns import Columns

    features = Columns.of(pd.DataFrame({"hour_mean": hour_mean}))
    owls = replace(state, snapshot=replace(state.snapshot, features=features))
    rows = planned(owls, replace(MONTH, first=date(2026, 3, 2)))
    return {(int(row["customer_id"][1:]) % 2, datetime.fromisoformat(row["at"]).hour) for row in rows}


def test_the_hour_is_the_customers_own(state: State) -> None:
    assert hours_planned(state, np.where(np.arange(60) % 2, 15.4, 3.0)) == {(0, 8), (1, 15)}


def test_a_shop_that_keeps_days_without_hours_knows_nobodys(state: State) -> None:
    assert hours_planned(state, np.zeros(60)) == {(0, 10), (1, 10)}
    assert hours_planned(state, np.where(np.arange(60) % 2, 15.4, 0.0)) == {(0, 8), (1, 15)}


def test_nothing_of_the_first_day_is_planned_for_an_hour_that_is_over(state: State) -> None:
    noon = AS_OF + timedelta(hours=12)
    rows = rows_of(state, make_plan(state, everyone(state), period=MONTH, now=noon), period=MONTH)
    today = [datetime.fromisoformat(row["at"]) for row in rows if row["on"] == "2026-03-01"]
    assert today and all(at > noon for at in today)


def test_contacts_made_since_the_scoring_count(state: State) -> None:
    first = planned(state)[0]["customer_id"]
    for hour in (1, 2):
        post(state, first, AS_OF + timedelta(hours=hour))
    mine = [row for row in planned(state) if row["customer_id"] == first]
    assert mine and all(row["on"] > "2026-03-27" for row in mine)


def test_an_action_taken_since_the_scoring_cools_down(state: State) -> None:
    who = next(row["customer_id"] for row in planned(state) if row["action"] == "thank_you")
    post(state, who, AS_OF + timedelta(hours=1), action="thank_you")
    mine = [row["action"] for row in planned(state) if row["customer_id"] == who]
    assert mine and "thank_you" not in mine


def test_a_budget_is_spent_on_what_earns_most(state: State) -> None:
    whole, some = planned(state), planned(state, replace(MONTH, budget=2.0))
    assert 0 < len(some) < len(whole)
    assert sum(row["spend"] for row in some) <= 2.0 + 1e-6


def test_no_day_holds_more_contacts_than_it_may(state: State) -> None:
    days = Counter(row["on"] for row in planned(state, replace(MONTH, per_day=2)))
    assert max(days.values()) == 2 < max(Counter(row["on"] for row in planned(state)).values())


def test_who_was_erased_is_in_no_plan(state: State) -> None:
    from serving.persons.rights import forget

    first = planned(state)[0]["customer_id"]
    forget(state.view.store, first, now=NOW)
    state.view.sync()
    assert first not in {row["customer_id"] for row in planned(state)}


def test_who_is_held_out_is_in_no_plan_and_the_reason_says_so(state: State) -> None:
    known = state.snapshot.known
    assert known is not None
    held = replace(known, standing=replace(known.standing, held_out=np.ones(60, bool)))
    none = replace(state, snapshot=replace(state.snapshot, known=held))
    answer = contact_plan(none, PlanRequest(customer_ids=["c000001"]), now=NOW)
    assert answer.contacts == []
    assert "held out" in answer.not_planned[0]["reason"]
    assert barred(none, NOW).all()


def test_a_plan_asked_for_at_night_begins_tomorrow(state: State) -> None:
    from serving.marketing.period import first_day

    days = [first_day(state, AS_OF + timedelta(hours=hour)).isoformat() for hour in (3, 10, 20, 23)]
    assert days == ["2026-03-01", "2026-03-01", "2026-03-02", "2026-03-02"]


def test_a_plan_asked_for_today_in_the_evening_puts_no_contact_in_the_past(state: State) -> None:
    evening = AS_OF + timedelta(hours=21)
    contacts = contact_plan(state, PlanRequest(first_day=AS_OF.date()), now=evening).contacts
    assert min(datetime.fromisoformat(row["at"]) for row in contacts) > evening


def test_where_evenings_are_not_quiet_a_plan_begins_today_until_the_last_hour(state: State) -> None:
    from serving.marketing.period import first_day

    assert state.snapshot.goods_and_terms is not None
    goods, terms = state.snapshot.goods_and_terms
    open_late = goods, replace(terms, policy=ContactPolicy(quiet_from=0, quiet_until=8))
    late = replace(state, snapshot=replace(state.snapshot, goods_and_terms=open_late))
    days = [first_day(late, AS_OF + timedelta(hours=hour)).isoformat() for hour in (22, 23)]
    assert days == ["2026-03-01", "2026-03-02"]


@pytest.mark.parametrize("first", [date(2026, 2, 28), date(2027, 3, 3), date.min, date.max])
def test_a_plan_begins_neither_in_the_past_nor_ages_ahead(state: State, first: date) -> None:
    with pytest.raises(Conflict, match="begins between today and a year from now, 2026-03-01"):
        contact_plan(state, PlanRequest(first_day=first), now=NOW)


def test_a_plan_of_a_scoring_of_long_ago_may_begin_on_its_day_or_on_the_real_one(state: State) -> None:
    later = NOW + timedelta(days=900)
    for first in (AS_OF.date(), later.date()):
        assert (
            contact_plan(state, PlanRequest(first_day=first), now=later).contacts[0]["on"]
            >= first.isoformat()
        )


def test_a_request_for_few_contacts_holds_the_worthiest(state: State) -> None:
    few, many = (contact_plan(state, PlanRequest(limit=n, days=28), now=NOW).contacts for n in (5, 1000))
    money = "expected_incremental_margin_28d"
    assert sorted(row[money] for row in few) == sorted(row[money] for row in many)[-5:]


def test_a_plan_of_learnt_effects_proposes_no_experiment(state: State) -> None:
    known = state.snapshot.known
    assert known is not None
    wiser = replace(known, learnt={action.name: np.full(60, 0.3) for action in CATALOGUE})
    sure = replace(state, snapshot=replace(state.snapshot, known=wiser))
    told = [contact_plan(asked, PlanRequest(days=7), now=NOW) for asked in (state, sure)]
    assert [(plan.effect, plan.experiment is None) for plan in told] == [("assumed", False), ("learnt", True)]


def test_blocks_of_customers_change_nothing(state: State, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = planned(state)
    monkeypatch.setattr("serving.marketing.planning.CUSTOMERS_AT_ONCE", 7)
    assert planned(state) == whole


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A scored home whose warehouse knows two e-mail addresses."""
    shop = orders.make_home(
        tmp_path,
        pd.DataFrame(
            {
                "customer_id": ["c000001", "c000002"],
                "ordered_at": pd.to_datetime(["2026-02-01", "2026-02-02"]),
                "product_id": "p000001",
                "unit_price": 5.0,
            }
        ),
        customers=pd.DataFrame({"customer_id": ["c000001", "c000002"], "email": [" A@x.org", "b@x.org"]}),
    )
    snapshot = with_known(make_snapshot())
    assert snapshot.known is not None
    away = np.arange(20) == 2
    standing = replace(snapshot.known.standing, return_open=away)
    make_home(shop, replace(snapshot, known=replace(snapshot.known, standing=standing)))
    return shop


@pytest.mark.parametrize("kind", ["csv", "ndjson", "json"])
def test_every_format_holds_the_same_contacts(home: Path, kind: str) -> None:
    done, content = write_plan(home, PlanAsked(n_days=14), now=NOW, kind=kind)
    assert str(done).count("EUR") == 2 and str(done).endswith("within 28 days of each")
    rows: list[dict[str, Any]]
    if kind == "csv":
        rows = list(csv.DictReader(io.StringIO(content.decode())))
    elif kind == "ndjson":
        rows = [json.loads(line) for line in content.decode().splitlines()]
    else:
        rows = json.loads(content)["contacts"]
    assert len(rows) == done.n_contacts > 0
    assert rows[0]["on"] == "2026-03-01" and done.experiment is not None


def test_audiences_are_digests_of_normalised_addresses(home: Path, tmp_path: Path) -> None:
    write_plan(home, PlanAsked(), now=NOW, out=tmp_path / "plan.csv", audiences=tmp_path / "ads")
    include, exclude = (
        (tmp_path / "ads" / f"{name}.csv").read_text().split() for name in ("include", "exclude")
    )
    assert include == ["email_sha256", hashlib.sha256(b"a@x.org").hexdigest()]
    assert exclude == ["email_sha256", hashlib.sha256(b"b@x.org").hexdigest()]
    assert (tmp_path / "plan.csv").read_text().startswith("on,at,until,customer_id,action")


def test_a_format_we_do_not_write_is_refused(home: Path) -> None:
    with pytest.raises(SettingsError, match="csv, ndjson, json"):
        write_plan(home, PlanAsked(), now=NOW, kind="xlsx")


def test_the_format_is_by_default_what_the_file_ends_in(home: Path, tmp_path: Path) -> None:
    for name, begins in {"a.json": "{", "a.NDJSON": '{"on"', "a": "on,at"}.items():
        write_plan(home, PlanAsked(n_days=3), now=NOW, out=tmp_path / name)
        assert (tmp_path / name).read_text().startswith(begins)


def test_a_day_that_is_none_is_refused(home: Path) -> None:
    with pytest.raises(SettingsError, match="YYYY-MM-DD"):
        write_plan(home, PlanAsked(first="1 March"), now=NOW)


@pytest.mark.parametrize(
    ("there", "reason"),
    [
        ("cross_sell", "no next_best_offer model serves"),
        ("next_best_offer", "no cross_sell model serves, so there are no calibrated chances"),
    ],
)
def test_without_a_model_that_offers_take_there_is_no_plan(tmp_path: Path, there: str, reason: str) -> None:
    make_home(tmp_path, replace(make_snapshot(), goods_and_terms=None, models={there: "1"}))
    with pytest.raises(NotFound, match=f"{reason}.*recompra train"):
        write_plan(tmp_path, PlanAsked(), now=NOW)


def test_a_plan_speaks_the_shops_language_unless_the_request_names_one(state: State) -> None:
    brazilian = replace(state, snapshot=replace(state.snapshot, locale="pt-BR"))
    here, there = (
        contact_plan(brazilian, PlanRequest(locale=name, limit=5), now=NOW) for name in (None, "en")
    )
    assert here.contacts and all("de margem, já descontado o custo" in row["reason"] for row in here.contacts)
    assert all("of margin after its cost" in row["reason"] for row in there.contacts)
    told = {row["reason"] for row in here.not_planned}
    assert told and not told & {row["reason"] for row in there.not_planned}
    assert [row["customer_id"] for row in here.contacts] == [row["customer_id"] for row in there.contacts]
