"""Where each customer stands at a moment: consent, contacts, deliveries, birthdays, worth; as arrays.

Unknown is not zero: days since an unknown event are NaN, and an action that depends on it must wait.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.arrays.dtypes import Bools, Doubles, Floats, Ids, Ints, Longs
from features.arrays.stored import read_array, write_arrays
from models.policy.actions import CHANNELS, EVENTS, NAMES, Event

NOT_RECORDED = -1
COLUMNS: dict[str, list[str]] = {"consent": [*CHANNELS], "since": [*EVENTS], "since_action": [*NAMES]}
"""The meaning of these arrays' columns."""


@dataclass(frozen=True)
class Standing:
    """The input of the rules of time and channel, and the worth of customers; n rows."""

    consent: NDArray[np.int8]
    """By channel, shape (n, len(CHANNELS)): 1 given, 0 refused, -1 not recorded."""
    n_contacts_7d: Ints
    """Contacts received in the last 7 days, over all channels."""
    held_out: Bools
    """Never contacted, as a control group."""
    since: Floats
    """Days since each of ``EVENTS``, shape (n, len(EVENTS)); negative if it lies ahead, NaN if unknown."""
    since_action: Floats
    """Days since the last contact with each of ``NAMES``, shape (n, len(NAMES)); NaN without one."""
    settles_in: Floats
    """Days until everything bought is delivered and settled; 0 or less if it is."""
    return_open: Bools
    """Whether a return is under way."""
    risk: Doubles
    """Chance of no order within the horizon without a contact; NaN if unknown."""
    margin: Doubles
    """Margin within the horizon, given at least one order."""
    basket: Doubles
    """Amount of a usual order: the base of a discount without a product."""
    n_orders: Ints
    rank: Floats
    """Share of all customers with less expected margin (0 to 1; the best are near 1)."""

    def __len__(self) -> int:
        return len(self.n_orders)

    @classmethod
    def unknown(cls, n: int) -> "Standing":
        """Return ``n`` customers about whom nothing is known."""
        risk, margin, basket = np.full((3, n), np.nan)
        return cls(
            consent=np.full((n, len(CHANNELS)), NOT_RECORDED, np.int8),
            n_contacts_7d=np.zeros(n, np.int32),
            held_out=np.zeros(n, bool),
            since=np.full((n, len(EVENTS)), np.nan, np.float32),
            since_action=np.full((n, len(NAMES)), np.nan, np.float32),
            settles_in=np.zeros(n, np.float32),
            return_open=np.zeros(n, bool),
            risk=risk,
            margin=margin,
            basket=basket,
            n_orders=np.zeros(n, np.int32),
            rank=np.zeros(n, np.float32),
        )

    def take(self, rows: "Ints | slice") -> "Standing":
        """Return the rows of some customers, in the order given."""
        return Standing(*(getattr(self, field.name)[rows] for field in fields(self)))

    def later(self, days: float) -> "Standing":
        """Return the same customers ``days`` later if nothing happens; contacts of 7 days still count."""
        if not days:
            return self
        ages = (self.since + np.float32(days), self.since_action + np.float32(days))
        settles = self.settles_in - np.float32(days)
        return replace(self, since=ages[0], since_action=ages[1], settles_in=settles)

    def contacted(self, n_7d: Ints, days: Mapping[str, Floats | float]) -> "Standing":
        """Return the same customers after further contacts, ``n_7d`` of them in the last 7 days.

        ``days``: by action, days since the last of them with it, shape (n,); NaN without one.
        """
        since = self.since_action.copy()
        for name, last in days.items():
            column = since[:, NAMES.index(name)]
            np.fmin(column, last, out=column)
        return replace(self, n_contacts_7d=self.n_contacts_7d + n_7d, since_action=since)

    def ordered(
        self, n: Ints, money: Doubles, *, days: Mapping[Event, Floats], settles_in: Floats
    ) -> "Standing":
        """Return the same customers after ``n`` further orders for ``money`` (NaN unknown).

        ``days``: by event, days since it, shape (n,), NaN without one: the first of these orders, the last,
        and the latest delivery. ``settles_in``: days until all of them have settled.
        """
        since, n_orders = self.since.copy(), self.n_orders + n
        for event, age in days.items():
            column = since[:, EVENTS.index(event)]
            (np.fmax if event == "first_order" else np.fmin)(column, age, out=column)
        spent = np.array([self.basket * self.n_orders, money])
        basket = np.nansum(spent, axis=0) / np.maximum(n_orders, 1)
        basket[np.isnan(spent).all(axis=0)] = np.nan
        settles = np.maximum(self.settles_in, settles_in)
        return replace(
            self,
            since=since,
            n_orders=n_orders,
            basket=np.where(n > 0, basket, self.basket),
            settles_in=np.where(n > 0, settles, self.settles_in),
        )

    def scored(self, rows: Longs, risk: Doubles, *, margin: Doubles, rank: Floats) -> "Standing":
        """Return the same customers, those of ``rows`` with other scores."""
        columns = {"risk": risk, "margin": margin, "rank": rank}
        changed = {name: getattr(self, name).copy() for name in columns}
        for name, values in columns.items():
            changed[name][rows] = values
        return replace(self, **changed)

    def save(self, folder: Path) -> None:
        """Write one ``.npy`` per array, to be memory-mapped by many, and the names of their columns."""
        write_arrays(folder, {field.name: getattr(self, field.name) for field in fields(self)})
        (folder / "columns.json").write_text(json.dumps(COLUMNS), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Standing":
        """Memory-map what ``save`` wrote; channels, events and actions added since are unknown."""
        standing = cls(*(read_array(folder, field.name) for field in fields(cls)))
        columns = json.loads((folder / "columns.json").read_text(encoding="utf-8"))
        return standing if columns == COLUMNS else standing._by_name(columns)

    def _by_name(self, columns: Mapping[str, list[str]]) -> "Standing":
        """Return the same with today's columns, matched by name; ``columns`` names the arrays' columns."""
        arranged = Standing.unknown(len(self))
        for part, names in COLUMNS.items():
            for at, name in enumerate(names):
                if name in columns[part]:
                    getattr(arranged, part)[:, at] = getattr(self, part)[:, columns[part].index(name)]
        return replace(self, **{part: getattr(arranged, part) for part in COLUMNS})


def draw_held_out(ids: Ids, share: float, *, salt: str) -> Bools:
    """Draw the control group by a hash of id and salt, so that it is the same at every decision.

    ``ids`` are UTF-8 bytes, shape (n,), as in ``Vocabulary.ids``; a customer's draw does not depend on the
    others'. FNV-1a over the bytes, finished as in splitmix64 (Steele et al. 2014).
    """
    if share <= 0 or not len(ids):
        return np.zeros(len(ids), bool)
    letters = np.ascontiguousarray(ids).view(np.uint8).reshape(len(ids), -1)
    state = np.full(len(ids), _fold_salt(salt), np.uint64)
    for column in letters.T:  # over the letters of an id, not over the customers
        state = np.where(column == 0, state, (state ^ column) * FNV_PRIME)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        state = (state ^ (state >> np.uint64(shift))) * np.uint64(factor)
    state ^= state >> np.uint64(31)
    return np.asarray((state >> np.uint64(11)) / 2.0**53 < share)


FNV_PRIME = np.uint64(0x100000001B3)


def _fold_salt(salt: str) -> int:
    folded = 0xCBF29CE484222325
    for byte in salt.encode():
        folded = (folded ^ byte) * int(FNV_PRIME) % 2**64
    return folded
