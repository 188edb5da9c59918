import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.checkerboard import board, board_live, colour, habit_of

from features.arrays import pairs, receipts
from features.errors import ArtefactError
from models.candidates.state import ListState
from models.lists.list_kinds import PERSONAL
from models.lists.picks import SOURCES
from models.lists.pool import united
from models.lists.since import by_now
from models.ranking import trees
from models.ranking.live import Live
from models.similarity.affinity import affinities

NAMES = [f"c{number:03d}" for number in range(60)]
PRODUCTS = [f"p{number:03d}" for number in range(80)]
ids = st.lists(st.sampled_from(PRODUCTS), max_size=4)


def listed(live: Live, *words: object, **options: object) -> list[str]:
    return [name for name, _, _ in live.rank(*words, **options)]  # type: ignore[arg-type]


@pytest.mark.parametrize("list_name", PERSONAL)
def test_with_nothing_new_the_answer_is_the_ready_list(list_name: str) -> None:
    _, model, state = board()
    ready, live = model.ready(state, 20)[list_name], board_live()
    for code, name in enumerate(NAMES):
        found, product = live.rank(name, list_name=list_name, k=20), ready.product[code]
        assert [pick[0] for pick in found] == state.history.products.names(product[product >= 0])
        np.testing.assert_array_equal([pick[1] for pick in found], ready.score[code][product >= 0])
        assert [pick[2] for pick in found] == [SOURCES[s] for s in ready.source[code][product >= 0].tolist()]


lines = st.lists(st.tuples(st.sampled_from(PRODUCTS), st.sampled_from([1.0, 2.0, -1.0])), max_size=5)


people = st.sampled_from([None, "nobody", *NAMES])
all_lists = st.sampled_from([*PERSONAL, "bought_together", "upsell", "popular"])


@settings(max_examples=150, deadline=None)
@given(
    people, st.tuples(lines, ids), all_lists, st.integers(1, 90), st.tuples(ids, st.integers(0, 2**32 - 1))
)
def test_every_answer_is_exactly_min_k_eligible_unique_and_allowed(
    name: str | None, since: tuple, list_name: str, k: int, limits: tuple
) -> None:
    _, _, state = board()
    (new, cart), (exclude, seed) = since, limits
    eligible = np.random.default_rng(seed).random(len(PRODUCTS)) < 0.7
    found = listed(
        board_live(), name, new, cart=cart, list_name=list_name, k=k, exclude=exclude, eligible=eligible
    )
    mine, _ = by_now(state.history, state.history.customers.code(name or ""), new_lines=new)
    owned = {*state.history.products.names(np.unique(mine.product))}
    allowed = {name for name, good in zip(PRODUCTS, eligible, strict=True) if good} - {*exclude} - {*cart}
    code = state.history.customers.code(name or "")
    had = {product for product, change in new if change > 0} | owned
    had |= {*state.history.products.names(state.history.product[state.history.rows(code)])}
    allowed = {"buy_again": allowed & owned, "new_for_you": allowed - had}.get(list_name, allowed)
    if list_name == "bought_together":
        allowed -= substitutes(cart)
    if list_name == "upsell":
        allowed = set()  # no upsell model is here: nothing is known to be a better version
    assert len(found) == len({*found}) == min(k, len(allowed))
    assert {*found} <= allowed


@settings(max_examples=150, deadline=None)
@given(people, ids, all_lists, st.integers(1, 20), st.integers(0, 2**32 - 1))
def test_a_shorter_answer_is_the_head_of_a_longer_one(
    name: str | None, cart: list[str], list_name: str, k: int, seed: int
) -> None:
    eligible = np.random.default_rng(seed).random(len(PRODUCTS)) < 0.1
    long, short = (
        board_live().rank(name, (), cart=cart, list_name=list_name, k=n, eligible=eligible) for n in (80, k)
    )
    assert short == long[:k]


def substitutes(lead: list[str]) -> set[str]:
    _, _, state = board()
    kinds = {*state.kin[state.history.products.codes(lead)].tolist()} - {-1}
    return {name for name, kind in zip(PRODUCTS, state.kin.tolist(), strict=True) if kind in kinds}


def test_what_goes_with_a_cart_suits_who_asks() -> None:
    class Sure:
        """Says of the first candidate that it is bought a thousand times as likely as the others."""

        def chance(self, features: np.ndarray) -> np.ndarray:
            return np.append(np.float32(0.5), np.full(len(features) - 1, 0.0005, np.float32))

    live = replace(board_live(), ranker=Sure())
    anybody, somebody = (
        {product: score for product, score, source in found if source == "similar"}
        for found in (
            live.rank(name, (), cart=PRODUCTS[:1], list_name="bought_together", k=80)
            for name in (None, "c004")
        )
    )
    first = min(somebody)
    assert next(iter(somebody)) == first != next(iter(anybody))
    ratio = {name: score / anybody[name] for name, score in somebody.items()}
    others = [ratio[first] / ratio[name] for name in sorted(ratio)[1:]]
    assert len(others) > 5 and others == pytest.approx([10] * len(others), rel=1e-3)


