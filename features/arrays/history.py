"""Who bought what, as flat arrays in time order: one form for training on everyone and for one request.

Row numbers (codes) never leave the code that holds the vocabulary; ids are strings from end to end.
"""

import json
from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.arrays.dtypes import Column, Floats, Ids, Ints, Longs, Sparse
from features.arrays.groups import ranges
from features.arrays.stored import read_array, write_arrays
from features.window import day_number, local_day, naive_utc

if TYPE_CHECKING:
    import pandas as pd

GUEST = chr(0x10FFFF)
"""Prefix of the made-up ids of guests: the last Unicode character, so guests sort after all customers."""
FEW_IDS = 8
"""Up to this many ids are looked up one by one."""
COLUMNS = ("indptr", "product", "order", "day", "quantity", "revenue")


@dataclass(frozen=True)
class Vocabulary:
    """Unique ids in byte order, and their codes 0..n-1. UTF-8 bytes, so that workers can map one copy."""

    ids: Ids

    @classmethod
    def of(cls, ids: Sequence[str]) -> "Vocabulary":
        """Build from ids in any order; duplicates count once."""
        encoded = np.array([name.encode() for name in ids] or [], dtype=np.bytes_)
        return cls(np.unique(encoded))

    def __len__(self) -> int:
        return len(self.ids)

    def codes(self, ids: Sequence[str]) -> Ints:
        """Return each id's code, -1 where it is unknown."""
        if len(ids) <= FEW_IDS or not len(self.ids):
            return np.array([self.code(str(name)) for name in ids], np.int32)
        encoded = [str(name).encode() for name in ids]
        wanted = np.array(encoded, dtype=self.ids.dtype)  # truncates ids longer than any known: see ``fits``
        fits = np.fromiter(map(len, encoded), np.int64, len(encoded)) <= self.ids.dtype.itemsize
        at = np.searchsorted(self.ids, wanted)
        known = fits & (self.ids[np.minimum(at, len(self.ids) - 1)] == wanted)
        return np.where(known, at, -1).astype(np.int32)

    def code(self, name: str) -> int:
        """Return one id's code, -1 if it is unknown: two microseconds, whatever the id's length."""
        ids, wanted = self.ids, name.encode()
        at = bisect_left(ids, wanted)
        return at if at < len(ids) and ids[at] == wanted else -1

    def names(self, codes: Any) -> list[str]:
        """Return the ids behind codes."""
        return [name.decode() for name in self.ids[np.asarray(codes, dtype=np.int64)].tolist()]

    def all_names(self) -> list[str]:
        """Return every id, in code order."""
        return [name.decode() for name in self.ids.tolist()]


