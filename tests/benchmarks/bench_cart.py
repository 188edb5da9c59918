"""What goes with a cart: how much of the rest of an order the first products hold, to a stranger and to whom
the shop knows.

``python tests/benchmarks/bench_cart.py [--shop complete_journey --cutoff 2017-11-06]``. Of each customer's
first order of several products within 28 days of the cutoff up to three products are the cart, one at a time;
``bought_together`` is asked for five. Learnt from what lies before the cutoff.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import NamedTuple

import duckdb
import numpy as np
from numpy.typing import NDArray
from rich.console import Console
from rich.table import Table

from features.ingest import ingest
from features.shop import Shop
from features.window import parse_cutoff, shift_days
from models.cross_sell import CrossSell, CrossSellConfig
from models.ranking.live import Live
from training.measures.criteria import MEAN
from training.measures.intervals import drawn
from training.measures.metrics import mean

HORIZON_DAYS, K, N_CARTS, N_ORDERS = 28, 5, 3, 1_500
MEASURES = ("holds another line", "other lines", "of them never bought before")


class Order(NamedTuple):
    """A customer's first order of several products."""

    customer_id: str
    products: frozenset[str]
    new: frozenset[str]


def orders(shop: Shop, cutoff: datetime) -> list[Order]:
    """Return orders of customers and products known before the cutoff, drawn at random."""
    history, end = shop.history(cutoff), shift_days(cutoff, HORIZON_DAYS, shop.timezone)
    lines = str(shop.warehouse.folder / "order_lines" / "*" / "*.parquet")
    found = duckdb.execute(
        "SELECT customer_id, list(DISTINCT product_id) FROM ("
        "  SELECT *, count(DISTINCT product_id) OVER (PARTITION BY order_id) AS n FROM read_parquet(?)"
        "  WHERE quantity > 0 AND ordered_at >= ? AND ordered_at < ?) "
        "WHERE n > 1 AND customer_id IS NOT NULL GROUP BY customer_id, order_id "
        "QUALIFY row_number() OVER (PARTITION BY customer_id ORDER BY min(ordered_at), order_id) = 1 "
        "ORDER BY customer_id",
        [lines, cutoff.replace(tzinfo=None), end.replace(tzinfo=None)],
    ).fetchall()
    some, rng = [], np.random.default_rng(0)
    for at in rng.permutation(len(found))[:N_ORDERS].tolist():
        customer, names = found[at]
        code = history.customers.code(customer)
        known = frozenset(name for name in names if history.products.code(name) >= 0)
        had = {*history.products.names(history.product[history.rows(code)])} if code >= 0 else set()
        if code >= 0 and len(known) > 1:
            some.append(Order(customer, known, known - had))
    return some


def carts(live: Live, order: Order, who: str | None, *, seed: int) -> NDArray[np.float64]:
    """Return ``MEASURES`` of one order, the mean over its carts."""
    products = sorted(order.products)
    drawn_lines = np.random.default_rng(seed).permutation(len(products))[:N_CARTS].tolist()
    rows = []
    for at in drawn_lines:
        shown = {name for name, _, _ in live.rank(who, (), [products[at]], "bought_together", K)}
        rest = shown & (order.products - {products[at]})
        rows.append((bool(rest), len(rest), len(rest & order.new)))
    return np.array(rows, np.float64).mean(axis=0)


def measured(live: Live, some: Sequence[Order]) -> Table:
    """Return what lists hold of the orders, to a stranger and to the customer."""
    table = Table("the first five", "to a stranger", "to the customer", "difference", "95% interval")
    both = [
        np.array(
            [
                carts(live, order, who=order.customer_id if known else None, seed=n)
                for n, order in enumerate(some)
            ]
        )
        for known in (False, True)
    ]
    for column, name in enumerate(MEASURES):
        stranger, customer = (rows[:, column] for rows in both)
        more = drawn((customer,), mean).better_than(drawn((stranger,), mean), MEAN)
        means = f"{stranger.mean():.3f}", f"{customer.mean():.3f}"
        table.add_row(name, *means, f"{more.value:+.3f}", f"{more.low:+.3f} to {more.high:+.3f}")
    return table


def main(arguments: Sequence[str]) -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shop", default="complete_journey", help="a source to ingest")
    parser.add_argument("--cutoff", default="2017-11-06")
    asked = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory() as folder:
        ingest(asked.shop, Path(folder) / "home")
        shop = Shop(Path(folder) / "home")
        cutoff = parse_cutoff(asked.cutoff, shop.timezone)
        model, state = CrossSell.fit(shop, cutoff, CrossSellConfig()), Path(folder) / "state"
        state.mkdir()
        model.save_state(model.state(shop, cutoff), state)
        some = orders(shop, cutoff)
        table = measured(Live.load(state), some)
        table.title = f"bought_together, {len(some):,} orders in {HORIZON_DAYS} days from {asked.cutoff}"
        Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1:])
