"""Products that customers bought and returned entirely: not owned any more, but not new to them either."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from features.arrays.dtypes import Bools, Ids, Ints, Longs
from features.arrays.groups import among, found_at, ranges
from features.arrays.history import Vocabulary
from features.arrays.stored import read_array, write_arrays
from features.window import naive_utc


@dataclass(frozen=True)
class BroughtBack:
    """Pairs as sorted numbers, ``customer * n_products + product``, by the codes of two vocabularies."""

    customers: Vocabulary
    """Those who brought something back, and nobody else."""
    n_products: int
    keys: Longs

    @classmethod
    def none(cls, n_products: int) -> "BroughtBack":
        """Return an empty set of pairs."""
        return cls(Vocabulary.of([]), n_products, np.zeros(0, np.int64))

    def among(self, ids: Ids, customer: Ints, *, product: Ints) -> Bools:
        """Mark the pairs that were brought back; ``customer`` holds row numbers of ``ids``."""
        if not len(self.keys):
            return np.zeros(len(product), bool)
        code = self._codes(ids)[customer]
        return among(np.where(code >= 0, code * self.n_products + product, -1), self.keys)

    def pairs(self, ids: Ids) -> tuple[Longs, Longs]:
        """Return the pairs of the customers ``ids``, as row numbers of ``ids`` and product codes."""
        if not len(self.keys):
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        code = self._codes(ids)
        row = np.flatnonzero(code >= 0)
        start, end = (np.searchsorted(self.keys, (code[row] + k) * self.n_products) for k in (0, 1))
        size = end - start
        return np.repeat(row, size), self.keys[ranges(start, size)] % self.n_products

    def products_of(self, customer_id: str) -> Longs:
        """Return the product codes that one customer brought back; takes microseconds in any shop."""
        code = self.customers.code(customer_id)
        start, end = np.searchsorted(self.keys, (code * self.n_products, (code + 1) * self.n_products))
        return np.asarray(self.keys[start:end] % max(self.n_products, 1))

    def _codes(self, ids: Ids) -> Longs:
        return found_at(ids, self.customers.ids)

    def save(self, folder: Path) -> None:
        """Write the arrays, one ``.npy`` each, to be memory-mapped."""
        write_arrays(folder, {"customers": self.customers.ids, "keys": self.keys})

    @classmethod
    def load(cls, folder: Path, n_products: int) -> "BroughtBack":
        """Read back; empty where nothing was written."""
        if not (folder / "keys.npy").is_file():
            return cls.none(n_products)
        customers, keys = (read_array(folder, name) for name in ("customers", "keys"))
        return cls(Vocabulary(customers), n_products, keys)


def read_brought_back(con: Any, cutoff: datetime, *, products: Vocabulary) -> BroughtBack:
    """Read the pairs bought before ``cutoff`` of which every unit had been returned by then."""
    rows = con.raw_sql(_PAIRS.format(moment=naive_utc(cutoff))).fetchall()
    names, code = [name for name, _ in rows], products.codes([product for _, product in rows])
    customers = Vocabulary.of(names)
    keys = customers.codes(names).astype(np.int64) * len(products) + code
    return BroughtBack(customers, len(products), np.sort(keys))


_PAIRS = """
SELECT customer_id, product_id FROM order_lines LEFT JOIN (
  SELECT line_id, sum(quantity) AS units FROM returns
  WHERE returned_at < TIMESTAMP '{moment}' GROUP BY line_id) AS back USING (line_id)
WHERE ordered_at < TIMESTAMP '{moment}' AND customer_id IS NOT NULL AND product_id IS NOT NULL
GROUP BY customer_id, product_id HAVING max(quantity - coalesce(back.units, 0)) <= 1e-9
"""
