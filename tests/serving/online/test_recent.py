"""Events since the scoring: of one customer they read as of everybody, and as counted by hand."""

from collections.abc import Iterator
from dataclasses import fields, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds.snapshot import AS_OF, make_snapshot, with_known

from features.arrays.last_bought import days_since_bought
from models.policy.actions import NAMES
from models.policy.subjects import People
from serving.api import EventsRequest
from serving.api_crm import PlanRequest
from serving.marketing.plan import contact_plan
from serving.online.recent import Recent
from serving.online.view import View
from serving.state import State
from serving.store import Store
from serving.storefront import events

NOW = AS_OF + timedelta(days=12)


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    store = Store.open(tmp_path)
    snapshot = with_known(make_snapshot(30))
    assert snapshot.known is not None
    n = len(snapshot.known.products.settling_days)
    goods = replace(snapshot.known.products, settling_days=np.arange(n, dtype=np.float32))
    snapshot = replace(snapshot, known=replace(snapshot.known, products=goods))
    opened = State.of(snapshot, View(store, AS_OF))
    yield opened
    opened.view.close()
    store.close()


def post(state: State, *rows: dict[str, Any]) -> None:
    posted = [{"event_id": f"e{number}"} | row for number, row in enumerate(rows)]
    events.post_events(state, EventsRequest.model_validate({"events": posted}), now=NOW)
    state.view.sync()


def order(customer: int, product: int | str, moment: datetime = AS_OF) -> dict[str, Any]:
    name = product if isinstance(product, str) else f"p{product:06d}"
    return {"kind": "order", "customer_id": f"c{customer:06d}", "product_id": name, "occurred_at": moment}


def contact(customer: int, action: str, days: float) -> dict[str, Any]:
    moment = AS_OF + timedelta(days=days)
    return {"kind": "contact", "customer_id": f"c{customer:06d}", "action": action, "occurred_at": moment}


def bought(recent: Recent, state: State, codes: Any, product: Any) -> Any:
    """Return which candidates the customers bought since the scoring."""
    assert state.snapshot.history is not None
    return days_since_bought(recent.history(state.snapshot.history, codes), product) == 0


def test_a_contact_of_a_clock_that_was_ahead_bars_nobody_until_then(state: State) -> None:
    year = NOW + timedelta(days=365)
    sent = {"events": [{"event_id": "far", "kind": "contact", "customer_id": "c000003", "action": "survey"}]}
    events.post_events(state, EventsRequest.model_validate(sent), now=year)
    post(state, contact(3, "survey", 12.02))  # half an hour ahead, as the clocks of a mailer may be
    codes = np.array([3], np.int32)
    before = state.snapshot.people.take(codes).n_contacts_28d[0]
    for recent in (Recent.read(state, NOW), Recent.of_one(state, "c000003", now=NOW)):
        assert recent.people(state, codes).n_contacts_28d[0] == before + 1


def test_a_customer_alone_stands_where_they_stand_among_all(state: State) -> None:
    rng = np.random.default_rng(0)
    post(
        state,
        *(order(rng.integers(30), int(rng.integers(12)), AS_OF + timedelta(hours=n)) for n in range(40)),
        *(order(n, 3) | {"kind": "return"} for n in range(30)),
        *(contact(rng.integers(30), rng.choice(NAMES[:4]), rng.uniform(0, 12)) for _ in range(40)),
        *(order(99, 3), contact(99, "survey", 1)),  # of whom the scoring knows nothing
    )
    codes, everybody = rng.permutation(30).astype(np.int32), Recent.read(state, NOW)
    people, standing = everybody.people(state, codes), everybody.standing(state, codes, now=NOW)
    product = rng.integers(-1, 12, (30, 8)).astype(np.int32)
    for row, customer_id in enumerate(state.snapshot.customers.names(codes)):
        alone, code = Recent.of_one(state, customer_id, now=NOW), codes[row : row + 1]
        assert alone.people(state, code).n_contacts_28d[0] == people.n_contacts_28d[row]
        for field in fields(standing):
            mine = getattr(alone.standing(state, code, now=NOW), field.name)[0]
            np.testing.assert_array_equal(mine, getattr(standing, field.name)[row], field.name)
        both = (bought(recent, state, code, product[[row]]) for recent in (alone, everybody))
        np.testing.assert_array_equal(*both)


def test_what_was_ordered_settles_by_its_own_days_and_the_unknown_by_the_slowest(state: State) -> None:
    post(state, order(1, 3), order(1, 2), order(2, "never seen"), order(3, 2))
    known = state.snapshot.known
    assert known is not None
    waiting = np.where(np.arange(30) == 3, 9, known.standing.settles_in).astype(np.float32)
    known = replace(known, standing=replace(known.standing, settles_in=waiting))
    slow = replace(state, snapshot=replace(state.snapshot, known=known))
    codes = np.array([0, 1, 2, 3], np.int32)
    settles = Recent.read(slow, AS_OF).standing(slow, codes, now=AS_OF).settles_in
    slowest = len(state.snapshot.catalogue.products) - 1
    assert settles.tolist()[1:] == [3, slowest, 9] and settles[0] <= 0


def test_every_clock_goes_on_from_the_scoring_to_the_day_asked_for(state: State) -> None:
    assert state.snapshot.known is not None
    then, codes = state.snapshot.known.standing, np.arange(30, dtype=np.int32)
    now = Recent.read(state, NOW).standing(state, codes, now=NOW, days_ahead=2)
    np.testing.assert_array_equal(now.since, then.since + 14)


def test_products_ordered_since_are_bought_and_only_by_their_customer(state: State) -> None:
    post(state, order(1, 3), order(2, 5), order(1, "never seen"), order(2, 11))
    codes, product = np.array([2, 1], np.int32), np.array([[3, 4, 5, 6, -1]] * 2)
    said = bought(Recent.read(state, NOW), state, codes, product)
    assert said.tolist() == [[False, False, True, False, False], [True, False, False, False, False]]


def test_contacts_of_the_last_week_and_of_the_last_four_are_counted(state: State) -> None:
    post(state, contact(1, "survey", 5.5), contact(1, "survey", 1), contact(1, "thank_you", 11))
    recent, code = Recent.read(state, NOW), np.array([1], np.int32)
    before = state.snapshot.people.take(code).n_contacts_28d[0]
    assert recent.people(state, code).n_contacts_28d[0] == before + 3
    standing = recent.standing(state, code, now=NOW)
    assert standing.n_contacts_7d[0] == 2
    assert standing.since_action[0, [NAMES.index("survey"), NAMES.index("thank_you")]].tolist() == [6, 1]


def test_only_contacts_of_the_last_four_weeks_that_the_scoring_does_not_count_itself_are_added(
    state: State,
) -> None:
    post(state, contact(1, "survey", -1), contact(1, "survey", 1), contact(1, "survey", 3))
    code, people = np.array([1], np.int32), People.nobody_known(30).contacted(np.full(30, 2, np.int32))
    counted = replace(state, snapshot=replace(state.snapshot, people=people))
    for days, n in ((4, 2 + 2), (30, 2 + 1), (40, 2)):
        later = Recent.read(counted, AS_OF + timedelta(days=days))
        assert later.people(counted, code).n_contacts_28d[0] == n


def test_a_plan_for_nobody_known_is_answered_after_others_have_ordered(state: State) -> None:
    post(state, order(1, 3), contact(2, NAMES[0], 1))
    plan = contact_plan(state, PlanRequest(customer_ids=["nobody"]), now=NOW)
    assert [left["customer_id"] for left in plan.not_planned] == ["nobody"]
