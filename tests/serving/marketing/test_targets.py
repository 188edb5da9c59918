"""Targets with several actions: the budget, the bound, the rules, the comparison."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from worlds.snapshot import AS_OF, GAIN, NOW, make_snapshot, with_known

from features.errors import NotFound
from models.policy.actions import catalogue
from serving.api_crm import Targets, TargetsRequest
from serving.marketing.retention import retention_targets
from serving.marketing.targets import targets_by_action
from serving.online.view import View
from serving.state import State
from serving.store import Store

ACTIONS = ["thank_you", "survey", "review_request"]


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    store = Store.open(tmp_path)
    opened = State.of(with_known(make_snapshot(200)), View(store, AS_OF))
    yield opened
    opened.view.close()
    store.close()


def ask(state: State, budget: float = 5.0, actions: list[str] | None = None) -> Targets:
    asked = TargetsRequest(budget=budget, actions=ACTIONS if actions is None else actions)
    return targets_by_action(state, asked, now=NOW)


def test_the_budget_is_spent_on_the_actions_asked_for(state: State) -> None:
    answer = ask(state)
    assert answer.spent <= 5.0 and answer.n_targets == len(answer.targets) == 50
    assert {row["action"] for row in answer.targets} <= set(ACTIONS)
    assert sum(row[GAIN] for row in answer.targets) == pytest.approx(
        answer.expected_incremental_margin, abs=0.01
    )


def test_what_earns_most_for_its_money_comes_first(state: State) -> None:
    assert state.snapshot.goods_and_terms is not None
    goods, terms = state.snapshot.goods_and_terms
    dear = replace(terms, actions=catalogue({"survey": {"cost": 0.5, "effect": 0.02}}))
    there = replace(state, snapshot=replace(state.snapshot, goods_and_terms=(goods, dear)))
    rows = ask(there, budget=20.0).targets
    earned = [row[GAIN] / row["spend"] for row in rows]
    assert earned == sorted(earned, reverse=True)
    assert len({row["spend"] for row in rows}) == 2 and [row["rank"] for row in rows][:2] == [1, 2]


def test_nobody_to_contact_has_the_names_of_everybody(state: State) -> None:
    assert ask(state, 0.0).targets == []
    assert list(ask(state, 0.0).names) == list(ask(state).targets[0])


def test_no_choice_earns_more_than_the_bound_says(state: State) -> None:
    answer = ask(state)
    assert answer.at_most == pytest.approx(answer.expected_incremental_margin)  # all cost the same: exact
    assert answer.policies["expected gain"] == max(
        value for name, value in answer.policies.items() if name != "all"
    )


def test_the_curve_ends_with_everyone_who_pays_for_themselves(state: State) -> None:
    answer = ask(state)
    assert answer.curve[0]["expected_incremental_margin"] == 0
    assert answer.curve[-1]["n_customers"] <= 200
    assert answer.curve[-1]["expected_incremental_margin"] >= answer.expected_incremental_margin


def test_where_all_effects_were_learnt_the_answer_says_so_and_proposes_no_experiment(state: State) -> None:
    assumed = ask(state)
    assert (assumed.effect, assumed.experiment is None) == ("assumed", False)
    known = state.snapshot.known
    assert known is not None
    wiser = replace(known, learnt=dict.fromkeys(ACTIONS, np.full(200, 0.05)))
    learnt = ask(replace(state, snapshot=replace(state.snapshot, known=wiser)))
    assert (learnt.effect, learnt.experiment) == ("learnt", None)
    assert {row["effect"] for row in learnt.targets} == {"learnt"}
    assert learnt.expected_incremental_margin > 2 * assumed.expected_incremental_margin > 0


def test_who_is_held_out_is_no_target(state: State) -> None:
    known = state.snapshot.known
    assert known is not None
    nobody = replace(known, standing=replace(known.standing, held_out=np.ones(200, bool)))
    assert ask(replace(state, snapshot=replace(state.snapshot, known=nobody))).targets == []


def test_an_action_the_shop_does_not_have_is_named_with_those_it_has(state: State) -> None:
    with pytest.raises(NotFound, match=r"'cross_sell'.*win_back"):
        ask(state, actions=["cross_sell"])


def test_without_what_is_known_of_customers_it_says_what_to_do(state: State) -> None:
    with pytest.raises(NotFound, match="no next_best_offer model serves"):
        ask(replace(state, snapshot=replace(state.snapshot, known=None)))


def test_targets_are_told_in_the_language_asked_for(state: State) -> None:
    asked = [TargetsRequest(budget=5.0, actions=actions, locale="pt") for actions in ([], ACTIONS)]
    plain, by_action = (
        retention_targets(state, asked[0], now=NOW),
        targets_by_action(state, asked[1], now=NOW),
    )
    assert "no orçamento; supõe-se que um contato retenha" in plain.reason
    assert "cada um com a ação que mais rende" in by_action.reason
    assert re.search(r"pelo menos \d+,\d\d% do que", by_action.reason)
