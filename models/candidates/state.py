"""The state that lists are built from, as of a cutoff: arrays that many processes can map, no model weights.

The features of pairs are computed here too, by the same function for all customers and for one.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from features.arrays.dtypes import Floats, Ints
from features.arrays.history import History
from features.arrays.pairs import pair_features
from features.arrays.products import ProductTable
from features.arrays.stored import read_array, write_arrays
from features.errors import ArtefactError
from models.clock.due import Due
from models.lists.rules import Rules
from models.similarity.affinity import Bought, Tables, affinities
from models.similarity.collaborative import Neighbours
from models.similarity.newcomers import Newcomers

NEIGHBOUR_TABLES = ("neighbours", "together", "linear", "texts", "alike")
ARRAYS = ("assortment", "kin", "customer_factors", "product_factors")
TASTE_HALF_LIFE = 112.0
"""Days after which a purchase counts half in the item-item score."""


@dataclass(frozen=True)
class ListState:
    """Customers and products are codes of ``history``; ``assortment``: those that still sell, sorted."""

    history: History
    table: ProductTable
    assortment: Ints
    neighbours: Neighbours
    """For each product, those bought by the same customers."""
    together: Neighbours
    """For each product, those bought in the same orders: accessories, not substitutes."""
    kin: Ints
    """For each product, its category if products of that category replace each other, else -1."""
    linear: Neighbours
    """For each product, those whose purchases predict it best (EASE)."""
    texts: Neighbours
    """For each product, those described by similar words."""
    alike: Neighbours
    """For each customer, what customers with similar baskets buy, by product code."""
    customer_factors: Floats
    product_factors: Floats
    rules: Rules
    newcomers: Newcomers
    due: Due
    """When customers are due to buy again; used for reasons only, not for ranking."""

    @staticmethod
    def taste(history: History) -> Floats:
        """Return the weight of each purchase in the customer's taste, which decays with age."""
        return np.exp2((history.day - history.cutoff_day) / np.float32(TASTE_HALF_LIFE)).astype(np.float32)

    def scores(
        self, history: History, codes: Ints, *, customer: Ints, product: Ints, cart: Ints | None = None
    ) -> Floats:
        """Return the collaborative scores of pairs, shape (pairs, 6), as ``features.arrays.pairs.SCORES``.

        ``history`` holds the purchases of these customers, ``codes`` are their codes in the state (-1:
        unknown); ``customer`` and ``product`` are the pairs, sorted by customer. The ``cart`` belongs to the
        last customer and counts like purchases of today.
        """
        bought = Bought(history.indptr, history.product, self.taste(history))
        if cart is not None and len(cart):
            bought = bought.and_today(cart)
        return affinities(self._tables, bought, codes, customer, product)

    def features(
        self, history: History, codes: Ints, *, customer: Ints, product: Ints, cart: Ints | None = None
    ) -> Floats:
        """Return the pair features of the same pairs."""
        scores = self.scores(history, codes, customer=customer, product=product, cart=cart)
        return pair_features(history, self.table, customer=customer, product=product, scores=scores)

    @cached_property
    def days_known(self) -> int:
        """Days from the first purchase of all to the state's cutoff."""
        return int(self.history.cutoff_day - self.history.day.min(initial=self.history.cutoff_day))

    @cached_property
    def _tables(self) -> Tables:
        return Tables(
            (self.neighbours.product, self.together.product, self.texts.product, self.linear.product),
            (self.neighbours.score, self.together.score, self.texts.score, self.linear.score),
            self.alike.product,
            self.alike.score,
            self.customer_factors,
            self.product_factors,
        )

    def check(self, *, every: int = 1) -> None:
        """Check one row in ``every``; raise ``ArtefactError`` where scores contain NaN or infinity."""
        arrays = {f"{name}.score": getattr(self, name).score for name in NEIGHBOUR_TABLES}
        arrays |= {name: getattr(self, name) for name in ("customer_factors", "product_factors")}
        arrays |= {"popularity": self.table.popularity, "boost": self.rules.boost}
        for name, array in arrays.items():
            if not np.isfinite(array[::every]).all():
                raise ArtefactError(f"{name} of the live state contains NaN or infinity", "train again")

    def save(self, folder: Path) -> None:
        """Write the arrays, to be memory-mapped; raise ``ArtefactError`` if ``check`` fails."""
        self.check()
        self.history.save(folder / "history")
        self.table.save(folder / "products")
        self.rules.save(folder / "rules")
        self.newcomers.save(folder / "newcomers")
        self.due.save(folder / "due")
        for name in NEIGHBOUR_TABLES:
            getattr(self, name).save(folder, name)
        write_arrays(folder, {name: getattr(self, name) for name in ARRAYS})

    @classmethod
    def load(cls, folder: Path) -> "ListState":
        """Memory-map what ``save`` wrote."""
        parts: dict[str, Any] = {name: Neighbours.load(folder, name) for name in NEIGHBOUR_TABLES}
        return cls(
            **parts,
            **{name: read_array(folder, name) for name in ARRAYS},
            history=History.load(folder / "history"),
            table=ProductTable.load(folder / "products"),
            rules=Rules.load(folder / "rules"),
            newcomers=Newcomers.load(folder / "newcomers"),
            due=Due.load(folder / "due"),
        )
