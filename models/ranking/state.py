"""What the lists stand on as of a cutoff, as arrays that many processes can map: no weights of any model.

The collaborative scores of pairs are made here too, by one function for all customers and for one.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.groups import Groups
from features.history import Floats, History, Ints, read_array
from features.products import ProductTable
from models.ranking.collaborative import Neighbours
from models.ranking.rules import Rules

TASTE_HALF_LIFE = 112.0
"""Days after which a purchase counts half in the item-item score."""
CELLS = 16_000_000


@dataclass(frozen=True)
class State:
    """Rows of customers and products are codes of ``history``; ``shelf``: codes that still sell, sorted."""

    history: History
    table: ProductTable
    shelf: Ints
    neighbours: Neighbours
    """Of each product, those bought by the same customers."""
    together: Neighbours
    """Of each product, those bought in the same orders."""
    alike: Neighbours
    """Of each customer, what customers with like baskets buy, by product code."""
    customer_factors: Floats
    product_factors: Floats
    rules: Rules

    @staticmethod
    def taste(history: History) -> Floats:
        """Return what each purchase still says of the customer's taste."""
        return np.exp2((history.day - history.cutoff_day) / np.float32(TASTE_HALF_LIFE)).astype(np.float32)

    def scores(self, history: History, codes: Ints, customer: Ints, product: Ints) -> Floats:
        """Return the collaborative scores of pairs, shape (pairs, 3), as ``features.pairs.SCORES``.

        ``history`` holds the purchases of the customers in question, ``codes`` are their codes in the state
        (-1: not in it); ``customer`` and ``product`` are the pairs, sorted by customer.
        """
        known = (codes >= 0)[customer]
        found = np.zeros((len(product), 3), np.float32)
        found[:, 0] = self._similar(history, customer, product)
        factors = self.customer_factors[codes[customer]]
        found[:, 1] = np.where(known, np.einsum("ij,ij->i", factors, self.product_factors[product]), 0)
        found[:, 2] = np.where(known, self._alike(codes, customer, product), 0)
        return found

    def _similar(self, history: History, customer: Ints, product: Ints) -> Floats:
        """Sum the similarity of each product's neighbours that the customer bought."""
        size, n_near = len(history.products), self.neighbours.product.shape[1]
        found = np.zeros(len(product), np.float32)
        step = max(CELLS // max(size, 1), 1)
        weight = self.taste(history)
        for start in range(0, len(history.customers), step):
            stop = min(start + step, len(history.customers))
            rows = slice(int(history.indptr[start]), int(history.indptr[stop]))
            cell = (history.customer[rows] - start).astype(np.int64) * size + history.product[rows]
            taste = np.bincount(cell, weight[rows], minlength=(stop - start) * size).astype(np.float32)
            first, last = np.searchsorted(customer, (start, stop))
            for at in range(first, last, max(CELLS // max(n_near, 1), 1)):
                pairs = slice(at, min(at + max(CELLS // max(n_near, 1), 1), last))
                near = self.neighbours.product[product[pairs]]
                row = (customer[pairs, None] - start).astype(np.int64) * size
                bought = np.where(near >= 0, taste[row + np.maximum(near, 0)], 0)
                found[pairs] = np.einsum("ij,ij->i", bought, self.neighbours.score[product[pairs]])
        return found

    def _alike(self, codes: Ints, customer: Ints, product: Ints) -> Floats:
        """Look products up in the profiles of customers with like baskets."""
        profile, score = self.alike.product[codes], self.alike.score[codes]
        row, column = np.nonzero(profile >= 0)
        size = len(self.history.products)
        groups = Groups.of(row.astype(np.int64) * size + profile[row, column])
        at = groups.at(customer.astype(np.int64) * size + product)
        return np.append(score[row, column], np.float32(0))[at]

    def save(self, folder: Path) -> None:
        """Write arrays, to be mapped."""
        self.history.save(folder / "history")
        self.table.save(folder / "products")
        self.rules.save(folder / "rules")
        for name in ("neighbours", "together", "alike"):
            getattr(self, name).save(folder, name)
        for name in ("shelf", "customer_factors", "product_factors"):
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def load(cls, folder: Path, *, mmap: bool = True) -> "State":
        """Read back; with ``mmap`` the arrays stay on disk and are shared between processes."""
        return cls(
            history=History.load(folder / "history", mmap=mmap),
            table=ProductTable.load(folder / "products", mmap=mmap),
            shelf=read_array(folder, "shelf", mmap=mmap),
            neighbours=Neighbours.load(folder, "neighbours", mmap=mmap),
            together=Neighbours.load(folder, "together", mmap=mmap),
            alike=Neighbours.load(folder, "alike", mmap=mmap),
            customer_factors=read_array(folder, "customer_factors", mmap=mmap),
            product_factors=read_array(folder, "product_factors", mmap=mmap),
            rules=Rules.load(folder / "rules", mmap=mmap),
        )
