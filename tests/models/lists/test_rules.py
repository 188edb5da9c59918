import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from worlds.rules import no_rules

from features.arrays.brought_back import BroughtBack
from features.arrays.catalogue import Catalogue
from features.arrays.dtypes import Ints
from features.arrays.history import History, Vocabulary
from features.settings import Lists
from models.lists.rules import Rules, _prior, learnt_returns

PRODUCTS = ["arabica", "fridge-a", "fridge-b", "robusta"]
KINDS = np.array([1, 2, 2, 1], np.int32)


def catalogue() -> Catalogue:
    paths = Vocabulary.of(["food > coffee", "home > fridges", "home"])
    codes = paths.codes(["food > coffee", "home > fridges", "home > fridges", "food > coffee"])
    nothing = np.full(4, np.nan, np.float32)
    names = np.array([name.encode() for name in PRODUCTS])
    kinds = (paths, paths, paths, codes, codes, codes)
    return Catalogue(Vocabulary.of(PRODUCTS), *kinds, nothing, nothing, nothing, names, nothing)


def history_of(purchases: list[tuple[int, int, int]]) -> History:
    """Make a history of (customer, product, day), known until day 100."""
    customer, product, day = np.array(sorted(purchases, key=lambda row: (row[0], row[2]))).T.astype(np.int32)
    n = int(customer.max()) + 1
    indptr = np.searchsorted(customer, np.arange(n + 1)).astype(np.int64)
    ones, order = np.ones(len(product), np.float32), np.arange(len(product), dtype=np.int32)
    customers = Vocabulary.of([f"c{number:03d}" for number in range(n)])
    return History(customers, Vocabulary.of(PRODUCTS), indptr, product, order, day, ones, ones, 100)


def kitchen(n: int) -> list[tuple[int, int, int]]:
    """Everybody buys arabica three times, and each fridge once."""
    return [(c, p, d) for c in range(n) for p, d in ((0, 1), (0, 30), (0, 60), (1, 5), (2, 40))]


def test_coffee_returns_and_a_fridge_does_not() -> None:
    assert learnt_returns(history_of(kitchen(200)), KINDS, min_share=0.02, horizon_days=28).tolist() == [
        True,
        False,
        False,
        True,
    ]


def test_a_handful_of_buyers_is_drawn_to_the_shop() -> None:
    few = [row for row in kitchen(200) if row[1] == 0 or row[0] < 2]
    assert learnt_returns(history_of(few), KINDS, min_share=0.02, horizon_days=28).all()


def sold(*kinds: tuple[int, int]) -> tuple[History, Ints]:
    """Return a history in which, of each kind's first so many buyers, so many came back; and the kinds."""
    rows, first = [], 0
    for kind, (n, n_again) in enumerate(kinds):
        rows += [(first + c, kind, day) for c in range(n) for day in (1, 50)[: 1 + (c < n_again)]]
        first += n
    history = history_of(rows)
    names = Vocabulary.of([f"p{kind:02d}" for kind in range(len(kinds))])
    return replace(history, products=names), np.arange(len(kinds), dtype=np.int32)


def test_where_kinds_are_alike_the_shops_share_speaks_for_each_of_them() -> None:
    assert learnt_returns(
        *sold(*[(12, 0), (12, 1)] * 20), min_share=0.03, horizon_days=28
    ).all()  # 1 in 24, whatever the kind
    assert not learnt_returns(*sold(*[(12, 0), (12, 1)] * 20), min_share=0.06, horizon_days=28).any()


def test_a_shop_of_one_kind_is_judged_by_its_share_and_not_by_how_little_is_known() -> None:
    assert learnt_returns(*sold((340, 14)), min_share=0.03, horizon_days=28).all()
    assert not learnt_returns(*sold((340, 6)), min_share=0.03, horizon_days=28).any()


