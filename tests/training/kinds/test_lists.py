"""Figures of lists beside a slow reading of the shop's own order lines."""

import numpy as np
import pandas as pd
import pytest
from worlds.fakes import FakeConfig, FakeLists, lines_with_leavers
from worlds.orders import make_shop

from features.shop import Shop
from features.storage.tables import fetch
from features.window import parse_cutoff
from training.evaluate import answers, evaluate
from training.kinds.lists import ListHits
from training.measures.holdout import Holdout
from training.measures.samples import Evaluation

CUTOFF = parse_cutoff("2024-06-01")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    lines = lines_with_leavers()
    kept = lines[lines["quantity"] > 0]  # nothing is brought back, so that the slow counts stay obvious
    return make_shop(tmp_path_factory.mktemp("shop"), kept)


@pytest.fixture(scope="module")
def holdout(shop: Shop) -> Holdout:
    return Holdout(shop, CUTOFF)


@pytest.fixture(scope="module")
def said(holdout: Holdout) -> pd.DataFrame:
    return answers(FakeLists(FakeConfig(), CUTOFF), holdout)


@pytest.fixture(scope="module")
def evaluation(holdout: Holdout, said: pd.DataFrame) -> Evaluation:
    return evaluate(FakeLists(FakeConfig(), CUTOFF), holdout, predictions=said)


