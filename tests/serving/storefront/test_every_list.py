"""Ten thousand random requests, each held against sets: both paths, every list, every filter."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from worlds.kitchen import BAGS, COFFEE, CUTOFF, FRIDGES, PANS, SIZES, ids_of, kitchen_products, scored

from serving.api import LIST_NAMES, EventsRequest, RecommendRequest
from serving.online.view import View
from serving.state import State
from serving.store import Store
from serving.storefront import events
from serving.storefront.answers import recommend

N_EPOCHS, N_REQUESTS = 20, 500
PRODUCTS = [name for category in SIZES for name in ids_of(category)]
CUSTOMERS = [f"c{number:02d}" for number in range(60)]
FACTS = {row.product_id: (row.category, row.list_price) for row in kitchen_products().itertuples()}
OWN_BARRED = {"for_you", "bought_together", "upsell"}


def some(rng: np.random.Generator, names: list[str], most: int) -> list[str]:
    return [str(name) for name in rng.choice(names, rng.integers(0, most + 1), replace=False)]


def random_request(rng: np.random.Generator) -> dict[str, Any]:
    request = {
        "customer_id": rng.choice([*CUSTOMERS, "nobody", None]),
        "list": str(rng.choice(LIST_NAMES)),
        "k": int(rng.choice([1, 5, 10, 40, 200])),
    }
    if rng.random() < 0.4:
        request["cart"] = [*some(rng, PRODUCTS, 3), "unknown"]
    if rng.random() < 0.2:
        request["product_id"] = str(rng.choice(PRODUCTS))
    if rng.random() < 0.3:
        request["exclude"] = some(rng, PRODUCTS, 40)
    if rng.random() < 0.2:
        request["category"] = str(rng.choice([*SIZES, "home", "no such"]))
    if rng.random() < 0.2:
        request |= {"min_price": float(rng.integers(0, 30)), "max_price": float(rng.integers(20, 90))}
    return request


def eligible(request: dict[str, Any], bought: set[str], sold_out: set[str]) -> set[str]:
    """Return what a list may hold, the obvious way."""
    out = {*request.get("exclude", ()), *request.get("cart", ()), request.get("product_id"), *sold_out}
    path, low, high = request.get("category", ""), request.get("min_price", 0), request.get("max_price", 1e9)
    found = {
        name
        for name, (category, price) in FACTS.items()
        if low <= price <= high and (not path or category == path or category.startswith(f"{path} > "))
    }
    found -= out | {*ids_of(BAGS)}
    if request["list"] == "bought_together":  # nobody here buys two of a kind at once
        cart = {*request.get("cart", ()), request.get("product_id")} & {*FACTS}
        found = {name for name in found if FACTS[name][0] not in {FACTS[lead][0] for lead in cart}}
    if request["list"] == "buy_again":
        return found & bought
    if request["list"] == "upsell":
        cart = {*request.get("cart", ()), request.get("product_id")} & {*FACTS}
        found = {name for name in found if any(is_step(lead, name) for lead in cart or bought)}
    if request["list"] == "new_for_you":
        return found - bought
    once = {name for name in bought if not name.startswith("coffee")}
    return found - once if request["list"] in OWN_BARRED else found


def is_step(lead: str, name: str) -> bool:
    (kind, price), (other, dearer) = FACTS[lead], FACTS[name]
    return kind == other and 1.05 * price <= dearer <= 1.6 * price


@pytest.fixture
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    opened = Store.open(tmp_path_factory.mktemp("home"))
    yield opened
    opened.close()


def happened(state: State, rng: np.random.Generator, epoch: int) -> dict[str, set[str]]:
    """Let some customers buy something; return what each bought."""
    bought = {str(name): {*some(rng, PRODUCTS, 3)} for name in rng.choice(CUSTOMERS, 3, replace=False)}
    posted = [
        {
            "event_id": f"{epoch} {customer} {product}",
            "kind": "order",
            "customer_id": customer,
            "product_id": product,
        }
        for customer, products in bought.items()
        for product in sorted(products)
    ]
    if posted:
        events.post_events(state, EventsRequest.model_validate({"events": posted}), now=CUTOFF)
        state.view.sync()
    return bought


def test_ten_thousand_random_requests_hold_exactly_what_they_may(store: Store) -> None:
    rng, snapshot = np.random.default_rng(0), scored().snapshot
    history = snapshot.history
    assert history is not None
    bought = {
        name: {*history.products.names(np.unique(history.product[history.rows(code)]))}
        for code, name in enumerate(history.customers.all_names())
    }
    paths: Counter[tuple[str, str]] = Counter()
    for epoch in range(N_EPOCHS):
        state, sold_out = State.of(snapshot, View(store, snapshot.as_of)), {*some(rng, PRODUCTS, 15)}
        state.restock(dict.fromkeys(sold_out, 0.0))
        for customer, products in happened(state, rng, epoch).items():
            bought[customer] |= products
        for _ in range(N_REQUESTS):
            request = random_request(rng)
            answer = recommend(state, RecommendRequest(**request))
            shown = [product["product_id"] for product in answer.products]
            paths[request["list"], answer.answered_from] += 1
            if answer.answered_from == "fallback":
                known = bool(bought.get(request["customer_id"]))
                assert not (shown and known) or request["list"] not in {"buy_again", "upsell"}
                request["list"] = "popular" if shown or not known else request["list"]
            allowed = eligible(request, bought.get(request["customer_id"], set()), sold_out)
            assert {*shown} <= allowed, request
            assert len(shown) == len({*shown}), request
            full = min(request["k"], len(allowed))
            assert len(shown) == full or (request["list"] == "upsell" and len(shown) < full), request
        assert recommend(state, RecommendRequest(**request)).products == answer.products
        state.view.close()
    for name in ("for_you", "buy_again", "new_for_you"):
        assert min(paths[name, "ready"], paths[name, "live"]) > 200


def shown(customer: str, list_name: str, k: int = 10) -> list[str]:
    ready, code = scored().snapshot.ready[list_name], scored().snapshot.customer(customer)
    product = ready.product[code, :k]
    return scored().snapshot.catalogue.products.names(product[product >= 0])


def test_a_bought_fridge_does_not_come_back_and_coffee_does() -> None:
    snapshot = scored().snapshot
    history = snapshot.history
    assert history is not None
    for code, name in enumerate(CUSTOMERS):
        mine = {*history.products.names(history.product[history.rows(code)])}
        listed = {*shown(name, "for_you", 60)}
        assert not {product for product in mine & listed if product.startswith(("fridges", "pans", "bags"))}
        assert f"coffee-{code % 12:02d}" in listed
        assert {*ids_of(FRIDGES)} & mine <= {*shown(name, "buy_again", 60)}


def test_what_the_shop_pins_leads_the_list_it_is_pinned_to() -> None:
    assert {
        shown(name, "for_you")[0] for name in CUSTOMERS if "pans-07" in shown(name, "new_for_you", 60)
    } == {"pans-07"}
    snapshot = scored().snapshot
    assert snapshot.catalogue.products.names(snapshot.popular[:2]) == ["fridges-03", "coffee-01"]


def test_no_category_has_more_than_its_share_while_there_are_others() -> None:
    for name in CUSTOMERS:
        kinds = Counter(product.split("-")[0] for product in shown(name, "new_for_you", 9))
        assert {*kinds.values()} == {3}, kinds


def test_a_whole_category_can_be_hidden() -> None:
    everything = {name for customer in CUSTOMERS for name in shown(customer, "for_you", 60)}
    assert not everything & {*ids_of(BAGS)}
    assert everything >= {*ids_of(COFFEE)} and everything & {*ids_of(PANS)}
