"""When customers are due to buy a product again: looked up by reasons and by shop windows."""

from collections.abc import Collection
from dataclasses import dataclass, fields
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import numpy as np

from features.arrays.dtypes import Floats, Ints, Longs
from features.arrays.groups import found_at, ranges
from features.arrays.history import History
from features.arrays.stored import read_array, write_arrays
from features.window import EPOCH
from models.clock.renewal import Rhythm
from models.clock.spells import Spells

UNKNOWN_DAY = np.iinfo(np.int32).min
"""No date: numpy's NaT, in days."""


def due_day(history: History, rhythm: Rhythm) -> Ints:
    """Return, for each pair, the median day of the next purchase, in days since 1970-01-01.

    ``UNKNOWN_DAY`` if never is likelier, or the day is further ahead than the history goes back.
    """
    due = rhythm.due_in
    seen = history.cutoff_day - int(history.day.min(initial=history.cutoff_day))
    known = np.isfinite(due) & (due <= seen)
    return np.where(known, history.cutoff_day + np.floor(np.where(known, due, 0)), UNKNOWN_DAY).astype(
        np.int32
    )


class DueDays(NamedTuple):
    """For some pairs: the day they are due (else ``UNKNOWN_DAY``), and the typical gap in days (else 0)."""

    day: Ints
    gap: Floats


@dataclass(frozen=True)
class Due:
    """Customer ``c`` owns rows ``indptr[c]:indptr[c + 1]``, by product; only pairs with a known day."""

    indptr: Longs
    product: Ints
    day: Ints
    """Days since 1970-01-01."""
    gap: Floats
    """Typical days from the last purchase to the next."""

    @classmethod
    def of(cls, history: History, spells: Spells, *, rhythm: Rhythm) -> "Due":
        """Collect the known days of all pairs of a history, in its codes of customers and products."""
        day = due_day(history, rhythm)
        kept = day != UNKNOWN_DAY
        sizes = np.bincount(spells.customer[kept], minlength=len(history.customers))
        indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return cls(indptr, spells.product[kept], day[kept], rhythm.typical[kept])

    @classmethod
    def none(cls, n_customers: int) -> "Due":
        """Return an empty clock."""
        nothing = np.zeros(0, np.int32)
        return cls(np.zeros(n_customers + 1, np.int64), nothing, nothing, np.zeros(0, np.float32))

    def of_pairs(self, who: Ints, customer: Ints, *, product: Ints) -> DueDays:
        """Look up pairs: ``customer`` is an index into ``who``, which holds customer codes (-1: unknown)."""
        first = self.indptr[who]
        sizes = np.where(who >= 0, self.indptr[who + 1] - first, 0)
        at = ranges(first, sizes)
        width = int(max(product.max(initial=0), self.product[at].max(initial=0))) + 1
        key = np.repeat(np.arange(len(who)), sizes) * width + self.product[at]
        wanted = customer.astype(np.int64) * width + product
        if not len(key):
            return DueDays(np.full(len(wanted), UNKNOWN_DAY, np.int32), np.zeros(len(wanted), np.float32))
        place = found_at(wanted, key)
        known, row = place >= 0, at[place]
        return DueDays(
            np.where(known, self.day[row], np.int32(UNKNOWN_DAY)),
            np.where(known, self.gap[row], np.float32(0)),
        )

    def dates(self, customer: int, without: Collection[int] = ()) -> dict[int, str]:
        """Return, by product code, the day a customer is due (``YYYY-MM-DD``); empty if unknown."""
        if customer < 0:
            return {}
        rows = slice(int(self.indptr[customer]), int(self.indptr[customer + 1]))
        pairs = zip(self.product[rows].tolist(), self.day[rows].tolist(), strict=True)
        return {code: (EPOCH + timedelta(days=day)).isoformat() for code, day in pairs if code not in without}

    def save(self, folder: Path) -> None:
        """Write ``.npy`` files, to be memory-mapped."""
        write_arrays(folder, {part.name: getattr(self, part.name) for part in fields(self)})

    @classmethod
    def load(cls, folder: Path) -> "Due":
        """Memory-map what ``save`` wrote."""
        return cls(*(read_array(folder, part.name) for part in fields(cls)))
