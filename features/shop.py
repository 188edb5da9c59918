"""A shop as models see it: everything as of a cutoff, computed once and cached."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar, cast

import pandas as pd

from features import labels
from features.arrays.brought_back import BroughtBack, read_brought_back
from features.arrays.catalogue import Catalogue, read_catalogue
from features.arrays.history import History, read_history
from features.customer import CUSTOMER_FEATURES
from features.errors import CannotLearn
from features.feature_set import Past, limit
from features.margin import Margin
from features.settings import Settings
from features.storage.tables import fetch, sql_of, table
from features.storage.warehouse import Facts, Warehouse
from features.window import end_of_day, naive_utc, shift_days

Answer = TypeVar("Answer")
PANEL_CELLS = 50_000_000
"""Panels are cached up to this many cells in total (400 MB), beyond that only the newest."""
MAX_ALONE = 1_000
"""Features of up to so many customers are computed alone; those of more are taken from everyone's."""


class Shop:
    """Reads one version of a warehouse. Results are cached per cutoff, so asking again is free."""

    def __init__(self, home: Path) -> None:
        self.warehouse = Warehouse(home)
        self.settings: Settings = self.warehouse.settings
        self.facts: Facts = self.warehouse.facts
        self._cache: dict[tuple[object, ...], Any] = {}

    @cached_property
    def con(self) -> Any:
        """The Ibis DuckDB backend behind this shop."""
        return self.warehouse.connect()

    @property
    def timezone(self) -> str:
        """The shop's time zone."""
        return self.settings.timezone

    @property
    def last_midnight(self) -> datetime:
        """The end of the last day with an order: a horizon that ends later is still open."""
        return end_of_day(self.warehouse.last_at, self.timezone)

    def customer_features(self, cutoff: datetime, ids: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the customer features as of ``cutoff``: index ``customer_id``, sorted, float64 columns.

        ``ids`` limits the answer to those customers; one without a purchase before the cutoff has no row.
        """
        if ids is not None and len(ids) <= MAX_ALONE:
            return CUSTOMER_FEATURES.compute(self.con, cutoff, ids=ids, timezone=self.timezone)
        features = self._once(
            ("features", cutoff), lambda: CUSTOMER_FEATURES.compute(self.con, cutoff, timezone=self.timezone)
        )
        return features if ids is None else features[features.index.isin(list(ids))]

    def customers_seen(self, cutoff: datetime) -> "pd.Index[str]":
        """Return the sorted ids of everyone with an order before ``cutoff``, even if all was returned."""
        return self._once(("seen", cutoff), lambda: self._seen(cutoff))

    def _seen(self, cutoff: datetime) -> "pd.Index[str]":
        orders = table("orders")
        seen = orders.filter(orders.ordered_at < naive_utc(cutoff)).select("customer_id").distinct()
        names = fetch(self.con, sql_of(seen, self.con.name))["customer_id"]
        ids: pd.Index[str] = pd.Index(sorted(names), dtype="str", name="customer_id")
        return ids

    def n_days_placed(self, cutoff: datetime, ids: tuple[str, ...] | None = None) -> int:
        """Return the number of customer-days with an order before ``cutoff``, returned or not.

        ``ids`` limits it to those customers.
        """
        return self._once(("placed", cutoff, ids), lambda: self._placed(cutoff, ids))

    def _placed(self, cutoff: datetime, ids: tuple[str, ...] | None) -> int:
        if ids is not None:
            limit(self.con, ids)
        orders = Past(limited=ids is not None)("orders")
        placed = orders.filter(orders.ordered_at < naive_utc(cutoff))
        days = placed.select("customer_id", "ordered_on").distinct()
        return int(fetch(self.con, sql_of(days.aggregate(n=days.count()), self.con.name))["n"].iloc[0])

    def margin(self, until: datetime) -> Margin:
        """Return the shop's margin on what was sold before ``until``, or before the last order if earlier."""
        end, assumed = min(until, self.last_midnight), self.settings.economics.margin_rate
        return self._once(("margin", end), lambda: Margin.sold(self.con, end, assumed=assumed))

    def panel(self, cutoffs: Iterable[datetime], ids: tuple[str, ...] | None = None) -> pd.DataFrame:
        """Return the customer features as of several cutoffs in one scan: index ``(cutoff, customer_id)``.

        ``ids`` limits the answer to those customers.
        """
        moments = tuple(sorted(cutoffs))
        key = ("panel", moments, ids)
        made = self._once(
            key, lambda: CUSTOMER_FEATURES.panel(self.con, moments, ids=ids, timezone=self.timezone)
        )
        others = [known for known in self._cache if known[0] == "panel" and known != key]
        if made.size + sum(self._cache[known].size for known in others) > PANEL_CELLS:
            for known in others:
                self._cache.pop(known, None)
        return made

    def labels(self, cutoff: datetime, horizon_days: int, *, known_until: datetime) -> pd.DataFrame:
        """Return each customer's order days and revenue in the horizon (``features.labels.purchases``)."""
        return labels.purchases(
            self.con, cutoff, horizon_days=horizon_days, known_until=known_until, timezone=self.timezone
        )

    def product_labels(
        self, cutoff: datetime, horizon_days: int, *, known_until: datetime, guests: bool = False
    ) -> pd.DataFrame:
        """Return what was bought of which product in the horizon (see ``features.labels.products``)."""
        return labels.products(
            self.con,
            cutoff,
            horizon_days=horizon_days,
            known_until=known_until,
            timezone=self.timezone,
            guests=guests,
        )

    def contacted(self, horizon_days: int, since: datetime, *, known_until: datetime) -> pd.DataFrame:
        """Return what followed each contact within its horizon (see ``features.labels.contacted``)."""
        return labels.contacted(self.con, horizon_days, since=since, known_until=known_until)

    def history(self, cutoff: datetime) -> History:
        """Return every purchase before ``cutoff`` as flat arrays."""
        return self._once(("history", cutoff), lambda: read_history(self.con, cutoff, timezone=self.timezone))

    def sales(self, cutoff: datetime) -> History:
        """Return all that sold before ``cutoff``: the history, with guests after its customers."""
        if not self.facts.n_lines_without_customer:
            return self.history(cutoff)
        return self._once(
            ("sales", cutoff), lambda: read_history(self.con, cutoff, timezone=self.timezone, guests=True)
        )

    def catalogue(self, cutoff: datetime) -> Catalogue:
        """Return the products of ``history(cutoff)``, aligned to its codes."""
        return self._once(
            ("catalogue", cutoff),
            lambda: read_catalogue(self.con, cutoff, products=self.history(cutoff).products),
        )

    def brought_back(self, cutoff: datetime) -> BroughtBack:
        """Return what was bought and entirely returned before ``cutoff``, by codes of ``history(cutoff)``."""
        return self._once(
            ("back", cutoff),
            lambda: read_brought_back(self.con, cutoff, products=self.history(cutoff).products),
        )

    def forget(self) -> None:
        """Drop what was cached, to free memory between models."""
        self._cache.clear()

    def past_cutoffs(
        self,
        known_until: datetime,
        horizon_days: int,
        *,
        n: int = 6,
        step_days: int = 0,
        warmup_days: int = 0,
    ) -> list[datetime]:
        """Return up to ``n`` cutoffs whose horizon closes by ``known_until``, newest first.

        They are ``step_days`` apart (default: one horizon), each with at least ``warmup_days`` (default: one
        horizon) of orders before it. Raises ``CannotLearn`` if there is none, and says which horizon is
        possible.
        """
        step, warmup = step_days or horizon_days, warmup_days or horizon_days
        earliest = shift_days(self.warehouse.first_at, warmup, timezone=self.timezone)
        moments = [
            shift_days(known_until, -horizon_days - step * k, timezone=self.timezone) for k in range(n)
        ]
        cutoffs = [moment for moment in moments if moment >= earliest]
        if not cutoffs:
            span = (known_until - self.warehouse.first_at).days
            raise CannotLearn(
                f"a horizon of {horizon_days} days needs {warmup + horizon_days} days of orders, not {span}",
                f"the longest horizon possible now is {max(span // 2, 0)} days",
            )
        return cutoffs

    def _once(self, key: tuple[object, ...], make: Callable[[], Answer]) -> Answer:
        if key not in self._cache:
            self._cache[key] = make()
        return cast("Answer", self._cache[key])
