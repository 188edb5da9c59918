"""Customer features at one cutoff against DuckDB's bare GROUP BY over the same shop: medians, taken in turn.

``python tests/benchmarks/bench_features.py [HOME]``; without a home, Complete Journey is ingested first.
``--made``: a shop of 120,000 customers with few lines each is made instead, and is over the bar.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from features.customer import CUSTOMER_FEATURES, OWN_FEATURES
from features.feature_set import FeatureSet
from features.ingest import ingest
from features.shop import Shop
from features.window import shift_days

sys.path.insert(0, str(Path(__file__).parents[1]))
from worlds.orders import make_home

BARE = """
SELECT customer_id, count(*), sum(revenue), sum(quantity), min(ordered_at), max(ordered_at)
FROM order_lines GROUP BY customer_id
"""
BAR, ROUNDS = 5.0, 15
N_LINES, FIRST, DAYS = 3_000_000, "2023-01-01", 500


def timed(work: Callable[[], object]) -> float:
    """Return milliseconds of one call."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def main(home: Path) -> float:
    """Print the table; return the ratio of the medians."""
    shop = Shop(home)
    cutoff = shift_days(shop.warehouse.last_at, -28, timezone=shop.timezone)

    def compute(features: FeatureSet) -> Callable[[], object]:
        return lambda: features.compute(shop.con, cutoff, timezone=shop.timezone)

    begun = timed(compute(CUSTOMER_FEATURES))
    sets = (CUSTOMER_FEATURES, OWN_FEATURES, *CUSTOMER_FEATURES.appended)
    works: dict[str, Callable[[], object]] = {
        "GROUP BY customer_id, 5 aggregates": lambda: shop.con.raw_sql(BARE).fetchall(),
        **{f"{len(each.names)} features at one cutoff: {each.name}": compute(each) for each in sets},
    }
    rounds = [{name: timed(work) for name, work in works.items()} for _ in range(ROUNDS)][3:]
    times = {name: [each[name] for each in rounds] for name in works}
    bare, ours, *_ = (median(each) for each in times.values())
    table = Table("what", "median ms", "ratio", title=f"{shop.facts.n_lines:,} order lines")
    for name, each in times.items():
        table.add_row(name, f"{median(each):.1f}", f"{median(each) / bare:.2f}")
    Console().print(table, f"the first time {begun:.0f} ms: tables that a connection derives once")
    Console().print(
        f"bar, of all {len(CUSTOMER_FEATURES.names)}: at most {BAR} times; here {ours / bare:.2f}"
    )
    return ours / bare


def made(rng: np.random.Generator) -> pd.DataFrame:
    """Return the lines of a shop with a long tail of customers, 25 lines each on average, and of products."""
    numbers = {
        "customer": (rng.pareto(1.2, N_LINES) * 4_000).astype(int) % 200_000,
        "product": (rng.pareto(1.0, N_LINES) * 500).astype(int) % 40_000,
        "order": np.arange(N_LINES),
    }
    ids = {f"{name}_id": np.char.add(f"{name}-", codes.astype(str)) for name, codes in numbers.items()}
    moment = pd.Timestamp(FIRST) + pd.to_timedelta(rng.integers(0, DAYS * 86_400, N_LINES), unit="s")
    price = np.round(rng.lognormal(2, 1, N_LINES), 2)
    return pd.DataFrame({**ids, "ordered_at": moment, "quantity": 1.0, "unit_price": price})


if __name__ == "__main__":
    given = sys.argv[1:]
    if given and given != ["--made"]:
        sys.exit(main(Path(given[0])) > BAR)
    with tempfile.TemporaryDirectory() as folder:
        if given:
            home = make_home(Path(folder), made(np.random.default_rng(0)))
        else:
            home = Path(folder) / "home"
            ingest("complete_journey", home)
        sys.exit(main(home) > BAR)
