from collections import Counter
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson
from worlds.kitchen import FRIDGES, ids_of, scored
from worlds.receipts import history_of

from models.similarity.baskets import _Baskets, _habits, _meetings, surprise, together

LAPTOPS, CASES, MICE, YOGURTS = (range(start, start + 5) for start in (0, 5, 10, 15))
CATEGORY = np.repeat([0, 1, 2, 3], 5).astype(np.int32)
NO_CATEGORY = np.full(20, -1, np.int32)


def electronics(seed: int = 0) -> list[tuple[int, int, int, float]]:
    """A laptop with its own case and mouse, more often than not; offices take two rare laptops at once; those
    who want yogurts want several.
    """
    rng, rows = np.random.default_rng(seed), []
    for customer in range(600):
        for ago in rng.choice(300, 1 + customer % 3, replace=False) + 1:
            basket = set(rng.choice(YOGURTS, 3, replace=False).tolist()) if rng.random() < 0.3 else set()
            if rng.random() < 0.5:
                model = int(rng.choice(5, p=[0.4, 0.3, 0.28, 0.01, 0.01]))
                basket |= {model} | {kind[model] for kind in (CASES, MICE) if rng.random() < 0.6}
            basket |= {3, 4} if rng.random() < 0.01 else set()
            rows += [(customer, int(product), int(ago), 1.0) for product in basket]
    return rows


def accessories(rows: list, category: np.ndarray, product: int, n: int = 10) -> list[int]:
    near = together(history_of(rows, 20), category, n=n).near
    assert not near.score[near.product < 0].any()
    found = near.product[product]
    return found[found >= 0].tolist()


@pytest.mark.parametrize("laptop", LAPTOPS)
def test_a_second_laptop_is_never_an_accessory(laptop: int) -> None:
    rows = electronics()
    assert Counter(bool({3, 4} <= {*basket}) for basket in baskets_of(rows))[True] > 5  # tempting
    assert not {*accessories(rows, CATEGORY, laptop)} & {*LAPTOPS}


def test_the_case_and_the_mouse_of_a_laptop_lead() -> None:
    for laptop in range(3):
        assert {*accessories(electronics(), CATEGORY, laptop)[:2]} == {CASES[laptop], MICE[laptop]}


def test_products_of_a_category_that_are_bought_at_once_go_together() -> None:
    assert {*accessories(electronics(), CATEGORY, 15)} == {*YOGURTS} - {15}


def test_what_the_same_customers_buy_in_turns_is_a_substitute_even_without_a_category() -> None:
    rng, rows = np.random.default_rng(1), []
    for customer in range(300):
        for visit in range(20):
            coffee = {int(rng.integers(2))} if customer < 60 else set()
            both = {0, 1} if customer < 60 and rng.random() < 0.15 else set()
            milk = {2} if coffee and rng.random() < 0.7 else set()
            other = {int(rng.integers(3, 20))}
            rows += [(customer, p, 1 + 7 * visit, 1.0) for p in coffee | both | milk | other]
    together_in, sold = Counter(), Counter()
    for basket in baskets_of(rows):
        together_in[{0, 1} <= basket] += 1
        sold.update(basket)
    assert together_in[True] > 2 * sold[0] * sold[1] / together_in.total()  # tempting
    assert 2 in accessories(rows, NO_CATEGORY, 0)
    assert 1 not in accessories(rows, NO_CATEGORY, 0)


def shop_of(*parts: tuple[int, list[set[int]]]) -> list:
    """Return the orders of as many customers as each part says, who bought its baskets one after another."""
    whose = [visits for n, visits in parts for _ in range(n)]
    return [
        (customer, product, 1 + visit, 1.0)
        for customer, visits in enumerate(whose)
        for visit, basket in enumerate(visits)
        for product in basket
    ]


def test_an_accessory_scores_the_cosine_of_orders_as_if_each_had_ten_more() -> None:
    rows = shop_of((24, [{0, 1}]), (6, [{0}]), (300, [{2}]))
    near = together(history_of(rows, 20), NO_CATEGORY, n=2).near
    assert near.product[:2].tolist() == [[1, -1], [0, -1]]
    assert near.score[0].tolist() == pytest.approx([24 / (40 * 34) ** 0.5, 0])


def test_behind_substitutes_that_are_left_out_an_accessory_is_still_found() -> None:
    rows = shop_of((15, [{0, 1}]), (12, [{0, 5}]), (300, [{10}]))
    assert accessories(rows, NO_CATEGORY, 0, n=1) == [1]
    assert accessories(rows, CATEGORY, 0, n=1) == [5]


def test_what_everybody_buys_goes_with_nothing() -> None:
    rows = shop_of((270, [{0}]), (5, [{0, 1}]), (30, [{2}]))
    assert accessories(rows, NO_CATEGORY, 1) == []


def test_what_is_bought_together_less_often_than_by_chance_is_no_accessory() -> None:
    rows = shop_of((200, [{0}]), (200, [{1}]), (5, [{0, 1}]))
    assert accessories(rows, NO_CATEGORY, 0) == []


@pytest.mark.parametrize("n_orders", [2, 3])
def test_two_common_orders_are_too_few_however_many_bought_both(n_orders: int) -> None:
    rows = shop_of((n_orders, [{0, 1}]), (3, [{0}, {1}]), (3000, [{2}]))
    assert accessories(rows, NO_CATEGORY, 0) == [1] * (n_orders == 3)


