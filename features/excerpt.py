"""A few customers' rows of a shop, with what happened since a cutoff: the same queries, on rows in memory.

``write`` stores beside a scoring the rows that customer features are derived from, sorted by customer so that
a few customers can be read without the others, and the daily sales of each product to all customers.
``Excerpt`` reads these, adds later events as if they had been ingested, and derives orders, days and links of
returns with the functions of the ingest.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from features.bought import BOUGHT_FEATURES, LAG_DAYS, RECENT_DAYS
from features.ingest import orders, returns
from features.shop import Shop
from features.storage.contracts import LARGEST_MONEY, MADE_UP_ORDER, MONEY, local_time
from features.storage.tables import LINE, literal, quote
from features.window import local_day, naive_utc

PAST = {
    "order_lines": (", ".join(LINE), "ordered_at", "line_id"),
    "return_lines": (", ".join(LINE), "ordered_at", "line_id"),
    "contacts": ("*", "sent_at", "contact_id"),
    "surveys": ("*", "answered_at", "score"),
}
"""What is stored of customers: columns, the time that must lie before the cutoff, a tie-break.

The three together give a total order, so that later events change no byte of a scoring.
"""
ROW_GROUP = 4096
"""Rows per Parquet row group: about as many are read for one customer."""
DERIVED = ("links", "returns", "order_rows", "order_news", "orders", "days")
BOUGHT = ("customer_numbers", "bought_days", "first_purchases")
"""Tables of ``features.bought`` derived from the customers taken alone."""
OF_PRODUCTS = ("product_totals", "shop_days")
"""Tables of ``features.bought`` derived from ``PRODUCT_DAYS``."""
PRODUCT_DAYS = "product_days"
"""The sales of each product and day to all customers: a file, and a table of ``features.bought``."""
LINES = ("event_id", "customer_id", "kind", "product_id", "quantity", "unit_price", "occurred_at")
"""Columns of the events an excerpt takes, as in the online store; times are naive UTC."""


def write(shop: Shop, cutoff: datetime, *, names: Sequence[str], folder: Path) -> None:
    """Write what is known of the customers ``names`` before ``cutoff``, for ``Excerpt`` to read."""
    folder.mkdir(parents=True, exist_ok=True)
    con, moment = shop.con.con, naive_utc(cutoff)
    con.register("excerpt_names", pd.DataFrame({"customer_id": list(names)}, dtype="str"))
    for table, (columns, time, key) in PAST.items():
        file = literal(shop.warehouse.folder / f"{table}.parquet")
        rows = f"read_parquet({file})" if table == "return_lines" else table
        mine = f"SELECT {columns} FROM {rows} SEMI JOIN excerpt_names USING (customer_id)"
        before = f"{mine} WHERE {time} < TIMESTAMP '{moment}' ORDER BY customer_id, {time}, {key}"
        _copy(con, before, folder / table)
    _copy(con, "SELECT product_id, category FROM products ORDER BY product_id", folder / "products")
    con.unregister("excerpt_names")
    _write_product_days(shop, cutoff, folder)


def _write_product_days(shop: Shop, cutoff: datetime, folder: Path) -> None:
    """Write the days before the cutoff's that some fact still distinguishes; all earlier days become one."""
    BOUGHT_FEATURES.derive(shop.con)
    today = f"DATE '{local_day(cutoff, shop.timezone)}'"
    oldest = f"{today} - {LAG_DAYS + RECENT_DAYS + 1}"
    sums = ", ".join(f"sum({name})::BIGINT AS {name}" for name in ("n_buyers", "n_first", "n_second"))
    rows = f"""
        SELECT product_id, greatest(ordered_on, {oldest})::DATE AS ordered_on, {sums}
        FROM product_days JOIN product_numbers USING (product)
        WHERE ordered_on < {today} GROUP BY ALL ORDER BY ALL"""
    _copy(shop.con.con, rows, folder / PRODUCT_DAYS)


def _copy(con: Any, sql: str, path: Path) -> None:
    file = quote(str(path.with_suffix(".parquet")))
    con.execute(f"COPY ({sql}) TO {file} (FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP})")


