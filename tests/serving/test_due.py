from dataclasses import replace
from datetime import date
from pathlib import Path

import numpy as np
import pytest
from worlds.kitchen import CUTOFF, scored

from models.ranking.reason_texts import CODES
from serving.api import EventsRequest, ProductDetails, RecommendRequest
from serving.online.view import View
from serving.state import State
from serving.store import Store
from serving.storefront import events
from serving.storefront.answers import recommend
from serving.storefront.due import Due


@pytest.fixture
def state(tmp_path: Path) -> State:
    return State.of(scored().snapshot, View(Store.open(tmp_path), scored().snapshot.as_of))


def first(state: State, list_name: str) -> ProductDetails:
    request = RecommendRequest(customer_id="c03", list=list_name, k=1, details=True)  # type: ignore[arg-type]
    return recommend(state, request).products[0]  # type: ignore[return-value]


def test_the_weekly_coffee_is_due_within_two_weeks(state: State) -> None:
    coffee = first(state, "buy_again")
    assert coffee["product_id"] == "coffee-03"
    assert 0 <= (date.fromisoformat(str(coffee["due_at"])) - date(2024, 5, 20)).days <= 14


def test_what_was_never_bought_is_not_due(state: State) -> None:
    assert first(state, "new_for_you")["due_at"] is None


def test_a_day_is_forgotten_as_soon_as_the_product_was_bought(state: State) -> None:
    row = {"event_id": "1", "kind": "order", "customer_id": "c03", "product_id": "coffee-03"}
    events.post_events(state, EventsRequest.model_validate({"events": [row]}), CUTOFF)
    state.view.sync()
    request = RecommendRequest(customer_id="c03", list="buy_again", k=5, details=True)
    found = {product["product_id"]: product for product in recommend(state, request).products}
    assert found["coffee-03"]["due_at"] is None  # type: ignore[typeddict-item]


def test_nobody_unknown_is_due() -> None:
    due = scored().snapshot.due
    assert due is not None
    assert due.dates(-1) == {}
    assert len(due.indptr) == len(scored().snapshot.customers) + 1
    assert (np.diff(due.indptr) >= 0).all()


def told_with(state: State, days: dict[str, int] | None) -> str:
    """The reason's code of the weekly coffee, where the clock says these days from now, or is not there."""
    snapshot = state.snapshot
    ready = snapshot.ready["buy_again"]
    reason, number = np.full_like(ready.reason, CODES.index("due")), np.full_like(ready.number, 8)
    ready = replace(ready, reason=reason, number=number)
    found = None
    if days is not None:
        codes = np.array([snapshot.product(name) for name in days], np.int32)
        indptr = np.zeros(len(snapshot.customers) + 1, np.int64)
        indptr[snapshot.customers.code("c03") + 1 :] = len(codes)
        found = Due(indptr, codes, np.array([*days.values()], np.int32) + snapshot.cutoff_day)
    lists = {**snapshot.ready, "buy_again": ready}
    changed = replace(state, snapshot=replace(snapshot, ready=lists, due=found))
    return first(changed, "buy_again")["reason"]["code"]


@pytest.mark.parametrize(
    ("days", "code"),
    [({"coffee-03": 3}, "due"), ({"coffee-03": 40}, "before"), ({}, "before"), (None, "due")],
)
def test_due_about_now_is_said_of_nothing_that_the_clock_expects_later_or_never(
    state: State, days: dict[str, int] | None, code: str
) -> None:
    assert told_with(state, days) == code
