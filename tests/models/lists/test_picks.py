from dataclasses import replace
from itertools import product

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.rules import no_rules

from features.arrays.brought_back import BroughtBack
from features.arrays.history import History, Vocabulary
from models.lists.list_kinds import PERSONAL
from models.lists.picks import PINNED, SOURCES, Pairs, asked_for, filled, frame, pick
from models.lists.rules import Rules

N = 9
FREE = no_rules(N)


def shop_of(bought: list[set[int]]) -> History:
    """A customer for each set of products, all bought yesterday."""
    product = np.array([code for codes in bought for code in sorted(codes)], np.int32)
    indptr = np.concatenate([[0], np.cumsum([len(codes) for codes in bought])]).astype(np.int64)
    customers = Vocabulary.of([f"c{number}" for number in range(len(bought))])
    ones = np.ones(len(product), np.float32)
    order = np.arange(len(product), dtype=np.int32)
    products = Vocabulary.of([f"p{number}" for number in range(N)])
    return History(customers, products, indptr, product, order, order * 0 + 9, ones, ones, 10)


def pairs_of(bought: list[set[int]], proposed: list[set[int]]) -> Pairs:
    rows = [(c, p, p in bought[c]) for c in range(len(bought)) for p in sorted(bought[c] | proposed[c])]
    customer, product, own = np.array(rows, int).reshape(-1, 3).T.astype(np.int32)
    score = np.random.default_rng(0).random(len(rows)).astype(np.float32)
    return Pairs(customer, product, score, np.where(own, 0, 1).astype(np.uint8), own.astype(bool))


sets = st.sets(st.integers(0, N - 1))
shops = st.lists(st.tuples(sets, sets, sets), min_size=1, max_size=4)


def free_but_for(back: list[set[int]]) -> Rules:
    """Rules of a shop whose customers brought these products back, and nothing else."""
    customers = Vocabulary.of([f"c{number}" for number, products in enumerate(back) if products])
    rows = [(customers.code(f"c{number}"), p) for number, products in enumerate(back) for p in products]
    keys = np.sort(np.array([code * N + p for code, p in rows], np.int64))
    return replace(FREE, back=BroughtBack(customers, N, keys))


@settings(max_examples=100, deadline=None)
@given(shops, st.integers(1, N + 3))
def test_lists_hold_exactly_the_smaller_of_k_and_what_is_eligible_each_product_once(
    shop: list, k: int
) -> None:
    bought, proposed, back = ([set(part) for part in parts] for parts in zip(*shop, strict=True))
    back = [some - own for some, own in zip(back, bought, strict=True)]
    history, rules = shop_of(bought), free_but_for(back)
    pairs = pairs_of(bought, proposed).best_first(rules)
    popularity = np.linspace(0.5, 0.1, N, dtype=np.float32)
    ids = history.customers.ids
    lists = {
        name: pick(pairs.of_list(name, rules, ids=ids), len(bought), k=k, rules=rules) for name in PERSONAL
    }
    picked = {name: (picks.product >= 0).sum(axis=1) for name, picks in lists.items()}
    filled(lists, history, popularity=popularity, rules=rules)
    for name in PERSONAL:
        for customer, own in enumerate(bought):
            row, score = lists[name].product[customer], lists[name].score[customer]
            shown = row[row >= 0].tolist()
            new = set(range(N)) - own - back[customer]
            eligible = {"for_you": set(range(N)), "buy_again": own, "new_for_you": new}[name]
            assert len(shown) == len({*shown}) == min(k, len(eligible))
            assert {*shown} <= eligible
            n_picked = picked[name][customer]
            if name != "buy_again":  # what sells best (the lowest codes) completes the others
                assert shown[n_picked:] == sorted(eligible - {*shown[:n_picked]})[: len(shown) - n_picked]
            assert (row[len(shown) :] == -1).all()
            assert (np.diff(score[: len(shown)]) <= 0).all()


@settings(max_examples=100, deadline=None)
@given(shops, st.integers(1, N + 3), st.lists(st.integers(0, N - 1), max_size=3, unique=True))
def test_pinned_products_come_first_for_those_who_may_be_shown_them(
    shop: list, k: int, pins: list[int]
) -> None:
    bought, proposed, back = ([set(part) for part in parts] for parts in zip(*shop, strict=True))
    history, pairs, plain = shop_of(bought), pairs_of(bought, proposed), free_but_for(back)
    popularity, ids = np.linspace(0.5, 0.1, N, dtype=np.float32), history.customers.ids
    pinned = replace(plain, pinned=dict.fromkeys(PERSONAL, np.array(pins, np.int32)))
    before, after = (
        {name: pick(pairs.of_list(name, rules, ids=ids), len(bought), k=k, rules=rules) for name in PERSONAL}
        for rules in (plain, pinned)
    )
    filled(before, history, popularity=popularity, rules=plain)
    filled(after, history, popularity=popularity, rules=pinned)
    for name, customer in product(PERSONAL, range(len(bought))):
        own, tried = bought[customer], bought[customer] | back[customer]
        rows = list(zip(*(column[customer].tolist() for column in before[name][:3]), strict=True))
        for code in reversed(pins):
            if {"for_you": True, "buy_again": code in own, "new_for_you": code not in tried}[name]:
                chance = next((row[1] for row in rows if row[0] == code), float(popularity[code]))
                rows = [(code, chance, PINNED), *(row for row in rows if row[0] != code)][:k]
        assert rows == list(zip(*(column[customer].tolist() for column in after[name][:3]), strict=True))


def test_ties_go_to_the_lower_code_and_the_best_comes_first() -> None:
    source, own = np.zeros(3, np.uint8), np.ones(3, bool)
    score = np.array([0.1, 0.5, 0.5], np.float32)
    pairs = Pairs(np.zeros(3, np.int32), np.array([1, 7, 4], np.int32), score, source, own)
    assert pick(pairs.best_first(FREE), 1, k=3, rules=FREE).product.tolist() == [[4, 7, 1]]


def test_what_completes_a_list_says_that_it_is_popular() -> None:
    lists = {"for_you": pick(pairs_of([{2}], [set()]).best_first(FREE), 1, k=3, rules=FREE)}
    filled(lists, shop_of([{2}]), popularity=np.linspace(0, 0.9, N, dtype=np.float32), rules=FREE)
    table = frame(lists, ["c0"], products=shop_of([{2}]).products.ids)
    assert table["product_id"].tolist() == ["p2", "p8", "p7"]
    assert table["source"].tolist() == ["own", "popular", "popular"]
    assert table["rank"].tolist() == [1, 2, 3]
    assert {*table["source"]} <= {*SOURCES}


def test_ids_in_any_script_come_out_as_they_went_in() -> None:
    ids = ["São Paulo ☕", "p'; --", "商品/../é"]
    products = Vocabulary.of(ids)
    best_first = pick(pairs_of([{0, 1, 2}], [set()]).best_first(FREE), 1, k=3, rules=FREE)
    table = frame({"for_you": best_first}, ["Ünï"], products=products.ids)
    assert sorted(table["product_id"]) == sorted(ids)
    assert {*table["customer_id"]} == {"Ünï"}


def test_an_unknown_customer_has_no_rows_and_keeps_their_place() -> None:
    history = asked_for(shop_of([{1}, {2, 3}]), ["nobody", "c1", "c0"])
    assert np.diff(history.indptr).tolist() == [0, 2, 1]
    assert history.product.tolist() == [2, 3, 1]
    assert history.customers.names([0, 1]) == ["nobody", "c1"]
