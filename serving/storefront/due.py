"""When a customer is due to buy a product again: mapped in a scoring, read where details are asked for."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.history import Ints, Vocabulary, read_array
from features.window import EPOCH

UNKNOWN_DAY = np.iinfo(np.int32).min
"""What ``models.repurchase`` says where it cannot know a day."""


@dataclass(frozen=True)
class Due:
    """Customer ``c`` owns ``indptr[c]:indptr[c + 1]``: products, days since 1970-01-01; only the known."""

    indptr: NDArray[np.int64]
    product: Ints
    day: Ints

    @classmethod
    def of(cls, clock: Any, customers: Vocabulary) -> "Due":
        """Take the known days from a ``models.repurchase.Clock``, for ``customers``."""
        spells, day = clock.spells, clock.due_day
        code = customers.codes(clock.history.customers.all_names())[spells.customer]
        kept = (code >= 0) & (day != UNKNOWN_DAY)
        sizes = np.bincount(code[kept], minlength=len(customers))
        indptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
        return cls(indptr, spells.product[kept], day[kept])

    def dates(self, customer: int, without: Collection[int] = ()) -> dict[int, str]:
        """Return, by product code, the day a customer is due (``YYYY-MM-DD``); nothing of an unknown one."""
        if customer < 0:
            return {}
        rows = slice(int(self.indptr[customer]), int(self.indptr[customer + 1]))
        found = zip(self.product[rows].tolist(), self.day[rows].tolist(), strict=True)
        return {code: (EPOCH + timedelta(days=day)).isoformat() for code, day in found if code not in without}

    def save(self, folder: Path) -> None:
        """Write ``.npy`` files, to be mapped."""
        folder.mkdir(parents=True, exist_ok=True)
        for name in ("indptr", "product", "day"):
            np.save(folder / f"{name}.npy", getattr(self, name))

    @classmethod
    def load(cls, folder: Path) -> "Due | None":
        """Map what ``save`` wrote; nothing where no repurchase model scored."""
        if not folder.is_dir():
            return None
        return cls(*(read_array(folder, name) for name in ("indptr", "product", "day")))
