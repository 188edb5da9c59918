"""LightGBM's trees as flat arrays, evaluated for many rows at once: the same sums, about twenty times faster.

QuickScorer (Lucchese et al., SIGIR 2015): a tree's leaves, numbered from left to right, are the bits of one
word. A decision that sends a row to the right rules out the leaves of its left branch; the lowest bit left
after all decisions, in any order, is the leaf. No branch depends on the data, so each decision is made for a
block of rows by a few vector instructions.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray

from features.arrays.compiled import compiled
from features.arrays.dtypes import Column, Doubles, Floats, Ints, Longs
from features.errors import ArtefactError
from models.boosted_trees import sections

MAX_LEAVES = 64
"""A tree's leaves are the bits of one word."""
BLOCK = 64
"""Rows per block."""
ALL_BITS = np.uint64(2**64 - 1)


class Word(NamedTuple):
    """The encoding of leaves as bits: a word with all of them, and how its lowest bit is found.

    The top bits of ``de_bruijn`` times a single bit identify that bit: its ``place``.
    """

    every: Any
    one: Any
    de_bruijn: Any
    top: Any
    place: NDArray[np.uint64]

    @classmethod
    def of(cls, n_bits: int, de_bruijn: int) -> Self:
        """Return words of 32 or 64 bits."""
        kind, every = np.dtype(f"uint{n_bits}").type, 2**n_bits - 1
        top = n_bits - n_bits.bit_length() + 1
        place = np.argsort([(de_bruijn << bit & every) >> top for bit in range(n_bits)])
        return cls(kind(every), kind(1), kind(de_bruijn), kind(top), place.astype(np.uint64))


NARROW, WIDE = Word.of(32, 0x077CB531), Word.of(64, 0x03F79D71B4CB0A89)


@dataclass(frozen=True)
class FlatTrees:
    """Decisions and leaves of all trees, concatenated; those of tree ``t`` are ``start[t]:start[t + 1]``."""

    feature: Ints
    threshold: Floats
    """A row goes to the right if its feature is greater."""
    kept: Column
    """The leaves still possible after going to the right: 32 bits if that suffices for all trees, else 64."""
    node_start: Longs
    leaf_start: Longs
    leaf: Doubles

    @classmethod
    def read(cls, text: str) -> Self:
        """Read LightGBM's model text; raise ``ArtefactError`` except for plain trees of up to 64 leaves.

        Thresholds are rounded down to single precision, as features are, so no decision changes.
        """
        parts = [_tree(fields) for fields in sections(text)]
        if not parts:
            raise ArtefactError("the ranker's text holds no tree", "train again")
        feature, threshold, kept, leaf = (np.concatenate(column) for column in zip(*parts, strict=True))
        sizes = [[len(part[column]) for part in parts] for column in (0, 3)]
        node_start, leaf_start = (np.concatenate([[0], np.cumsum(size)]).astype(np.int64) for size in sizes)
        narrow = np.diff(leaf_start).max() <= len(NARROW.place)
        kept = (kept & NARROW.every).astype(np.uint32) if narrow else kept
        return cls(feature, threshold, kept, node_start, leaf_start, leaf)

    def raw(self, features: Floats) -> Doubles:
        """Return the sum of each row's leaves, as ``Booster.predict(raw_score=True)``; NaN is not allowed."""
        features = np.ascontiguousarray(features, np.float32)
        starts = self.node_start, self.leaf_start
        word = NARROW if self.kept.dtype == np.uint32 else WIDE
        return _sums(features, self.feature, self.threshold, self.kept, *starts, self.leaf, word)

    def without(self, features: Floats, usual: Floats, family: Ints) -> Doubles:
        """Return ``raw`` with each family of columns replaced by ``usual``, shape (families, rows).

        ``family`` holds each column's number; -1: none. All families together take one pass.
        """
        features = np.ascontiguousarray(features, np.float32)
        starts = self.node_start, self.leaf_start
        word = NARROW if self.kept.dtype == np.uint32 else WIDE
        trees = self.feature, self.threshold, self.kept, *starts, self.leaf, word
        return _sums_without(features, *trees, usual, family)


