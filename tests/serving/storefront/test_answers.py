import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.snapshot import AS_OF, NOW, make_snapshot, names, with_live

from features.arrays.history import Vocabulary
from features.errors import Conflict
from models.lists.cold import AttributeSegments
from serving.api import LIST_NAMES, EventsRequest, Recommended, RecommendRequest
from serving.online.view import View
from serving.persons import rights
from serving.scoring.snapshot import Snapshot
from serving.state import State
from serving.store import Store
from serving.storefront import events
from serving.storefront.answers import find_customer, recommend, why_unknown

N_PRODUCTS = 60


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store.open(tmp_path_factory.mktemp("home"))
    yield opened
    opened.close()


def state_of(store: Store, snapshot: Snapshot) -> State:
    return State.of(snapshot, View(store, snapshot.as_of))


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    store = Store.open(tmp_path)
    opened = state_of(store, with_live(make_snapshot()))
    yield opened
    opened.view.close()
    store.close()


def post(state: State, *posted: dict[str, Any]) -> None:
    events.post_events(state, EventsRequest.model_validate({"events": list(posted)}), now=NOW)
    state.view.sync()
    state.restock(state.view.take_new_stock())


def order(product_id: str, customer_id: str = "c000003", **more: Any) -> dict[str, Any]:
    return {"event_id": f"{customer_id} {product_id}", "kind": "order", "customer_id": customer_id} | {
        "product_id": product_id,
        **more,
    }


def shown(answer: Recommended) -> list[str]:
    return [product["product_id"] for product in answer.products]


def ask(state: State, **wanted: Any) -> Recommended:
    return recommend(state, RecommendRequest(**wanted))


def test_an_order_posted_while_the_clock_is_set_back_counts_in_the_next_answer(state: State) -> None:
    posted = EventsRequest.model_validate({"events": [order("p000001")]})
    events.post_events(state, posted, now=AS_OF - timedelta(hours=3))
    state.view.sync()
    assert [line["product_id"] for line in state.view.lines("c000003")] == ["p000001"]


def test_a_known_customer_is_answered_from_the_ready_list(state: State) -> None:
    answer = ask(state, customer_id="c000003", k=5)
    ready = state.snapshot.ready["for_you"]
    assert answer.answered_from == "ready"
    assert shown(answer) == state.snapshot.catalogue.products.names(ready.product[3, :5])
    assert [product["rank"] for product in answer.products] == [1, 2, 3, 4, 5]
    assert (answer.as_of, answer.models["cross_sell"]) == (AS_OF.isoformat(), "1")


def test_who_was_not_ranked_for_want_of_a_product_is_answered_live_and_in_full(state: State) -> None:
    for ready in state.snapshot.ready.values():
        ready.product[3] = -1
    for_you, again = (ask(state, customer_id="c000003", k=5, list=name) for name in ("for_you", "buy_again"))
    assert (for_you.answered_from, len(for_you.products)) == ("live", 5)
    assert (again.answered_from, again.products) == ("ready", [])


products = st.lists(st.sampled_from(names("p", N_PRODUCTS)), max_size=N_PRODUCTS, unique=True)


@settings(max_examples=150, deadline=None)
@given(
    k=st.integers(1, 200),
    exclude=products,
    cart=st.lists(st.sampled_from(names("p", N_PRODUCTS)), max_size=3),
    sold_out=products,
    category=st.sampled_from([None, "food", "food > kind1", "nothing"]),
    customer_id=st.sampled_from([None, "c000003", "nobody"]),
    list_name=st.sampled_from(["for_you", "buy_again", "new_for_you", "popular"]),
)
def test_an_answer_holds_exactly_as_many_eligible_products_as_there_are(
    store: Store,
    *,
    k: int,
    exclude: list[str],
    cart: list[str],
    sold_out: list[str],
    category: str | None,
    customer_id: str | None,
    list_name: Any,
) -> None:
    state = state_of(store, with_live(make_snapshot(n_products=N_PRODUCTS)))
    state.restock(dict.fromkeys(sold_out, 0.0))
    request = RecommendRequest(
        customer_id=customer_id, k=k, exclude=exclude, cart=cart, category=category, list=list_name
    )
    given_products = shown(recommend(state, request))
    kind = {name: f"food > kind{number % 4}" for number, name in enumerate(names("p", N_PRODUCTS))}
    eligible = {name for name in kind if name not in {*exclude, *cart, *sold_out}}
    if category is not None:
        eligible = {name for name in eligible if kind[name].startswith(category)}
    assert len(given_products) == len(set(given_products)) == min(k, len(eligible))
    assert set(given_products) <= eligible
    state.view.close()


