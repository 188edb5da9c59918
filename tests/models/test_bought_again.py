"""A shop tells by its own orders whether things are bought again: no setting is needed."""

from functools import cache
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.checkerboard import CUTOFF, N_DAYS, START, folder_of_its_own
from worlds.orders import make_shop

from models.cross_sell import CrossSell, CrossSellConfig

N_CUSTOMERS, N_PRODUCTS = 50, 60
SMALL = CrossSellConfig(n_bags=1, n_trees=40, n_factors=8, n_neighbours=10, n_alike=10)


def lines(*, again: bool, seed: int = 0) -> pd.DataFrame:
    """Return weekly orders of two products: the same two each week, or never one twice."""
    rng, rows = np.random.default_rng(seed), []
    for customer in range(N_CUSTOMERS):
        mine = rng.permutation(N_PRODUCTS)
        for week, day in enumerate(range(customer % 7, N_DAYS, 7)):
            bought = mine[:2] if again else mine[2 * week : 2 * week + 2]
            moment = pd.Timestamp(START) + pd.Timedelta(days=day, hours=12)
            rows += [
                (f"c{customer:02d}", f"o{customer}-{day}", moment, f"p{product:02d}") for product in bought
            ]
    return pd.DataFrame(rows, columns=["customer_id", "order_id", "ordered_at", "product_id"])


@cache
def lists_of(*, again: bool) -> tuple[pd.DataFrame, "pd.Series[bool]"]:
    """Return what was recommended, and which of it the customer had bought before."""
    folder: Path = folder_of_its_own()
    shop = make_shop(folder, lines(again=again))
    model = CrossSell.fit(shop, CUTOFF, config=SMALL)
    state = model.state(shop, CUTOFF)
    found, history = model.recommend(state, k=5), state.history
    names = np.array(history.customers.all_names())[history.customer]
    bought = {*zip(names.tolist(), history.products.names(history.product), strict=True)}
    pairs = zip(found["customer_id"], found["product_id"], strict=True)
    return found, pd.Series([pair in bought for pair in pairs], index=found.index)


def test_where_nothing_is_bought_again_for_you_shows_nothing_already_bought() -> None:
    found, bought = lists_of(again=False)
    assert not bought[found["list"] == "for_you"].any()


def test_where_everything_is_bought_again_for_you_leads_with_it() -> None:
    found, bought = lists_of(again=True)
    assert bought[(found["list"] == "for_you") & (found["rank"] <= 2)].mean() > 0.99


@pytest.mark.parametrize("again", [False, True])
def test_new_for_you_is_new_in_either_shop(again: bool) -> None:
    found, bought = lists_of(again=again)
    assert not bought[found["list"] == "new_for_you"].any()