class Excerpt(Shop):
    """A shop of the customers taken last. It answers as a warehouse would that had ingested the new events.

    Valid for cutoffs at or after ``as_of``, the one it was written at. What other customers bought since is
    unknown, so facts of products are computed as of ``LAG_DAYS`` after ``as_of`` at the latest; for later
    cutoffs they stay the same, as if the shop had not stopped selling. ``con`` is in memory, for one thread.
    """

    def __init__(self, home: Path, folder: Path, *, as_of: datetime) -> None:
        super().__init__(home)
        self.folder, self.as_of = folder, as_of
        self._days_late = 0

    @cached_property
    def con(self) -> Any:
        """The Ibis DuckDB backend that holds the customers taken."""
        import ibis

        con: Any = ibis.duckdb.connect(threads=1, memory_limit="1GB")
        con.raw_sql("SET enable_progress_bar = false")
        con.raw_sql("SET parquet_metadata_cache = true")
        for table in (*PAST, "products"):
            file = literal(self.folder / f"{table}.parquet")
            con.raw_sql(f"CREATE VIEW past_{table} AS FROM read_parquet({file})")
        file = literal(self.folder / f"{PRODUCT_DAYS}.parquet")
        number = "(dense_rank() OVER (ORDER BY product_id) - 1)::INTEGER AS product"
        con.raw_sql(f"CREATE TABLE past_{PRODUCT_DAYS} AS SELECT *, {number} FROM read_parquet({file})")
        con.raw_sql(
            f"CREATE TABLE product_numbers AS SELECT DISTINCT product_id, product FROM past_{PRODUCT_DAYS}"
        )
        con.raw_sql(f"CREATE TABLE {PRODUCT_DAYS} AS FROM past_{PRODUCT_DAYS}")
        return con

    def customer_features(self, cutoff: datetime, ids: Sequence[str] | None = None) -> pd.DataFrame:
        """Return the features as of ``cutoff`` of the customers held; of product facts see the class."""
        self._stand_still(cutoff)
        return super().customer_features(cutoff, ids)

    def _stand_still(self, cutoff: datetime) -> None:
        """Shift all sales by the days that ``cutoff`` lies beyond ``as_of + LAG_DAYS``."""
        since = local_day(cutoff, self.timezone) - local_day(self.as_of, self.timezone)
        late = max(since.days - LAG_DAYS, 0)
        if late != self._days_late:
            moved = f"SELECT * REPLACE ((ordered_on + {late})::DATE AS ordered_on) FROM past_{PRODUCT_DAYS}"
            self.con.raw_sql(f"CREATE OR REPLACE TABLE {PRODUCT_DAYS} AS {moved}")
            for table in OF_PRODUCTS:
                self.con.raw_sql(f"DROP TABLE IF EXISTS {table}")
            self._days_late = late

    def anyone(self) -> list[str]:
        """Return the id of one customer, as a list of one; an empty list where there is none."""
        return [
            row[0]
            for row in self.con.con.execute("SELECT customer_id FROM past_order_lines LIMIT 1").fetchall()
        ]

    def take(
        self,
        ids: Sequence[str],
        events: Sequence[Mapping[str, Any]] = (),
        *,
        contacts: Sequence[Mapping[str, Any]] = (),
    ) -> None:
        """Load the customers ``ids`` and what happened to them since; the ones held before are dropped.

        ``events``: order lines and returns (``LINES``); an order's lines share customer and moment.
        ``contacts`` has the columns of the warehouse's table. DuckDB's errors for values out of range pass
        through.
        """
        self.forget()
        con = self.con.con
        con.register("new_lines", _lines(events))
        wanted = ", ".join(map(quote, ids)) or "NULL"
        for table in (*DERIVED, *BOUGHT):
            con.execute(f"DROP TABLE IF EXISTS {table}")
        for table, kind in (("order_lines", "order"), ("return_lines", "return")):
            rows = f"SELECT * FROM past_{table} WHERE customer_id IN ({wanted})"
            new = _as_ingested(kind, self.timezone)
            con.execute(f"CREATE OR REPLACE TABLE {table} AS {rows} UNION ALL BY NAME {new}")
        con.execute(f"CREATE OR REPLACE TABLE surveys AS FROM past_surveys WHERE customer_id IN ({wanted})")
        self._take_contacts(wanted, contacts)
        returns.link(con, "order_lines", returns="return_lines")
        orders.derive(con, "order_lines", products="past_products", timezone=self.timezone)

    def _take_contacts(self, wanted: str, contacts: Sequence[Mapping[str, Any]]) -> None:
        con = self.con.con
        con.execute(f"CREATE OR REPLACE TABLE contacts AS FROM past_contacts WHERE customer_id IN ({wanted})")
        if contacts:
            con.register("new_contacts", pd.DataFrame([dict(row) for row in contacts]))
            con.execute("INSERT INTO contacts BY NAME FROM new_contacts")


def _lines(events: Sequence[Mapping[str, Any]]) -> pd.DataFrame:
    text = dict.fromkeys(("event_id", "customer_id", "kind", "product_id"), "str")
    kinds = text | {"quantity": "float64", "unit_price": "float64", "occurred_at": "datetime64[us]"}
    frame = pd.DataFrame([{name: row[name] for name in LINES} for row in events], columns=list(LINES))
    return frame.astype(kinds)


def _as_ingested(kind: str, timezone: str) -> str:
    """Return SQL of new lines as the ingest would keep them; what it would refuse is left out."""
    prices = "nullif(unit_price, 'NaN'::DOUBLE) AS unit_price"
    rows = f"SELECT * REPLACE ({prices}), occurred_at AS ordered_at, 0.0 AS discount FROM new_lines"
    return f"""
        SELECT event_id AS line_id, customer_id, {MADE_UP_ORDER} AS order_id, product_id, ordered_at,
               CAST({local_time(timezone)} AS DATE) AS ordered_on, quantity, unit_price, discount,
               {MONEY} AS revenue, CAST(NULL AS VARCHAR) AS channel
        FROM ({rows}) WHERE kind = '{kind}' AND ({MONEY} <= 0 OR {MONEY} > {LARGEST_MONEY}) IS NOT TRUE"""
