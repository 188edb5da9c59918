"""A checkerboard shop: customers and products come in two colours, and each buys its own colour."""

import atexit
from datetime import timedelta
from functools import cache
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp

import numpy as np
import pandas as pd
from worlds.orders import make_shop

from features.shop import Shop
from features.window import parse_cutoff
from models.candidates.state import ListState
from models.cross_sell import CrossSell, CrossSellConfig
from models.ranking.live import Live

START = "2024-01-01"
N_DAYS = 168
CUTOFF = parse_cutoff("2024-05-20")
"""140 days of orders lie before it, and one horizon of 28 days after it."""


SMALL = CrossSellConfig(n_bags=1, n_trees=60, n_factors=8, n_neighbours=10, n_alike=10)
"""Enough for eighty products."""


def board_lines(n_customers: int = 60, n_products: int = 80, seed: int = 0) -> pd.DataFrame:
    """Return a weekly order of three products of one's own colour; each customer has a favourite."""
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(n_customers):
        mine = np.arange(customer % 2, n_products, 2)
        habit = int(habit_of(customer, n_products)[1:])
        for day in range(customer % 7, N_DAYS, 7):
            moment = pd.Timestamp(START) + timedelta(days=day, hours=12)
            for product in {habit, *rng.choice(mine, 2, replace=False)}:
                rows.append(
                    (f"c{customer:03d}", f"o{customer}-{day}", moment, f"p{product:03d}", 1.0, 2.0 + product)
                )
    columns = ["customer_id", "order_id", "ordered_at", "product_id", "quantity", "unit_price"]
    return pd.DataFrame(rows, columns=columns)


def habit_of(customer: int, n_products: int = 80) -> str:
    """Return the product that a customer buys every week."""
    mine = np.arange(customer % 2, n_products, 2)
    return f"p{mine[customer % len(mine)]:03d}"


def board_catalogue(n_products: int = 80) -> pd.DataFrame:
    """Return a catalogue whose categories are four, across the colours."""
    codes = range(n_products)
    return pd.DataFrame(
        {
            "product_id": [f"p{code:03d}" for code in codes],
            "category": [f"shop > {code // 20}" for code in codes],
            "brand": [f"brand {code % 3}" for code in codes],
        }
    )


def make_board(folder: Path, **options: int) -> Shop:
    """Ingest a checkerboard shop; its horizon is 28 days."""
    return make_shop(folder, board_lines(**options), products=board_catalogue())


def colour(name: str) -> int:
    """Return the colour of a customer or a product."""
    return int(name[1:]) % 2


def folder_of_its_own() -> Path:
    """Make a folder that is gone when the tests are."""
    folder = mkdtemp(prefix="recompra-board-")
    atexit.register(rmtree, folder, ignore_errors=True)
    return Path(folder)


@cache
def board() -> tuple[Shop, CrossSell, ListState]:
    """Return a shop, a model that learnt from its first 140 days, and the state after them; made once."""
    shop = make_board(folder_of_its_own())
    model = CrossSell.fit(shop, CUTOFF, config=SMALL)
    return shop, model, model.state(shop, CUTOFF)


@cache
def board_live() -> Live:
    """Return what request workers hold of that state."""
    _, model, state = board()
    folder = folder_of_its_own()
    model.save_state(state, folder)
    return Live.load(folder)
