"""What happened after a cutoff, for everyone seen before it: the truth for every method."""

import json
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from typing import Any, cast

import numpy as np
import pandas as pd

from features.arrays.dtypes import Bools, Doubles, Ints, Longs
from features.arrays.groups import among
from features.shop import Shop
from features.window import local_day, shift_days
from models.kinds import ListModel, S

SEGMENTS = {"for_you": "all", "new_for_you": "new", "buy_again": "repeat"}
"""The purchases each list is compared with: all, first purchases of a product, or repeated ones."""
MIN_ORDERS = 5
"""Lists are measured on products in at least this many orders before the cutoff."""
MOST_LISTS = 20_000
"""In larger shops lists and offers are measured on this many customers: standard error of a share .004 at
most."""
SMALL_CATALOGUE = 100
"""With fewer such products than this, every product sold before the cutoff counts."""


@dataclass(frozen=True)
class Holdout:
    """``[cutoff, cutoff + horizon)`` of one shop, with the shop's horizon."""

    shop: Shop
    cutoff: datetime

    @property
    def horizon_days(self) -> int:
        """The shop's horizon."""
        return self.shop.settings.horizon_days

    @property
    def end(self) -> datetime:
        """The first moment after the horizon."""
        return shift_days(self.cutoff, self.horizon_days, timezone=self.shop.timezone)

    def day(self, moment: datetime) -> date:
        """Return a moment's day in the shop's time zone."""
        return local_day(moment, self.shop.timezone)

    @property
    def orders_run(self) -> str:
        """The range of the orders, in words."""
        first, last = self.shop.warehouse.first_at, self.shop.warehouse.last_at
        return f"from {self.day(first)} to {self.day(last)}"

    @property
    def is_closed(self) -> bool:
        """Whether orders reach the last day of the horizon."""
        return self.end <= self.shop.last_midnight

    @cached_property
    def customers(self) -> "pd.Index[str]":
        """Everyone who ordered before the cutoff, sorted, including those who returned everything."""
        return self.shop.customers_seen(self.cutoff)

    @cached_property
    def truths(self) -> pd.DataFrame:
        """``lapsed`` (no order), ``n_order_days``, ``revenue`` (NaN without prices), by customer.

        The truths of scores. Booleans are evaluated as events, numbers as amounts.
        """
        bought = self.shop.labels(self.cutoff, self.horizon_days, known_until=self.end)
        frame = bought.reindex(self.customers).astype(float).fillna({"n_order_days": 0.0})
        frame["lapsed"] = frame["n_order_days"] == 0
        if self.shop.facts.has_money:
            frame["revenue"] = frame["revenue"].fillna(0.0)
        return frame

    @cached_property
    def products(self) -> "pd.Index[str]":
        """Every product known at the cutoff."""
        return _index(self.shop.history(self.cutoff).products.all_names())

    @cached_property
    def catalogue(self) -> Longs:
        """Codes of products in ``MIN_ORDERS`` orders or more; of all products sold, if those are few."""
        sold = np.bincount(self.shop.history(self.cutoff).product, minlength=len(self.products))
        common = np.flatnonzero(sold >= MIN_ORDERS)
        return common if len(common) >= SMALL_CATALOGUE else np.flatnonzero(sold > 0)

    @cached_property
    def purchases(self) -> dict[str, tuple[Longs, Longs]]:
        """By segment: the customer's row and the product's code of every actual purchase in the catalogue."""
        return self.pairs(self._horizon)

    @cached_property
    def measured(self) -> Bools:
        """The customers whose lists are measured: everyone, or in a large shop a random sample of buyers."""
        if len(self.customers) <= MOST_LISTS:
            return np.ones(len(self.customers), bool)
        bought = np.unique(self.purchases["all"][0])
        chosen = np.zeros(len(self.customers), bool)
        chosen[np.random.default_rng(0).permutation(bought)[:MOST_LISTS]] = True
        return chosen

    @cached_property
    def decided(self) -> Ints:
        """Codes of the customers of the history on whom offers are measured: all, or a random sample."""
        n = len(self.shop.history(self.cutoff).customers)
        return np.sort(np.random.default_rng(0).permutation(n)[:MOST_LISTS]).astype(np.int32)

    @cached_property
    def asked(self) -> list[str] | None:
        """The customers who need lists: None for everyone, else those on whom something is measured."""
        if len(self.customers) <= MOST_LISTS:
            return None
        known = self.shop.history(self.cutoff).customers
        some = known.codes(self.customers[self.measured].tolist())
        return known.names(np.union1d(some[some >= 0], self.decided))

    @cached_property
    def spent(self) -> dict[str, Doubles | None]:
        """By segment: the revenue of each pair of ``purchases``; None without prices."""
        if not self.shop.facts.has_money:
            return dict.fromkeys(SEGMENTS.values())
        money = self._horizon["revenue"].to_numpy(float)
        rows, parts = self._parts(self._horizon)
        return {name: np.nan_to_num(money[rows][part]) for name, part in parts.items()}

    @cached_property
    def _horizon(self) -> pd.DataFrame:
        return self.shop.product_labels(self.cutoff, self.horizon_days, known_until=self.end)

    def pairs(self, bought: pd.DataFrame) -> dict[str, tuple[Longs, Longs]]:
        """Return the pairs of the catalogue among ``customer_id, product_id`` rows, by segment."""
        rows, parts = self._parts(bought)
        customer = _position(self.customers, bought["customer_id"])[rows]
        product = _position(self.products, bought["product_id"])[rows]
        return {name: (customer[part], product[part]) for name, part in parts.items()}

    def _parts(self, bought: pd.DataFrame) -> tuple[Longs, dict[str, Any]]:
        """Return which rows are pairs of the catalogue, and which of those belong to each segment."""
        customer = _position(self.customers, bought["customer_id"])
        product = _position(self.products, bought["product_id"])
        rows = np.flatnonzero((customer >= 0) & np.isin(product, self.catalogue))
        repeat = among(self._pair(customer[rows], product[rows]), self._bought)
        return rows, {"all": np.full(len(rows), True), "new": ~repeat, "repeat": repeat}

    def bought_before(self, row: Longs, recommended: Longs) -> Bools:
        """Return which recommended products (rows x ranks, -1 for none) each row's customer bought before."""
        bought: Bools = among(self._pair(row[:, None], recommended), self._bought) & (recommended >= 0)
        return bought

    @cached_property
    def rarity(self) -> Doubles:
        """-log2 of the share of customers who bought each product; zero buyers count as one."""
        buyers = np.bincount(self._bought % max(len(self.products), 1), minlength=len(self.products))
        rarity: Doubles = -np.log2(np.maximum(buyers, 1) / max(len(self.customers), 1))
        return rarity

    @cached_property
    def buyers(self) -> "pd.Series[Any]":
        """``new``: at most one order before the cutoff; else ``light`` or ``heavy``, cut at the median."""
        history = self.shop.history(self.cutoff)
        owner = history.customer[np.unique(history.order, return_index=True)[1]]
        row = _position(self.customers, history.customers.all_names())
        n_orders = np.zeros(len(self.customers), np.int64)
        n_orders[row] = np.bincount(owner, minlength=len(row))
        several = n_orders > 1
        middle = np.median(n_orders[several]) if several.any() else 1
        kind = np.where(n_orders > middle, "heavy", np.where(several, "light", "new"))
        return pd.Series(kind, self.customers, dtype="str")

    @cached_property
    def _bought(self) -> Longs:
        history = self.shop.history(self.cutoff)
        row = _position(self.customers, history.customers.all_names())
        return np.unique(self._pair(row[history.customer], history.product))

    def _pair(self, customer: Any, product: Any) -> Longs:
        pairs: Longs = np.asarray(customer, np.int64) * max(len(self.products), 1) + product
        return pairs

    def state(self, model: ListModel[Any, S]) -> S:
        """Return a list model's state at the cutoff, cached for models that differ only in weights."""
        config = model.config.model_dump(mode="json")
        key = (model.name, json.dumps(config, sort_keys=True), model.horizon_days)  # as when it was saved
        if key not in self._states:
            self._states[key] = model.state(self.shop, self.cutoff)
        return cast(S, self._states[key])

    def forget(self) -> None:
        """Drop the cached states, which take gigabytes in a large shop; they are rebuilt when needed."""
        self._states.clear()

    @cached_property
    def _states(self) -> dict[tuple[object, ...], Any]:
        return {}

    def matrix(self, frame: pd.DataFrame, depth: int) -> Longs:
        """Return one list's recommendations as product codes, customers x ranks, -1 for none or unknown."""
        matrix = np.full((len(self.customers), depth), -1, np.int64)
        row = _position(self.customers, frame["customer_id"])
        rank = frame["rank"].to_numpy(np.int64) - 1
        kept = (row >= 0) & (rank < depth)
        matrix[row[kept], rank[kept]] = _position(self.products, frame["product_id"])[kept]
        return matrix

    def ready(self, frame: pd.DataFrame) -> dict[str, tuple[Longs, Doubles]]:
        """Return the lists of ``decided`` in the form that decisions read: products and chances, (n, k)."""
        customers = _index(self.shop.history(self.cutoff).customers.names(self.decided))
        shape = (len(customers), int(frame["rank"].max()) if len(frame) else 0)
        lists = {}
        for name, rows in frame.groupby("list", sort=False):
            product, chance = np.full(shape, -1, np.int64), np.zeros(shape)
            row, rank = _position(customers, rows["customer_id"]), rows["rank"].to_numpy(int) - 1
            at = (row[row >= 0], rank[row >= 0])
            product[at] = _position(self.products, rows["product_id"])[row >= 0]
            chance[at] = rows["score"].to_numpy(float)[row >= 0]
            lists[str(name)] = (product, chance)
        return lists


def _index(names: list[str]) -> "pd.Index[str]":
    return cast("pd.Index[str]", pd.Index(names, dtype="str"))


def _position(index: "pd.Index[str]", names: Any) -> Longs:
    return np.asarray(index.get_indexer(pd.Index(names, dtype="str")), np.int64)
