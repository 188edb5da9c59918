"""A million customers of a known world: churn, value, next order, reasons; totals against the truth.

``python tests/benchmarks/bench_customers.py [CUSTOMERS] [FOLDER]``; they buy and leave as BG/NBD x
Gamma-Gamma says. With a ``FOLDER`` the shop and the learnt models are kept in it, and a later run measures
scoring alone.
"""

import resource
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import pandas as pd
from rich.console import Console
from rich.table import Table

from features.shop import Shop
from models.churn import Churn
from models.ltv import Ltv
from models.processes.buy_till_you_die import BetaGeoNBD

sys.path.insert(0, str(Path(__file__).parents[1]))
from worlds.bgnbd import order_lines, simulate
from worlds.orders import make_shop

N_CUSTOMERS, DAYS, HORIZON = 1_000_000, 330, 28
SCORING_BAR_SECONDS, FIT_BAR_SECONDS, MEMORY_BAR_GB, TOTAL_BAR = 300.0, 60.0, 8.0, 0.03
CUTOFF = datetime(2024, 1, 1, tzinfo=UTC) + timedelta(days=DAYS - HORIZON)
CHUNK = 100_000
"""Customers simulated at a time."""
Answer = TypeVar("Answer")


def timed(work: Callable[[], Answer]) -> tuple[float, Answer]:
    """Return seconds of one call, and what it returned."""
    start = time.perf_counter()
    answer = work()
    return time.perf_counter() - start, answer


def world(folder: Path, n_customers: int) -> Shop:
    """Return a shop of simulated customers, ingested; the one in ``folder``, if there is one."""
    if (folder / "home").exists():
        return Shop(folder / "home")
    parts = []
    for seed in range(-(-n_customers // CHUNK)):
        made = simulate(n_customers=min(CHUNK, n_customers - seed * CHUNK), days=DAYS, seed=seed)
        parts.append(order_lines(made.assign(customer=made["customer"] + seed * CHUNK)))
    return make_shop(folder, pd.concat(parts, ignore_index=True))


def fit_rhythm(shop: Shop) -> BetaGeoNBD:
    """Fit BG/NBD alone on everyone."""
    features = shop.customer_features(CUTOFF)
    return BetaGeoNBD.fit(
        *(features[name] for name in ("frequency", "recency_days", "days_since_first_order"))
    )


def learnt(kind: Any, shop: Shop, folder: Path) -> Any:
    """Return the model kept in ``folder``, else one learnt now, and keep it."""
    kept = folder / kind.name
    if not kept.exists():
        kind.fit(shop, CUTOFF, kind.Config()).save(kept)
    return kind.load(kept)


def misses(shop: Shop, churn: pd.DataFrame, value: pd.DataFrame) -> dict[str, float]:
    """Return how far each total lies from what happened, as a share of it."""
    truth = shop.labels(CUTOFF, HORIZON, known_until=CUTOFF + timedelta(days=HORIZON))
    said = {
        "customers who order": (
            (1 - churn[f"churn_probability_{HORIZON}d"]).sum(),
            (truth["n_order_days"] > 0).sum(),
        ),
        "order days": (value[f"expected_orders_{HORIZON}d"].sum(), truth["n_order_days"].sum()),
        "revenue": (value[f"expected_revenue_{HORIZON}d"].sum(), truth["revenue"].sum()),
    }
    return {name: float(told / true - 1) for name, (told, true) in said.items()}


def main(n_customers: int = N_CUSTOMERS, kept: Path | None = None) -> bool:
    """Print the table; return whether a bar was missed."""
    table = Table("step", "figure")
    with tempfile.TemporaryDirectory(prefix="recompra-bench-") as thrown_away:
        folder = kept or Path(thrown_away)
        seconds, shop = timed(lambda: world(folder, n_customers))
        table.add_row(f"simulate and ingest {n_customers:,} customers", f"{seconds:.1f} s")
        seconds, features = timed(lambda: shop.customer_features(CUTOFF))
        table.add_row(f"{features.shape[1]} features of {len(features):,} customers", f"{seconds:.1f} s")
        fitting, _ = timed(lambda: fit_rhythm(shop))
        table.add_row("BG/NBD fitted", f"{fitting:.1f} s (bar {FIT_BAR_SECONDS:.0f})")
        models = {}
        for kind in (Churn, Ltv):
            seconds, models[kind.name] = timed(lambda kind=kind: learnt(kind, shop, folder))
            table.add_row(f"{kind.name} learnt", f"{seconds:.1f} s")
        shop.forget()
        scoring, said = timed(lambda: {name: model.predict(shop, CUTOFF) for name, model in models.items()})
        table.add_row("churn, value, next order scored", f"{scoring:.1f} s")
        seconds, _ = timed(lambda: models["churn"].explain(shop, CUTOFF))
        scoring += seconds
        table.add_row("reasons found", f"{seconds:.1f} s")
        table.add_row("features to reasons, all", f"{scoring:.1f} s (bar {SCORING_BAR_SECONDS:.0f})")
        off = misses(shop, said["churn"], said["ltv"])
    for name, miss in off.items():
        table.add_row(f"total of {name}", f"{miss:+.1%} (bar {TOTAL_BAR:.0%})")
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    table.add_row("peak memory", f"{memory:.1f} GB (bar {MEMORY_BAR_GB:.0f})")
    Console().print(table)
    too_slow = scoring > SCORING_BAR_SECONDS or fitting > FIT_BAR_SECONDS
    return too_slow or memory > MEMORY_BAR_GB or max(map(abs, off.values())) > TOTAL_BAR


if __name__ == "__main__":
    raise SystemExit(main(*map(int, sys.argv[1:2]), *map(Path, sys.argv[2:3])))
