"""The cells of ``bench_lists.py``: a shop at a cutoff, what happened next, and how well a list knew it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd

from features.ingest import ingest
from features.settings import Settings
from features.shop import Shop
from features.window import naive_utc, parse_cutoff, shift_days
from training.measures import list_metrics
from training.measures.holdout import Holdout

HORIZON_DAYS = 28
DEPTH = 10
HORIZONS = ("28 days", "next basket")
METRICS = {"R@10": list_metrics.recall, "NDCG@10": list_metrics.ndcg}
Truth = dict[str, tuple[np.ndarray, np.ndarray]]

FIRST_ORDER = """
WITH bought AS (
  SELECT customer_id, order_id, product_id, ordered_at FROM order_lines
  WHERE ordered_at >= TIMESTAMP '{start}' AND ordered_at < TIMESTAMP '{end}'
    AND customer_id IS NOT NULL AND product_id IS NOT NULL),
first AS (
  SELECT customer_id, arg_min(order_id, (ordered_at, order_id)) AS order_id FROM bought GROUP BY customer_id)
SELECT DISTINCT customer_id, product_id FROM bought JOIN first USING (customer_id, order_id) ORDER BY ALL
"""


@dataclass(frozen=True)
class Cell:
    """A shop at a cutoff. What is known of later ends at ``end``: the file's, or the test cutoff."""

    shop: Shop
    cutoff: datetime
    end: datetime

    @cached_property
    def holdout(self) -> Holdout:
        """Customers, catalogue and purchases of the 28 days, as ``recompra backtest`` measures them."""
        return Holdout(self.shop, self.cutoff)

    @property
    def code(self) -> np.ndarray:
        """The peers' code of every product: its place in the catalogue, -1 outside."""
        code = np.full(len(self.holdout.products), -1)
        code[self.holdout.catalogue] = np.arange(len(self.holdout.catalogue))
        return code

    def truth(self, horizon: str) -> Truth:
        """Return what the catalogue's customers bought: pairs of rows and product codes, by segment."""
        return self.holdout.purchases if horizon == HORIZONS[0] else self._first_order

    @cached_property
    def _first_order(self) -> Truth:
        start, end = naive_utc(self.cutoff), naive_utc(self.end)
        frame = self.shop.con.raw_sql(FIRST_ORDER.format(start=start, end=end)).df()
        return self.holdout.pairs(frame)

    def events(self) -> pd.DataFrame:
        """Return the catalogue's purchases before the cutoff as codes, in time order."""
        history = self.shop.history(self.cutoff)
        row = self.holdout.customers.get_indexer(history.customers.all_names())
        columns = {"customer": row[history.customer], "product": self.code[history.product]}
        frame = pd.DataFrame({**columns, "order": history.order, "day": history.day})
        return frame[frame["product"] >= 0].sort_values(["order", "product"], ignore_index=True)

    def write(self, folder: Path, *, truth: bool) -> None:
        """Write what peers read; what happened next only where they are tuned."""
        folder.mkdir(parents=True, exist_ok=True)
        if truth:
            pd.concat(self._true_pairs()).to_parquet(folder / "truth.parquet", index=False)
        self.events().to_parquet(folder / "events.parquet", index=False)
        cutoff_day = self.shop.history(self.cutoff).cutoff_day
        sizes = {"n_customers": len(self.holdout.customers), "n_products": len(self.holdout.catalogue)}
        (folder / "card.json").write_text(json.dumps({**sizes, "cutoff_day": cutoff_day}), encoding="utf-8")

    def _true_pairs(self) -> Iterator[pd.DataFrame]:
        for horizon in HORIZONS:
            for segment in ("all", "new"):
                customer, product = self.truth(horizon)[segment]
                columns = {"customer": customer, "product": self.code[product]}
                yield pd.DataFrame({"horizon": horizon, "segment": segment, **columns})

    def of_peer(self, frame: pd.DataFrame) -> np.ndarray:
        """Return a peer's list as product codes of the holdout: customers x ranks."""
        matrix = np.full((len(self.holdout.customers), DEPTH), -1)
        matrix[frame["customer"], frame["rank"] - 1] = self.holdout.catalogue[frame["product"]]
        return matrix

    def figures(self, lists: np.ndarray, horizon: str, segment: str) -> pd.DataFrame:
        """Return recall and NDCG of every customer with a truth: one column a metric."""
        customer, product = self.truth(horizon)[segment]
        n_true = np.bincount(customer, minlength=len(self.holdout.customers))
        hits = list_metrics.hit_matrix(lists, customer, product=product)
        columns = {name: metric(hits, n_true, k=DEPTH) for name, metric in METRICS.items()}
        return pd.DataFrame(columns, index=self.holdout.customers)[n_true > 0]


def shop_of(source: str, adapter: str, home: Path) -> Shop:
    """Ingest a shop once and open it with a horizon of 28 days."""
    if not (home / "warehouse").exists():
        ingest(source, home, adapter=adapter)
    shop = Shop(home)
    values = shop.settings.model_dump() | {"horizon_days": HORIZON_DAYS}
    shop.settings = Settings.parse(values, "bench_lists")
    return shop


def cells_of(shop: Shop, date: str) -> tuple[Cell, Cell]:
    """Return the validation cell, one horizon earlier and known until the cutoff, and the test cell."""
    cutoff = parse_cutoff(date, shop.timezone)
    earlier = shift_days(cutoff, -HORIZON_DAYS, timezone=shop.timezone)
    return Cell(shop, earlier, cutoff), Cell(shop, cutoff, shop.last_midnight)
