"""Generated customers and products: a home of ready lists, and one of a ranker learnt from orders."""

from pathlib import Path

import numpy as np
import pandas as pd
from worlds.snapshot import make_home, make_snapshot, names

from features.ingest import ingest
from features.shop import Shop
from models.registry import model_class
from serving.persons.rights import Forgotten
from serving.score import end_of_orders
from serving.scoring.build import Build
from serving.scoring.folder import write
from serving.state import POINTER, Pointer

K = 100
"""Depth of the ready lists."""
N_LINES = 60
"""Order lines a customer."""
Body = dict[str, object]


def ready_home(home: Path, n_customers: int, n_products: int) -> Path:
    """Put ready lists of everybody in service; what a folder holds already is kept."""
    if not (home / POINTER).exists():
        make_home(home, make_snapshot(n_customers, n_products, K))
    return home


def ready_bodies(n_customers: int) -> list[Body]:
    """Ask for everybody's list."""
    ids = np.random.default_rng(0).permutation(names("c", n_customers)).tolist()
    return [{"k": 10, "exclude": ["p000001", "p000002"], "customer_id": name} for name in ids]


def live_bodies(n_customers: int, n_products: int) -> list[Body]:
    """Ask for the lists of customers with two products in the cart."""
    rng = np.random.default_rng(0)
    carts = rng.integers(0, min(n_products, 500), (5000, 2)).tolist()
    customers = rng.integers(0, n_customers, 5000).tolist()
    return [
        {"customer_id": f"c{customer}", "k": 10, "cart": [f"p{a}", f"p{b}"]}
        for customer, (a, b) in zip(customers, carts, strict=True)
    ]


def generated_shop(folder: Path, n_customers: int, n_products: int) -> Shop:
    """Generate four months of orders, and ingest them."""
    source, home = folder / "source", folder / "live"
    source.mkdir(parents=True)
    rng, n = np.random.default_rng(0), n_customers * N_LINES
    customer = rng.integers(0, n_customers, n)
    product = np.where(rng.random(n) < 0.5, customer * 7 % n_products, rng.zipf(1.3, n) % n_products)
    day = pd.Timestamp("2026-01-01") + pd.to_timedelta(rng.integers(0, 120, n), "D")
    columns = {
        "customer_id": customer,
        "ordered_at": day,
        "product_id": product,
        "unit_price": 1 + product % 9,
    }
    lines = pd.DataFrame(columns).astype({"customer_id": str, "product_id": str})
    lines["customer_id"], lines["product_id"] = "c" + lines["customer_id"], "p" + lines["product_id"]
    lines.to_parquet(source / "order_lines.parquet")
    (source / "recompra.toml").write_text("horizon_days = 14\n")
    ingest(str(source), home)
    return Shop(home)


def live_home(place: Path, n_customers: int, n_products: int) -> Path:
    """Learn the ranker of a generated shop and put a scoring of everybody in service; keep what is there.

    100,000 customers x 20,000 products take about 20 minutes of one core.
    """
    home = place / "live"
    if (home / POINTER).exists():
        return home
    shop = generated_shop(place, n_customers, n_products)
    cutoff = end_of_orders(shop)
    configs: dict[str, dict[str, int]] = {
        "popular": {},
        "cross_sell": {"max_customers": 2_000, "n_windows": 2},
    }
    models = {
        name: model_class(name).fit(shop, cutoff, config=model_class(name).Config(**options))
        for name, options in configs.items()
    }
    build = Build(shop, cutoff, models, dict.fromkeys(configs, "1"), Forgotten.of(home))
    write(home / "lists" / "live-0001", build.snapshot(), more=build.save_more)
    Pointer("live-0001", cutoff.isoformat(), build.versions).move(home)
    return home
