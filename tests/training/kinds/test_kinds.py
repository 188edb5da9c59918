"""What becomes figures of what models of pairs, of scores and of decisions hand over."""

from datetime import datetime
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from features.errors import ArtefactError
from models.measured import Measured
from models.trials.qini import qini
from models.trials.trial import Trial
from training.kinds.decisions import evaluate_decisions
from training.kinds.effects import evaluate_effects
from training.kinds.pairs import evaluate_pairs
from training.kinds.scores import evaluate_scores
from training.measures.holdout import Holdout
from training.measures.samples import Evaluation

IDS = pd.Index(["a", "b", "c", "d"], name="customer_id")


def holdout(**known: Any) -> Holdout:
    """A horizon of four customers, of which only what is said is known."""
    cutoff, end = datetime(2024, 6, 1), datetime(2024, 7, 1)
    return cast("Holdout", SimpleNamespace(shop=None, cutoff=cutoff, end=end, customers=IDS, **known))


@pytest.mark.parametrize(("baselines", "methods"), [(True, {"clock", "popular"}), (False, {"clock"})])
def test_pairs_are_judged_as_they_ask_and_others_only_beside_a_challenger(
    baselines: bool, methods: set[str]
) -> None:
    truth, said = np.array([0.0, 1.0]), np.array([0.2, 0.6])
    measured = [Measured(name, "event", "all", np.arange(2), (truth, said)) for name in ("clock", "popular")]
    measured += [
        Measured("clock", "recall", "all", np.arange(2), (said,)),
        Measured("clock", "total", "units", np.arange(2), (truth, said)),
        Measured("clock", "inside", "units", np.arange(2), (truth, said, said + 1)),
        Measured("clock", "total", "of nobody", np.arange(0), (truth[:0], said[:0])),
    ]
    model: Any = SimpleNamespace(name="clock", measure=lambda *_, end: measured * (end == holdout().end))
    found = Evaluation("clock", ())
    evaluate_pairs(found, model, holdout=holdout(), baselines=baselines)
    assert set(found.samples) == methods
    assert found.ours["brier all"].value == pytest.approx((0.04 + 0.16) / 2)
    assert found.ours["recall all"].value == pytest.approx(0.4)
    assert found.ours["wape units"].value == pytest.approx(0.2 + 0.4)
    assert found.ours["inside units"].value == 0.5
    assert not any("nobody" in key for key in found.ours)


def test_each_policys_payoff_is_a_sample_and_the_rest_of_its_summary_are_plain_figures() -> None:
    payoffs = pd.DataFrame({"ours": [1.0, 0.0, 0.0, 1.0], "none": 0.0}, index=IDS)
    summary = pd.DataFrame({"payoff": [0.5, 0.0], "n_offers": [2, 0]}, index=["ours", "none"])
    asked: list[Any] = []

    def told(*given: Any, **options: Any) -> Any:
        asked.append((given, options))
        return summary, payoffs

    model, found, known = SimpleNamespace(evaluate=told), Evaluation("ours", ()), holdout(decided=[0, 2])
    evaluate_decisions(found, model, holdout=known, lists="lists")  # type: ignore[arg-type]
    assert asked == [((None, known.cutoff), {"known_until": known.end, "lists": "lists", "codes": [0, 2]})]
    assert {name: each["payoff assumed"].value for name, each in found.samples.items()} == {
        "ours": 0.5,
        "none": 0.0,
    }
    assert found.plain == {"ours": {"n_offers assumed": 2.0}, "none": {"n_offers assumed": 0.0}}


def test_contacts_are_ranked_whose_horizon_closes_within_the_holdout_each_action_by_itself() -> None:
    mail, call = (
        Trial(outcome, treated, propensity, np.arange(len(outcome)))
        for outcome, treated, propensity in (
            np.array([[1.0, 0.0, 0.0, 1.0], [1.0, 1.0, 0.0, 0.0], [0.3, 0.5, 0.5, 0.3]]),
            np.array([[0.0, 1.0, 1.0], [1.0, 1.0, 0.0], [0.5, 0.8, 0.5]]),
        )
    )
    scores = {"ours": np.array([4.0, 1.0, 3.0, 2.0]), "risk": np.array([1.0, 2.0, 3.0, 4.0])}
    asked = []

    def told(shop: Any, since: datetime, *, known_until: datetime) -> Any:
        asked.append((since, known_until))
        return {"mail": (mail, scores), "call": (call, {"ours": scores["ours"][:3]})}

    learnt = {"learnt_effect mail": [0.1, 0.05, 0.15]}
    model = SimpleNamespace(horizon_days=28, measure=told, learnt=lambda: learnt)
    found = Evaluation("ours", ())
    evaluate_effects(found, model, holdout=holdout())  # type: ignore[arg-type]
    assert asked == [(datetime(2024, 5, 4), holdout().end)]
    assert {name: set(each) for name, each in found.samples.items()} == {
        "ours": {"qini contacted", "qini call"},
        "risk": {"qini contacted"},
    }
    assert found.ours["qini contacted"].value == pytest.approx(qini(mail, scores["ours"]))
    assert found.ours["qini call"].value == pytest.approx(qini(call, scores["ours"][:3]))
    rows = [set(found.ours[key].customers) for key in ("qini contacted", "qini call")]
    assert rows[0].isdisjoint(rows[1])
    assert found.facts()["methods"]["ours"]["mail"]["learnt_effect"] == {
        "value": 0.1,
        "low": 0.05,
        "high": 0.15,
        "n": 0,
    }


