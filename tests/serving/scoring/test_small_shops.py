"""Learn, score and answer in shops that lack something: every list is as long as it can be."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds.checkerboard import CUTOFF, SMALL, START, board_catalogue, board_lines
from worlds.orders import make_shop

from features.shop import Shop
from models.cross_sell import CrossSell
from models.model import Model
from models.popular import Popular
from serving.api import LIST_NAMES, Recommended, RecommendRequest
from serving.online.view import View
from serving.persons.rights import Forgotten
from serving.scoring import build
from serving.scoring.build import Build
from serving.scoring.folder import load, write
from serving.scoring.snapshot import Snapshot
from serving.state import State
from serving.store import Store
from serving.storefront.answers import recommend

QUICK = SMALL.model_copy(update={"n_trees": 10})


def heavy_and_light() -> pd.DataFrame:
    """Return a board with one customer of ten thousand lines and one of a single line."""
    rng = np.random.default_rng(0)
    moments = pd.Timestamp(START) + pd.to_timedelta(rng.integers(0, 139, 10_000), "D")
    products = [f"p{code:03d}" for code in rng.integers(0, 80, 10_000)]
    heavy = pd.DataFrame({"customer_id": "heavy", "ordered_at": moments, "product_id": products})
    light = heavy.iloc[:1].assign(customer_id="light")
    return pd.concat(
        [board_lines(20), heavy.assign(order_id=[f"h{n}" for n in range(10_000)]), light], ignore_index=True
    )


def nothing_again() -> pd.DataFrame:
    """Return a board where nobody buys a product twice."""
    return board_lines(40, n_products=120).drop_duplicates(["customer_id", "product_id"])


def everything_again() -> pd.DataFrame:
    """Return a shop where each customer buys the same three products every week."""
    rows = [
        (f"c{customer:03d}", pd.Timestamp(START) + pd.Timedelta(days=day, hours=12), f"p{product % 40:03d}")
        for customer in range(40)
        for day in range(customer % 7, 140, 7)
        for product in range(customer, customer + 3)
    ]
    return pd.DataFrame(rows, columns=["customer_id", "ordered_at", "product_id"])


def everything_by_everyone() -> pd.DataFrame:
    """Return a shop of twins: each buys all four products every week."""
    days = pd.Timestamp(START) + pd.to_timedelta(np.arange(0, 140, 7), "D")
    rows = [(f"c{customer:03d}", day, f"p{n}") for customer in range(40) for day in days for n in range(4)]
    return pd.DataFrame(rows, columns=["customer_id", "ordered_at", "product_id"])


SHOPS = {
    "no prices": lambda: (board_lines(20).drop(columns="unit_price"), board_catalogue()),
    "no catalogue": lambda: (board_lines(20), None),
    "nothing but who and when and what": lambda: (
        board_lines(20)[["customer_id", "ordered_at", "product_id"]],
        None,
    ),
    "one product": lambda: (board_lines(20).assign(product_id="only").drop_duplicates("order_id"), None),
    "heavy and light": lambda: (heavy_and_light(), board_catalogue()),
    "nothing is bought again": lambda: (nothing_again(), None),
    "everything is bought again": lambda: (everything_again(), None),
    "everything is bought by everyone": lambda: (everything_by_everyone(), None),
}


def served(folder: Path, name: str, *, ranked: bool = True) -> tuple[Shop, Snapshot]:
    lines, catalogue = SHOPS[name]()
    shop = make_shop(folder, lines, **({} if catalogue is None else {"products": catalogue}))
    models: dict[str, Model] = {"popular": Popular.fit(shop, CUTOFF, config=Popular.Config())}
    if ranked:
        models["cross_sell"] = CrossSell.fit(shop, CUTOFF, config=QUICK)
    made = Build(shop, CUTOFF, models, dict.fromkeys(models, "1"), Forgotten(b"", frozenset()))
    write(folder / "scoring", made.snapshot(), more=made.save_more)
    return shop, load(folder / "scoring")


@pytest.fixture(scope="module", params=SHOPS)
def shop(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = tmp_path_factory.mktemp("shop")
    opened, found = served(folder, request.param)
    store = Store.open(folder)
    yield request.param, opened, State.of(found, View(store, found.as_of))
    store.close()


def ask(state: State, **wanted: Any) -> Recommended:
    return recommend(state, RecommendRequest(**wanted))


def test_every_list_is_as_long_as_it_can_be(shop: Any) -> None:
    name, opened, state = shop
    history, size = opened.history(CUTOFF), len(state.snapshot.catalogue.products)
    for code in np.linspace(0, len(history.customers) - 1, 6).astype(int):
        mine = {*history.products.names(np.unique(history.product[history.rows(code)]))}
        n_returning = size - len(mine) if name == "nothing is bought again" else size
        customer = history.customers.names([code])[0]
        for cart in ([], [history.products.names([0])[0]]):
            full = {
                "for_you": n_returning,
                "buy_again": len(mine),
                "new_for_you": size - len(mine),
                "popular": size,
            }
            for list_name in LIST_NAMES:
                answer = ask(state, customer_id=customer, list=list_name, k=30, cart=cart, details=True)
                shown = [product["product_id"] for product in answer.products]
                assert len(shown) == len({*shown}) and not {*shown} & {*cart}
                if not cart and list_name in full:
                    assert len(shown) == min(30, full[list_name]), (list_name, customer)
                assert all(product["reason"]["text"] for product in answer.products)


def test_a_stranger_is_shown_what_sells(shop: Any) -> None:
    _, _, state = shop
    size = len(state.snapshot.catalogue.products)
    assert (
        len(ask(state, k=5).products) == len(ask(state, customer_id="nobody", k=5).products) == min(5, size)
    )


def test_where_nothing_is_bought_again_nothing_bought_is_shown_and_where_all_is_it_leads(shop: Any) -> None:
    name, opened, state = shop
    history = opened.history(CUTOFF)
    if name not in {"nothing is bought again", "everything is bought again"}:
        return
    for code, customer in enumerate(history.customers.all_names()):
        mine = {*history.products.names(np.unique(history.product[history.rows(code)]))}
        shown = [product["product_id"] for product in ask(state, customer_id=customer, k=3).products]
        assert {*shown} == mine if name == "everything is bought again" else not {*shown} & mine


@pytest.fixture(scope="module")
def unranked(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Shop, State]]:
    """A shop whose ranker did not earn its place: only habits and best sellers serve, from short lists."""
    folder = tmp_path_factory.mktemp("unranked")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(build, "N_READY", 12)
        shop, found = served(folder, "heavy and light", ranked=False)
    store = Store.open(folder)
    yield shop, State.of(found, View(store, found.as_of))
    store.close()


def test_without_a_ranker_lists_hold_the_customers_own_habits(unranked: tuple[Shop, State]) -> None:
    shop, state = unranked
    expected = Popular.fit(shop, CUTOFF, config=Popular.Config())
    lists = expected.recommend(expected.state(shop, CUTOFF), ["c004"], k=10).groupby("list")["product_id"]
    for name, products in lists:
        answer = ask(state, customer_id="c004", list=name, k=10, details=True)
        assert [product["product_id"] for product in answer.products] == products.tolist()
        assert (answer.answered_from, answer.fallback) == ("ready", None)
    whole = ask(state, customer_id="c004", k=200, exclude=["p050"], details=True).products
    assert len(whole) == len(state.snapshot.catalogue.products) - 1  # continued by best sellers
    assert all(product["reason"]["text"] for product in whole)
    first = ask(state, customer_id="c004", list="buy_again", k=1, details=True).products[0]
    assert (first["source"], first["reason"]["code"]) == ("own", "again")


def test_without_a_ranker_new_products_are_new_whatever_is_asked(unranked: tuple[Shop, State]) -> None:
    shop, state = unranked
    history = shop.history(CUTOFF)
    for customer in ("c004", "light", "heavy"):
        code = int(history.customers.codes([customer])[0])
        mine = {*history.products.names(np.unique(history.product[history.rows(code)]))}
        fresh = sorted({*history.products.all_names()} - mine)
        wanted: list[dict[str, Any]] = [{}, {"k": 200}, {"cart": fresh[:2]}, {"category": "shop > 1"}]
        wanted += [{"exclude": fresh[:20]}, {"category": "shop", "cart": fresh[:1], "k": 150}]
        for more in wanted:
            answer = ask(state, customer_id=customer, list="new_for_you", details=True, **more)
            shown = [product["product_id"] for product in answer.products]
            assert not mine & {*shown}, more
            head = ask(state, customer_id=customer, list="new_for_you", **(more | {"k": 3})).products
            assert shown[:3] == [product["product_id"] for product in head]
