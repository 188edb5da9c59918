"""What ``models.ranking.live`` is asked: who, what they have, what may be shown; and scored products."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from features.arrays.dtypes import Bools, Bytes, Floats, Ints
from features.arrays.history import History
from models.lists.list_kinds import LISTS
from models.lists.rules import Rules

N_RECENT = 5
"""Number of latest purchases used in place of an empty cart."""


@dataclass(frozen=True)
class LiveRequest:
    """One request: ``mine`` is the customer's current history, ``code`` their row in the state (or -1)."""

    mine: History
    code: int
    cart: Ints
    """Products in the cart or looked at; never shown."""
    fresh: Ints
    """Products bought since the state was made."""
    barred: Bools
    """By product code: whether it may not be shown."""
    k: int
    gone: Ints
    """Products bought and returned."""

    @cached_property
    def owned(self) -> Bools:
        """By product code: whether the customer has bought and kept it."""
        owned = np.zeros(len(self.barred), bool)
        owned[self.mine.product] = True
        return owned

    @property
    def latest(self) -> Ints:
        """The latest products bought."""
        return np.unique(self.mine.product[-N_RECENT:])

    @property
    def seeds(self) -> Ints:
        """What a list starts from: the cart, or without one the latest purchases."""
        return self.cart if len(self.cart) else self.latest

    def bars(self, rules: Rules, list_name: str, *, product: Ints) -> Bools:
        """Mark products that a list may not show this customer."""
        had = self.owned[product] | self.tried(list_name, product)
        return self.barred[product] | rules.barred(list_name, product, own=had)

    def tried(self, list_name: str, product: Ints) -> Bools:
        """Mark products that are not new to this customer, although all were returned."""
        if LISTS[list_name].bought != "never" or not len(self.gone):
            return np.zeros(len(product), bool)
        return np.asarray(np.isin(product, self.gone))


@dataclass(frozen=True)
class Scored:
    """Candidates with scores and sources, in any order."""

    product: Ints
    score: Floats
    source: Bytes

    @classmethod
    def nothing(cls) -> "Scored":
        """Return no candidates."""
        return cls(np.zeros(0, np.int32), np.zeros(0, np.float32), np.zeros(0, np.uint8))
