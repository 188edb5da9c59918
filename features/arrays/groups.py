"""Rows gathered by a key: what a customer did with one product, or with one kind of products."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from features.arrays.dtypes import Bools, Column, Floats, Longs


def found_at(wanted: Any, ordered: Any) -> Longs:
    """Return the position of each of ``wanted`` in the sorted ``ordered``; -1 where it is absent."""
    if not len(ordered):
        return np.full(np.shape(wanted), -1, np.int64)
    at = np.minimum(np.searchsorted(ordered, wanted), len(ordered) - 1)
    return np.where(ordered[at] == wanted, at, -1)


def among(wanted: Any, ordered: Any) -> Bools:
    """Return which of ``wanted`` are in the sorted ``ordered``.

    For a sorted set that is searched often: ``np.isin`` would sort both sides each time.
    """
    return found_at(wanted, ordered) >= 0


def cumcount(key: Column) -> Longs:
    """Return each row's position among the rows of the same ``key``, in the order given, from 0."""
    order = np.argsort(key, kind="stable")
    start = np.flatnonzero(np.append(True, key[order][1:] != key[order][:-1]))
    position = np.empty(len(key), np.int64)
    position[order] = np.arange(len(key)) - np.repeat(start, np.diff(start, append=len(key)))
    return position


def ranges(start: Column, size: Column) -> Longs:
    """Return the ranges ``start[i] .. start[i] + size[i] - 1``, one after the other."""
    rows: Longs = np.arange(size.sum()) - np.repeat(np.cumsum(size) - size - start, size)
    return rows


@dataclass(frozen=True)
class Groups:
    """Rows in time order, gathered by a key; inside a group the order stays."""

    order: Longs
    start: Longs
    end: Longs

    @classmethod
    def of(cls, key: Longs) -> "Groups":
        """Gather rows (in time order) by ``key``."""
        order = np.argsort(key, kind="stable")
        start = np.flatnonzero(np.diff(key[order], prepend=-1))
        end = np.append(start[1:], len(key))[: len(start)] - 1
        return cls(order, start, end)

    def first(self, column: Column) -> Column:
        """Return the first row's value of each group."""
        return column[self.order[self.start]]

    def last(self, column: Column) -> Column:
        """Return the last row's value of each group."""
        return column[self.order[self.end]]

    def sums(self, columns: Floats) -> Floats:
        """Return the sums of each row of ``columns`` (shape (m, rows)) by group: shape (m, groups)."""
        if not len(self.start):
            return np.zeros((len(columns), 0), np.float32)
        return np.add.reduceat(columns[:, self.order], self.start, axis=1)