def test_where_truths_lie_in_what_was_foreseen_is_measured_beside_the_interval() -> None:
    truth = pd.Series([0.5, 1.5, 2.5, np.nan], IDS)
    said = pd.DataFrame(
        {"revenue": 1.0, "revenue_p10": [0.0, np.nan, 0.0, 0.0], "revenue_p90": 2.0}, index=IDS
    )
    right = pd.DataFrame({"below": [0.0, 0.5, np.nan], "at_or_below": [0.5, 1.0, np.nan]}, index=IDS[:3])
    model: Any = SimpleNamespace(name="ltv", truths={"revenue": "revenue"}, places=lambda *_, **__: right)
    found = Evaluation("ltv", ())
    evaluate_scores(
        found,
        model,
        holdout=holdout(truths=pd.DataFrame({"revenue": truth})),
        predictions=said,
        baselines=False,
    )
    assert found.ours["inside revenue"].value == 0.5  # of the two with bounds and a truth
    assert found.ours["pit revenue"].value == pytest.approx(0.0)
    assert list(found.ours["pit revenue"].customers) == ["a", "b"]


def test_of_scores_that_are_no_probabilities_no_calibration_is_measured() -> None:
    rows = [Measured("clock", "event", "all", np.arange(2), (np.array([0.0, 1.0]), np.array([0.2, 7.0])))]
    model, found = SimpleNamespace(name="clock", measure=lambda *_, **__: rows), Evaluation("clock", ())
    evaluate_pairs(found, model, holdout=holdout(), baselines=True)  # type: ignore[arg-type]
    assert "auc all" in found.ours and not {"brier all", "ece all", "logloss all"} & set(found.ours)


def test_a_strangers_score_takes_no_customers_place() -> None:
    model: Any = SimpleNamespace(name="churn", truths={"churn_probability": "lapsed"})
    said = pd.DataFrame({"churn_probability": 0.5}, index=["a", "b", "c", "stranger"])
    with pytest.raises(ArtefactError, match="churn must predict all 4 customers, found 3"):
        evaluate_scores(Evaluation("churn", ()), model, holdout=holdout(), predictions=said, baselines=False)


def test_baselines_know_what_the_model_knew_and_score_the_same_customers() -> None:
    asked = []

    def baselines(shop: Any, known_until: Any, **options: Any) -> pd.DataFrame:
        asked.append((known_until, options))
        ids = ["d", "c", "b", "a"]
        return pd.DataFrame({"coin": [0.1, 0.2, 0.3, 0.4], "money:dice": [4.0, 3.0, 2.0, np.nan]}, index=ids)

    model: Any = SimpleNamespace(
        name="ltv", truths={"orders": "n", "money": "spent"}, trained_until="before", baselines=baselines
    )
    said = pd.DataFrame(
        {"orders": [1.0, 2.0, 3.0, 4.0, 9.0], "money": 5.0}, index=["d", "c", "b", "a", "stranger"]
    )
    found = Evaluation("ltv", ())
    truths = pd.DataFrame({"n": [4.0, 3.0, 2.0, 1.0], "spent": [1.0, 2.0, 3.0, 5.0]}, index=IDS)
    evaluate_scores(found, model, holdout=holdout(truths=truths), predictions=said, baselines=True)
    assert asked == [("before", {"cutoff": holdout().cutoff, "ids": ["a", "b", "c", "d"]})]
    assert found.samples["coin"]["mae n"].columns[1].tolist() == [0.4, 0.3, 0.2, 0.1]
    assert [(name, {key.split()[1] for key in each}) for name, each in found.samples.items()] == [
        ("ltv", {"n", "spent"}),
        ("coin", {"n"}),
        ("dice", {"spent"}),
    ]
    assert found.samples["dice"]["mae spent"].customers.tolist() == ["b", "c", "d"]  # of one it says nothing
    assert found.samples["dice"]["mae spent"].value == pytest.approx(1 / 3)
