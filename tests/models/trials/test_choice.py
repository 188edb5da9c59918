"""Choosing whom to contact by: in worlds where the answer is known."""

import numpy as np
import pytest
from worlds.campaign import campaign

from features.errors import CannotLearn, InputError
from models.trials.choice import NOTHING_FOUND, Choice, choose_policy
from models.trials.learners import LEARNERS, Fitted, LearnerConfig
from models.trials.trial import Trial

QUICK = LearnerConfig(n_trees=15, n_repeats=1, n_folds=3, learning_rate=0.2)


def choose(n: int = 3000, **options: float) -> Choice:
    world = campaign(n, **options)
    rows = world[["asks", "spend", "recency"]].to_numpy(float)
    risk = {"risk": world["recency"].to_numpy(float)}
    return choose_policy(rows, Trial.of(world["bought"], world["treated"]), config=QUICK, given=risk)


@pytest.fixture(scope="module")
def moved() -> Choice:
    return choose()


def test_a_learner_of_effects_is_chosen_where_those_moved_are_not_those_who_buy(moved: Choice) -> None:
    assert moved.chosen in {"s_learner", "t_learner", "x_learner", "class_transformation"}
    assert moved.chosen_qini.is_above_zero
    assert moved.policies[moved.chosen].value > moved.policies["response"].value
    assert moved.verdict == f"contact by {moved.chosen}"


def test_random_scores_nothing_and_risk_less_than_the_chosen(moved: Choice) -> None:
    assert moved.policies["random"] == (0.0, 0.0, 0.0)
    assert moved.policies["risk"].high < moved.chosen_qini.low


def test_where_a_contact_moves_all_alike_nothing_is_detected_and_the_fallback_is_named() -> None:
    found = choose(lift=0.2, harm=-0.2, seed=5)
    assert (found.verdict, found.fallback, found.ranking) == (NOTHING_FOUND, "response", "response")
    assert "the fallback is response" in found.reason
    assert found.trial.effect.is_above_zero
    assert "(that is detectable; whom it changes more is not)" in found.reason


def test_of_worlds_without_an_effect_few_are_called_detectable() -> None:
    quick = LearnerConfig(n_trees=3, n_repeats=1, n_folds=3)
    rng = np.random.default_rng(0)
    found = []
    for seed in range(10):
        world = campaign(600, lift=0.0, seed=seed)
        trial = Trial.of(world["bought"], world["treated"])
        found.append(choose_policy(rng.random((600, 2)), trial, config=quick).is_detectable)
    assert sum(found) <= 2


def test_every_learner_finds_who_is_moved() -> None:
    world = campaign(8000, harm=0.2)
    rows = world[["asks", "spend"]].to_numpy(float)
    fitted = Fitted.fit(rows, Trial.of(world["bought"], world["treated"]), config=QUICK)
    for name in set(LEARNERS) - {"response"}:
        said = LEARNERS[name](fitted, rows)
        assert said[world["asks"] == 1].mean() - said[world["asks"] == 0].mean() > 0.2, name


def test_an_amount_is_learnt_as_well_as_an_event() -> None:
    world = campaign(4000)
    trial = Trial.of(world["bought"] * 20.0, world["treated"])
    found = choose_policy(world[["asks", "spend"]].to_numpy(float), trial, config=QUICK)
    assert found.is_detectable
    assert trial.effect.value == pytest.approx(0.15 * 20, abs=1)


def test_a_targeted_campaign_without_overlap_is_refused_in_words() -> None:
    world = campaign(400)
    certain = np.where(world["treated"] == 1, 1.0, 0.5)
    with pytest.raises(CannotLearn, match="no overlap: .* rows had a propensity below 0.01 or above 0.99"):
        Trial.of(world["bought"], world["treated"], propensity=certain)


def test_without_propensities_of_all_it_says_how_many_are_unknown() -> None:
    world = campaign(400)
    with pytest.raises(CannotLearn, match="propensity is unknown in 400 of 400 rows"):
        Trial.of(world["bought"], world["treated"], propensity=np.full(400, np.nan))


@pytest.mark.parametrize(
    ("change", "error", "words"),
    [
        ({"treated": 1}, CannotLearn, "0 customers were held out: 50 are needed"),
        ({"bought": 0}, CannotLearn, "the outcome hardly varies"),
        ({"treated": 2}, InputError, "treated must be 0 or 1"),
        ({"bought": np.nan}, InputError, "the outcome is missing in 400 rows"),
    ],
)
def test_what_cannot_be_compared_is_refused_in_words(change, error, words) -> None:
    world = campaign(400).assign(**change)
    with pytest.raises(error, match=words):
        Trial.of(world["bought"], world["treated"])
