from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds.kitchen import CUTOFF, PANS, ids_of, scored
from worlds.orders import make_shop

from features.errors import CannotLearn
from features.shop import Shop
from features.window import shift_days
from models.lists.dearer import INPUTS, LEAST_STEP, Dearer, kinds_of, last_of_kind, steps_of
from models.upsell import Upsell, UpsellConfig
from serving.api import RecommendRequest
from serving.online.view import View
from serving.state import State
from serving.store import Store
from serving.storefront.answers import recommend

KNOWN_UNTIL = shift_days(CUTOFF, -28, timezone="UTC")


def ladder_lines(n_customers: int = 400, seed: int = 0) -> pd.DataFrame:
    """Return orders of customers who step up: from model a to b of a line, seldom to what sells best."""
    rng, rows = np.random.default_rng(seed), []
    for customer in range(n_customers):
        line, start = customer % 8, int(rng.integers(0, 100))
        rows.append((customer, start, f"line{line}-a"))
        rows.append(
            (customer, start + int(rng.integers(5, 60)), f"line{line}-b" if rng.random() < 0.7 else "hit")
        )
        if rng.random() < 0.5:
            rows.append((customer + 1000, int(rng.integers(0, 140)), "hit"))
        if customer < 3:
            rows.append((customer + 2000, 100, "luxury"))
    frame = pd.DataFrame(rows, columns=["customer_id", "day", "product_id"])
    frame["ordered_at"] = pd.Timestamp("2024-01-01") + pd.to_timedelta(frame.pop("day"), unit="D")
    return frame.assign(customer_id=frame["customer_id"].astype(str))


def ladder_products(**more: object) -> pd.DataFrame:
    names = [f"line{line}-{model}" for line in range(8) for model in "ab"] + ["hit", "luxury"]
    price = [10.0 if name.endswith("a") else 14.0 for name in names[:-2]] + [14.0, 40.0]
    frame = pd.DataFrame({"product_id": names, "name": names, "list_price": price})
    return frame.assign(category="home > kettles", **more)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("ladder"), ladder_lines(), products=ladder_products())


def versions(shop: Shop, product: str, **options: object) -> list[str]:
    model = Upsell.fit(shop, CUTOFF, config=UpsellConfig(**options))
    names, found = shop.history(CUTOFF).products, model.state(shop, CUTOFF).product
    row = found[names.code(product)]
    return names.names(row[row >= 0])


def test_the_next_model_of_the_line_leads_and_not_what_sells_best(shop: Shop) -> None:
    for line in range(8):
        assert versions(shop, f"line{line}-a")[0] == f"line{line}-b"


def test_a_version_beyond_the_step_is_no_version(shop: Shop) -> None:
    assert "luxury" not in versions(shop, "line0-a")
    assert versions(shop, "hit") == []
    assert "luxury" in versions(shop, "line0-a", price_step=5.0)


def test_of_equal_chances_the_better_margin_leads(tmp_path: Path) -> None:
    names = ladder_products()["product_id"]
    cost = np.where(names == "hit", 0.1, 13.9)
    dear = make_shop(tmp_path, ladder_lines(), products=ladder_products(unit_cost=cost))
    assert versions(dear, "line0-a")[0] == "hit"


def test_every_pair_is_of_one_kind_and_within_the_step(shop: Shop) -> None:
    history, catalogue = shop.history(CUTOFF), shop.catalogue(CUTOFF)
    steps = steps_of(history, catalogue, price_step=1.6, horizon_days=28)
    price = catalogue.price
    slow = {
        (i, j)
        for i in range(len(price))
        for j in np.unique(history.product)
        if LEAST_STEP * price[i] <= price[j] <= 1.6 * price[i]
    }
    assert {*zip(steps.product.tolist(), steps.version.tolist(), strict=True)} == slow
    assert np.isfinite(steps.rows).all()
    assert steps.rows.shape == (len(slow), len(INPUTS))


def test_the_last_product_of_a_kind_is_that_of_a_loop(shop: Shop) -> None:
    history = shop.history(CUTOFF)
    kind = kinds_of(shop.catalogue(CUTOFF))
    slow = {}
    for customer, product in zip(history.customer.tolist(), history.product.tolist(), strict=True):
        slow[customer, int(kind[product])] = product
    last = last_of_kind(history, kind)
    found = zip(last.customer.tolist(), kind[last.product].tolist(), strict=True)
    assert dict(zip(found, last.product.tolist(), strict=True)) == slow


def test_without_categories_names_that_share_words_are_the_same_need(tmp_path: Path) -> None:
    products = ladder_products().drop(columns="category")
    products["name"] = [f"steel kettle {name}".replace("-", " ") for name in products["product_id"]]
    products.loc[products["product_id"] == "hit", "name"] = "garden chair"
    shop = make_shop(tmp_path, ladder_lines(), products=products)
    found = versions(shop, "line0-a")
    assert found[0].endswith("-b")
    assert "hit" not in found


def test_without_prices_it_says_that_it_cannot(tmp_path: Path) -> None:
    shop = make_shop(tmp_path, ladder_lines())
    with pytest.raises(CannotLearn, match="upsell needs prices"):
        Upsell.fit(shop, CUTOFF, config=UpsellConfig())


