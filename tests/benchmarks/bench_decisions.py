"""Decisions at scale: retention targets for a million customers, offers for 100,000, one offer.

``python tests/benchmarks/bench_decisions.py``; generated customers and products.
"""

import time
from collections.abc import Callable

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from features.settings import Economics
from models.contact_policy import Goods, People
from models.decisions.offer import Case, Terms, choose
from models.decisions.retention import choose_targets, rank_customers

N_CUSTOMERS, N_OFFERED, N_PRODUCTS, N_CANDIDATES = 1_000_000, 100_000, 50_000, 60
RANKING_BAR_SECONDS = 10.0


def timed(work: Callable[[], object]) -> float:
    """Return seconds of one call."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def people(rng: np.random.Generator, n: int) -> People:
    """Return customers of whom most may be contacted."""
    return People(rng.choice([-1, 0, 1, 1, 1], n).astype(np.int8), rng.integers(0, 5, n).astype(np.int32))


def scores(rng: np.random.Generator) -> pd.DataFrame:
    """Return churn and margin of a million customers, in no order."""
    ids = [f"c{code:07d}" for code in rng.permutation(N_CUSTOMERS).tolist()]
    columns = {
        "churn_probability_90d": rng.random(len(ids)),
        "expected_margin_90d": rng.gamma(1, 50, len(ids)),
    }
    return pd.DataFrame(columns, index=pd.Index(ids, name="customer_id"))


def case(rng: np.random.Generator, n: int) -> Case:
    """Return candidates of ``n`` customers."""
    shape = (n, N_CANDIDATES)
    product = rng.integers(0, N_PRODUCTS, shape).astype(np.int32)
    return Case(people(rng, n), product, rng.random(shape) / 2, np.full(shape, np.nan))


def main() -> float:
    """Print the table; return the seconds a ranking of a million customers takes."""
    rng = np.random.default_rng(0)
    price, free = rng.gamma(2, 10, N_PRODUCTS), np.zeros(N_PRODUCTS, bool)
    shelf, terms = Goods(price, price * 0.3, np.full(N_PRODUCTS, np.nan), free), Terms(horizon_days=28)
    base, crowd = scores(rng), people(rng, N_CUSTOMERS)
    batch, one = case(rng, N_OFFERED), case(rng, 1)
    ranking = rank_customers(base, crowd, Economics(), horizon_days=90)
    seconds = timed(lambda: rank_customers(base, crowd, Economics(), horizon_days=90))
    table = Table("decision", "seconds")
    table.add_row(f"rank {N_CUSTOMERS:,} customers by expected gain", f"{seconds:.2f}")
    table.add_row("choose targets under a budget", f"{timed(lambda: choose_targets(ranking, 5000.0)):.4f}")
    table.add_row(f"offers for {N_OFFERED:,} customers", f"{timed(lambda: choose(batch, shelf, terms)):.2f}")
    table.add_row("one offer", f"{timed(lambda: [choose(one, shelf, terms) for _ in range(100)]) / 100:.6f}")
    Console().print(table)
    return seconds


if __name__ == "__main__":
    raise SystemExit(main() > RANKING_BAR_SECONDS)