def test_how_much_kinds_differ_is_told_by_moments() -> None:
    # share 1/2, chance 1/4; spread (2 * 50 * .08 ** 2 - 1/4) / (100 - 50) = .0078; 1/4 / .0078 - 1
    assert _prior(np.array([50, 50]), np.array([21, 29])) == pytest.approx(31.05, abs=0.01)


def test_where_kinds_differ_one_that_hardly_returned_is_not_taken_for_the_others() -> None:
    assert learnt_returns(
        *sold((200, 120), (180, 0), (200, 90)), min_share=0.03, horizon_days=28
    ).tolist() == [True, False, True]


def test_where_nothing_is_bought_again_nothing_returns_and_where_all_is_all_does() -> None:
    once = [(c, p, p + 1) for c in range(60) for p in range(4)]
    again = [*once, *((c, p, d + 50) for c, p, d in once)]
    assert not learnt_returns(history_of(once), KINDS, min_share=0.02, horizon_days=28).any()
    assert learnt_returns(history_of(again), KINDS, min_share=0.02, horizon_days=28).all()


def test_before_a_purchase_is_a_horizon_old_nothing_is_forbidden() -> None:
    assert learnt_returns(history_of([(0, 1, 72), (1, 2, 95)]), KINDS, min_share=0.02, horizon_days=28).all()


def test_the_shop_has_the_last_word_the_narrower_over_the_broader() -> None:
    said = Lists(
        returns={"home > fridges": False, "home": True, "fridge-b": True, "no such": False}
        | {PRODUCTS[0]: False}
    )
    rules = Rules.of(history_of(kitchen(200)), catalogue(), lists=said, horizon_days=28)
    assert rules.returns.tolist() == [False, False, True, True]


@pytest.mark.parametrize(
    ("name", "bought", "not_bought"),
    [
        ("for_you", [False, True, True, False], [False] * 4),  # coffee comes again, fridges do not
        ("buy_again", [False] * 4, [True] * 4),
        ("new_for_you", [True] * 4, [False] * 4),
        ("bought_together", [False, True, True, False], [False] * 4),
        ("upsell", [False, True, True, False], [False] * 4),
        ("popular", [False] * 4, [False] * 4),
    ],
)
def test_what_a_list_may_hold_hangs_on_what_was_bought(
    name: str, bought: list[bool], not_bought: list[bool]
) -> None:
    rules, every = (
        Rules.of(history_of(kitchen(200)), catalogue(), lists=Lists(), horizon_days=28),
        np.arange(4, dtype=np.int32),
    )
    assert rules.barred(name, every, own=np.ones(4, bool)).tolist() == bought
    assert rules.barred(name, every, own=np.zeros(4, bool)).tolist() == not_bought
    hidden = replace(rules, hidden=np.ones(4, bool))
    assert all(hidden.barred(name, every, own=own).all() for own in (np.ones(4, bool), np.zeros(4, bool)))


def test_boosted_products_go_first_and_hidden_ones_nowhere() -> None:
    said = Lists(
        boosted={"food": 3.0},
        hidden=["fridge-a"],
        pinned={"popular": ["fridge-a", "robusta", PRODUCTS[0], "?"]},
    )
    rules = Rules.of(history_of(kitchen(9)), catalogue(), lists=said, horizon_days=28)
    assert rules.best(np.array([0.2, 0.9, 0.5, 0.1], np.float32)).tolist() == [0, 2, 3]
    assert rules.pinned_to("popular").tolist() == [3, 0]
    assert rules.pinned_to("for_you").tolist() == []