def test_an_order_changes_the_next_answer(state: State) -> None:
    before = ask(state, customer_id="c000003", k=5, list="new_for_you")
    bought = shown(before)[0]
    post(state, order(bought))
    after = ask(state, customer_id="c000003", k=5, list="new_for_you")
    assert (before.answered_from, after.answered_from) == ("ready", "live")
    assert bought not in shown(after)


def test_an_order_of_one_customer_changes_nothing_for_another(state: State) -> None:
    before = ask(state, customer_id="c000004")
    post(state, order("p000001"))
    assert ask(state, customer_id="c000004") == before


def test_an_order_of_before_the_scoring_changes_nothing(state: State) -> None:
    before = ask(state, customer_id="c000003")
    post(state, order("p000001", occurred_at=AS_OF - timedelta(days=1)))
    assert ask(state, customer_id="c000003") == before


def test_a_cart_is_answered_live_and_not_shown_again(state: State) -> None:
    answer = ask(state, customer_id="c000003", cart=["p000000"], k=3)
    assert answer.answered_from == "live"
    assert shown(answer) == ["p000001", "p000002", "p000003"]


def test_a_product_out_of_stock_is_not_shown_by_the_next_answer(state: State) -> None:
    first = shown(ask(state, customer_id="c000003"))[0]
    post(state, {"event_id": "s1", "kind": "stock", "product_id": first, "stock": 0})
    assert first not in shown(ask(state, customer_id="c000003", k=60))
    post(state, {"event_id": "s2", "kind": "stock", "product_id": first, "stock": 4, "occurred_at": NOW})
    assert shown(ask(state, customer_id="c000003"))[0] == first


def test_what_the_shop_hides_stays_hidden_when_its_stock_is_reported(store: Store) -> None:
    made = make_snapshot()
    assert made.goods_and_terms is not None
    hidden = np.zeros(N_PRODUCTS, bool)
    hidden[made.popular[0]] = True
    goods, terms = made.goods_and_terms
    state = state_of(store, replace(made, goods_and_terms=(replace(goods, hidden=hidden), terms)))
    name = made.catalogue.products.names(made.popular[:1])[0]
    post(state, {"event_id": "s9", "kind": "stock", "product_id": name, "stock": 4})
    assert name not in shown(ask(state, list="popular", k=60))
    state.view.close()


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ({"customer_id": "nobody"}, "the customer is unknown"),
        ({}, "no customer_id was given"),
        ({"customer_id": "nobody", "cart": ["no such"]}, "neither the customer nor any product"),
        ({"customer_id": "c000003", "category": "no such"}, "no product of the category"),
        ({"customer_id": "c000003", "min_price": 5.0, "max_price": 4.0}, "no product within the price range"),
    ],
)
def test_who_or_what_is_unknown_gets_what_sells_and_is_told_so(
    state: State, wanted: dict[str, Any], told: str
) -> None:
    answer = ask(state, **wanted)
    assert told in (answer.fallback or "")
    assert {product["source"] for product in answer.products} <= {"popular"}


@pytest.mark.parametrize("who", [{}, {"customer_id": "nobody"}, {"attributes": {"region": "North"}}])
def test_where_nothing_can_be_shown_no_stranger_is_told_that_this_sells(
    state: State, who: dict[str, Any]
) -> None:
    answer = ask(state, category="no such", **who)
    assert answer.products == []
    assert answer.fallback is not None and answer.fallback.endswith("nothing of what sells can be shown")


def test_a_new_customer_with_an_order_is_answered_live(state: State) -> None:
    post(state, order("p000007", "newcomer"))
    answer = ask(state, customer_id="newcomer")
    assert answer.answered_from == "live"
    assert shown(answer)[0] == "p000007"


def test_an_erased_customer_is_as_unknown_as_one_who_never_was(state: State) -> None:
    post(state, order("p000007"))
    rights.forget(state.view.store, "c000003", now=NOW)
    state.view.sync()
    answer = ask(state, customer_id="c000003")
    assert "unknown" in (answer.fallback or "")
    post(state, order("p000009"))
    assert ask(state, customer_id="c000003") == answer


