import itertools

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InputError
from features.settings import Economics
from models.contact_policy import People
from models.decisions.budget import affordable
from models.decisions.economics import margin_if_stays
from models.decisions.retention import (
    Ranking,
    choose_targets,
    compare_policies,
    curve,
    rank_customers,
)

ECONOMICS = Economics(contact_cost=1.0, save_rate=0.1)
MONEY = "expected_incremental_margin_90d"


def scores(risk: list[float], margin: list[float], cost: list[float] | None = None) -> pd.DataFrame:
    ids = pd.Index([f"c{at}" for at in range(len(risk))], name="customer_id")
    columns = {"churn_probability_90d": risk, "expected_margin_90d": margin} | (
        {"contact_cost": cost} if cost else {}
    )
    return pd.DataFrame(columns, index=ids, dtype="float64")


def ranked(frame: pd.DataFrame, people: People | None = None) -> Ranking:
    return rank_customers(
        frame, people or People.nobody_known(len(frame)), ECONOMICS, horizon_days=90, currency="EUR"
    )


def crowd(n: int = 300, seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    return scores(rng.random(n).tolist(), rng.gamma(1, 60, n).tolist())


@st.composite
def crowds(draw: st.DrawFn) -> pd.DataFrame:
    n = draw(st.integers(0, 9))
    rows = st.lists(
        st.tuples(st.floats(0, 1), st.floats(-50, 500), st.sampled_from([0.0, 0.5, 1.0, 2.5])),
        min_size=n,
        max_size=n,
    )
    risk, margin, cost = zip(*draw(rows), strict=True) if n else ((), (), ())
    return scores(list(risk), list(margin), list(cost) if draw(st.booleans()) else None)


def best_of_all_sets(ranking: Ranking, budget: float) -> float:
    """Try every set of customers."""
    pairs = list(zip(ranking.frame["contact_cost"], ranking.frame[MONEY], strict=True))
    sets = itertools.chain.from_iterable(
        itertools.combinations(pairs, size) for size in range(len(pairs) + 1)
    )
    return max(
        sum(gain for _, gain in chosen) for chosen in sets if sum(cost for cost, _ in chosen) <= budget
    )


@given(crowds(), st.floats(0, 12))
def test_the_budget_is_never_exceeded_and_nobody_is_contacted_at_a_loss(
    frame: pd.DataFrame, budget: float
) -> None:
    targets = choose_targets(ranked(frame), budget)
    assert targets.spent <= budget * (1 + 1e-9)
    assert (targets.customers[MONEY] > 0).all()


@given(crowds(), st.floats(0, 12), st.floats(0, 12))
def test_more_budget_never_earns_less(frame: pd.DataFrame, budget: float, more: float) -> None:
    ranking = ranked(frame)
    little, much = (
        choose_targets(ranking, money).expected_incremental_margin for money in (budget, budget + more)
    )
    assert much >= little - 1e-9


@given(crowds(), st.integers(0, 10))
def test_the_choice_is_within_its_bound_of_the_best_of_all_sets(frame: pd.DataFrame, budget: int) -> None:
    ranking = ranked(frame)
    targets, best = choose_targets(ranking, budget), best_of_all_sets(ranking, budget)
    assert best <= targets.at_most + 1e-6
    assert targets.expected_incremental_margin >= best / 2 - 1e-6
    assert targets.expected_incremental_margin == pytest.approx(best) or not targets.exact


@given(crowds(), st.integers(0, 10))
def test_with_equal_costs_the_choice_is_the_best_of_all_sets(frame: pd.DataFrame, budget: int) -> None:
    ranking = ranked(frame.drop(columns="contact_cost", errors="ignore"))
    targets = choose_targets(ranking, budget)
    assert targets.exact
    assert targets.expected_incremental_margin == pytest.approx(best_of_all_sets(ranking, budget))


@given(crowds(), st.randoms())
def test_the_order_of_the_scores_does_not_matter(frame: pd.DataFrame, random: object) -> None:
    shuffled = frame.sample(frac=1, random_state=random.randrange(2**31))  # type: ignore[attr-defined]
    pd.testing.assert_frame_equal(ranked(frame).frame, ranked(shuffled).frame)


def test_the_gain_is_the_formula_by_hand() -> None:
    ranking = ranked(scores([0.5], [30.0]))
    assert ranking.frame[MONEY].iloc[0] == pytest.approx(0.5 * 0.1 * (30 / 0.5) - 1)


def test_the_margin_of_those_who_stay_is_the_expected_margin_over_the_chance_to_stay() -> None:
    np.testing.assert_allclose(margin_if_stays([30.0, 30.0, 1.0], [0.0, 0.5, 1.0]), [30.0, 60.0, 20.0])


def test_a_sure_leaver_of_little_worth_comes_after_a_wavering_good_customer() -> None:
    ranking = ranked(scores([0.95, 0.4], [1.0, 100.0]))
    assert ranking.frame.index.tolist() == ["c1", "c0"]


def test_equal_gains_go_to_the_lower_customer_id() -> None:
    assert choose_targets(ranked(scores([0.5] * 4, [60.0] * 4)), 2).customers.index.tolist() == ["c0", "c1"]


def test_a_budget_that_is_a_multiple_of_the_cost_is_spent_to_the_last_cent() -> None:
    frame = scores([0.5] * 9, [60.0] * 9, [0.1] * 9)
    assert len(choose_targets(ranked(frame), 0.3).customers) == 3


def test_what_does_not_fit_is_skipped() -> None:
    assert affordable(np.array([2.0, 5.0, 1.0, 4.0, 1.0]), 4.0).tolist() == [0, 2, 4]


def test_one_dear_customer_is_chosen_when_worth_more_than_the_cheap_ones() -> None:
    frame = scores([0.5, 0.5], [40.0, 300.0], [0.01, 10.0])
    assert choose_targets(ranked(frame), 10.0).customers.index.tolist() == ["c1"]


def test_whom_a_rule_refuses_is_never_a_target_and_the_ranking_says_why() -> None:
    people = People(np.array([1, 0, 1], np.int8), np.array([0, 0, 4], np.int32))
    ranking = ranked(scores([0.5] * 3, [99.0] * 3), people)
    assert choose_targets(ranking, 99).customers.index.tolist() == ["c0"]
    assert ranking.frame["ruled_out_by"].tolist() == ["", "consent", "frequency_cap"]


def test_a_score_that_is_not_known_is_no_target() -> None:
    ranking = ranked(scores([np.nan, 0.5], [90.0, 90.0]))
    assert ranking.n_permitted == 1
    assert ranking.frame["ruled_out_by"].iloc[-1] == "cannot_know"


def test_the_answer_says_what_is_assumed_and_who_was_left_out() -> None:
    people = People(np.array([1, 0, 1], np.int8), np.zeros(3, np.int32))
    ranking = ranked(scores([0.5, 0.5, 0.5], [99.0, 99.0, 1.0]), people)
    reason = choose_targets(ranking, 9).reason
    assert ranking.effect == "assumed"
    assert reason.startswith("1 of 1 worthwhile customers fit the budget; 1 would cost more")
    assert "1 ruled out by consent" in reason and "assumed to keep 10%" in reason


def test_no_policy_is_expected_to_earn_more_than_ours() -> None:
    table = compare_policies(ranked(crowd()), 20.0)
    within = table.drop(index="all")
    assert within["cost"].max() <= 20
    assert within[MONEY].idxmax() == "expected gain"
    assert (
        table.loc["none", MONEY] == 0 and 0 < table.loc["random", MONEY] < table.loc["expected gain", MONEY]
    )


def test_policies_can_be_put_to_the_test_of_who_did_leave() -> None:
    ranking, left = ranked(scores([0.9, 0.1], [6.0, 54.0])), pd.Series([False, True], index=["c0", "c1"])
    foreseen, seen = compare_policies(ranking, 1.0), compare_policies(ranking, 1.0, left=left)
    assert foreseen.loc["expected gain", MONEY] == pytest.approx(0.9 * 0.1 * 60 - 1)
    assert seen.loc["expected gain", MONEY] == -1.0


def test_the_curve_climbs_from_nothing_to_all_that_is_worthwhile() -> None:
    ranking = ranked(crowd())
    points = curve(ranking, points=11)
    assert points.iloc[0].tolist() == [0, 0, 0]
    assert points["n_customers"].iloc[-1] == ranking.n_worthwhile
    assert (np.diff(points[MONEY]) > 0).all()
    assert points[MONEY].iloc[5] == pytest.approx(
        choose_targets(ranking, points["budget"].iloc[5]).expected_incremental_margin
    )


@pytest.mark.parametrize("budget", [-1.0, float("nan")])
def test_a_budget_that_is_no_money_is_refused(budget: float) -> None:
    with pytest.raises(InputError, match="0 or more"):
        choose_targets(ranked(crowd()), budget)


def test_a_missing_score_is_named() -> None:
    with pytest.raises(InputError, match="'expected_margin_90d' missing"):
        ranked(crowd().drop(columns="expected_margin_90d"))


def test_a_customer_who_stands_twice_is_refused() -> None:
    with pytest.raises(InputError, match="twice"):
        ranked(pd.concat([crowd(), crowd()]))


def test_nobody_is_a_ranking_too() -> None:
    ranking = ranked(scores([], []))
    assert choose_targets(ranking, 5).customers.empty
    assert curve(ranking)["budget"].tolist() == [0]
    assert compare_policies(ranking, 5)[MONEY].eq(0).all()


def test_a_learnt_effect_takes_the_place_of_the_assumed_one_and_is_called_so() -> None:
    frame = scores([0.9, 0.5, 0.1], [10.0, 50.0, 90.0])
    ranking = ranked(frame.assign(contact_effect=[0.0, 0.2, -0.1]))
    assert ranking.effect == "learnt"
    targets = choose_targets(ranking, 10.0)
    assert targets.customers.index.tolist() == ["c1"]
    assert targets.expected_incremental_margin == pytest.approx(0.2 * 100.0 - 1.0)
    assert "learnt from customers who were held out" in targets.reason
