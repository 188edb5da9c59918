"""The peers of ``bench_lists.py`` are what their papers say, and a cell's truth is what the orders say."""

import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.orders import make_shop, order_lines

from features.shop import Shop
from features.storage.tables import fetch
from models.similarity.tifu import TifuKnn

HERE = Path(__file__).parent
sys.path += [str(HERE), str(HERE / "peers")]  # scripts, run by their path: they are no packages

from lists_cells import HORIZONS, Cell, cells_of  # noqa: E402
from methods import N_TRIALS, PEERS, ease, tifu  # noqa: E402
from world import World  # noqa: E402


@pytest.fixture(scope="module")
def cell(tmp_path_factory: pytest.TempPathFactory) -> Cell:
    lines = order_lines(20)
    kept = lines[lines["quantity"] > 0]  # nothing is brought back, so that the slow counts stay obvious
    shop = make_shop(tmp_path_factory.mktemp("shop"), kept)
    return cells_of(shop, "2024-05-01")[1]


@pytest.fixture(scope="module")
def world(cell: Cell, tmp_path_factory: pytest.TempPathFactory) -> World:
    folder = tmp_path_factory.mktemp("cell")
    cell.write(folder, truth=True)
    return World.read(folder)


def lines_of(shop: Shop) -> pd.DataFrame:
    lines = fetch(shop.con, "FROM order_lines")
    return lines.assign(ordered_at=lines["ordered_at"].dt.tz_localize("UTC"))


def test_the_next_basket_is_the_first_order_at_or_after_the_cutoff(cell) -> None:
    later = lines_of(cell.shop).query("ordered_at >= @cell.cutoff").sort_values("ordered_at")
    first = later.groupby("customer_id")["order_id"].first()
    wanted = later[later["order_id"] == later["customer_id"].map(first)]
    customer, product = cell.truth(HORIZONS[1])["all"]
    found = set(zip(cell.holdout.customers[customer], cell.holdout.products[product], strict=True))
    assert found == set(zip(wanted["customer_id"], wanted["product_id"], strict=True))


def test_peers_see_every_purchase_before_the_cutoff_and_none_after(cell, world) -> None:
    before = lines_of(cell.shop).query("ordered_at < @cell.cutoff")
    assert len(world.events) == len(before)
    assert (world.age > 0).all()
    wanted = pd.crosstab(before["customer_id"], before["product_id"]).to_numpy()
    np.testing.assert_array_equal(world.counts().toarray(), wanted)


def test_lists_of_new_products_hold_nothing_bought(world) -> None:
    lists = world.top(lambda rows: np.random.default_rng(0).random((len(rows), world.n_products)), 5)["new"]
    customer, rank = np.nonzero(lists >= 0)
    assert not world.bought[customer, lists[customer, rank]].any()


@pytest.mark.parametrize("weight", ["binary", "log"])
def test_ease_without_its_inverse_equals_ease_with_it(world, weight) -> None:
    x = world.bought.toarray() if weight == "binary" else np.log1p(world.counts().toarray())
    inverse = np.linalg.inv(x.T @ x + 20 * np.eye(x.shape[1]))
    weights = -inverse / np.diag(inverse)
    np.fill_diagonal(weights, 0)
    rows = np.arange(len(x))
    np.testing.assert_allclose(ease(world, 20.0, weight)(rows), x @ weights, atol=1e-3)


def test_tifu_knn_of_the_peers_equals_ours(cell, world) -> None:
    options = {"group": 3, "within": 0.9, "between": 0.6, "near": 4, "alpha": 0.2}
    rows = np.arange(world.n_customers)
    ours = TifuKnn.of(cell.shop.history(cell.cutoff), **options).scores(rows.astype(np.int32))
    np.testing.assert_allclose(tifu(world, **options)(rows), ours, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", sorted(PEERS))
def test_every_peer_has_the_same_number_of_different_trials(name) -> None:
    trials = [tuple(sorted(trial.items(), key=str)) for trial in PEERS[name].trials]
    assert len(set(trials)) == len(trials) == N_TRIALS
