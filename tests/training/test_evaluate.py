from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import numpy as np
import pandas as pd
import pytest
from worlds.fakes import FakeChurn, FakeConfig, FakeLists, frame_of, lines_with_leavers
from worlds.orders import make_shop

from features.errors import ArtefactError
from features.shop import Shop
from features.storage.tables import fetch
from features.window import parse_cutoff
from models.cross_sell import CrossSell, CrossSellConfig
from models.segments import rfm
from training.evaluate import answers, evaluate
from training.kinds.lists import measure_lists
from training.kinds.scores import measure_scores, without_horizon
from training.measures.criteria import EVENT, MEAN
from training.measures.holdout import Holdout
from training.measures.samples import Evaluation, Sample

CUTOFF = parse_cutoff("2024-06-01")
FIGURES = {"ours": 0.75, "worse": 0.5, "other": 0.25}


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("shop"), lines_with_leavers())


@pytest.fixture(scope="module")
def holdout(shop: Shop) -> Holdout:
    return Holdout(shop, CUTOFF)


def bought(shop: Shop, start: datetime, end: datetime) -> pd.DataFrame:
    """Every order line between two moments, read in the slow way."""
    lines = fetch(shop.con, "FROM order_lines")
    at = lines["ordered_at"].dt.tz_localize("UTC")
    return lines[(at >= start) & (at < end)]


def test_everyone_seen_before_the_cutoff_is_measured(shop, holdout) -> None:
    before = bought(shop, pd.Timestamp(0, tz="UTC"), CUTOFF)
    assert list(holdout.customers) == sorted(before["customer_id"].unique())


def test_the_truth_of_a_customer_is_what_was_ordered_in_the_horizon(shop, holdout) -> None:
    after = bought(shop, CUTOFF, holdout.end)
    days = after.groupby("customer_id")["ordered_on"].nunique().reindex(holdout.customers).fillna(0)
    assert holdout.truths["n_order_days"].tolist() == days.tolist()
    assert holdout.truths["lapsed"].tolist() == (days == 0).tolist()
    assert holdout.truths["revenue"].notna().all()


def test_purchases_are_new_or_repeated_and_together_all(shop, holdout) -> None:
    pairs = {name: set(zip(*map(list, found), strict=True)) for name, found in holdout.purchases.items()}
    before = bought(shop, pd.Timestamp(0, tz="UTC"), CUTOFF)
    seen = set(zip(before["customer_id"], before["product_id"], strict=True))
    named = {(holdout.customers[row], holdout.products[code]) for row, code in pairs["new"]}
    after = bought(shop, CUTOFF, holdout.end)
    after = after[after["customer_id"].isin(holdout.customers) & after["product_id"].isin(holdout.products)]
    assert {(holdout.customers[row], holdout.products[code]) for row, code in pairs["all"]} == set(
        zip(after["customer_id"], after["product_id"], strict=True)
    )
    assert pairs["all"] == pairs["new"] | pairs["repeat"]
    assert not named & seen


def test_what_strangers_buy_and_what_was_never_sold_is_no_truth_of_lists(holdout) -> None:
    pairs = {"customer_id": ["a stranger", holdout.customers[0]], "product_id": [holdout.products[0], "new"]}
    assert all(len(row) == 0 for row, _ in holdout.pairs(pd.DataFrame(pairs)).values())


def test_a_horizon_that_runs_past_the_data_is_not_closed(shop) -> None:
    last = shop.last_midnight
    assert Holdout(shop, last - pd.Timedelta(days=28)).is_closed
    assert not Holdout(shop, last - pd.Timedelta(days=27)).is_closed


def test_a_list_of_what_was_bought_next_is_perfect(shop, holdout) -> None:
    history, (row, code) = shop.history(CUTOFF), holdout.purchases["all"]
    scores = np.zeros((len(history.customers), len(history.products)))
    scores[row, code] = 1
    oracle = Evaluation("oracle", ())
    measure_lists(
        oracle,
        "oracle",
        frame=frame_of(history, scores, 20, ("for_you", "new_for_you", "buy_again")),
        holdout=holdout,
    )
    found = oracle.ours
    assert [found[f"ndcg@10 {segment}"].value for segment in ("all", "new", "repeat")] == pytest.approx(
        [1, 1, 1]
    )
    assert oracle.curves["all"]["oracle"][-1] == pytest.approx(1)
    assert oracle.compared and all("@10 " in key for key in oracle.compared)


