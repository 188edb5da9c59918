"""A young shop of customers who never change: what they buy in a month, they buy in the next."""

from functools import cache

import numpy as np
import pandas as pd
from worlds.checkerboard import START, folder_of_its_own
from worlds.orders import make_shop

from features.shop import Shop
from features.window import parse_cutoff, shift_days

FIRST = parse_cutoff(START)
CUTOFF = shift_days(FIRST, 60, timezone="UTC")


def steady_lines(n_customers: int = 150, days: int = 88, seed: int = 0) -> pd.DataFrame:
    """Return orders of customers who never change: each comes at its own rate, for favourites of its own.

    But one, who brought back all there was.
    """
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(n_customers):
        liked = rng.dirichlet(np.full(60, 0.15))
        for day in np.flatnonzero(rng.random(days) < rng.beta(1, 6)):
            moment = pd.Timestamp(START) + pd.Timedelta(days=int(day), hours=9)
            for product in np.unique(rng.choice(60, 4, p=liked)):
                rows.append((f"c{customer:03d}", moment, f"p{product:02d}", 1.0))
    first, second = (pd.Timestamp(START) + pd.Timedelta(days=days) for days in (10, 45))
    rows += [("gone", first, "gone", 1.0), ("gone", second, "gone", -1.0)]
    return pd.DataFrame(rows, columns=["customer_id", "ordered_at", "product_id", "quantity"])


@cache
def shop() -> Shop:
    return make_shop(folder_of_its_own(), steady_lines())