def test_a_purchase_changes_the_next_answer() -> None:
    live = board_live()
    before = listed(live, "c004", list_name="new_for_you", k=5)
    bought = before[0]
    assert bought not in listed(live, "c004", [(bought, 1.0)], list_name="new_for_you", k=5)
    assert bought in listed(live, "c004", [(bought, 1.0)], list_name="buy_again", k=80)


def test_a_return_undoes_the_purchase() -> None:
    live = board_live()
    product = listed(live, "c004", list_name="new_for_you", k=1)[0]
    undone = [(product, 1.0), (product, -1.0)]
    assert live.rank("c004", undone, k=20) == live.rank("c004", k=20)


def test_what_was_brought_back_is_not_new() -> None:
    _, _, state = board()
    (kept,) = state.history.products.names([state.history.product[state.history.rows(0)][-1]])
    back = [(kept, -1.0)] * 99
    assert kept in listed(board_live(), NAMES[0], back, list_name="for_you", k=80)
    assert kept not in listed(board_live(), NAMES[0], back, list_name="new_for_you", k=80)


def test_a_return_takes_the_latest_purchase_and_leaves_the_rest() -> None:
    _, _, state = board()
    code, habit = state.history.customers.code("c007"), habit_of(7)
    product = state.history.products.code(habit)
    before = state.history.day[state.history.rows(code)][
        state.history.product[state.history.rows(code)] == product
    ]
    mine, fresh = by_now(state.history, code, new_lines=[(habit, -1.0)])
    assert mine.day[mine.product == product].tolist() == before[:-1].tolist()
    assert not len(fresh)


def test_a_return_before_a_new_purchase_does_not_undo_it() -> None:
    _, _, state = board()
    mine, fresh = by_now(state.history, -1, new_lines=[("p001", -1.0), ("p001", 1.0)])
    assert state.history.products.names(mine.product) == ["p001"]
    assert len(fresh) == 1


def test_an_unknown_customer_gets_what_goes_with_the_cart_else_what_sells() -> None:
    live = board_live()
    with_cart = live.rank(None, [], cart=["p004"], list_name="for_you", k=3)
    assert {source for _, _, source in with_cart} == {"bought_together", "similar"}
    assert {colour(name) for name, _, _ in with_cart} == {0}
    assert {source for _, _, source in live.rank("nobody", k=3)} == {"popular"}


def test_the_first_order_of_an_unknown_customer_gives_them_a_taste() -> None:
    new = [(name, 1.0) for name in ("p002", "p008", "p014", "p020")]
    found = listed(board_live(), "nobody", new, list_name="new_for_you", k=10)
    assert np.mean([colour(name) == 0 for name in found]) >= 0.9


def test_bought_together_leaves_out_the_cart_itself() -> None:
    found = board_live().rank("c001", [], cart=["p005", "p009"], list_name="bought_together", k=5)
    assert not {"p005", "p009"} & {name for name, _, _ in found}
    assert {colour(name) for name, _, source in found if source != "popular"} == {1}


def test_requests_call_compiled_functions_as_training_does() -> None:
    """Another type of array would have it compiled anew: seconds, in the middle of a request."""
    live, (_, model, state) = board_live(), board()
    functions = (affinities, united, receipts._gather, pairs._fill, trees._sums)
    model.recommend(state, NAMES[:2], k=3)
    trained = [[*function.signatures] for function in functions]  # type: ignore[attr-defined]
    for new in ([], [(PRODUCTS[1], 1.0), (PRODUCTS[2], -1.0)]):
        for name in (NAMES[0], None):
            for list_name in [*PERSONAL, "bought_together", "upsell", "popular"]:
                live.rank(name, new, cart=PRODUCTS[:2], list_name=list_name, k=5)
    assert all(trained)
    assert trained == [[*function.signatures] for function in functions]  # type: ignore[attr-defined]


def test_request_workers_need_neither_lightgbm_nor_pandas() -> None:
    heavy = {"lightgbm", "implicit", "sklearn", "mlflow", "pandas", "scipy.sparse", "ibis", "duckdb"}
    code = f"import sys, models.ranking.live; print(sorted({heavy!r} & {{*sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("name", ["product_factors", "linear.score"])
def test_a_state_whose_numbers_are_none_is_refused(tmp_path: Path, name: str) -> None:
    _, model, state = board()
    model.save_state(state, tmp_path)
    array = np.load(tmp_path / f"{name}.npy")
    np.save(tmp_path / f"{name}.npy", np.full_like(array, np.nan))
    with pytest.raises(ArtefactError, match=f"{name} of the live state"):
        Live.load(tmp_path)
    with pytest.raises(ArtefactError, match="NaN or infinity"):
        ListState.load(tmp_path).save(tmp_path / "again")
