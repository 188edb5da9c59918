from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.checkerboard import board, colour, habit_of
from worlds.orders import make_shop

from features.arrays.history import History
from features.window import parse_cutoff
from models.candidates.sources import Source, new_sources
from models.candidates.state import ListState
from models.candidates.union import Candidates, _own, candidates
from models.lists.picks import SOURCES
from models.ranking.cross_sell_rows import CrossSellConfig
from models.similarity.alike import alike
from models.similarity.baskets import together
from models.similarity.collaborative import factors, similar

BUDGETS = dict.fromkeys(CrossSellConfig().budgets, 6)


def everyone(state: ListState) -> np.ndarray:
    return np.arange(len(state.history.customers), dtype=np.int32)


def found(budgets: dict[str, int] | None = None, n_own: int = 400) -> tuple[ListState, Candidates]:
    _, _, state = board()
    return state, candidates(
        state, everyone(state), sources=new_sources(state, budgets or BUDGETS), n_own=n_own
    )


def bought_by(history: History) -> set[tuple[int, int]]:
    return {*zip(history.customer.tolist(), history.product.tolist(), strict=True)}


def test_all_that_was_bought_is_a_candidate_and_marked_as_own() -> None:
    state, pairs = found()
    own = {*zip(pairs.customer[pairs.own].tolist(), pairs.product[pairs.own].tolist(), strict=True)}
    assert own == bought_by(state.history)


def test_new_candidates_were_not_bought_and_no_pair_comes_twice() -> None:
    state, pairs = found()
    all_pairs = [*zip(pairs.customer.tolist(), pairs.product.tolist(), strict=True)]
    assert len({*all_pairs}) == len(all_pairs)
    new = {pair for pair, own in zip(all_pairs, pairs.own.tolist(), strict=True) if not own}
    assert not new & bought_by(state.history)
    assert all_pairs == sorted(all_pairs)


def test_of_too_many_own_products_the_liveliest_stay() -> None:
    state, pairs = found(n_own=2)
    assert np.bincount(pairs.customer[pairs.own]).max() == 2
    kept = {*zip(pairs.customer[pairs.own].tolist(), pairs.product[pairs.own].tolist(), strict=True)}
    assert (7, state.history.products.code(habit_of(7))) in kept


def test_what_was_bought_lately_outlives_what_was_bought_more_a_year_ago(tmp_path: Path) -> None:
    days = pd.to_datetime(["2023-01-01", "2023-01-08", "2023-01-15", "2024-01-01"])
    lines = pd.DataFrame({"customer_id": "a", "ordered_at": days, "product_id": [*("old",) * 3, "new"]})
    history = make_shop(tmp_path, lines.assign(quantity=1.0)).history(parse_cutoff("2024-01-08"))
    assert history.products.names(_own(history, 1)[1]) == ["new"]


@pytest.mark.parametrize("name", ["similar", "linear", "factors", "alike", "baskets"])
def test_collaborative_sources_find_the_colour(name: str) -> None:
    state, pairs = found({name: 3})
    customers = state.history.customers.names(pairs.customer[~pairs.own])
    products = state.history.products.names(pairs.product[~pairs.own])
    right = [colour(one) == colour(other) for one, other in zip(customers, products, strict=True)]
    assert len(right) > 20
    assert np.mean(right) > 0.95


@pytest.mark.parametrize("name", [*BUDGETS])
def test_a_source_keeps_to_its_budget_and_its_name(name: str) -> None:
    _, pairs = found({name: 2})
    new = ~pairs.own
    assert np.bincount(pairs.customer[new]).max(initial=0) <= 2
    assert {*pairs.source[new].tolist()} <= {SOURCES.index(name)}
    assert new.any() == (name != "arrivals"), "nothing is new on the board"


def test_every_source_is_one_small_class_with_a_known_name() -> None:
    _, _, state = board()
    sources: list[Source] = new_sources(state, BUDGETS)
    assert {source.name for source in sources} == {*BUDGETS} <= {*SOURCES}


def test_similar_products_are_those_of_the_obvious_cosine() -> None:
    _, _, state = board()
    history, n = state.history, len(state.history.products)
    counts = np.zeros((len(history.customers), n))
    np.add.at(counts, (history.customer, history.product), np.exp2((history.day - history.cutoff_day) / 112))
    rarity = np.log1p(n / (1 + (counts > 0).sum(axis=1)))
    weighted = np.sqrt(counts) * rarity[:, None]
    weighted /= np.linalg.norm(weighted, axis=0)
    cosine = weighted.T @ weighted
    np.fill_diagonal(cosine, 0)
    near = similar(history, 5, half_life_days=112.0)
    np.testing.assert_allclose(near.score, -np.sort(-cosine, axis=1)[:, :5], rtol=1e-4)


def test_what_is_bought_together_is_above_chance_in_orders() -> None:
    _, _, state = board()
    near = together(state.history, np.full(80, -1, np.int32), n=8).near
    row, column = np.nonzero(near.product >= 0)
    names = state.history.products.names
    same = [
        colour(one) == colour(other)
        for one, other in zip(names(row), names(near.product[row, column]), strict=True)
    ]
    assert len(same) > 3  # orders of three at random: hardly a pair is beyond chance
    assert all(same)


def test_the_same_seed_gives_the_same_factors_and_profiles() -> None:
    _, _, state = board()
    for one, other in zip(
        factors(state.history, 8, half_life_days=56, seed=3),
        factors(state.history, 8, half_life_days=56, seed=3),
        strict=True,
    ):
        np.testing.assert_array_equal(one, other)
    options = {"near": 5, "depth": 6, "half_life_days": 56.0, "seed": 1}
    first, second = (alike(state.history, state.assortment, **options) for _ in range(2))  # type: ignore[arg-type]
    np.testing.assert_array_equal(first.product, second.product)
