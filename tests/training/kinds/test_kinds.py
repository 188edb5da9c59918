"""What becomes figures of what models of pairs, of scores and of decisions hand over."""

from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest

from models.measured import Measured
from training.kinds.decisions import evaluate_decisions
from training.kinds.pairs import evaluate_pairs
from training.kinds.scores import evaluate_scores
from training.measures.holdout import Holdout
from training.measures.samples import Evaluation

IDS = pd.Index(["a", "b", "c", "d"], name="customer_id")


def holdout(**known: Any) -> Holdout:
    """A horizon of four customers, of which only what is said is known."""
    return cast("Holdout", SimpleNamespace(shop=None, cutoff=None, end=None, customers=IDS, **known))


@pytest.mark.parametrize(("baselines", "methods"), [(True, {"clock", "popular"}), (False, {"clock"})])
def test_pairs_are_judged_as_they_ask_and_others_only_beside_a_challenger(
    baselines: bool, methods: set[str]
) -> None:
    truth, said = np.array([0.0, 1.0]), np.array([0.2, 0.6])
    measured = [Measured(name, "event", "all", np.arange(2), (truth, said)) for name in ("clock", "popular")]
    measured += [
        Measured("clock", "recall", "all", np.arange(2), (said,)),
        Measured("clock", "total", "of nobody", np.arange(0), (truth[:0], said[:0])),
    ]
    model, found = SimpleNamespace(name="clock", measure=lambda *_, **__: measured), Evaluation("clock", ())
    evaluate_pairs(found, model, holdout=holdout(), baselines=baselines)  # type: ignore[arg-type]
    assert set(found.samples) == methods
    assert found.ours["brier all"].value == pytest.approx((0.04 + 0.16) / 2)
    assert found.ours["recall all"].value == pytest.approx(0.4)
    assert not any("nobody" in key for key in found.ours)


def test_each_policys_payoff_is_a_sample_and_the_rest_of_its_summary_are_plain_figures() -> None:
    payoffs = pd.DataFrame({"ours": [1.0, 0.0, 0.0, 1.0], "none": 0.0}, index=IDS)
    summary = pd.DataFrame({"payoff": [0.5, 0.0], "n_offers": [2, 0]}, index=["ours", "none"])
    model, found = SimpleNamespace(evaluate=lambda *_, **__: (summary, payoffs)), Evaluation("ours", ())
    evaluate_decisions(found, model, holdout=holdout(decided=None), lists={})  # type: ignore[arg-type]
    assert {name: each["payoff assumed"].value for name, each in found.samples.items()} == {
        "ours": 0.5,
        "none": 0.0,
    }
    assert found.plain == {"ours": {"n_offers assumed": 2.0}, "none": {"n_offers assumed": 0.0}}


def test_where_truths_lie_in_what_was_foreseen_is_measured_beside_the_interval() -> None:
    truth = pd.Series([0.5, 1.5, 2.5, np.nan], IDS)
    said = pd.DataFrame({"revenue": 1.0, "revenue_p10": 0.0, "revenue_p90": 2.0}, index=IDS)
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
    assert found.ours["inside revenue"].value == pytest.approx(2 / 3)
    assert found.ours["pit revenue"].value == pytest.approx(0.0)
    assert list(found.ours["pit revenue"].customers) == ["a", "b"]
