"""People whom the shop's tables name but who had not ordered by the scoring: they may order after it."""

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from features.arrays.dtypes import Ints
from features.arrays.history import Vocabulary
from features.arrays.stored import read_array, write_arrays
from features.window import naive_utc
from models.decisions.reading import read_people, read_standing
from models.policy.standing import Standing

if TYPE_CHECKING:
    from features.shop import Shop
    from serving.persons.rights import Forgotten


@dataclass(frozen=True)
class Registered:
    """Their consent, contacts and birthdays, and who of them is held out; rows by code of ``customers``."""

    customers: Vocabulary
    standing: Standing
    n_contacts_28d: Ints

    @classmethod
    def of(cls, shop: "Shop", cutoff: datetime, *, seen: Vocabulary, forgotten: "Forgotten") -> Self:
        """Read those without an order before ``cutoff`` (``seen`` had one), and without who was erased."""
        rows = shop.con.raw_sql(_NAMED.format(moment=naive_utc(cutoff))).fetchall()
        names = [row[0] for row in rows]
        new = [name for name, code in zip(names, seen.codes(names).tolist(), strict=True) if code < 0]
        customers = Vocabulary.of(forgotten.without(new))
        contacts = read_people(shop, cutoff, customers=customers).n_contacts_28d
        return cls(customers, read_standing(shop, cutoff, customers=customers), contacts)

    def save(self, folder: Path) -> None:
        """Write one ``.npy`` per array."""
        self.standing.save(folder)
        write_arrays(folder, {"customers": self.customers.ids, "n_contacts_28d": self.n_contacts_28d})

    @classmethod
    def load(cls, folder: Path) -> Self | None:
        """Memory-map what ``save`` wrote; None if nothing was written."""
        if not folder.is_dir():
            return None
        customers, contacts = (read_array(folder, name) for name in ("customers", "n_contacts_28d"))
        return cls(Vocabulary(customers), Standing.load(folder), contacts)

    def take(self, customer_id: str) -> tuple[Standing, Ints] | None:
        """Return where one customer stands, and their number of contacts; None of anybody else."""
        row = np.array([self.customers.code(customer_id)], np.int32)
        return None if row[0] < 0 else (self.standing.take(row), self.n_contacts_28d[row])


_NAMED = """
SELECT customer_id FROM customers
UNION SELECT customer_id FROM contacts WHERE sent_at < TIMESTAMP '{moment}' ORDER BY customer_id
"""