@dataclass(frozen=True)
class History:
    """Purchases before a cutoff, net of returns made by then; customer ``c`` owns ``indptr[c]:indptr[c+1]``.

    One row per (order, product), in time order. ``day`` counts days since 1970-01-01 in the shop's zone;
    ``order`` numbers orders over the whole history; ``revenue`` is NaN without prices. ``cutoff_day`` is the
    cutoff's own day.
    """

    customers: Vocabulary
    products: Vocabulary
    indptr: Longs
    product: Ints
    order: Ints
    day: Ints
    quantity: Floats
    revenue: Floats
    cutoff_day: int

    @property
    def customer(self) -> Ints:
        """The customer code of every row."""
        return np.repeat(np.arange(len(self.customers), dtype=np.int32), np.diff(self.indptr))

    @property
    def pair(self) -> Longs:
        """Every row's customer and product as one number, ``customer * len(products) + product``."""
        return self.customer.astype(np.int64) * len(self.products) + self.product

    def pairs_of(self, bought: "pd.DataFrame") -> Longs:
        """Return the pairs among rows of ``customer_id, product_id`` whose two ids are known.

        Numbered as in ``pair``, sorted, each once.
        """
        customer = self.customers.codes(bought["customer_id"].tolist()).astype(np.int64)
        product = self.products.codes(bought["product_id"].tolist())
        known = (customer >= 0) & (product >= 0)
        return np.unique(customer[known] * len(self.products) + product[known])

    def rows(self, customer: int) -> slice:
        """Return the rows of one customer; empty for an unknown one (-1)."""
        if customer < 0:
            return slice(0, 0)
        return slice(int(self.indptr[customer]), int(self.indptr[customer + 1]))

    def of_customers(self, codes: Ints) -> "History":
        """Return the history of some customers, in the order given; the product vocabulary is shared."""
        sizes = self.indptr[codes + 1] - self.indptr[codes]
        indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        at = ranges(self.indptr[codes], sizes)
        product, order, day, quantity, revenue = (getattr(self, name)[at] for name in COLUMNS[1:])
        customers = Vocabulary(self.customers.ids[codes])
        return History(
            customers, self.products, indptr, product, order, day, quantity, revenue, self.cutoff_day
        )

    def save(self, folder: Path) -> None:
        """Write one ``.npy`` per array, to be memory-mapped by many readers."""
        ids = {"customers": self.customers.ids, "products": self.products.ids}
        write_arrays(folder, ids | {name: getattr(self, name) for name in COLUMNS})
        (folder / "history.json").write_text(json.dumps({"cutoff_day": self.cutoff_day}), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "History":
        """Memory-map what ``save`` wrote."""
        columns = {name: read_array(folder, name) for name in COLUMNS}
        customers, products = (read_array(folder, name) for name in ("customers", "products"))
        card = json.loads((folder / "history.json").read_text(encoding="utf-8"))
        return cls(Vocabulary(customers), Vocabulary(products), cutoff_day=card["cutoff_day"], **columns)


@dataclass(frozen=True)
class Interactions:
    """A customers x products matrix (CSR, float32) and its two vocabularies, always together."""

    matrix: Sparse
    customers: Vocabulary
    products: Vocabulary


def interactions(history: History, half_life_days: float | None = None) -> Interactions:
    """Count purchases per customer and product, weighted down with age if a half-life is given."""
    weight = np.ones(len(history.product), np.float32)
    if half_life_days:
        weight = np.exp2((history.day - history.cutoff_day) / half_life_days).astype(np.float32)
    return Interactions(summed(history, weight), history.customers, history.products)


def summed(history: History, weight: Column) -> Sparse:
    """Return the sums of the rows' weights by customer and product, as a CSR matrix of that shape."""
    from scipy.sparse import csr_matrix

    shape = (len(history.customers), len(history.products))
    return csr_matrix((weight, (history.customer, history.product)), shape=shape)


def read_history(con: Any, cutoff: datetime, *, timezone: str, guests: bool = False) -> History:
    """Read every purchase before ``cutoff`` of a known customer and product, less what was returned by then.

    Products are those anyone bought before the cutoff, and those of the catalogue launched before it. With
    ``guests``, each order without a customer belongs to a made-up customer of its own.
    """
    moment, day = naive_utc(cutoff), local_day(cutoff, timezone)
    con.raw_sql(_PRODUCTS.format(moment=moment, day=day))
    con.raw_sql(_ROWS.format(moment=moment, buyer=_BUYER if guests else "customer_id"))
    con.raw_sql(_CUSTOMERS)
    customers = _column(con, "SELECT customer_id FROM h_customers ORDER BY code")
    products = _column(con, "SELECT product_id FROM h_products ORDER BY code")
    rows = con.raw_sql(_ARRAYS).fetchnumpy()
    counts = np.bincount(rows["customer"], minlength=len(customers))
    for table in ("h_products", "h_rows", "h_customers"):
        con.raw_sql(f"DROP TABLE {table}")
    return History(
        customers=Vocabulary.of(customers),
        products=Vocabulary.of(products),
        indptr=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        product=np.asarray(rows["product"], np.int32),
        order=np.asarray(rows["order_code"], np.int32),
        day=np.asarray(rows["day"], np.int32),
        quantity=np.asarray(rows["quantity"], np.float32),
        revenue=np.ma.filled(np.ma.asarray(rows["revenue"], np.float32), np.nan),
        cutoff_day=day_number(day),
    )


def _column(con: Any, sql: str) -> list[str]:
    return [row[0] for row in con.raw_sql(sql).fetchall()]


_PRODUCTS = """
CREATE OR REPLACE TEMP TABLE h_products AS
SELECT product_id, (row_number() OVER (ORDER BY product_id) - 1)::INT AS code FROM (
  SELECT product_id FROM order_lines WHERE ordered_at < TIMESTAMP '{moment}' AND product_id IS NOT NULL
  UNION SELECT product_id FROM products WHERE launched_on < DATE '{day}')
"""

_BUYER = f"coalesce(customer_id, '{GUEST}' || order_id)"

_ROWS = """
CREATE OR REPLACE TEMP TABLE h_rows AS
SELECT {buyer} AS customer_id, order_id, ordered_at, product_id, any_value(ordered_on) AS ordered_on,
       sum(quantity - coalesce(back.units, 0)) AS quantity, sum(revenue - coalesce(back.money, 0)) AS revenue
FROM order_lines LEFT JOIN (
  SELECT line_id, sum(quantity) AS units, sum(revenue) AS money FROM returns
  WHERE returned_at < TIMESTAMP '{moment}' GROUP BY line_id) AS back USING (line_id)
WHERE ordered_at < TIMESTAMP '{moment}' AND {buyer} IS NOT NULL AND product_id IS NOT NULL
GROUP BY {buyer}, order_id, ordered_at, product_id
HAVING sum(quantity - coalesce(back.units, 0)) > 1e-9
"""

_CUSTOMERS = """
CREATE OR REPLACE TEMP TABLE h_customers AS
SELECT customer_id, (row_number() OVER (ORDER BY customer_id) - 1)::INT AS code
FROM (SELECT DISTINCT customer_id FROM h_rows)
"""

_ARRAYS = """
SELECT c.code AS customer, p.code AS product, (ordered_on - DATE '1970-01-01')::INT AS day, quantity, revenue,
       (dense_rank() OVER (ORDER BY ordered_at, c.code, order_id) - 1)::INT AS order_code
FROM h_rows JOIN h_customers c USING (customer_id) JOIN h_products p USING (product_id)
ORDER BY c.code, ordered_at, order_code, p.code
"""
