import itertools
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import InputError
from features.settings import Economics
from models.budgets.budget import ROUNDING, Tally, affordable, at_most, best_rows, cumulative, other_policies
from models.decisions.economics import margin_if_stays
from models.decisions.retention import rank_customers
from models.policy.subjects import People

ECONOMICS = Economics(contact_cost=1.0, save_rate=0.1)
MONEY = "expected_incremental_margin_90d"


def scores(risk: list[float], margin: list[float], cost: list[float] | None = None) -> pd.DataFrame:
    ids = pd.Index([f"c{at}" for at in range(len(risk))], name="customer_id")
    columns = {"churn_probability_90d": risk, "expected_margin_90d": margin} | (
        {"contact_cost": cost} if cost else {}
    )
    return pd.DataFrame(columns, index=ids, dtype="float64")


def ranked(frame: pd.DataFrame, people: People | None = None) -> pd.DataFrame:
    return rank_customers(
        frame, people or People.nobody_known(len(frame)), economics=ECONOMICS, horizon_days=90
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


@dataclass(frozen=True)
class Chosen:
    """What a budget buys of a ranking, by the functions that answer ``/retention_targets``."""

    customers: pd.DataFrame
    at_most: float

    @property
    def spent(self) -> float:
        return float(self.customers["contact_cost"].sum())

    @property
    def earned(self) -> float:
        return float(self.customers[MONEY].sum())

    @property
    def exact(self) -> bool:
        return self.earned >= self.at_most * (1 - ROUNDING)


def worthwhile(ranking: pd.DataFrame) -> tuple[np.ndarray, np.ndarray]:
    rows = ranking[(ranking["ruled_out_by"] == "") & (ranking[MONEY] > 0)]
    return rows[MONEY].to_numpy(float), rows["contact_cost"].to_numpy(float)


def choose(ranking: pd.DataFrame, budget: float) -> Chosen:
    gain, cost = worthwhile(ranking)
    rows = best_rows(gain, cost, budget=budget)
    return Chosen(ranking.iloc[rows], max(float(gain[rows].sum()), at_most(gain, cost, budget=budget)))


def policies(ranking: pd.DataFrame, budget: float) -> dict[str, Tally]:
    names = ("churn_probability_90d", "expected_margin_if_stays_90d", "contact_cost")
    risk, value, cost = (ranking[name].to_numpy(float) for name in names)
    gain = np.where(ranking["ruled_out_by"] == "", ranking[MONEY], -np.inf)
    chosen = choose(ranking, budget)
    ours = Tally(len(chosen.customers), chosen.spent, chosen.earned)
    scores = {"risk": risk, "response": 1 - risk, "value": value}
    return {"expected gain": ours} | other_policies(gain, cost, budget=budget, scores=scores)


def best_of_all_sets(ranking: pd.DataFrame, budget: float) -> float:
    """Try every set of customers."""
    pairs = list(zip(ranking["contact_cost"], ranking[MONEY], strict=True))
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
    targets = choose(ranked(frame), budget)
    assert targets.spent <= budget * (1 + 1e-9)
    assert (targets.customers[MONEY] > 0).all()


@given(crowds(), st.floats(0, 12), st.floats(0, 12))
def test_more_budget_never_earns_less(frame: pd.DataFrame, budget: float, more: float) -> None:
    ranking = ranked(frame)
    little, much = (choose(ranking, money).earned for money in (budget, budget + more))
    assert much >= little - 1e-9


@given(crowds(), st.integers(0, 10))
def test_the_choice_is_within_its_bound_of_the_best_of_all_sets(frame: pd.DataFrame, budget: int) -> None:
    ranking = ranked(frame)
    targets, best = choose(ranking, budget), best_of_all_sets(ranking, budget)
    assert best <= targets.at_most + 1e-6
    assert targets.earned >= best / 2 - 1e-6
    assert targets.earned == pytest.approx(best) or not targets.exact


@given(crowds(), st.integers(0, 10))
def test_with_equal_costs_the_choice_is_the_best_of_all_sets(frame: pd.DataFrame, budget: int) -> None:
    ranking = ranked(frame.drop(columns="contact_cost", errors="ignore"))
    targets = choose(ranking, budget)
    assert targets.exact
    assert targets.earned == pytest.approx(best_of_all_sets(ranking, budget))


@given(crowds(), st.randoms())
def test_the_order_of_the_scores_does_not_matter(frame: pd.DataFrame, random: object) -> None:
    shuffled = frame.sample(frac=1, random_state=random.randrange(2**31))  # type: ignore[attr-defined]
    pd.testing.assert_frame_equal(ranked(frame), ranked(shuffled))


def test_the_gain_is_the_formula_by_hand() -> None:
    ranking = ranked(scores([0.5], [30.0]))
    assert ranking[MONEY].iloc[0] == pytest.approx(0.5 * 0.1 * (30 / 0.5) - 1)


def test_the_margin_of_those_who_stay_is_the_expected_margin_over_the_chance_to_stay() -> None:
    np.testing.assert_allclose(margin_if_stays([30.0, 30.0, 1.0], [0.0, 0.5, 1.0]), [30.0, 60.0, 20.0])


def test_a_sure_leaver_of_little_worth_comes_after_a_wavering_good_customer() -> None:
    ranking = ranked(scores([0.95, 0.4], [1.0, 100.0]))
    assert ranking.index.tolist() == ["c1", "c0"]


def test_equal_gains_go_to_the_lower_customer_id() -> None:
    assert choose(ranked(scores([0.5] * 4, [60.0] * 4)), 2).customers.index.tolist() == ["c0", "c1"]


def test_a_budget_that_is_a_multiple_of_the_cost_is_spent_to_the_last_cent() -> None:
    frame = scores([0.5] * 9, [60.0] * 9, [0.1] * 9)
    assert len(choose(ranked(frame), 0.3).customers) == 3


def test_what_does_not_fit_is_skipped() -> None:
    assert affordable(np.array([2.0, 5.0, 1.0, 4.0, 1.0]), 4.0).tolist() == [0, 2, 4]


def test_one_dear_customer_is_chosen_when_worth_more_than_the_cheap_ones() -> None:
    frame = scores([0.5, 0.5], [40.0, 300.0], [0.01, 10.0])
    assert choose(ranked(frame), 10.0).customers.index.tolist() == ["c1"]


def test_whom_a_rule_refuses_is_never_a_target_and_the_ranking_says_why() -> None:
    people = People(np.array([1, 0, 1], np.int8), np.array([0, 0, 4], np.int32))
    ranking = ranked(scores([0.5] * 3, [99.0] * 3), people)
    assert choose(ranking, 99).customers.index.tolist() == ["c0"]
    assert ranking["ruled_out_by"].tolist() == ["", "consent", "frequency_cap"]


def test_a_score_that_is_not_known_is_no_target() -> None:
    ranking = ranked(scores([np.nan, 0.5], [90.0, 90.0]))
    assert ranking["ruled_out_by"].tolist() == ["", "cannot_know"]


def test_first_come_the_worthwhile_and_last_the_refused() -> None:
    people = People(np.array([1, 0, 1], np.int8), np.zeros(3, np.int32))
    ranking = ranked(scores([0.5, 0.5, 0.5], [99.0, 99.0, 1.0]), people)
    assert ranking.index.tolist() == ["c0", "c2", "c1"]
    assert ranking["ruled_out_by"].tolist() == ["", "", "consent"]


def test_no_policy_is_expected_to_earn_more_than_ours() -> None:
    table = policies(ranked(crowd()), 20.0)
    within = {name: bought for name, bought in table.items() if name != "all"}
    assert max(bought.cost for bought in within.values()) <= 20 * (1 + ROUNDING)
    assert max(within, key=lambda name: within[name].gain) == "expected gain"
    assert table["none"].gain == 0 and 0 < table["random"].gain < table["expected gain"].gain


@given(crowds(), st.floats(0.1, 12))
def test_every_policy_keeps_to_the_budget_and_random_is_their_mean(
    frame: pd.DataFrame, budget: float
) -> None:
    table = policies(ranked(frame), budget)
    assert all(bought.cost <= budget * (1 + 1e-9) for name, bought in table.items() if name != "all")
    whole, random = table["all"], table["random"]
    share = min(budget / whole.cost, 1) if whole.cost else 1
    assert random.gain == pytest.approx(share * whole.gain)


def test_the_curve_climbs_from_nothing_to_all_that_is_worthwhile() -> None:
    ranking = ranked(crowd())
    gain, cost = worthwhile(ranking)
    points = cumulative(gain, cost, first=np.ones(len(gain)), points=11)
    assert points[0] == (0, 0, 0)
    assert points[-1].n_customers == len(gain)
    assert (np.diff([point.gain for point in points]) > 0).all()
    assert points[5].gain == pytest.approx(choose(ranking, points[5].cost).earned)


@pytest.mark.parametrize("budget", [-1.0, float("nan")])
def test_a_budget_that_is_no_money_is_refused(budget: float) -> None:
    with pytest.raises(InputError, match="0 or more"):
        choose(ranked(crowd()), budget)


def test_a_missing_score_is_named() -> None:
    with pytest.raises(InputError, match="'expected_margin_90d' missing"):
        ranked(crowd().drop(columns="expected_margin_90d"))


def test_a_customer_who_stands_twice_is_refused() -> None:
    with pytest.raises(InputError, match="twice"):
        ranked(pd.concat([crowd(), crowd()]))


def test_nobody_is_a_ranking_too() -> None:
    ranking = ranked(scores([], []))
    assert choose(ranking, 5).customers.empty
    assert cumulative(*worthwhile(ranking), first=np.zeros(0), points=21) == [(0, 0, 0)]
    assert {bought.gain for bought in policies(ranking, 5).values()} == {0}


def test_a_learnt_effect_takes_the_place_of_the_assumed_one() -> None:
    frame = scores([0.9, 0.5, 0.1], [10.0, 50.0, 90.0])
    ranking = ranked(frame.assign(contact_effect=[0.0, 0.2, -0.1]))
    assert ranking["contact_effect"].tolist() == [0.2, 0.0, -0.1]
    targets = choose(ranking, 10.0)
    assert targets.customers.index.tolist() == ["c1"]
    assert targets.earned == pytest.approx(0.2 * 100.0 - 1.0)


def test_an_effect_is_told_only_where_it_was_learnt_and_no_contact_earns_its_cost() -> None:
    assert "contact_effect" not in ranked(crowd(3))
    with pytest.raises(InputError, match="0 or more.*-0.5"):
        ranked(scores([0.5, 0.5], [9.0, 9.0], [1.0, -0.5]))
