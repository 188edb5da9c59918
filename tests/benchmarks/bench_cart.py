"""What heeds a cart: how much of the rest of an order the first products of a list hold.

``python tests/benchmarks/bench_cart.py [--shop complete_journey --cutoff 2017-11-06]``. Of each customer's
first order of several products within 28 days of the cutoff, one product (of up to three in turn) or five
are the cart. ``bought_together`` is asked of a stranger's cart and of the customer's, the customer's lists
without the cart and with it, for five products. Learnt from what lies before the cutoff.
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
CARTS, WIDTH = (1, 5), 110
LISTS = ("bought_together", "for_you", "new_for_you")
MEASURES = ("holds another line", "other lines", "never bought before")


class Order(NamedTuple):
    """A customer's first order of several products."""

    customer_id: str
    products: frozenset[str]
    new: frozenset[str]


def orders(shop: Shop, cutoff: datetime) -> list[Order]:
    """Return orders of customers and products known before the cutoff, drawn at random."""
    history, end = shop.history(cutoff), shift_days(cutoff, HORIZON_DAYS, timezone=shop.timezone)
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


def shown(live: Live, name: str, order: Order, cart: list[str], *, heeded: bool) -> set[str]:
    """Return the first products of a list, where what it starts from or for is known, and where it is not."""
    if name == "bought_together":
        return {
            pick[0]
            for pick in live.rank(order.customer_id if heeded else None, (), cart=cart, list_name=name, k=K)
        }
    return {
        pick[0]
        for pick in live.rank(
            order.customer_id, (), cart=cart if heeded else (), list_name=name, k=K, exclude=cart
        )
    }


def held(live: Live, name: str, some: Sequence[Order], size: int, *, heeded: bool) -> NDArray[np.float64]:
    """Return ``MEASURES`` of each order, shape (orders, 3), means over its carts of ``size``."""
    found = np.zeros((len(some), len(MEASURES)))
    for row, order in enumerate(some):
        products = np.random.default_rng(row).permutation(sorted(order.products)).tolist()
        carts = (
            [[one] for one in products[:N_CARTS]] if size == 1 else [products[: min(size, len(products) - 1)]]
        )
        for cart in carts:
            rest = shown(live, name, order, cart, heeded=heeded) & (order.products - {*cart})
            found[row] += np.array([bool(rest), len(rest), len(rest & order.new)]) / len(carts)
    return found


def measured(live: Live, some: Sequence[Order], size: int) -> Table:
    """Return what lists hold of the orders, where customer or cart is not known, and where they are."""
    title = f"the first {K} products, {size} of an order in the cart, {len(some):,} orders"
    table = Table("list", "measure", "without", "with", "more", "95% interval", title=title)
    for name in LISTS:
        without, known = (held(live, name, some, size, heeded=heeded) for heeded in (False, True))
        for column, what in enumerate(MEASURES):
            more = drawn((known[:, column],), mean).better_than(drawn((without[:, column],), mean), MEAN)
            means = f"{without[:, column].mean():.3f}", f"{known[:, column].mean():.3f}"
            table.add_row(name, what, *means, f"{more.value:+.3f}", f"{more.low:+.3f} to {more.high:+.3f}")
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
        model, state = CrossSell.fit(shop, cutoff, config=CrossSellConfig()), Path(folder) / "state"
        state.mkdir()
        model.save_state(model.state(shop, cutoff), state)
        some = orders(shop, cutoff)
        live = Live.load(state)
        for size in CARTS:
            Console(width=WIDTH).print(measured(live, some, size))


if __name__ == "__main__":
    main(sys.argv[1:])
