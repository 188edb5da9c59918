import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from worlds.kitchen import CUTOFF, scored

from serving.api import EventsRequest, ProductDetails, RecommendRequest
from serving.online.view import View
from serving.state import State
from serving.store import Store
from serving.storefront import events
from serving.storefront.answers import recommend

DUE = ("due", "overdue", "usual")


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
    events.post_events(state, EventsRequest.model_validate({"events": [row]}), now=CUTOFF)
    state.view.sync()
    request = RecommendRequest(customer_id="c03", list="buy_again", k=5, details=True)
    found = {product["product_id"]: product for product in recommend(state, request).products}
    assert found["coffee-03"]["due_at"] is None  # type: ignore[typeddict-item]


def test_nobody_unknown_is_due(state: State) -> None:
    live = state.snapshot.live
    assert live is not None and live.due("c03")
    assert live.due("nobody") == {}


@pytest.mark.parametrize("list_name", ["for_you", "buy_again"])
def test_what_is_said_to_be_due_about_now_has_its_day_about_now(state: State, list_name: str) -> None:
    said = 0
    for customer in state.snapshot.customers.all_names():
        asked: Any = {"customer_id": customer, "list": list_name, "k": 20, "details": True}
        products: Any = recommend(state, RecommendRequest(**asked)).products
        for product in products:
            if product["reason"]["code"] in DUE:
                days = (date.fromisoformat(product["due_at"]) - date(2024, 5, 20)).days
                gap = int(re.findall(r"\d+|$", product["reason"]["text"])[0] or 1)
                assert days <= max(7, 0.25 * gap + 1)
                said += 1
    assert said
