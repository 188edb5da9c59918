"""The effect of a contact, its interval and its folds, by hand."""

import numpy as np
import pytest

from models.trials.trial import FEWEST_OUTCOMES, LEAST_PROPENSITY, MIN_PER_GROUP, Estimate, Trial


def test_the_effect_is_over_everybody_however_unevenly_they_were_contacted() -> None:
    # of 100 often contacted .5 bought, held out .4; of 100 seldom contacted .2, held out .1
    groups = [(40, 80, 1, 0.8), (8, 20, 0, 0.8), (4, 20, 1, 0.2), (8, 80, 0, 0.2)]
    parts = [
        (np.arange(n) < bought, np.full(n, treated), np.full(n, chance))
        for bought, n, treated, chance in groups
    ]
    outcome, treated, chance = (np.concatenate(column) for column in zip(*parts, strict=True))
    trial = Trial.of(outcome, treated, propensity=chance)
    assert (trial.base, trial.effect.value) == (pytest.approx(0.25), pytest.approx(0.1))


def test_who_was_contacted_once_and_held_out_once_is_their_own_control() -> None:
    outcome, who = np.arange(100) % 3 == 0, np.tile(np.arange(100), 2)
    trial = Trial.of(np.tile(outcome, 2), np.repeat([1, 0], 100), customer=who)
    assert trial.effect == pytest.approx((0, 0, 0))


def test_an_amount_is_no_event_though_most_spent_nothing() -> None:
    spent, treated = np.where(np.arange(400) % 3 == 0, 20.0, 0.0), np.arange(400) % 2
    assert not Trial.of(spent, treated).is_binary and Trial.of(spent > 0, treated).is_binary


def test_weights_make_both_groups_as_large_as_everybody() -> None:
    treated = np.arange(400) % 4 == 0
    weight = Trial.of(np.arange(400) % 3 == 0, treated).weight
    assert weight[treated].sum() == weight[~treated].sum() == pytest.approx(400)


def test_the_smallest_groups_and_chances_that_can_be_compared_are() -> None:
    treated = np.arange(2 * MIN_PER_GROUP) % 2
    chance = np.where(treated, LEAST_PROPENSITY, 1 - LEAST_PROPENSITY)
    assert (
        len(Trial.of(np.arange(2 * MIN_PER_GROUP) < 2 * FEWEST_OUTCOMES, treated, propensity=chance)) == 100
    )


def test_of_part_of_a_trial_as_many_are_drawn_as_it_has() -> None:
    rng = np.random.default_rng(0)
    part = Trial.of(rng.random(400) < 0.3, rng.random(400) < 0.5).take(np.arange(400) % 3 == 0)
    assert [draw.sum() for draw in part.draws(3, 0)] == [len(part)] * 3


def test_the_interval_of_draws_holds_95_percent_of_those_that_are_known() -> None:
    draws = np.append(np.arange(1001.0), [np.nan, np.inf])
    assert Estimate.of_draws(400.0, draws) == pytest.approx((400, 25, 975))
    assert np.isnan(Estimate.of_draws(1.0, np.full(9, np.nan))[1:]).all()


def test_every_fold_has_its_share_of_each_group_and_outcome_and_is_drawn() -> None:
    rng = np.random.default_rng(9)
    trial = Trial.of(rng.random(997) < 0.2, rng.random(997) < 0.3)
    fold = trial.folds(5, 0)
    counts = np.zeros((2, 2, 5), int)
    np.add.at(counts, (trial.treated.astype(int), trial.outcome.astype(int), fold), 1)
    assert (np.ptp(counts, axis=2) <= 1).all()
    assert (fold != trial.folds(5, 1)).any()
