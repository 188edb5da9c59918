"""Rows gathered by a key: what a customer did with one product, or with one kind of products."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from features.arrays.dtypes import Bools, Column, Floats, Longs


def among(wanted: Any, ordered: Any) -> Bools:
    """Return which of the ``wanted`` numbers are in ``ordered``: sorted, none below 0.

    Where one sorted set is asked often: ``np.isin`` would gather both sides anew each time.
    """
    at = np.searchsorted(ordered, wanted)
    return np.asarray((np.append(ordered, -1)[at] == wanted) & (wanted >= 0))


def places(key: Column) -> Longs:
    """Return each row's place among those of its ``key``, in the order given, from 0."""
    order = np.argsort(key, kind="stable")
    start = np.flatnonzero(np.append(True, key[order][1:] != key[order][:-1]))
    found = np.empty(len(key), np.int64)
    found[order] = np.arange(len(key)) - np.repeat(start, np.diff(start, append=len(key)))
    return found


def stretches(start: Column, size: Column) -> Longs:
    """Return the numbers from each ``start`` on, ``size`` of each, one stretch after the other."""
    found: Longs = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size - start, size)
    return found


@dataclass(frozen=True)
class Groups:
    """Rows in time order, gathered by a key; inside a group the order stays."""

    keys: Longs
    order: Longs
    start: Longs
    end: Longs

    @classmethod
    def of(cls, key: Longs) -> "Groups":
        """Gather rows (in time order) by ``key``."""
        order = np.argsort(key, kind="stable")
        ordered = key[order]
        start = np.flatnonzero(np.diff(ordered, prepend=-1))
        end = np.append(start[1:], len(key))[: len(start)] - 1
        return cls(ordered[start], order, start, end)

    def at(self, wanted: Longs) -> Longs:
        """Return where each wanted key is; ``len(keys)`` where it is not."""
        if not len(self.keys):
            return np.zeros(len(wanted), np.int64)
        at = np.minimum(np.searchsorted(self.keys, wanted), len(self.keys) - 1)
        return np.where(self.keys[at] == wanted, at, len(self.keys))

    @property
    def n(self) -> Floats:
        """Rows of each group."""
        return (self.end - self.start + 1).astype(np.float32)

    def first(self, column: Column) -> Column:
        """Return the first row's value of each group."""
        return column[self.order[self.start]]

    def last(self, column: Column, back: int = 0) -> Column:
        """Return each group's last value, or the one ``back`` rows before it (the first, if fewer)."""
        return column[self.order[np.maximum(self.end - back, self.start)]]

    def sums(self, columns: Floats) -> Floats:
        """Return the sums of each row of ``columns`` (shape (m, rows)) by group: shape (m, groups)."""
        if not len(self.start):
            return np.zeros((len(columns), 0), np.float32)
        return np.add.reduceat(columns[:, self.order], self.start, axis=1)