@pytest.mark.parametrize(("at_once", "in_turns", "goes"), [(8, 12, True), (6, 34, False)])
def test_a_pair_may_fall_a_little_short_of_habits_but_not_clearly(
    at_once: int, in_turns: int, goes: bool
) -> None:
    rows = shop_of((at_once, [{0, 1}, {2}]), (in_turns, [{0}, {1}]), (4000, [{3}]))
    assert accessories(rows, NO_CATEGORY, 0) == [1] * goes


@pytest.mark.parametrize(
    ("parts", "replaced"),
    [
        ([(19, [{0, 1}])], True),
        ([(20, [{0, 1}])], False),
        ([(30, [{0, 1}]), (4, [{0}, {1}])], False),  # habits of four let two common orders be expected
        ([(30, [{0, 1}]), (20, [{0}, {1}])], True),  # of twenty ten, and none came
        ([(500, [{0}]), (500, [{1}]), (250, [{0, 1}])], True),  # by chance 360 of 1,550
        ([(300, [{0}]), (300, [{1}]), (320, [{0, 1}])], False),  # 315 of 1,220
    ],
)
def test_products_of_a_category_replace_each_other_unless_they_are_proven_to_be_bought_at_once(
    parts: list, replaced: bool
) -> None:
    found = together(history_of(shop_of(*parts, (300, [{10}])), 20), CATEGORY, n=1)
    assert found.kin[:5].tolist() == [0 if replaced else -1] * 5


@given(st.integers(1, 500), st.floats(0.1, 500))
def test_the_surprise_is_twice_the_log_ratio_of_poisson_likelihoods(shared: int, expected: float) -> None:
    ratio = poisson.logpmf(shared, shared) - poisson.logpmf(shared, expected)
    found = surprise(np.array([float(shared)]), np.array([expected]))
    assert found[0] == pytest.approx(2 * ratio, rel=1e-6, abs=1e-6)


def test_chance_and_two_common_orders_are_not_enough() -> None:
    rng = np.random.default_rng(2)
    rows = [(c, int(p), 1 + v, 1.0) for c in range(200) for v in range(3) for p in rng.choice(18, 3, False)]
    rows += [(300 + c, p, 1, 1.0) for c in range(2) for p in (18, 19)]
    found = together(history_of(rows, 20), NO_CATEGORY, n=10).near.product
    assert (found[18:] == -1).all()
    assert (found >= 0).sum() <= 6  # of 306 pairs, p = .001 each


@pytest.mark.parametrize("n_households", [1, 2, 3])
def test_what_one_household_always_buys_is_no_accessory(n_households: int) -> None:
    rng = np.random.default_rng(3)
    rows = [(c, int(p), 1 + v, 1.0) for c in range(200) for v in range(3) for p in rng.choice(18, 3, False)]
    rows += [(300 + c, p, 1 + v, 1.0) for c in range(n_households) for v in range(20) for p in (18, 19)]
    assert (19 in accessories(rows, NO_CATEGORY, 18)) == (n_households == 3)


purchases = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 5), st.integers(1, 4), st.just(1.0)),
    min_size=2, max_size=40, unique_by=lambda row: row[:3],
)  # fmt: skip


@given(purchases)
@settings(max_examples=60, deadline=None)
def test_what_habits_let_expect_is_a_sum_over_customers(rows: list) -> None:
    baskets = _Baskets.of(history_of(rows, 6))
    n = Counter((customer, product) for customer, product, _, _ in rows)
    visits = {customer: len({ago for c, _, ago, _ in rows if c == customer}) for customer, *_ in rows}
    slow = {(p, q): sum(n[c, p] * n[c, q] / visits[c] for c in visits) for p, q in combinations(range(6), 2)}
    own = sorted((p, c, count) for (c, p), count in n.items())
    product, customer, count = (np.array(column) for column in zip(*own, strict=True))
    one, other = (np.array(column) for column in zip(*slow, strict=True))
    share = np.array([1 / visits.get(c, 1) for c in range(4)])
    indptr = np.searchsorted(product, np.arange(7))
    found, buyers = _meetings(indptr, customer, count.astype(float), share, one, other)
    np.testing.assert_allclose(found, list(slow.values()))
    assert buyers.tolist() == [sum(n[c, p] > 0 < n[c, q] for c in visits) for p, q in slow]
    all_of_one_kind = _habits(
        baskets, np.ones(len(rows), bool), kind=np.zeros(len(rows), np.int32), n_kinds=1
    )
    assert all_of_one_kind[0] == pytest.approx(sum(slow.values()))


def baskets_of(rows: list) -> list[set[int]]:
    found: dict[tuple[int, int], set[int]] = {}
    for customer, product, ago, _ in rows:
        found.setdefault((customer, ago), set()).add(product)
    return list(found.values())


def test_a_storefront_never_fills_up_with_substitutes_of_the_cart() -> None:
    live = scored().snapshot.live
    shown = [
        name for name, _, _ in live.rank(None, [], cart=["fridges-01"], list_name="bought_together", k=60)
    ]
    assert shown
    assert not {*shown} & {*ids_of(FRIDGES)}
