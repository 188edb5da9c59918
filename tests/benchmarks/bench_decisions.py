"""Decisions at scale: targets for a million customers with one action and with five, offers, one offer.

``python tests/benchmarks/bench_decisions.py``; generated customers and products.
"""

import time
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from features.settings import Economics
from models.budgets.allocation import solve
from models.budgets.budget import best_rows
from models.budgets.calendar import ContactRoom, plan
from models.budgets.limits import Limits
from models.decisions.case import Case, Terms
from models.decisions.everyone import options
from models.decisions.offer import choose
from models.decisions.retention import rank_customers
from models.policy.actions import catalogue
from models.policy.standing import Standing
from models.policy.subjects import Goods, People

N_CUSTOMERS, N_OFFERED, N_PRODUCTS, N_CANDIDATES = 1_000_000, 100_000, 50_000, 60
N_ACTIONS = 5
RANKING_BAR_SECONDS, ACTIONS_BAR_SECONDS = 10.0, 60.0


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


def everyone(table: Table, rng: np.random.Generator) -> None:
    """Add a decision with every action of the catalogue, and a month's plan, for 100,000 customers."""
    price = rng.gamma(2, 10, N_PRODUCTS)
    shelf = Goods(price, price * 0.3, np.full(N_PRODUCTS, np.nan), np.zeros(N_PRODUCTS, bool))
    n, terms, asked = N_OFFERED, Terms(horizon_days=28, actions=catalogue()), case(rng, N_OFFERED)
    standing = replace(
        Standing.unknown(n), risk=rng.random(n), margin=rng.gamma(1, 50, n), basket=np.full(n, 30.0)
    )
    asked = replace(asked, standing=standing, role=np.full(asked.product.shape, 31, np.uint8))
    seconds = timed(lambda: options(asked, shelf, terms=terms))
    table.add_row(f"every action with {N_CANDIDATES} candidates for {n:,} customers", f"{seconds:.1f}")
    found = options(asked, shelf, terms=terms, days=27)
    none = np.zeros(n, np.int32)
    seconds = timed(lambda: plan(found, ContactRoom(none, none), n_days=28))
    table.add_row(f"a month's contacts of {n:,} customers", f"{seconds:.1f}")


def arms(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Return gain and cost of five actions for a million customers; a fifth of the arms is not permitted."""
    shape = (N_CUSTOMERS, N_ACTIONS)
    cost = np.array([0.1, 0.5, 1.0, 3.0, 5.0]) * rng.uniform(0.8, 1.2, shape)
    gain = rng.gamma(1, 4, (N_CUSTOMERS, 1)) * np.sqrt(cost) * rng.uniform(0.5, 1.5, shape) - 0.5
    return np.where(rng.random(shape) < 0.2, -np.inf, gain), cost


def several_actions(table: Table, rng: np.random.Generator) -> float:
    """Add the choice among five actions, under a budget alone and under caps; return the slower's seconds."""
    gain, cost = arms(rng)
    capped = Limits(np.array([1e5, 1e5, np.inf, 5e4, 2e4]), np.full(gain.shape, -1, np.int32), np.zeros(0))
    slowest = 0.0
    for name, limits in (("a budget", None), ("a budget and caps on actions", capped)):
        start = time.perf_counter()
        found = solve(gain, cost, budget=400_000.0, limits=limits)
        slowest = max(slowest, time.perf_counter() - start)
        said = f"{N_CUSTOMERS:,} customers x {N_ACTIONS} actions under {name} (gap {found.gap:.5f})"
        table.add_row(said, f"{time.perf_counter() - start:.1f}")
    return slowest


def main() -> bool:
    """Print the table; return whether a bar was missed."""
    rng = np.random.default_rng(0)
    price, free = rng.gamma(2, 10, N_PRODUCTS), np.zeros(N_PRODUCTS, bool)
    shelf, terms = Goods(price, price * 0.3, np.full(N_PRODUCTS, np.nan), free), Terms(horizon_days=28)
    base, crowd = scores(rng), people(rng, N_CUSTOMERS)
    batch, one = case(rng, N_OFFERED), case(rng, 1)
    ranking = rank_customers(base, crowd, economics=Economics(), horizon_days=90)
    seconds = timed(lambda: rank_customers(base, crowd, economics=Economics(), horizon_days=90))
    table = Table("decision", "seconds")
    table.add_row(f"rank {N_CUSTOMERS:,} customers by expected gain", f"{seconds:.2f}")
    gains = ranking[ranking["ruled_out_by"].eq("") & (ranking["expected_incremental_margin_90d"] > 0)]
    gain, cost = gains["expected_incremental_margin_90d"].to_numpy(), gains["contact_cost"].to_numpy()
    table.add_row(
        "choose targets under a budget", f"{timed(lambda: best_rows(gain, cost, budget=5000.0)):.4f}"
    )
    table.add_row(
        f"offers for {N_OFFERED:,} customers", f"{timed(lambda: choose(batch, shelf, terms=terms)):.2f}"
    )
    table.add_row(
        "one offer", f"{timed(lambda: [choose(one, shelf, terms=terms) for _ in range(100)]) / 100:.6f}"
    )
    everyone(table, rng)
    slowest = several_actions(table, rng)
    Console().print(table)
    return seconds > RANKING_BAR_SECONDS or slowest > ACTIONS_BAR_SECONDS


if __name__ == "__main__":
    raise SystemExit(main())