def test_a_shop_without_products_shows_nothing_and_says_why(store: Store) -> None:
    state = state_of(store, replace(make_snapshot(n_products=0, k=0), ready={}))
    for name in LIST_NAMES:
        answer = ask(state, customer_id="c000003", list=name)
        assert answer.products == []
        assert "name no products" in (answer.fallback or "")
    state.view.close()


def test_an_order_names_no_product_only_where_the_shops_orders_name_none(state: State, store: Store) -> None:
    nameless = {"kind": "order", "event_id": "nameless", "customer_id": "newcomer"}
    with pytest.raises(Conflict, match="'nameless' names no product, as this shop's orders do"):
        post(state, nameless)
    bare = state_of(store, make_snapshot(n_products=0))
    post(bare, nameless)
    customer = find_customer(bare, "newcomer")
    assert why_unknown(customer) == "the customer is new since the scoring"
    assert not customer.lines and not ask(bare, customer_id="newcomer").products
    bare.view.close()


def test_details_name_the_product_its_category_and_price(state: State) -> None:
    product: Any = ask(state, customer_id="c000003", k=1, details=True).products[0]
    code = state.snapshot.product(product["product_id"])
    assert product["name"] == f"Product {code}"
    assert product["category"] == f"food > kind{code % 4}"
    assert np.isclose(product["price"], state.snapshot.catalogue.price[code], atol=1e-4)


def test_details_say_why_in_the_language_asked_for(state: State) -> None:
    ready: Any = ask(state, customer_id="c000003", k=1, details=True).products[0]
    assert ready["reason"]["code"] == "often"
    assert re.fullmatch(r"you bought it \d+ times", ready["reason"]["text"])
    live: Any = ask(state, customer_id="c000003", cart=["p000005"], details=True, locale="pt-BR").products[1]
    assert live["reason"] == {"code": "like", "text": "parecido com Product 0, que você comprou"}
    sells: Any = ask(state, details=True).products[0]
    assert sells["reason"] == {"code": "popular", "text": "popular right now"}


def test_only_products_of_the_price_range_are_shown(state: State) -> None:
    price = state.snapshot.catalogue.price
    answer = ask(state, customer_id="c000003", k=200, min_price=5.0, max_price=7.5)
    codes = [state.snapshot.product(name) for name in shown(answer)]
    assert len(codes) == int(((price >= 5) & (price <= 7.5)).sum())
    assert all(5 <= price[code] <= 7.5 for code in codes)


def test_somebody_without_orders_is_shown_what_sells_to_those_alike(store: Store) -> None:
    snapshot = make_snapshot()
    lift = np.ones((1, len(snapshot.popular)), np.float32)
    lift[0, 17] = 1000
    registered = Vocabulary.of(["registered"])
    segments = AttributeSegments(
        Vocabulary.of(["region=north"]), lift, registered, np.array([b"region=north"])
    )
    state = state_of(store, replace(snapshot, segments=segments))
    for request in ({"customer_id": "registered"}, {"attributes": {"region": "North"}}):
        answer = ask(state, **request, details=True)
        first: Any = answer.products[0]
        assert (first["product_id"], first["source"], first["reason"]["code"]) == (
            "p000017",
            "segment",
            "alike",
        )
        assert "customers with region=north" in (answer.fallback or "")
    assert "segment" not in {product["source"] for product in ask(state, customer_id="nobody").products}
    assert "segment" not in {product["source"] for product in ask(state, customer_id="c000003").products}
    state.view.close()


def test_a_whole_ready_list_is_answered_without_reading_what_the_customer_bought(store: Store) -> None:
    """It took a third of the rate of ready lists."""

    class Unread:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(f"history.{name} was read")

    unranked: Any = replace(make_snapshot(), live=None, history=Unread())
    answer = ask(state_of(store, unranked), customer_id="c000003", list="new_for_you", k=5)
    assert answer.answered_from == "ready" and len(answer.products) == 5


@pytest.mark.parametrize("name", ["for_you", "buy_again", "new_for_you", "bought_together"])
def test_without_a_ranker_what_was_just_bought_is_not_shown_until_the_next_scoring(
    store: Store, name: str
) -> None:
    state = state_of(store, replace(make_snapshot(), live=None))
    bought, *rest = shown(ask(state, customer_id="c000003", list=name, k=4))
    post(state, order(bought))
    assert shown(ask(state, customer_id="c000003", list=name, k=3)) == rest
    assert bought in shown(ask(state, customer_id="c000004", list="popular", k=200))