def split(shop: Shop, holdout: Holdout) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Order lines before the cutoff, and in the horizon, of those seen before."""
    lines = fetch(shop.con, "FROM order_lines")
    at = lines["ordered_at"].dt.tz_localize("UTC")
    after = lines[(at >= CUTOFF) & (at < holdout.end)]
    return lines[at < CUTOFF], after[after["customer_id"].isin(holdout.customers)]


def first_ten(said: pd.DataFrame, name: str) -> dict[str, list[str]]:
    part = said[(said["list"] == name) & (said["rank"] <= 10)].sort_values("rank")
    return part.groupby("customer_id")["product_id"].agg(list).to_dict()


def test_money_recalled_equals_a_slow_sum_over_order_lines(shop, holdout, said, evaluation) -> None:
    shown, (_, after) = first_ten(said, "for_you"), split(shop, holdout)
    caught = [row.revenue for row in after.itertuples() if row.product_id in shown.get(row.customer_id, [])]
    found = evaluation.ours["revenue_recall@10 all"].value
    assert found == pytest.approx(sum(caught) / after["revenue"].sum())


def test_novelty_and_share_of_new_equal_a_slow_count(shop, holdout, said, evaluation) -> None:
    before, after = split(shop, holdout)
    buyers = before.groupby("product_id")["customer_id"].nunique()
    owned = before.groupby("customer_id")["product_id"].agg(set)
    bits, new = [], []
    for customer, shown in first_ten(said, "for_you").items():
        if customer in set(after["customer_id"]):
            bits.append(np.mean([-np.log2(buyers[p] / len(holdout.customers)) for p in shown]))
            new.append(np.mean([p not in owned[customer] for p in shown]))
    assert evaluation.ours["novelty@10 all"].value == pytest.approx(np.mean(bits))
    assert evaluation.ours["share_new@10 all"].value == pytest.approx(np.mean(new))


@pytest.mark.parametrize("k", [10, 20])
def test_recall_and_coverage_equal_a_slow_count_to_the_depth_they_name(
    shop, holdout, said, evaluation, k
) -> None:
    part = said[(said["list"] == "for_you") & (said["rank"] <= k)]
    shown = part.groupby("customer_id")["product_id"].agg(set)
    bought = split(shop, holdout)[1].groupby("customer_id")["product_id"].agg(set)
    slow = [len(shown[customer] & products) / len(products) for customer, products in bought.items()]
    assert evaluation.ours[f"recall@{k} all"].value == pytest.approx(np.mean(slow))
    catalogue = set(holdout.products[holdout.catalogue])
    seen = set(part["product_id"]) & catalogue
    assert evaluation.plain["cross_sell"][f"coverage@{k} all"] == len(seen) / len(catalogue)


def test_figures_of_two_customers_by_hand() -> None:
    """One hit of two, at the second rank of three; and an empty list, neither new nor old."""
    hits = ListHits(
        customers=pd.Index(["a", "b"]),
        recommended=np.array([[0, 1, 2], [-1, -1, -1]]),
        hits=np.array([[False, True, False], [False] * 3]),
        n_true=np.array([2, 1]),
        bought_before=np.array([[True, False, False], [False] * 3]),
        rarity=np.array([1.0, 3.0, 5.0]),
        money=np.array([[0.0, 4.0, 0.0], [0.0] * 3]),
        spent=np.array([5.0, 3.0]),
    )
    first, both = (dict(hits.samples(k)) for k in (1, 2))
    assert [each["recall"].value for each in (first, both)] == [0.0, 0.25]
    assert [each["revenue_recall"].value for each in (first, both)] == [0.0, 0.5]
    assert [each["novelty"].value for each in (first, both)] == [1.0, 2.0]
    assert [each["share_new"].value for each in (first, both)] == [0.0, 0.5]
    assert both["novelty"].customers.tolist() == ["a"]
    assert hits.curve().tolist() == [0.0, 0.25, 0.25]


def test_baselines_know_what_the_model_knew_and_first_purchases_have_figures_of_their_own(
    shop, monkeypatch
) -> None:
    monkeypatch.setattr("training.measures.holdout.MOST_LISTS", 20)
    asked: list = []

    class Recording(FakeLists):
        def figures(self, state, customers, *, products):
            asked.append({*zip(customers, products, strict=True)})
            return {"first": 0.5}

        def baselines(self, shop, known_until, **options):
            asked.append((known_until, options))
            return {}

    large, model = Holdout(shop, CUTOFF), Recording(FakeConfig(), parse_cutoff("2024-05-04"))
    found = evaluate(model, large, predictions=answers(model, large))
    before, after = (
        {*zip(lines["customer_id"], lines["product_id"], strict=True)} for lines in split(shop, large)
    )
    measured = large.customers[large.measured].tolist()
    assert len(measured) == 20
    assert asked == [
        after - before,
        (model.trained_until, {"cutoff": CUTOFF, "k": 20, "customers": measured}),
    ]
    assert found.plain["cross_sell"]["first"] == 0.5


def test_coverage_is_that_of_the_measured_alone_to_its_depth(shop, monkeypatch) -> None:
    monkeypatch.setattr("training.measures.holdout.MOST_LISTS", 1)
    one, model = Holdout(shop, CUTOFF), FakeLists(FakeConfig(), CUTOFF)
    found = evaluate(model, one, predictions=answers(model, one), baselines=False).plain["cross_sell"]
    assert found["coverage@10 all"] == 10 / len(one.catalogue) < found["coverage@20 all"] == 1


def test_lists_of_new_products_are_all_new_and_of_own_ones_not_at_all(evaluation) -> None:
    found = {segment: evaluation.ours[f"share_new@10 {segment}"].value for segment in ("new", "repeat")}
    assert found == {"new": 1, "repeat": 0}


def test_buyers_are_new_with_one_order_and_cut_at_the_median_of_the_others(shop, holdout) -> None:
    before, _ = split(shop, holdout)
    orders = before.groupby("customer_id")["order_id"].nunique()
    middle = orders[orders > 1].median()
    slow = ["new" if n < 2 else "heavy" if n > middle else "light" for n in orders[holdout.customers]]
    assert holdout.buyers.tolist() == slow


@pytest.mark.parametrize("name", ["recall@10 all", "ndcg@10 new", "hit_rate@10 repeat"])
def test_the_parts_of_the_buyers_make_up_the_whole(evaluation, name) -> None:
    parts = [s for key, s in evaluation.ours.items() if key.startswith(f"{name} of ")]
    n = [len(part.customers) for part in parts]
    whole = evaluation.ours[name]
    assert sum(n) == len(whole.customers)
    assert np.average([part.value for part in parts], weights=n) == pytest.approx(whole.value)


def test_every_list_figure_is_compared_with_every_baseline(evaluation) -> None:
    against = evaluation.facts()["against"]
    assert {"recall@10 all", "ndcg@10 new", "map@10 repeat", "revenue_recall@10 all"} <= set(against)
    ours, theirs = (evaluation.samples[name]["recall@10 all"].value for name in ("cross_sell", "alphabet"))
    found = against["recall@10 all"]["alphabet"]
    assert found["better_by"]["value"] == pytest.approx(ours - theirs)
    assert found["times"]["value"] == pytest.approx(ours / theirs)
    assert found["times"]["low"] <= found["times"]["value"] <= found["times"]["high"]


def test_a_shop_without_prices_has_every_figure_but_money(tmp_path) -> None:
    lines = lines_with_leavers().drop(columns="unit_price")
    holdout = Holdout(make_shop(tmp_path, lines), CUTOFF)
    model = FakeLists(FakeConfig(), CUTOFF)
    keys = set(evaluate(model, holdout, predictions=answers(model, holdout), baselines=False).ours)
    assert "novelty@10 all" in keys
    assert not any(key.startswith("revenue") for key in keys)
