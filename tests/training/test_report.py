from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from training.measures.criteria import EVENT
from training.measures.intervals import Interval
from training.measures.samples import Evaluation, Sample
from training.report import Figure, Rival, Trained, figures, judge, table
from training.tracking import Version

TRUTH = np.repeat([0.0, 1.0], 200)
V3 = Version("churn", 3, "run", "file:///nowhere")


def evaluation(ours: float, **baselines: float) -> Evaluation:
    """Figures of a model whose scores tell the truth to the degree given, and of its baselines."""
    found = Evaluation("churn", ("auc lapsed",))
    for method, knowledge in {"churn": ours, **baselines}.items():
        noise = np.random.default_rng(len(method)).normal(0, 1, len(TRUTH))
        sample = Sample(EVENT["auc"], pd.RangeIndex(len(TRUTH)), (TRUTH, knowledge * TRUTH + noise))
        found.samples[method] = {"auc lapsed": sample}
    return found


def test_a_first_version_that_beats_its_best_baseline_is_promoted() -> None:
    promoted, words = judge(evaluation(2, coin=0, recency=1), None)
    assert promoted
    assert words.startswith("first version, better than recency on auc lapsed: +0.")


def test_what_chance_may_have_made_better_is_called_not_worse() -> None:
    promoted, words = judge(evaluation(1.2, recency=1), None)
    assert promoted
    assert words.startswith("first version, not worse than recency on auc lapsed: +0.")
    assert "(-0." in words


def test_a_first_version_worse_than_its_best_baseline_is_not() -> None:
    promoted, words = judge(evaluation(0.2, recency=2), None)
    assert not promoted
    assert "worse than recency" in words


def test_where_no_version_serves_it_is_told_how_to_decide_otherwise() -> None:
    held_back = Trained("ltv", "first version, worse than tweedie", 3, serves=False)
    assert str(held_back).endswith(
        "no version of it serves; `recompra models promote ltv 3` decides otherwise"
    )
    assert "promote" not in str(Trained("ltv", "worse than the champion v2", 3))


def test_a_model_with_nothing_to_beat_is_promoted() -> None:
    assert judge(evaluation(1), None) == (True, "first version, nothing to beat")


@pytest.mark.parametrize(
    ("ours", "theirs", "promoted", "word"),
    [(2, 1, True, "better than"), (1, 1, True, "not worse than"), (0.5, 2, False, "worse than")],
)
def test_a_challenger_meets_the_champion_on_the_same_customers(ours, theirs, promoted, word) -> None:
    verdict = judge(evaluation(ours), Rival(V3, evaluation(theirs)))
    assert verdict[0] == promoted
    assert verdict[1].startswith(f"{word} the champion v3 on auc lapsed")


def test_a_champion_that_this_code_cannot_read_is_replaced_as_if_there_were_none() -> None:
    promoted, words = judge(evaluation(2, recency=1), Rival(V3, None, " (made by other features)"))
    assert promoted
    assert words.startswith("v3 could not be measured (made by other features), better than recency")


def test_without_a_figure_the_champion_stays() -> None:
    nothing = replace(evaluation(1), samples={})
    assert judge(nothing, Rival(V3, evaluation(1))) == (False, "kept v3: no figure to compare them by")


def test_where_everybody_did_the_same_no_area_tells_them_apart_and_the_champion_stays() -> None:
    alike = Sample(EVENT["auc"], pd.RangeIndex(9), (np.ones(9), np.arange(9.0)))
    unknown = replace(evaluation(1), samples={"churn": {"auc lapsed": alike}})
    kept = False, "kept v3: no figure to compare them by"
    assert judge(unknown, Rival(V3, unknown)) == kept
    assert judge(unknown, Rival(V3, evaluation(1))) == judge(evaluation(1), Rival(V3, unknown)) == kept
    assert judge(unknown, None) == (True, "first version, nothing to beat")


def test_the_closing_table_shows_the_best_baseline() -> None:
    found = figures(evaluation(2, coin=0, recency=1))[0]
    assert (found.model, found.metric, found.baseline) == ("churn", "auc lapsed", "recency")
    assert found.baseline_value < found.ours.low < found.ours.value < found.ours.high


def test_a_figure_that_nobodys_truth_could_measure_is_a_dash() -> None:
    nobody = Interval(np.nan, np.nan, np.nan)
    board = table([Figure("popular", "ndcg@10 new", nobody, None, np.nan)], "")
    assert [list(column.cells) for column in board.columns[2:]] == [["-"], ["-"], ["-"]]