def test_a_truth_told_beforehand_is_a_perfect_score(holdout) -> None:
    oracle = Evaluation("oracle", ())
    measure_scores(oracle, "oracle", truth_name="lapsed", scores=holdout.truths["lapsed"], holdout=holdout)
    measure_scores(oracle, "oracle", truth_name="revenue", scores=holdout.truths["revenue"], holdout=holdout)
    found = {key: sample.value for key, sample in oracle.ours.items()}
    assert (found["auc lapsed"], found["ece lapsed"]) == (1, 0)
    assert (found["gini revenue"], found["bias revenue"]) == pytest.approx((1, 0))


def test_a_score_that_is_no_probability_has_a_ranking_and_no_calibration(holdout) -> None:
    evaluation = Evaluation("recency", ())
    measure_scores(
        evaluation, "recency", truth_name="lapsed", scores=holdout.truths["lapsed"] * 30, holdout=holdout
    )
    assert set(evaluation.ours) == {"auc lapsed", "average_precision lapsed", "lift@10% lapsed"}


def test_order_days_of_a_single_day_are_a_number_as_those_of_a_month(shop, holdout) -> None:
    day = Holdout(shop, holdout.cutoff)
    day.truths["n_order_days"] = day.truths["n_order_days"].clip(upper=1)
    evaluation = Evaluation("ltv", ())
    measure_scores(
        evaluation, "ltv", truth_name="n_order_days", scores=day.truths["n_order_days"], holdout=day
    )
    assert {"gini n_order_days", "bias n_order_days"} <= set(evaluation.samples["ltv"])


def test_labels_are_measured_by_what_they_explain(holdout) -> None:
    evaluation = Evaluation("segments", ())
    labels = holdout.truths["n_order_days"].astype(int).astype(str)
    measure_scores(evaluation, "segments", truth_name="n_order_days", scores=labels, holdout=holdout)
    assert evaluation.ours["explained n_order_days"].value == pytest.approx(1)


def test_an_interval_is_measured_by_how_often_it_holds_the_truth(holdout) -> None:
    class Sure(FakeChurn):
        truths = {"expected_revenue": "revenue"}

    truth = holdout.truths["revenue"]
    half = np.arange(len(truth)) % 2 == 0
    columns = {
        "expected_revenue": truth,
        "expected_revenue_p10": truth - 1,
        "expected_revenue_p90": truth - half,
    }
    found = evaluate(Sure(FakeConfig(), CUTOFF), holdout, predictions=pd.DataFrame(columns), baselines=False)
    assert found.ours["inside revenue"].value == pytest.approx(1 - half.mean())


def test_customers_a_model_could_not_score_are_left_out_of_its_figures(holdout) -> None:
    evaluation = Evaluation("half", ())
    scores = holdout.truths["revenue"].where(np.arange(len(holdout.customers)) % 2 == 0)
    measure_scores(evaluation, "half", truth_name="revenue", scores=scores, holdout=holdout)
    assert len(evaluation.ours["gini revenue"].customers) == scores.notna().sum()


