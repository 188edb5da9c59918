"""Answers made on the spot, in process on one thread: what one costs, and what it loses against the batch.

``python tests/benchmarks/bench_live.py [--customers 20000 --products 5000] [--shop complete_journey --cutoff
2017-11-06]``. Cost: ``thread_time`` of answers to customers drawn at random, features and ranker included,
for a generated shop, and for a real one if it is named. Loss: of the real shop, NDCG@10 of the whole batch at
the cutoff, less that of live answers at the same moment from lists some days old and the orders since.
"""

import argparse
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from load.world import generated_shop

from features.ingest import ingest
from features.shop import Shop
from features.window import parse_cutoff, shift_days
from models.cross_sell import CrossSell, CrossSellConfig
from models.lists.since import Line
from models.ranking.live import Live
from serving.score import end_of_orders
from training.measures.criteria import MEAN
from training.measures.holdout import Holdout
from training.measures.intervals import drawn
from training.measures.list_metrics import hit_matrix, ndcg
from training.measures.metrics import mean

N_ASKS, N_WARM, K = 2_000, 200, 10
BAR_MS = 2.0
STALE_DAYS = (0, 1, 7)


@dataclass(frozen=True)
class Question:
    """What is asked of the live path."""

    customer_id: str
    lines: Sequence[Line] = ()
    cart: Sequence[str] = ()


def questions(live: Live, *, ordered: bool) -> Iterator[Question]:
    """Yield customers at random, with two of the best sellers in the cart or just ordered."""
    rng, state = np.random.default_rng(0), live.state
    best = live.by_popularity[:500]
    for code in rng.integers(0, len(state.history.customers), N_WARM + N_ASKS):
        name = state.history.customers.names([code])[0]
        some = state.history.products.names(rng.choice(best, 2))
        yield Question(name, [(one, 1.0) for one in some]) if ordered else Question(name, cart=some)


def cost(live: Live, *, ordered: bool) -> tuple[float, float]:
    """Return milliseconds of CPU an answer takes: the median and the 99th percentile."""
    shown, taken = np.ones(len(live.state.history.products), bool), []
    for ask in questions(live, ordered=ordered):
        start = time.thread_time()
        live.rank(ask.customer_id, ask.lines, cart=ask.cart, list_name="for_you", k=K, eligible=shown)
        taken.append(1000 * (time.thread_time() - start))
    return float(np.median(taken[N_WARM:])), float(np.percentile(taken[N_WARM:], 99))


def saved(shop: Shop, model: CrossSell, cutoff: datetime) -> Live:
    """Return what a request worker maps."""
    with tempfile.TemporaryDirectory() as folder:
        model.save_state(model.state(shop, cutoff), Path(folder))
        return Live.load(Path(folder))


def lines_since(shop: Shop, live: Live, cutoff: datetime) -> dict[str, list[Line]]:
    """Return by customer what was bought between the lists' day and the cutoff."""
    history = shop.history(cutoff)
    rows = np.flatnonzero(history.day >= live.state.history.cutoff_day)
    found: dict[str, list[Line]] = {}
    names = history.customers.names(history.customer[rows]), history.products.names(history.product[rows])
    for customer, product, quantity in zip(*names, history.quantity[rows].tolist(), strict=True):
        found.setdefault(customer, []).append((product, quantity))
    return found


def live_frame(shop: Shop, live: Live, cutoff: datetime) -> pd.DataFrame:
    """Return everybody's live list at the cutoff, from older lists and the orders since."""
    since = lines_since(shop, live, cutoff)
    rows = [
        (name, rank, product)
        for name in shop.history(cutoff).customers.all_names()
        for rank, (product, _, _) in enumerate(live.rank(name, since.get(name, []), k=K), start=1)
    ]
    return pd.DataFrame(rows, columns=["customer_id", "rank", "product_id"])


def gains(holdout: Holdout, frame: pd.DataFrame) -> NDArray[np.float64]:
    """Return each customer's NDCG@10 of all they bought; NaN where they bought nothing."""
    customer, product = holdout.purchases["all"]
    n_true = np.bincount(customer, minlength=len(holdout.customers))
    return ndcg(hit_matrix(holdout.matrix(frame, K), customer, product=product), n_true, k=K)


def losses(shop: Shop, model: CrossSell, cutoff: datetime) -> Table:
    """Return NDCG@10 of the batch, and what live answers from older lists lose of it."""
    table = Table("lists", "NDCG@10", "lost", "95% interval", title=f"for_you, {cutoff:%Y-%m-%d}")
    holdout = Holdout(shop, cutoff)
    batch = model.recommend(model.state(shop, cutoff), k=K, lists=("for_you",))
    best = gains(holdout, batch)
    counted = np.isfinite(best)
    table.add_row("batch", f"{best[counted].mean():.4f}", "", "")
    for days in STALE_DAYS:
        live = saved(shop, model, shift_days(cutoff, -days, timezone=shop.timezone))
        found = gains(holdout, live_frame(shop, live, cutoff))
        lost = drawn((best[counted],), mean).better_than(drawn((found[counted],), mean), MEAN)
        label = f"live, lists {days} days old and the orders since" if days else "live, lists of the same day"
        interval = f"{lost.low:+.4f} to {lost.high:+.4f}"
        table.add_row(label, f"{found[counted].mean():.4f}", f"{lost.value:+.4f}", interval)
    return table


def costs(lives: dict[str, Live]) -> Table:
    """Return what an answer costs in each shop."""
    title = f"one live answer, {K} products, one thread (bar: median under {BAR_MS:.0f} ms)"
    table = Table("shop", "asked", "median ms", "p99 ms", title=title)
    for name, live in lives.items():
        for asked, ordered in (("with a cart of two", False), ("after an order of two", True)):
            median, worst = cost(live, ordered=ordered)
            table.add_row(name, asked, f"{median:.2f}", f"{worst:.2f}")
    return table


def main(arguments: Sequence[str]) -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--products", type=int, default=5_000)
    parser.add_argument("--shop", help="a source to ingest, such as complete_journey")
    parser.add_argument("--cutoff", default="2017-11-06")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        place, console = Path(folder), Console()
        shop = generated_shop(place / "generated", asked.customers, asked.products)
        end = end_of_orders(shop)
        model = CrossSell.fit(shop, end, config=CrossSellConfig(max_customers=2_000, n_windows=2))
        console.print(costs({f"{asked.customers:,} x {asked.products:,}": saved(shop, model, end)}))
        if asked.shop:
            ingest(asked.shop, place / "real")
            shop = Shop(place / "real")
            cutoff = parse_cutoff(asked.cutoff, shop.timezone)
            model = CrossSell.fit(shop, cutoff, config=CrossSellConfig())
            console.print(costs({asked.shop: saved(shop, model, cutoff)}), losses(shop, model, cutoff))


if __name__ == "__main__":
    main(sys.argv[1:])
