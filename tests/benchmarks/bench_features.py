"""Customer features at one cutoff against DuckDB's bare GROUP BY over the same shop: medians, taken in turn.

``python tests/benchmarks/bench_features.py [HOME]``; without a home, Complete Journey is ingested first.
"""

import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from rich.console import Console
from rich.table import Table

from features.customer import CUSTOMER_FEATURES, OWN_FEATURES
from features.feature_set import FeatureSet
from features.ingest import ingest
from features.shop import Shop
from features.window import shift_days

BARE = """
SELECT customer_id, count(*), sum(revenue), sum(quantity), min(ordered_at), max(ordered_at)
FROM order_lines GROUP BY customer_id
"""
BAR, ROUNDS = 5.0, 15


def timed(work: Callable[[], object]) -> float:
    """Return milliseconds of one call."""
    start = time.perf_counter()
    work()
    return (time.perf_counter() - start) * 1000


def main(home: Path) -> float:
    """Print the table; return the ratio of the medians."""
    shop = Shop(home)
    cutoff = shift_days(shop.warehouse.last_at, -28, shop.timezone)

    def compute(features: FeatureSet) -> Callable[[], object]:
        return lambda: features.compute(shop.con, cutoff, timezone=shop.timezone)

    begun = timed(compute(CUSTOMER_FEATURES))
    sets = (CUSTOMER_FEATURES, OWN_FEATURES, *CUSTOMER_FEATURES.beside)
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


if __name__ == "__main__":
    if len(sys.argv) > 1:
        sys.exit(main(Path(sys.argv[1])) > BAR)
    with tempfile.TemporaryDirectory() as folder:
        ingest("complete_journey", Path(folder))
        sys.exit(main(Path(folder)) > BAR)