def test_one_product_cannot_be_stepped_up_from(tmp_path: Path) -> None:
    shop = make_shop(tmp_path, ladder_lines().assign(product_id="kettle", unit_price=10.0))
    with pytest.raises(CannotLearn, match="moves to a better version, found 0"):
        Upsell.fit(shop, CUTOFF, config=UpsellConfig())


def test_nothing_after_the_cutoff_changes_a_list(shop: Shop, tmp_path: Path) -> None:
    lines = ladder_lines()
    early = make_shop(
        tmp_path, lines[lines["ordered_at"] < KNOWN_UNTIL.replace(tzinfo=None)], products=ladder_products()
    )
    model = Upsell.fit(shop, KNOWN_UNTIL, config=UpsellConfig())
    one, other = model.state(shop, KNOWN_UNTIL), model.state(early, KNOWN_UNTIL)
    np.testing.assert_array_equal(one.product, other.product)


def test_saved_versions_are_mapped_as_they_were(shop: Shop, tmp_path: Path) -> None:
    table = Upsell.fit(shop, CUTOFF, config=UpsellConfig()).state(shop, CUTOFF)
    assert Dearer.load(tmp_path) is None
    table.save(tmp_path)
    found = Dearer.load(tmp_path)
    assert found is not None
    np.testing.assert_array_equal(found.product, table.product)


def test_the_storefront_answers_with_versions_of_the_product_looked_at(tmp_path: Path) -> None:
    live = scored().snapshot.live
    picks = live.rank("c01", [], cart=["pans-05"], list_name="upsell", k=5)
    better = [name for name, _, source in picks if source == "upsell"]
    assert better
    assert {*better} <= {f"pans-{number:02d}" for number in range(6, 12)}
    assert set(live.reasons("c01", [], cart=["pans-05"], picks=picks).about[: len(better)].tolist()) == {
        live.state.history.products.code("pans-05")
    }
    assert len(ids_of(PANS)) == 30


def test_the_customers_own_chance_counts_as_a_factor() -> None:
    class Sure:
        """Says of the first candidate that it is bought ten times as likely as the others."""

        def chance(self, features: np.ndarray) -> np.ndarray:
            return np.append(np.float32(0.5), np.full(len(features) - 1, 0.05, np.float32))

    live = replace(scored().snapshot.live, ranker=Sure())
    anybody = {
        name: score for name, score, _ in live.rank(None, [], cart=["coffee-05"], list_name="upsell", k=40)
    }
    somebody = {
        name: score for name, score, _ in live.rank("c01", [], cart=["coffee-05"], list_name="upsell", k=40)
    }
    first = min(somebody)
    assert len(somebody) > 1 and somebody.keys() == anybody.keys()
    assert next(iter(somebody)) == first != next(iter(anybody))
    ratio = {name: score / anybody[name] for name, score in somebody.items()}
    assert [ratio[first] / ratio[name] for name in sorted(ratio)] == pytest.approx([1, 10, 10, 10], rel=1e-4)


def test_a_version_bought_before_comes_last() -> None:
    live = scored().snapshot.live
    names = [
        [name for name, _, _ in live.rank(who, [], cart=["coffee-05"], list_name="upsell", k=40)]
        for who in (None, "c07")
    ]
    assert sorted(names[0]) == sorted(names[1]) and len(names[1]) > 1
    assert names[1][-1] == "coffee-07" != names[0][-1]


def test_what_is_no_better_version_never_completes_the_list() -> None:
    live = scored().snapshot.live
    assert {source for _, _, source in live.rank("c01", [], cart=["pans-05"], list_name="upsell", k=40)} == {
        "upsell"
    }
    assert live.rank("c01", [], cart=["coffee-11"], list_name="upsell", k=5) == []


def test_without_an_upsell_model_the_answer_says_so(tmp_path: Path) -> None:
    snapshot = replace(scored().snapshot, models={"cross_sell": "1"})
    state = State.of(snapshot, View(Store.open(tmp_path), snapshot.as_of))
    answer = recommend(state, RecommendRequest(customer_id="c01", list="upsell"))
    assert answer.answered_from == "fallback"
    assert "no upsell model serves" in str(answer.fallback)
    assert not answer.products


@pytest.mark.parametrize("list_name", ["upsell", "buy_again"])
def test_a_stranger_is_shown_what_sells_and_told_so(tmp_path: Path, list_name: Any) -> None:
    snapshot = scored().snapshot
    state = State.of(snapshot, View(Store.open(tmp_path), snapshot.as_of))
    answer: Any = recommend(state, RecommendRequest(customer_id="nobody", list=list_name))
    assert {product["source"] for product in answer.products} == {"popular"}
    assert answer.fallback == "the customer is unknown: this is what sells now"


def test_where_nothing_is_a_step_up_the_answer_says_so(tmp_path: Path) -> None:
    snapshot = scored().snapshot
    state = State.of(snapshot, View(Store.open(tmp_path), snapshot.as_of))
    answer = recommend(state, RecommendRequest(customer_id="c01", list="upsell", product_id="coffee-11"))
    assert not answer.products
    assert "price step" in str(answer.fallback)
