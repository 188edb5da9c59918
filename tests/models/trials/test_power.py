"""The proposal of an experiment keeps its promise: what it says is found in 4 of 5 cases is."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import SettingsError
from models.trials.power import LONGEST_WEEKS, detectable_effect, propose


def test_the_effect_asked_for_is_found_in_four_of_five_simulated_experiments() -> None:
    plan = propose(2_000, 0.10, effect=0.02)
    rng = np.random.default_rng(0)
    bought = rng.binomial(plan.n_treated, 0.12, 4000) / plan.n_treated
    anyway = rng.binomial(plan.n_held_out, 0.10, 4000) / plan.n_held_out
    noise = np.sqrt(bought * (1 - bought) / plan.n_treated + anyway * (1 - anyway) / plan.n_held_out)
    assert 0.75 < ((bought - anyway) / noise > 1.96).mean() < 0.95


def test_many_customers_need_few_held_out_and_few_customers_half() -> None:
    assert propose(100_000, 0.1, effect=0.02).held_out == 0.1
    assert propose(300, 0.1, effect=0.02).held_out == 0.5


def test_an_effect_too_small_for_a_year_is_said_to_be() -> None:
    plan = propose(50, 0.05, effect=0.001)
    assert (plan.n_weeks, plan.enough) == (LONGEST_WEEKS, False)
    assert "too small to find in this shop" in str(plan)


def test_no_more_customers_are_drawn_than_there_are() -> None:
    plan = propose(100, 0.1, effect=0.02, n_customers=850)
    assert (plan.n_weeks, plan.enough) == (8, False)
    assert plan.n_treated + plan.n_held_out <= 850


def test_where_customers_run_out_a_larger_share_is_held_out_to_find_what_was_asked() -> None:
    plan = propose(1_000, 0.1, effect=0.025, n_customers=5_000)
    assert propose(1_000, 0.1, effect=0.025).n_weeks > 5 >= plan.n_weeks
    assert plan.enough and plan.n_treated + plan.n_held_out <= 5_000


def test_the_proposal_reads_as_a_sentence() -> None:
    assert str(propose(1_000, 0.1, effect=0.03)).startswith(
        "hold out 20% of the customers, at random, for 5 weeks (4,000 "
    )


def test_a_change_of_a_chance_is_told_in_points_not_in_percent_of_it() -> None:
    small = propose(100, 0.04, effect=0.02, n_customers=400)
    assert "percentage points in a chance of 4.0%" in str(small)
    assert str(small).endswith(
        "the change of 2.00 percentage points asked for is too small to find in this shop"
    )


@pytest.mark.parametrize(
    ("n", "rate", "effect"), [(0, 0.1, 0.1), (10, 1.1, 0.1), (10, 0.1, 0.0), (10, float("nan"), 0.1)]
)
def test_figures_that_cannot_be_are_refused(n: float, rate: float, effect: float) -> None:
    with pytest.raises(SettingsError):
        propose(n, rate, effect=effect)


@given(st.floats(1, 1e7), st.floats(0, 1), st.floats(1e-4, 1))
def test_a_plan_that_is_enough_finds_what_was_asked(n: float, base_rate: float, effect: float) -> None:
    plan = propose(n, base_rate, effect=effect)
    assert plan.enough == (plan.n_weeks < LONGEST_WEEKS or plan.detectable_effect <= effect * (1 + 1e-9))
    assert plan.detectable_effect == detectable_effect(n * plan.n_weeks, base_rate, held_out=plan.held_out)