def test_customers_without_a_truth_are_left_out_counted_and_told(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    holdout, evaluation = Holdout(shop, CUTOFF), Evaluation("half", ())
    scores = holdout.truths["revenue"].copy()
    holdout.truths.loc[holdout.customers[:3], "revenue"] = np.nan
    measure_scores(evaluation, "half", truth_name="revenue", scores=scores, holdout=holdout)
    found, n = evaluation.ours["gini revenue"], len(scores)
    assert found.value == pytest.approx(1)
    assert len(found.customers) == n - 3
    assert caplog.messages == [
        f"half: revenue is measured on {n - 3} of {n} customers: of the others the truth is not known"
    ]


def test_a_score_whose_truth_nobody_knows_is_told_and_not_measured(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    holdout, evaluation = Holdout(shop, CUTOFF), Evaluation("none", ())
    scores = holdout.truths["revenue"].copy()
    holdout.truths["revenue"] = np.nan
    measure_scores(evaluation, "none", truth_name="revenue", scores=scores, holdout=holdout)
    assert evaluation.samples.get("none", {}) == {}
    assert "measured on 0 of" in caplog.text


@pytest.mark.parametrize("model_class", [FakeChurn, FakeLists])
def test_a_model_stands_beside_its_baselines_in_one_table(holdout, model_class) -> None:
    model = model_class(FakeConfig(), CUTOFF)
    table = evaluate(model, holdout, predictions=answers(model, holdout)).table()
    assert set(table["method"]) == {model.name, *model.must_beat}
    measured = table[table["n"] > 0]
    assert (measured["low"] <= measured["value"] + 1e-9).all()
    assert (measured["value"] <= measured["high"] + 1e-9).all()


def test_a_champion_stands_on_the_state_of_its_challenger(holdout, tmp_path) -> None:
    challenger = CrossSell(CrossSellConfig(), CUTOFF, horizon_days=28, ranker=None)
    challenger.write_card(tmp_path)
    champion = CrossSell(CrossSell.read_card(tmp_path).config, CUTOFF, horizon_days=28, ranker=None)
    assert holdout.state(champion) is holdout.state(challenger)


def test_lists_of_a_large_shop_are_measured_on_some_who_bought(
    shop: Shop, holdout: Holdout, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, model = Holdout(shop, CUTOFF), FakeLists(FakeConfig(), CUTOFF)
    whole = evaluate(model, holdout, predictions=answers(model, holdout))
    monkeypatch.setattr("training.measures.holdout.MOST_LISTS", 7)
    assert large.measured.sum() == 7
    assert (large.truths["n_order_days"].to_numpy()[large.measured] > 0).all()
    part = evaluate(model, large, predictions=answers(model, large))
    for samples in part.samples.values():
        sample = samples["ndcg@10 all"]
        assert sample.customers.equals(large.customers[large.measured])
        both = whole.ours["ndcg@10 all"].take(sample.customers)
        assert part.ours["ndcg@10 all"].columns[0].tolist() == both.columns[0].tolist()
    money = part.ours["revenue_recall@10 all"]
    both = whole.ours["revenue_recall@10 all"].take(money.customers)
    np.testing.assert_allclose(money.columns, both.columns)


def test_in_a_large_shop_lists_are_asked_of_those_who_are_measured_alone(
    shop: Shop, holdout: Holdout, monkeypatch: pytest.MonkeyPatch
) -> None:
    large, model = Holdout(shop, CUTOFF), FakeLists(FakeConfig(), CUTOFF)
    whole = answers(model, holdout)
    ready = holdout.ready(whole)
    monkeypatch.setattr("training.measures.holdout.MOST_LISTS", 7)
    said, decided = answers(model, large), shop.history(CUTOFF).customers.names(large.decided)
    assert set(said["customer_id"]) == {*decided, *large.customers[large.measured]}
    assert len(answers(model, large, everyone=True)) == len(whole) > len(said)
    for name, (product, chance) in large.ready(said).items():
        assert len(product) == len(chance) == 7
        np.testing.assert_array_equal(product, ready[name][0][large.decided])


def test_the_best_baseline_is_the_best_by_the_metrics_own_direction(holdout) -> None:
    evaluation = Evaluation("ours", ("brier lapsed",))
    truth = holdout.truths["lapsed"]
    for method, said in {"ours": truth, "near": truth * 0.9, "far": truth * 0.5}.items():
        measure_scores(evaluation, method, truth_name="lapsed", scores=said, holdout=holdout)
    best = evaluation.best_baseline("brier lapsed")
    assert best is not None and best[0] == "near"
    assert evaluation.decisive is not None and evaluation.decisive.better_than(best[1]).low > 0


def test_samples_of_different_customers_are_compared_on_those_both_have(holdout) -> None:
    both = Evaluation("m", ())
    revenue = holdout.truths["revenue"]
    measure_scores(both, "whole", truth_name="revenue", scores=2 * revenue, holdout=holdout)
    measure_scores(both, "half", truth_name="revenue", scores=2 * revenue.iloc[::2], holdout=holdout)
    found = both.samples["whole"]["mae revenue"].better_than(both.samples["half"]["mae revenue"])
    assert found.value == 0
    again = both.samples["half"]["mae revenue"].better_than(both.samples["whole"]["mae revenue"])
    assert again.value == 0


def test_who_ordered_on_one_day_alone_has_not_lapsed(shop) -> None:
    late = Holdout(shop, shop.last_midnight - pd.Timedelta(days=9)).truths
    once = late["n_order_days"] == 1
    assert once.any() and (late.loc[once, "lapsed"] == 0).all()


def test_the_last_place_of_a_list_is_measured_too(holdout) -> None:
    names = list(holdout.products[:3])
    frame = pd.DataFrame({"customer_id": holdout.customers[0], "product_id": names, "rank": [1, 2, 3]})
    assert holdout.matrix(frame, 3)[0].tolist() == [0, 1, 2]
    assert holdout.matrix(frame, 2)[0].tolist() == [0, 1]
    assert (holdout.matrix(frame.assign(customer_id="a stranger"), 3) == -1).all()


def test_facts_tell_every_figure_and_compare_what_both_have() -> None:
    said = {name: Sample(MEAN, pd.RangeIndex(2), (np.full(2, value),)) for name, value in FIGURES.items()}
    samples = {"ours": {"auc lapsed": said["ours"]}, "worse": {"auc lapsed": said["worse"]}}
    samples["other"] = {"brier lapsed": said["other"]}
    found = Evaluation("ours", ("ndcg@10 all", "auc lapsed"), samples, {"ours": {"coverage@10 all": 0.5}})
    assert found.decisive_key == "auc lapsed"
    facts = found.facts()
    assert facts["methods"]["ours"]["all"]["coverage@10"] == {"value": 0.5, "low": None, "high": None, "n": 0}
    assert facts["methods"]["other"]["lapsed"]["brier"]["value"] == FIGURES["other"]
    assert facts["against_best_baseline"]["auc lapsed"]["baseline"] == "worse"
    assert set(facts["against_best_baseline"]) == set(facts["against"]) == {"auc lapsed"}
    assert facts["against"]["auc lapsed"]["worse"]["times"]["value"] == FIGURES["ours"] / FIGURES["worse"]
    assert set(facts["against"]["auc lapsed"]) == {"worse"}


def test_a_baseline_without_a_figure_is_not_the_best() -> None:
    truth = np.repeat([0.0, 1.0], 20)
    evaluation = Evaluation("ours", ("brier lapsed",))
    for method, said in {"blind": truth * np.nan, "seeing": truth * 0.5}.items():
        columns = (truth, said)
        evaluation.samples[method] = {
            "brier lapsed": Sample(EVENT["brier"], pd.RangeIndex(len(truth)), columns)
        }
    best = evaluation.best_baseline("brier lapsed")
    assert best is not None and best[0] == "seeing"


def test_the_catalogue_of_lists_is_what_was_ordered_five_times() -> None:
    sold = np.repeat(np.arange(101), [5] * 100 + [4])
    names = SimpleNamespace(all_names=lambda: [f"p{code}" for code in range(101)])
    history = SimpleNamespace(product=sold, products=names)
    known = Holdout(cast("Shop", SimpleNamespace(history=lambda _: history)), CUTOFF)
    assert known.catalogue.tolist() == list(range(100))


def test_column_names_lose_their_horizon_and_nothing_else() -> None:
    frame = pd.DataFrame(columns=["expected_revenue_28d", "expected_revenue_28d_p10", "next_order_at"])
    assert list(without_horizon(frame, 28)) == ["expected_revenue", "expected_revenue_p10", "next_order_at"]


def test_a_small_shop_is_measured_on_every_product_it_sold(shop, holdout) -> None:
    assert len(holdout.catalogue) == len(shop.history(CUTOFF).products)


def test_pictures_are_drawn_for_what_was_measured(holdout, tmp_path: Path) -> None:
    from training.plots import draw

    model = FakeChurn(FakeConfig(), CUTOFF)
    drawn = draw(
        evaluate(model, holdout, predictions=answers(model, holdout)), tmp_path, importance=model.importance()
    )
    lists = FakeLists(FakeConfig(), CUTOFF)
    drawn += draw(
        evaluate(lists, holdout, predictions=answers(lists, holdout)), tmp_path, importance=lists.importance()
    )
    names = {path.stem for path in drawn if path.stat().st_size > 5000}
    assert {"gain_lapsed", "calibration_lapsed", "importance", "recall_by_k_all"} <= names


def test_calibration_is_measured_in_each_large_rfm_segment(
    shop: Shop, holdout: Holdout, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("training.kinds.scores.MIN_CUSTOMERS", 5)
    model = FakeChurn(FakeConfig(), CUTOFF)
    found = evaluate(model, holdout, predictions=answers(model, holdout), baselines=False).ours
    parts = {key: sample for key, sample in found.items() if key.startswith("ece lapsed of ")}
    assert len(parts) > 1
    assert all(len(sample.customers) >= 5 for sample in parts.values())
    segment = rfm(shop.customer_features(CUTOFF))
    for key, sample in parts.items():
        assert sample.customers.tolist() == sorted(segment.index[segment == key.partition(" of ")[2]])
        np.testing.assert_array_equal(sample.columns, found["ece lapsed"].take(sample.customers).columns)
    customers = [name for sample in parts.values() for name in sample.customers]
    assert len(customers) == len(set(customers)) <= len(found["ece lapsed"].customers)


def test_a_model_that_leaves_customers_out_is_not_measured_on_the_others(shop: Shop) -> None:
    model, holdout = FakeChurn(FakeConfig(), CUTOFF), Holdout(shop, CUTOFF)
    with pytest.raises(ArtefactError, match="must predict all"):
        evaluate(model, holdout, predictions=answers(model, holdout).iloc[1:])
