"""The whole loop in a shop whose truth is known: learn, decide, see what customers do, learn again."""

from pathlib import Path

import numpy as np
import pytest
from benchmarks import bench_policies
from benchmarks.bench_policies import ACTION, ROUND_WEEKS, Knowledge, warmed_up, year
from worlds.shop import Truth, World

SMALL = Truth(n_customers=500, query=0.5, driven_away=0.3)
ROUNDS = 3


@pytest.fixture(scope="module")
def start() -> World:
    return warmed_up(SMALL, 0, ROUNDS)


@pytest.fixture(scope="module")
def knows(start: World, tmp_path_factory: pytest.TempPathFactory) -> Knowledge:
    return Knowledge(start.branch(), tmp_path_factory.mktemp("start"))


def test_two_branches_meet_the_same_luck(start: World) -> None:
    first, second = start.branch(), start.branch()
    assert [first.week() for _ in range(4)] == [second.week() for _ in range(4)]


def test_a_contact_makes_persuadables_buy_and_sleeping_dogs_leave(start: World) -> None:
    quiet, loud = start.branch(), start.branch()
    loud.contact(np.ones(SMALL.n_customers, bool))
    for world in (quiet, loud):
        for _ in range(ROUND_WEEKS):
            world.week()
    bought = [set(np.concatenate([o["customer_id"] for o in w.orders[-4:]])) for w in (quiet, loud)]
    persuadable = set(start.ids()[start.persuadable])
    assert len(bought[1] & persuadable) > 1.2 * len(bought[0] & persuadable)
    assert loud.alive[start.sleeping_dog].mean() < 0.85 * quiet.alive[start.sleeping_dog].mean()


def test_the_effect_learnt_tells_them_apart(knows: Knowledge) -> None:
    effect = knows.models[2].effect(knows.features)["effect"].to_numpy()
    persuadable = knows.world.persuadable[knows.code]
    assert effect[persuadable].mean() > effect[~persuadable].mean() + 0.03


def test_ours_keeps_to_its_budget_and_its_rules_and_learns_on(
    start: World, knows: Knowledge, tmp_path: Path
) -> None:
    world = start.branch()
    found = year(world, "ours", knows.models, ROUNDS, tmp_path)
    sent = np.flatnonzero(world.contacts.any(axis=1))
    assert np.diff(sent).min() * 7 > ACTION.cooldown_days
    budget = bench_policies.BUDGET_SHARE * SMALL.n_customers
    assert world.contacts[start.now :].sum(axis=1).max() <= budget
    assert found["spent"] == world.contacts[start.now :].sum() * SMALL.contact_cost


def test_whom_ours_contacts_are_those_a_contact_moves(knows: Knowledge) -> None:
    bench_policies.ours(knows, 100, 0)
    contacted = knows.world.contacts[knows.world.now]
    assert knows.world.persuadable[contacted].mean() > 1.3 * knows.world.persuadable.mean()
