"""A known world: customers who buy and leave exactly as BG/NBD x Gamma-Gamma says, with known parameters."""

from dataclasses import dataclass

import numpy as np
import pandas as pd


@dataclass(frozen=True)
class World:
    """Parameters in days and money; the defaults make a lively small shop."""

    r: float = 0.6
    alpha: float = 25.0
    a: float = 0.8
    b: float = 3.0
    p: float = 6.0
    q: float = 4.0
    v: float = 15.0


def simulate(
    world: World = World(), n_customers: int = 1000, *, days: int = 365, join_days: int = 180, seed: int = 0
) -> pd.DataFrame:
    """Return purchases, one a row: customer (int), day (from 0), revenue; all join within ``join_days``."""
    rng = np.random.default_rng(seed)
    joined = rng.integers(0, join_days, n_customers).astype(float)
    rate = rng.gamma(world.r, 1 / world.alpha, n_customers)
    leaves = rng.beta(world.a, world.b, n_customers)
    nu = rng.gamma(world.q, 1 / world.v, n_customers)
    rows, now, here = [], joined.copy(), np.arange(n_customers)
    while len(here):
        spend = rng.gamma(world.p, 1 / nu[here])
        rows.append(pd.DataFrame({"customer": here, "day": now[here].astype(int), "revenue": spend}))
        if len(rows) > 1:
            here = here[rng.random(len(here)) >= leaves[here]]
        now[here] += rng.exponential(1 / rate[here])
        here = here[now[here] < days]
    return pd.concat(rows).groupby(["customer", "day"], as_index=False)["revenue"].sum()


def summarise(purchases: pd.DataFrame, cutoff_day: int) -> pd.DataFrame:
    """Return frequency, recency, T and monetary_value of each customer seen before ``cutoff_day``."""
    seen = purchases[purchases["day"] < cutoff_day].sort_values(["customer", "day"])
    repeat = seen[seen.duplicated("customer")]
    days = seen.groupby("customer")["day"].agg(["min", "max", "size"])
    spend = repeat.groupby("customer")["revenue"].mean().reindex(days.index)
    return pd.DataFrame(
        {
            "frequency": days["size"] - 1.0,
            "recency": days["max"] - days["min"] + 0.0,
            "T": cutoff_day - days["min"] + 0.0,
            "monetary_value": spend,
        }
    )


def order_lines(purchases: pd.DataFrame, first_day: str = "2024-01-01") -> pd.DataFrame:
    """Return ``simulate``'s purchases as a shop's order lines, at noon, one line an order."""
    return pd.DataFrame(
        {
            "customer_id": [f"c{customer:05d}" for customer in purchases["customer"]],
            "ordered_at": pd.Timestamp(first_day) + pd.to_timedelta(purchases["day"] * 24 + 12, unit="h"),
            "quantity": 1.0,
            "unit_price": purchases["revenue"].round(2).clip(lower=0.01).to_numpy(),
        }
    )