def _tree(fields: Mapping[str, str]) -> tuple[Any, ...]:
    """Return features, thresholds, leaves kept, and the leaves' values from left to right."""

    def numbers(name: str, kind: Any) -> Any:
        return np.array(fields.get(name, "").split(), kind)

    leaf = numbers("leaf_value", np.float64)
    if len(leaf) > MAX_LEAVES or fields.get("num_cat", "0") != "0" or fields.get("is_linear", "0") != "0":
        raise ArtefactError(
            f"a tree of {len(leaf)} leaves, or with categorical or linear parts, cannot be evaluated here",
            f"train with n_leaves of {MAX_LEAVES} at most",
        )
    order, spans = _left_to_right(
        *(numbers(name, np.int64).tolist() for name in ("left_child", "right_child"))
    )
    exact = numbers("threshold", np.float64)
    near = exact.astype(np.float32)
    down = np.where(near > exact, np.nextafter(near, np.float32(-np.inf)), near)
    kept = np.array([~(((1 << size) - 1) << first) & int(ALL_BITS) for first, size in spans], np.uint64)
    return numbers("split_feature", np.int32), down, kept, leaf[order]


def _left_to_right(left: list[int], right: list[int]) -> tuple[list[int], list[tuple[int, int]]]:
    """Return the leaves' order, and for each decision the first leaf of its left branch and their number."""
    order: list[int] = []
    spans = [(0, 0)] * len(left)

    def walk(node: int) -> None:
        if node < 0:
            return order.append(~node)
        first = len(order)
        walk(left[node])
        spans[node] = (first, len(order) - first)
        walk(right[node])

    walk(0 if left else -1)
    return order, spans


@compiled
def _sums(  # noqa: PLR0917 (numba takes arrays, not objects)
    features: Floats,
    feature: Ints,
    threshold: Floats,
    kept: Column,
    node_start: Longs,
    leaf_start: Longs,
    leaf: Doubles,
    word: Word,
) -> Doubles:
    sums = np.zeros(len(features))
    column = np.zeros((features.shape[1], BLOCK), np.float32)
    possible = np.empty(BLOCK, kept.dtype)
    for start in range(0, len(features), BLOCK):
        size = min(BLOCK, len(features) - start)
        for row in range(size):
            column[:, row] = features[start + row]
        for tree in range(len(node_start) - 1):
            possible[:] = word.every
            for node in range(node_start[tree], node_start[tree + 1]):
                which, limit, those = feature[node], threshold[node], kept[node]
                for row in range(BLOCK):
                    possible[row] &= those if column[which, row] > limit else word.every
            _add(leaf, np.uint64(leaf_start[tree]), possible, word, sums[start : start + size])
    return sums


@compiled
def _sums_without(  # noqa: PLR0917 (numba takes arrays, not objects)
    features: Floats,
    feature: Ints,
    threshold: Floats,
    kept: Column,
    node_start: Longs,
    leaf_start: Longs,
    leaf: Doubles,
    word: Word,
    usual: Floats,
    family: Ints,
) -> Doubles:
    """Decide as ``_sums``, each family's decisions apart (the last row: of none), and for ``usual``."""
    n = family.max() + 1
    sums = np.zeros((n, len(features)))
    column = np.zeros((features.shape[1], BLOCK), np.float32)
    parts, possible = np.empty((n + 1, BLOCK), kept.dtype), np.empty(BLOCK, kept.dtype)
    instead = np.full((len(node_start) - 1, n + 1), word.every, kept.dtype)
    for tree in range(len(instead)):
        for node in range(node_start[tree], node_start[tree + 1]):
            if usual[feature[node]] > threshold[node]:
                instead[tree, family[feature[node]]] &= kept[node]
    for start in range(0, len(features), BLOCK):
        size = min(BLOCK, len(features) - start)
        for row in range(size):
            column[:, row] = features[start + row]
        for tree in range(len(node_start) - 1):
            parts[:] = word.every
            for node in range(node_start[tree], node_start[tree + 1]):
                which, limit, those = feature[node], threshold[node], kept[node]
                part = parts[family[which]]
                for row in range(BLOCK):
                    part[row] &= those if column[which, row] > limit else word.every
            for out in range(n):
                possible[:] = instead[tree, out]
                for other in range(n + 1):
                    if other != out:
                        for row in range(BLOCK):
                            possible[row] &= parts[other, row]
                _add(leaf, np.uint64(leaf_start[tree]), possible, word, sums[out, start : start + size])
    return sums


@compiled
def _add(leaf: Doubles, first: Any, possible: Column, word: Word, sums: Doubles) -> None:
    """Add each row's leaf: the lowest one left."""
    kind = possible.dtype.type
    for row in range(len(sums)):
        bit = kind(possible[row] & (~possible[row] + word.one))
        sums[row] += leaf[first + word.place[kind(bit * word.de_bruijn) >> word.top]]
