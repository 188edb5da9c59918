from dataclasses import replace

import numpy as np
import pytest
from worlds.checkerboard import board
from worlds.rules import no_rules

from models.candidates.list_baselines import baselines
from models.lists.picks import Picks
from models.lists.rules import Rules

HISTORY = board()[2].history
PLAIN = no_rules(len(HISTORY.products))
CODES = np.arange(len(HISTORY.customers), dtype=np.int32)


def lists(rules: Rules, k: int = 5) -> dict[str, dict[str, Picks]]:
    return baselines(HISTORY, CODES, rules=rules, k=k)


def test_what_the_shop_hides_is_in_no_list_of_a_baseline() -> None:
    best = lists(PLAIN)["popularity"]["for_you"].product[0, 0]
    found = lists(replace(PLAIN, hidden=np.arange(len(HISTORY.products)) == best))
    assert not any((picks.product == best).any() for of in found.values() for picks in of.values())


def test_what_the_shop_pins_leads_every_baseline() -> None:
    found = lists(replace(PLAIN, pinned={"for_you": np.array([3], np.int32)}))
    assert all((of["for_you"].product[:, 0] == 3).all() for of in found.values())


@pytest.mark.parametrize("factor", [0.0, 1.0, 1e9])
def test_what_the_shop_boosts_goes_first_where_a_baseline_has_it(factor: float) -> None:
    boost = np.where(np.arange(len(HISTORY.products)) == 3, factor, 1.0).astype(np.float32)
    first = lists(replace(PLAIN, boost=boost))["popularity"]["for_you"].product[:, 0]
    assert (first == 3).all() == (factor > 1)


def test_a_cap_binds_the_baselines_too() -> None:
    category = (np.arange(len(HISTORY.products)) // 2 % 2).astype(np.int32)
    found = lists(replace(PLAIN, category=category, max_per_category=1), k=2)
    for of in found.values():
        assert (np.sort(category[of["for_you"].product], axis=1) == [0, 1]).all()
