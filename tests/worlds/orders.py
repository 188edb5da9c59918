"""A small shop of generated orders with habits, returns and every optional table, ingested for real."""

from pathlib import Path

import numpy as np
import pandas as pd

from features.ingest import ingest
from features.shop import Shop

ODD = "a %25 b?c#d [x]*'{1}/ü"
"""A folder that is another one to whatever takes its name, unquoted, for a URL, a pattern or SQL."""


def order_lines(n_customers: int = 40, days: int = 200, seed: int = 0) -> pd.DataFrame:
    """Return order lines: each customer has favourites and a rhythm; some lines are returned later."""
    rng = np.random.default_rng(seed)
    rows = []
    for customer in range(n_customers):
        favourites = (customer + np.arange(4)) % 12
        visits = np.cumsum(rng.integers(2, 4 + 2 * (customer % 9 + 1), 100))
        for visit in visits[visits < days]:
            moment = pd.Timestamp("2024-01-01") + pd.Timedelta(
                days=int(visit), hours=int(rng.integers(0, 24))
            )
            basket = np.unique(rng.choice(np.append(favourites, rng.integers(0, 12)), 3))
            rows += [_line(customer, moment, product, rng) for product in basket]
    lines = pd.DataFrame(rows)
    back = lines.sample(frac=0.05, random_state=seed).assign(quantity=-1.0)
    back["ordered_at"] += pd.Timedelta(days=9, minutes=1)
    return pd.concat([lines, back], ignore_index=True)


def _line(customer: int, moment: pd.Timestamp, product: int, rng: np.random.Generator) -> dict[str, object]:
    return {
        "customer_id": f"c{customer:02d}",
        "order_id": f"o{customer}-{moment:%Y%m%d%H}",
        "ordered_at": moment,
        "product_id": f"p{product:02d}",
        "quantity": float(rng.integers(1, 4)),
        "unit_price": 2.0 + product,
        "discount": float(rng.choice([0.0, 0.5])),
    }


def with_guests(lines: pd.DataFrame, share: float = 0.3) -> pd.DataFrame:
    """Return the purchases among the lines, the customers of ``share`` of the orders forgotten."""
    lines = lines[lines["quantity"] > 0]
    orders = lines["order_id"].unique()
    guests = np.random.default_rng(1).choice(orders, int(share * len(orders)), replace=False)
    return lines.assign(customer_id=lines["customer_id"].mask(lines["order_id"].isin(guests)))


def products() -> pd.DataFrame:
    """Return a catalogue of twelve products in three categories."""
    codes = range(12)
    return pd.DataFrame(
        {
            "product_id": [f"p{code:02d}" for code in codes],
            "name": [f"Product {code}" for code in codes],
            "category": [f"food > {'abc'[code % 3]}" for code in codes],
            "brand": [f"brand {code % 2}" for code in codes],
            "unit_cost": [1.0 + code / 2 for code in codes],
        }
    )


def contacts(lines: pd.DataFrame) -> pd.DataFrame:
    """Return two contacts a customer, one of them held out."""
    first = lines.groupby("customer_id", as_index=False)["ordered_at"].min()
    sent = [
        first.assign(sent_at=first["ordered_at"] + pd.Timedelta(days=days), treated=days < 60)
        for days in (30, 90)
    ]
    return pd.concat(sent).drop(columns="ordered_at").assign(channel="email", action="offer")


def make_home(
    folder: Path,
    lines: pd.DataFrame | None = None,
    *,
    timezone: str = "UTC",
    more: str = "",
    **tables: pd.DataFrame,
) -> Path:
    """Write a shop's folder, ingest it and return its home; ``more`` is appended to its settings."""
    source, home = folder / "source", folder / "home"
    source.mkdir(parents=True)
    known = f'timezone = "{timezone}"\ncurrency = "EUR"\nhorizon_days = 28\n'
    (source / "recompra.toml").write_text(known + more)
    for name, table in {"order_lines": order_lines() if lines is None else lines, **tables}.items():
        table.to_parquet(source / f"{name}.parquet")
    ingest(source, home)
    return home


def make_shop(
    folder: Path,
    lines: pd.DataFrame | None = None,
    *,
    timezone: str = "UTC",
    more: str = "",
    **tables: pd.DataFrame,
) -> Shop:
    """Write, ingest and open a shop."""
    return Shop(make_home(folder, lines, timezone=timezone, more=more, **tables))
