from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from worlds.decisions import TERMS, case, goods, some, without

from features.settings import ContactPolicy
from models.decisions import everyone
from models.decisions.arms import PERMITTED
from models.decisions.everyone import Options, options
from models.decisions.explore import draw, epsilon_greedy, explore, greedy, policy_of, thompson
from models.decisions.offer import choose
from models.decisions.words import why_nothing
from models.policy.action_table import ActionTable
from models.policy.actions import KEEP

SEEDS = st.integers(0, 10**6)


@given(SEEDS, st.integers(0, 12), st.integers(0, 5))
def test_the_best_option_is_what_one_by_one_would_be_chosen(seed: int, n: int, k: int) -> None:
    asked, shelf = some(seed, n, k)
    found, decision = options(asked, shelf, terms=TERMS), choose(asked, shelf, terms=TERMS)
    best = found.best()
    product, worth, chance, _ = found.at(best)
    np.testing.assert_array_equal(best, decision.action)
    np.testing.assert_array_equal(product, decision.choice)
    np.testing.assert_array_equal(worth, decision.money)
    np.testing.assert_array_equal(chance, decision.chance)


@settings(max_examples=15)
@given(SEEDS)
def test_blocks_change_nothing(seed: int) -> None:
    asked, shelf = some(seed, 30)
    asked = replace(asked, learnt={"thank_you": np.linspace(0, 1, 30)})
    whole = options(asked, shelf, terms=TERMS)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(everyone, "ARMS_AT_ONCE", 100)
        for part in ("worth", "product", "chance", "spend", "refused", "opens", "closes"):
            blocks = getattr(options(asked, shelf, terms=TERMS), part)
            np.testing.assert_array_equal(blocks, getattr(whole, part), err_msg=part)


def test_an_action_nobody_may_get_says_which_rule_refused_it() -> None:
    asked, shelf = some(0, 200)
    found = options(asked, shelf, terms=TERMS)
    held = asked.standing.held_out  # type: ignore[union-attr]
    told = np.array([*found.rules, "", ""], dtype=object)[found.refused]
    assert set(np.unique(told[held])) <= {"held_out", ""}  # "": no product fits
    assert not np.isfinite(found.worth[held]).any()


def test_who_gets_nothing_is_told_whether_a_rule_or_money_said_so() -> None:
    found = options(*some(0, 300), terms=TERMS)
    permitted = (found.refused == PERMITTED).any(axis=1)
    nobody = np.flatnonzero(found.best() == -1)
    said = ["no permitted action earns more" in why_nothing(found, row, terms=TERMS) for row in nobody]
    assert said == permitted[nobody].tolist() and {*said} == {True, False}


def test_an_effect_that_was_learnt_takes_the_place_of_the_assumed_one() -> None:
    rng = np.random.default_rng(0)
    asked, shelf = case(rng, 500), goods(rng)
    nothing = np.zeros(500)
    taught = replace(asked, learnt={"thank_you": nothing, "cross_sell": nothing})
    found = options(taught, shelf, terms=TERMS)
    worth = found.worth[:, [found.names.index("thank_you"), found.names.index("cross_sell")]]
    assert (worth[np.isfinite(worth)] <= -0.1 + 1e-12).all()  # no effect: the contact's cost is lost


@pytest.fixture(scope="module")
def found() -> Options:
    return options(*some(1, 3000), terms=TERMS)


def test_what_is_drawn_is_drawn_as_often_as_its_propensity_says(found: Options) -> None:
    rng, chances = np.random.default_rng(0), epsilon_greedy(found, 0.3)
    drawn = np.stack([draw(chances, rng.random(len(found))) for _ in range(200)])
    share = np.mean(drawn[..., None] == np.append(np.arange(len(found.table)), -1), axis=(0, 1))
    np.testing.assert_allclose(share, chances.mean(axis=0), atol=0.003)


def test_propensities_are_true_their_inverses_add_up_to_what_could_have_been_drawn() -> None:
    asked, shelf = some(1, 20_000)  # a tenth of them held out
    terms = replace(TERMS, policy=ContactPolicy(exploration="epsilon", epsilon=1.0, held_out_share=0.1))
    told = explore(asked, shelf, terms=terms, uniform=np.random.default_rng(0).random(20_000)).propensity
    free = without(asked.standing, held_out=np.zeros(20_000, bool))  # type: ignore[arg-type]
    possible = np.isfinite(options(replace(asked, standing=free), shelf, terms=terms).worth).sum(axis=1) + 1
    assert (1 / told).mean() == pytest.approx(possible.mean(), rel=0.02)


@pytest.mark.parametrize("kind", ["none", "epsilon", "thompson"])
def test_exploration_never_tries_what_a_rule_refuses(found: Options, kind: str) -> None:
    policy = TERMS.policy.model_copy(update={"exploration": kind, "epsilon": 1.0})
    chances = policy_of(found, policy)
    assert (chances[:, :-1][~np.isfinite(found.worth)] == 0).all()
    np.testing.assert_allclose(chances.sum(axis=1), 1)


def test_thompsons_chances_are_those_of_sampling(found: Options) -> None:
    rng, rows = np.random.default_rng(0), slice(0, 40)
    few = replace(found, worth=found.worth[rows], spend=found.spend[rows])
    spread = np.where(np.isfinite(few.worth), 1.0, 0.0)
    sampled = np.where(np.isfinite(few.worth), few.worth, -np.inf) + rng.normal(size=(4000, 1, 1)) * 0
    sampled = sampled + rng.normal(size=sampled.shape) * spread
    best = np.where(sampled.max(axis=2) > 0, sampled.argmax(axis=2), len(few.table))
    counted = np.mean(best[..., None] == np.arange(len(few.table) + 1), axis=0)
    np.testing.assert_allclose(thompson(few, spread), counted, atol=0.05)


def test_thompson_doubts_all_that_an_action_brings_not_what_is_left_of_it(found: Options) -> None:
    one = replace(found, table=ActionTable.of([KEEP], TERMS.economics, policy=TERMS.policy))
    one = replace(one, worth=np.full((1, 1), 1.0), spend=np.full((1, 1), 9.0))  # brings 10, costs 9
    policy = ContactPolicy(exploration="thompson", effect_spread=0.3)
    assert policy_of(one, policy)[0, 0] == pytest.approx(ndtr(1 / 3), abs=0.01)


def test_thompsons_chances_are_the_same_in_every_currency(found: Options) -> None:
    pence, spread = replace(found, worth=found.worth * 1e-3), np.ones_like(found.worth)
    np.testing.assert_allclose(thompson(pence, spread * 1e-3), thompson(found, spread), atol=1e-9)


def test_without_spread_thompson_loses_nothing_against_greedy(found: Options) -> None:
    worth = np.pad(np.where(np.isfinite(found.worth), found.worth, 0.0), ((0, 0), (0, 1)))
    earned = [(chances * worth).sum() for chances in (thompson(found, 0 * worth[:, :-1]), greedy(found))]
    assert earned[0] == pytest.approx(earned[1])


def test_where_nobody_can_be_held_out_the_share_is_no_part_of_a_propensity() -> None:
    asked, shelf = some(0, 50)
    terms = replace(TERMS, policy=ContactPolicy(held_out_share=0.2))
    found = explore(replace(asked, standing=None), shelf, terms=terms, uniform=np.zeros(50))
    assert (found.propensity == 1).all()