@given(
    st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 2), st.integers(0, 3)), max_size=30),
    st.integers(1, 3),
)
def test_a_cap_takes_each_categorys_best_in_turns(pairs: list[tuple[int, int, int]], cap: int) -> None:
    customer, category, score = np.array(pairs, int).reshape(-1, 3).T.astype(np.int32)
    product = np.arange(len(pairs), dtype=np.int32)
    rules = replace(no_rules(len(pairs)), category=category, max_per_category=cap)
    found = rules.order(customer, product, score=score.astype(np.float32)).tolist()
    expected, turns = [], {}
    for row in sorted(range(len(pairs)), key=lambda row: (-score[row], row)):
        place = turns.get((customer[row], category[row]), 0)
        turns[customer[row], category[row]] = place + 1
        expected.append((customer[row], 0 if category[row] < 0 else place // cap, -score[row], row))
    assert found == [row for *_, row in sorted(expected)]


@pytest.mark.parametrize("said", [Lists(), Lists(max_per_category=2, pinned={"for_you": ["arabica"]})])
def test_saved_and_loaded_they_are_the_same(tmp_path: Path, said: Lists) -> None:
    back = BroughtBack(Vocabulary.of(["ann"]), 4, np.array([2]))
    rules = Rules.of(history_of(kitchen(9)), catalogue(), lists=said, horizon_days=28, back=back)
    rules.save(tmp_path)
    again = Rules.load(tmp_path)
    assert again.back is not None and again.back.products_of("ann").tolist() == [2]
    for name in ("returns", "hidden", "boost", "category", "is_new", "max_per_category", "explore_share"):
        np.testing.assert_array_equal(getattr(again, name), getattr(rules, name))
    assert again.pinned_to("for_you").tolist() == rules.pinned_to("for_you").tolist()


@given(
    st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.integers(0, 3)), max_size=40),
    st.sampled_from([0.1, 0.25, 0.5, 1.0]),
)
def test_new_products_have_their_share_of_places_and_nothing_is_lost(
    pairs: list[tuple[int, bool, int]], share: float
) -> None:
    customer, new, score = np.array(pairs, int).reshape(-1, 3).T.astype(np.int32)
    rules = replace(no_rules(len(pairs)), is_new=new.astype(bool), explore_share=share)
    product = np.arange(len(pairs), dtype=np.int32)
    found = rules.order(customer, product, score=score.astype(np.float32))
    plain = no_rules(len(pairs)).order(customer, product, score=score.astype(np.float32))
    assert sorted(found.tolist()) == product.tolist()
    for one in range(3):
        mine, usual = (rows[customer[rows] == one] for rows in (found, plain))
        assert mine.tolist() == mixed(usual.tolist(), new.tolist(), share)


def mixed(usual: list[int], new: list[bool], share: float) -> list[int]:
    """The usual order, in which the i-th new product has the place ``(i + 1) / share`` at the latest."""
    others, fresh = ([row for row in usual if new[row] == kind] for kind in (False, True))
    found: list[int] = []
    while others and fresh:
        late = len(found) >= math.ceil((sum(new[row] for row in found) + 1) / share) - 1
        next_one = fresh if late or usual.index(fresh[0]) < usual.index(others[0]) else others
        found.append(next_one.pop(0))
    return found + others + fresh


def test_without_a_share_for_new_products_the_order_is_by_chance_alone() -> None:
    rules = replace(no_rules(3), is_new=np.array([False, False, True]))
    assert rules.order(None, np.arange(3), score=np.array([0.3, 0.2, 0.1], np.float32)).tolist() == [0, 1, 2]


def test_a_shop_that_says_nothing_shows_everything_by_its_chance() -> None:
    rules, every = no_rules(3), np.arange(3, dtype=np.int32)
    assert not rules.orders
    assert not rules.barred("for_you", every, own=np.ones(3, bool)).any()
    assert (rules.category.tolist(), rules.is_new.tolist()) == ([-1] * 3, [False] * 3)
    assert rules.best(np.array([0.1, 0.3, 0.2], np.float32)).tolist() == [1, 2, 0]


@pytest.mark.parametrize(
    "said", [{"boost": np.full(3, 2.0)}, {"max_per_category": 1}, {"explore_share": 0.1}]
)
def test_a_boost_a_cap_and_new_products_each_have_a_say_in_the_order(said: Any) -> None:
    assert replace(no_rules(3), **said).orders
