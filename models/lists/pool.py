"""The candidates of one request: products of several groups, each once, with its first group's source."""

from typing import NamedTuple

import numpy as np

from features.arrays.compiled import compiled
from features.arrays.dtypes import Bools, Bytes, Ints

BARRED, OWNED, TAKEN = np.uint8(1), np.uint8(2), np.uint8(4)


class Group(NamedTuple):
    """Products (-1: none) and the source of each."""

    product: Ints
    source: Bytes


class Seeds(NamedTuple):
    """The products that lead to neighbours (cart or latest purchases), and the source of each table."""

    product: Ints
    tables: tuple[Ints, Ints]
    sources: tuple[int, int]
    depth: int


@compiled
def united(
    groups: tuple[Group, Group, Group], seeds: Seeds, owned: Ints, barred: Bools
) -> tuple[Ints, Bytes, Bools]:
    """Return products that are not barred, their sources, and whether the customer owns them.

    The first two groups come before the neighbours of the seeds, the third after them.
    """
    first, second, third = groups
    marks = barred.astype(np.uint8)  # True is BARRED
    for row in range(len(owned)):
        marks[owned[row]] |= OWNED
    width = (
        2 * seeds.depth * len(seeds.product) + len(first.product) + len(second.product) + len(third.product)
    )
    product, source, own = np.empty(width, np.int32), np.empty(width, np.uint8), np.empty(width, np.bool_)
    n = _add(0, first, marks, product, source)
    n = _add(n, second, marks, product, source)
    for table, kind in zip(seeds.tables, seeds.sources):  # noqa: B905 (numba knows no strict)
        kinds = np.full(seeds.depth, kind, np.uint8)
        for row in range(len(seeds.product)):
            n = _add(n, Group(table[seeds.product[row], : seeds.depth], kinds), marks, product, source)
    n = _add(n, third, marks, product, source)
    for row in range(n):
        own[row] = marks[product[row]] & OWNED
    return product[:n], source[:n], own[:n]


@compiled
def _add(n: int, group: Group, marks: Bytes, product: Ints, source: Bytes) -> int:
    """Add the products that are neither barred nor added yet; return the new number of products."""
    for row in range(len(group.product)):
        code = group.product[row]
        if code >= 0 and not marks[code] & (BARRED | TAKEN):
            marks[code] |= TAKEN
            product[n], source[n] = code, group.source[row]
            n += 1
    return n
