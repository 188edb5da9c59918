from dataclasses import replace
from functools import cache
from pathlib import Path
from tempfile import mkdtemp
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds.checkerboard import CUTOFF, SMALL, board_lines, colour
from worlds.orders import make_shop

from features.arrays.dtypes import Bools, Floats, Ints
from features.shop import Shop
from models.candidates.state import ListState
from models.cross_sell import CrossSell
from models.ranking.live import Live
from models.similarity.collaborative import Neighbours
from models.similarity.newcomers import Newcomers, _age, _alike

WORDS = ("red apple juice", "blue herring paste")


def catalogue() -> pd.DataFrame:
    """Return the board's products named by their colour, and three more that nobody has bought.

    One of each colour was launched a week ago, and one of the first a year ago without a sale since.
    """
    ids = [f"p{code:03d}" for code in range(80)]
    rows = [(name, WORDS[colour(name)], "food", 2.0 + int(name[1:]), None) for name in ids]
    rows += [
        ("new-red", WORDS[0], "food", 40.0, "2024-05-13"),
        ("new-blue", WORDS[1], "food", 40.0, "2024-05-13"),
    ]
    rows += [("dead-red", WORDS[0], "food", 40.0, "2023-05-13")]
    frame = pd.DataFrame(rows, columns=["product_id", "name", "category", "list_price", "launched_on"])
    return frame.assign(launched_on=pd.to_datetime(frame["launched_on"]))


@cache
def launched() -> tuple[Shop, CrossSell, ListState]:
    shop = make_shop(Path(mkdtemp()), board_lines(), products=catalogue())
    model = CrossSell.fit(shop, CUTOFF, config=SMALL)
    return shop, model, model.state(shop, CUTOFF)


def code_of(name: str) -> int:
    return launched()[2].history.products.code(name)


def test_what_was_launched_lately_is_new_and_what_never_sold_in_a_year_is_not() -> None:
    newcomers = launched()[2].newcomers
    assert np.flatnonzero(newcomers.is_new).tolist() == sorted([code_of("new-red"), code_of("new-blue")])
    assert not newcomers.weight[code_of("dead-red")].any()


def test_a_new_product_is_believed_to_sell_as_its_look_alikes_but_less() -> None:
    _, _, state = launched()
    like = state.newcomers.like[code_of("new-red")]
    assert {colour(name) for name in state.history.products.names(like[like >= 0])} == {0}
    believed, usual = state.table.popularity[code_of("new-red")], state.table.popularity[like].mean()
    assert 0.05 * usual < believed < usual


def test_a_new_product_comes_to_those_who_buy_its_look_alikes() -> None:
    _, model, state = launched()
    picks, score = model.ready(state, 80)["new_for_you"], {}
    for name in ("new-red", "new-blue"):
        row, rank = np.nonzero(picks.product == code_of(name))
        score[name] = np.bincount(row % 2, picks.score[row, rank]) / np.bincount(row % 2)
    assert score["new-red"][0] > 2 * score["new-red"][1]
    assert score["new-blue"][1] > 2 * score["new-blue"][0]


def test_a_share_of_places_brings_new_products_to_the_front_and_none_is_the_default() -> None:
    _, model, state = launched()
    exploring = replace(state, rules=replace(state.rules, explore_share=0.2))
    news = [code_of("new-red"), code_of("new-blue")]
    plain, found = (model.ready(one, 5)["new_for_you"].product for one in (state, exploring))
    assert np.isin(found, news).any(axis=1).all()
    assert np.isin(plain, news).any(axis=1).mean() < 0.5


def test_live_answers_believe_the_same_of_new_products(tmp_path: Path) -> None:
    _, model, state = launched()
    model.save_state(state, tmp_path)
    live, ready = Live.load(tmp_path), model.ready(state, 40)["new_for_you"]
    for code, name in enumerate(state.history.customers.all_names()[:10]):
        found, product = live.rank(name, list_name="new_for_you", k=40), ready.product[code]
        assert [pick[0] for pick in found] == state.history.products.names(product[product >= 0])


def test_silence_on_sale_counts_against_a_new_product() -> None:
    shop, _, state = launched()
    catalogue, table = shop.catalogue(CUTOFF), state.table
    belief = []
    for days in (1, 7, 20):
        day = np.where(np.isnan(catalogue.launched_day), np.nan, state.history.cutoff_day - days)
        later = replace(catalogue, launched_day=day.astype(np.float32))
        found = Newcomers.of(state.history, later, table=table, near=state.texts, horizon_days=28)
        belief.append(float(found.weight[code_of("new-red")].sum()))
    assert belief[0] > belief[1] > belief[2] > 0


def test_a_young_shop_has_no_new_products() -> None:
    shop, _, state = launched()
    history = replace(state.history, day=np.maximum(state.history.day, state.history.cutoff_day - 50))
    assert not Newcomers.of(
        history, shop.catalogue(CUTOFF), table=state.table, near=state.texts, horizon_days=28
    ).is_new.any()


def test_a_chance_is_raised_by_look_alikes_that_were_not_bought_and_never_lowered() -> None:
    like = np.array([[-1, -1], [-1, -1], [0, 1]], np.int32)
    newcomers = Newcomers(like[:, 0] >= 0, like, np.where(like >= 0, 0.25, 0).astype(np.float32))
    own = {(0, 0), (2, 0), (2, 1)}  # customer, look-alike

    def ask(customer: Ints, product: Ints) -> tuple[Floats, Bools]:
        pairs = zip(customer.tolist(), product.tolist(), strict=True)
        return np.array([0.8, 0.4], np.float32)[product], np.array([pair in own for pair in pairs])

    customer, product = np.array([0, 1, 2, 2], np.int32), np.array([2, 2, 2, 0], np.int32)
    chance = np.array([0.1, 0.9, 0.1, 0.1], np.float32)
    raised = newcomers.lifted(chance, customer, product=product, ask=ask)
    assert raised.tolist() == pytest.approx([0.4 * 0.25 / 0.5, 0.9, 0.1, 0.1])


def test_without_a_day_of_launch_a_product_is_as_old_as_its_first_sale() -> None:
    history: Any = SimpleNamespace(cutoff_day=100)
    catalogue: Any = SimpleNamespace(launched_day=np.array([np.nan, 90.0, np.nan]))
    table: Any = SimpleNamespace(column=lambda _: np.array([5.0, 50.0, np.nan]))
    np.testing.assert_array_equal(_age(history, catalogue, table), [5, 10, np.nan])


def test_a_look_alike_is_not_new_itself() -> None:
    near = Neighbours(np.array([[1, 2], [0, 2], [0, 1]], np.int32), np.ones((3, 2), np.float32))
    _, weight = _alike(near, np.ones(3, np.float32), np.array([True, True, False]))
    assert weight.tolist() == [[0, 1], [0, 1], [0, 0]]
