"""One definition of Qini: a slow version of it, and what it must be by construction."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.campaign import campaign

from models.trials.qini import curve, intervals, qini
from models.trials.trial import Trial


def trial_of(n: int = 600, seed: int = 0, **options: float) -> Trial:
    world = campaign(n, seed=seed, **options)
    return Trial.of(world["bought"], world["treated"])


def slow_area(y: np.ndarray, t: np.ndarray, score: np.ndarray) -> float:
    """Radcliffe's curve by loops over thresholds, trapezoids, less the straight line."""
    points = [(0.0, 0.0)]
    for limit in sorted(set(score), reverse=True):
        top = score >= limit
        n_t, n_c = (top & (t == 1)).sum(), (top & (t == 0)).sum()
        y_t, y_c = y[top & (t == 1)].sum(), y[top & (t == 0)].sum()
        points.append((top.sum(), y_t - (y_c * n_t / n_c if n_c else 0.0)))
    x, q = np.array(points).T
    return float(np.trapezoid(q, x) - x[-1] * q[-1] / 2)


@given(st.integers(0, 10_000), st.integers(1, 50))
@settings(max_examples=25, deadline=None)
def test_it_is_the_area_by_loops_over_that_of_the_best_order(seed: int, levels: int) -> None:
    trial = trial_of(300, seed % 50)
    score = np.random.default_rng(seed).integers(0, levels, 300).astype(float)
    best = slow_area(trial.outcome, trial.treated, trial.outcome * (2 * trial.treated - 1))
    expected = slow_area(trial.outcome, trial.treated, score) / best
    assert qini(trial, score) == pytest.approx(expected)


def auuc(trial: Trial, score: Any) -> float:
    return intervals(trial, {"": score}, uplift=True)[""].value


def test_a_random_ranking_scores_nothing_by_construction() -> None:
    trial = trial_of()
    assert qini(trial, np.zeros(len(trial))) == auuc(trial, np.full(len(trial), 7.0)) == 0.0
    rng = np.random.default_rng(0)
    assert abs(np.mean([qini(trial, rng.random(len(trial))) for _ in range(300)])) < 0.01


def test_the_best_order_scores_one() -> None:
    trial = trial_of()
    assert qini(trial, trial.outcome * (2 * trial.treated - 1)) == pytest.approx(1.0)


@given(st.integers(0, 10_000))
@settings(max_examples=25, deadline=None)
def test_it_lies_between_minus_one_and_one(seed: int) -> None:
    rng = np.random.default_rng(seed)
    trial = trial_of(150, seed % 20)
    assert -1 <= qini(trial, rng.random(150) + rng.normal() * trial.outcome * trial.treated) <= 1


def test_the_order_of_rows_changes_nothing() -> None:
    trial, rng = trial_of(), np.random.default_rng(1)
    score = rng.integers(0, 5, len(trial)).astype(float)
    order = rng.permutation(len(trial))
    assert qini(trial.take(order), score[order]) == pytest.approx(qini(trial, score))


def test_a_weight_of_two_is_a_row_twice() -> None:
    trial, rng = trial_of(), np.random.default_rng(1)
    score, times = rng.random(len(trial)), rng.integers(0, 3, len(trial))
    twice = np.repeat(np.arange(len(trial)), times)
    assert qini(trial, score, weights=times.astype(float)) == pytest.approx(
        qini(trial.take(twice), score[twice])
    )


def test_unequal_propensities_are_undone() -> None:
    world = campaign(40_000, seed=3)
    chance = np.where(world["asks"] == 1, 0.8, 0.2)
    rng = np.random.default_rng(0)
    kept = rng.random(len(world)) < np.where(world["treated"] == 1, chance, 1 - chance)
    fair = Trial.of(world["bought"], world["treated"])
    biased = Trial.of(world["bought"][kept], world["treated"][kept], propensity=chance[kept])
    score = world["asks"].to_numpy(float)
    assert auuc(biased, score[kept]) == pytest.approx(auuc(fair, score), abs=0.01)
    assert biased.effect.value == pytest.approx(fair.effect.value, abs=0.02)


def test_the_gain_over_random_is_in_outcomes_a_customer() -> None:
    trial = trial_of(40_000, lift=0.4)
    asks = campaign(40_000, lift=0.4)["asks"].to_numpy(float)
    assert auuc(trial, asks) == pytest.approx(
        0.4 / 8, abs=0.004
    )  # a triangle: half contacted gain 0.2, not 0.1
    share, gained = curve(trial, asks)
    assert (share[0], gained[0]) == (0.0, 0.0)
    assert gained[-1] == pytest.approx(trial.effect.value)


def test_intervals_cover_the_figure_of_the_world_and_narrow_with_more_customers() -> None:
    widths = []
    for n in (1000, 8000):
        world = campaign(n, seed=2)
        found = intervals(
            Trial.of(world["bought"], world["treated"]), {"asks": world["asks"].to_numpy(float)}
        )
        widths.append(found["asks"].high - found["asks"].low)
        assert found["asks"].is_above_zero
    assert widths[1] < widths[0] / 2


def test_rows_of_one_customer_are_drawn_together() -> None:
    world = campaign(500, seed=2)
    world = world.loc[world.index.repeat(4)].reset_index()
    alone = Trial.of(world["bought"], world["treated"])
    together = Trial.of(world["bought"], world["treated"], customer=world["index"])
    score = {"asks": world["asks"].to_numpy(float)}
    width = [
        found["asks"].high - found["asks"].low
        for found in (intervals(alone, score), intervals(together, score))
    ]
    assert width[1] == pytest.approx(2 * width[0], rel=0.2)
    assert together.effect.high - together.effect.low == pytest.approx(
        2 * (alone.effect.high - alone.effect.low), rel=0.1
    )
    fold = together.folds(5, 0)
    assert (np.ptp(fold.reshape(500, 4), axis=1) == 0).all()
