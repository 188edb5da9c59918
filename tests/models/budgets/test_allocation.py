import itertools
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import LinearConstraint, milp
from worlds.decisions import TERMS, some

from features.errors import InputError
from models.budgets import prices
from models.budgets.allocation import allocate, compare, curve, solve
from models.budgets.budget import Tally, best_rows
from models.budgets.frontier import Frontier
from models.budgets.limits import Limits
from models.decisions.everyone import options

Arms = tuple[np.ndarray, np.ndarray]


@st.composite
def arms(draw: st.DrawFn, most: int = 5) -> Arms:
    """A few customers with a few actions; some arms are not permitted, some cost nothing."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    shape = draw(st.integers(0, most)), draw(st.integers(1, 3))
    gain = np.where(rng.random(shape) < 0.2, -np.inf, rng.normal(3, 4, shape).round(1))
    return gain, rng.choice([0.0, 0.5, 1.0, 2.5, 4.0], shape)


@st.composite
def limited(draw: st.DrawFn) -> tuple[Arms, Limits]:
    """The same with caps on actions and stock of two products."""
    gain, cost = draw(arms())
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    caps = rng.choice([0.0, 1.0, 2.0, np.inf], gain.shape[1])
    product = rng.integers(-1, 2, gain.shape).astype(np.int32)
    return (gain, cost), Limits(caps, product, rng.choice([0.0, 1.0, np.inf], 2))


def best_of_all(gain: np.ndarray, cost: np.ndarray, budget: float, limits: Limits | None = None) -> float:
    """Try every choice."""
    limits, best = limits or Limits.none(*gain.shape), 0.0
    for choice in itertools.product(range(-1, gain.shape[1]), repeat=len(gain)):
        taken = [(row, arm) for row, arm in enumerate(choice) if arm >= 0]
        fits = sum(cost[at] for at in taken) <= budget
        fits = fits and (limits.used(np.array(choice, np.int32)) <= limits.most).all()
        best = max(best, sum(gain[at] for at in taken)) if fits else best
    return best


@given(limited(), st.integers(0, 8))
def test_money_and_limits_are_kept_and_the_sums_are_those_of_the_choice(
    world: tuple[Arms, Limits], budget: int
) -> None:
    (gain, cost), limits = world
    found = solve(gain, cost, budget=budget, limits=limits)
    taken = [(row, arm) for row, arm in enumerate(found.action.tolist()) if arm >= 0]
    assert found.spent == pytest.approx(sum(cost[at] for at in taken)) and found.spent <= budget + 1e-6
    assert found.expected_incremental_margin == pytest.approx(sum(gain[at] for at in taken))
    assert (limits.used(found.action) <= limits.most).all()


@settings(max_examples=60)
@given(limited(), st.integers(0, 8))
def test_no_choice_earns_more_than_the_bound(world: tuple[Arms, Limits], budget: int) -> None:
    (gain, cost), limits = world
    assert (
        best_of_all(gain, cost, budget, limits)
        <= solve(gain, cost, budget=budget, limits=limits).at_most + 1e-6
    )


@settings(max_examples=60)
@given(arms(), st.integers(0, 8))
def test_without_caps_at_least_half_of_the_best_is_earned(world: Arms, budget: int) -> None:
    best = best_of_all(*world, budget)
    found = solve(*world, budget=budget)
    assert found.expected_incremental_margin >= best / 2 - 1e-9
    assert not found.exact or found.expected_incremental_margin == pytest.approx(best)


@given(arms(most=7), st.integers(0, 8))
def test_one_action_of_one_cost_is_solved_exactly(world: Arms, budget: int) -> None:
    gain = world[0][:, :1]
    found = solve(gain, np.ones_like(gain), budget=budget)
    sorted_ = np.sort(gain[gain > 0])[::-1]
    assert found.exact and found.expected_incremental_margin == pytest.approx(sorted_[:budget].sum())


def shop(n: int, seed: int = 0) -> Arms:
    """Customers whose dearer actions gain more."""
    rng = np.random.default_rng(seed)
    cost = np.tile([0.1, 0.5, 1.0, 3.0, 5.0], (n, 1)) * rng.uniform(0.8, 1.2, (n, 5))
    return rng.gamma(1, 4, (n, 1)) * np.sqrt(cost) * rng.uniform(0.5, 1.5, (n, 5)) - 0.5, cost


@pytest.mark.parametrize("capped", [False, True])
def test_it_comes_close_to_what_an_integer_programme_finds(capped: bool) -> None:
    gain, cost = shop(120)
    caps = np.array([10, 20, 15, 8, 3.0]) if capped else np.full(5, np.inf)
    limits = Limits(caps, np.full(gain.shape, -1, np.int32), np.zeros(0))
    found, best = solve(gain, cost, budget=60.0, limits=limits), integer_programme(gain, cost, 60.0, caps)
    assert found.at_most >= best - 1e-6
    assert found.expected_incremental_margin >= 0.985 * best
    assert found.at_most <= 1.02 * best


def integer_programme(gain: np.ndarray, cost: np.ndarray, budget: float, caps: np.ndarray) -> float:
    """HiGHS, by SciPy."""
    n, k = gain.shape
    rules = [
        LinearConstraint(np.kron(np.eye(n), np.ones(k)), ub=1),
        LinearConstraint(cost.ravel(), ub=budget),
    ]
    rules += [LinearConstraint(np.kron(np.ones(n), np.eye(k)), ub=caps)] if np.isfinite(caps).all() else []
    solved = milp(-gain.ravel(), constraints=rules, integrality=np.ones(n * k), bounds=(0, 1))
    return float(-solved.fun)


@pytest.mark.parametrize("sample", [100_000, 1_000])
def test_a_crowd_is_solved_to_a_ten_thousandth(sample: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prices, "SAMPLE_CUSTOMERS", sample)  # a smaller one: first in a sample
    gain, cost = shop(20_000)
    caps = np.array([2000, 2000, np.inf, 1000, 500])
    limits = Limits(caps, np.full(gain.shape, -1, np.int32), np.zeros(0))
    assert solve(gain, cost, budget=8000.0).gap < 1e-4
    assert solve(gain, cost, budget=8000.0, limits=limits).gap < 1e-4


def test_more_budget_earns_more_along_the_curve() -> None:
    asked, shelf = some(3, 500)
    found = options(asked, shelf, terms=TERMS)
    points = pd.DataFrame(curve(found))
    assert points["cost"].is_monotonic_increasing and points["n_customers"].is_monotonic_increasing
    slopes = np.diff(points["gain"]) / np.diff(points["cost"])
    assert (np.diff(slopes) <= 1e-9).all()  # each further unit of money earns less
    middle = points.iloc[50]
    exact = allocate(found, float(middle["cost"]))
    assert exact.expected_incremental_margin == pytest.approx(middle["gain"])
    assert (exact.action >= 0).sum() == middle["n_customers"]


def test_the_same_question_has_the_same_answer() -> None:
    gain, cost = shop(500)
    first, second = (solve(gain, cost, budget=100.0).action for _ in range(2))
    np.testing.assert_array_equal(first, second)


def test_in_another_currency_the_choice_is_the_same() -> None:
    gain, cost = shop(60)
    ours, theirs = solve(gain, cost, budget=30.0), solve(gain / 4096, cost / 4096, budget=30.0 / 4096)
    np.testing.assert_array_equal(ours.action, theirs.action)
    assert 0 < ours.gap == pytest.approx(theirs.gap)


def test_one_dear_contact_is_made_where_it_earns_more_than_a_cheap_one() -> None:
    gain, cost = np.array([[1.0], [8.0]]), np.array([[0.1], [4.0]])
    once = Limits(np.ones(1), np.zeros((2, 1), np.int32), np.ones(1))
    for limits in (None, once):
        assert solve(gain, cost, budget=4.0, limits=limits).action.tolist() == [-1, 0]


def test_three_contacts_of_ten_cents_cost_thirty() -> None:
    gain, cost = np.ones((3, 1)), np.full((3, 1), 0.1)  # 0.1 + 0.1 + 0.1 > 0.3, to a computer
    assert solve(gain, cost, budget=0.3).exact and solve(gain, cost, budget=0.3).spent == pytest.approx(0.3)
    assert best_rows(gain[:, 0], cost[:, 0], budget=0.3).tolist() == [0, 1, 2]


def test_what_costs_nothing_needs_no_budget() -> None:
    gain, cost = np.ones((3, 1)), np.array([[0.0], [1.0], [0.0]])
    assert solve(gain, cost, budget=0.0).action.tolist() == [0, -1, 0]
    assert best_rows(gain[:, 0], cost[:, 0], budget=0.0).tolist() == [0, 2]


def test_our_choice_earns_no_less_than_any_ranking() -> None:
    asked, shelf = some(5, 2000)
    found = options(asked, shelf, terms=TERMS)
    assert asked.standing is not None
    risk = asked.standing.risk
    scores = {"risk": risk, "response": 1 - risk, "value": asked.standing.margin}
    tallies, ours = compare(found, 100.0, scores=scores), allocate(found, 100.0)
    n_ours = (ours.action >= 0).sum()
    assert tallies["expected gain"] == (n_ours, ours.spent, ours.expected_incremental_margin)
    best = found.worth.max(axis=1)
    assert tallies["all"].gain == pytest.approx(best[np.isfinite(best)].sum())
    table = pd.DataFrame(tallies, index=Tally._fields).T["gain"]
    assert table.drop("all").idxmax() == "expected gain"
    assert table["none"] == 0 and table["random"] < table["expected gain"]


def test_a_product_is_offered_no_more_often_than_there_are_units() -> None:
    asked, shelf = some(7, 3000)
    found = options(asked, shelf, terms=TERMS)
    units = np.tile([3.0, 0.0, -2.0, np.nan, 1.0], 10)  # returned ones may make it negative; NaN: unknown
    action = allocate(found, 1000.0, stock=units).action
    product = found.at(action)[0]
    offered = np.bincount(product[product >= 0], minlength=50)
    assert (offered <= np.maximum(units, 0))[~np.isnan(units)].all()
    assert offered[np.isnan(units)].max() > 3


def test_scarce_products_go_to_whom_they_gain_most() -> None:
    rng = np.random.default_rng(0)
    gain, cost = rng.gamma(2, 2, (2000, 4)), np.full((2000, 4), 0.1)
    product = np.array([rng.permutation(6)[:4] for _ in range(2000)], np.int32)
    stock = np.array([20.0, 100.0, 5.0, 300.0, 50.0, np.inf])
    limits = Limits(np.full(4, np.inf), product, stock)
    found = solve(gain, cost, budget=1000.0, limits=limits)
    assert (limits.used(found.action) <= limits.most).all()
    assert found.gap < 0.001


def test_an_action_goes_to_no_more_customers_than_its_cap() -> None:
    asked, shelf = some(7, 3000)
    most = {"cross_sell": 5}
    actions = (a.model_copy(update={"most_customers": most.get(a.name, 0)}) for a in TERMS.actions)
    found = options(asked, shelf, terms=replace(TERMS, actions=tuple(actions)))
    action = allocate(found, 1000.0).action
    assert (action == found.names.index("cross_sell")).sum() == 5


def test_a_budget_that_is_no_money_is_refused() -> None:
    with pytest.raises(InputError, match="amount of 0 or more"):
        solve(*shop(3), budget=float("nan"))


def test_a_budget_of_exactly_what_contacts_cost_pays_for_each_of_them() -> None:
    edges = Frontier.of(np.array([[3.0], [2.0], [1.0]]), np.full((3, 1), 0.1))
    budgets = [0.0, 0.1, 0.29, 0.3, 9.0]  # 0.1 three times is a little more than 0.3
    assert [edges.bought(budget) for budget in budgets] == [0, 1, 2, 3, 3]
    assert Frontier.of(np.ones((1, 1)), np.zeros((1, 1))).bought(0.0) == 1
    assert [edges.at_most(budget) for budget in budgets] == pytest.approx([0.0, 3.0, 5.9, 6.0, 6.0])
    assert [edges.price(budget) for budget in budgets] == pytest.approx([30.0, 20.0, 10.0, 0.0, 0.0])
