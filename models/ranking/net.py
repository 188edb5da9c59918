"""A small neural network averaged with the ranker's trees: smooth where they make steps.

One hidden layer over the logarithms of the pair features. A logarithm is taken from the bits of the number
(its exponent, and linear between powers of two), at the cost of one addition. One function computes the
inputs for learning and for answering.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np

from features.arrays.compiled import compiled
from features.arrays.dtypes import Doubles, Floats, Ints, Longs
from features.arrays.pairs import MISSING
from features.arrays.stored import read_array, write_arrays

SHARE_LIMIT = 1.5
"""Columns that never exceed this are shares and the like, and are scaled by 100."""
BLOCK = 64
"""Rows computed together, column by column."""
MAX_DEVIATIONS = 4.0
"""Inputs are capped at this many standard deviations from their mean."""


class Scale(NamedTuple):
    """The scaling of features to inputs, by column; a missing value is input 0, and 1 in its flag."""

    factor: Floats
    mean: Floats
    spread: Floats
    flag: Ints
    """Index of the flag among the inputs; -1 if the column is never missing, or an earlier flag says the
    same."""
    missing: Any = MISSING
    far: Any = np.float32(MAX_DEVIATIONS)

    @classmethod
    def of(cls, features: Floats) -> Self:
        """Compute from some rows."""
        n_columns, known = features.shape[1], features != MISSING
        largest = np.where(known, np.abs(features), 0).max(axis=0, initial=0)
        factor = np.where(largest <= SHARE_LIMIT, 100, 1).astype(np.float32)
        plain = cls(factor, np.zeros_like(factor), np.ones_like(factor), _flags(~known), far=np.float32(1e9))
        logs, count = inputs(features, plain)[:, :n_columns], np.maximum(known.sum(axis=0), 1)
        mean = logs.sum(axis=0, dtype=np.float64) / count
        spread = np.sqrt(np.where(known, (logs - mean) ** 2, 0).sum(axis=0) / count)
        spread = np.where(spread < 1e-3, 1, spread)  # a column that hardly varies is not scaled
        return cls(factor, mean.astype(np.float32), spread.astype(np.float32), plain.flag)


def _flags(missing: Any) -> Ints:
    """Return one index for all columns missing in the same rows; -1 for those never or always missing."""
    flag = np.full(missing.shape[1], -1, np.int32)
    seen: set[bytes] = set()
    for column in np.flatnonzero(missing.any(axis=0) & ~missing.all(axis=0)):
        rows = missing[:, column].tobytes()
        if rows not in seen:
            flag[column] = len(flag) + len(seen)
            seen.add(rows)
    return flag


@dataclass(frozen=True)
class Net:
    """Weights of inputs (last row: the bias) and of hidden units (last: the bias)."""

    scale: Scale
    weight: Floats
    out: Floats

    def raw(self, features: Floats) -> Doubles:
        """Return each row's log odds, which depend on its own features alone."""
        features = np.ascontiguousarray(features, np.float32)
        return _sums(features, self.scale, self.weight, self.out)

    def without(self, features: Floats, usual: Floats, family: Ints) -> Doubles:
        """Return ``raw`` with each family of columns replaced by ``usual``, as ``FlatTrees.without``."""
        features = np.ascontiguousarray(features, np.float32)
        return _sums_without(features, self.scale, self.weight, self.out, usual, family)

    def save(self, folder: Path) -> None:
        """Write ``net.*.npy``."""
        scale = np.stack([self.scale.factor, self.scale.mean, self.scale.spread])
        parts = {"scale": scale, "flag": self.scale.flag, "weight": self.weight, "out": self.out}
        write_arrays(folder, {f"net.{name}": array for name, array in parts.items()})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Memory-map what ``save`` wrote."""
        factor, mean, spread = read_array(folder, "net.scale")
        scale = Scale(factor, mean, spread, read_array(folder, "net.flag"))
        return cls(scale, read_array(folder, "net.weight"), read_array(folder, "net.out"))


@compiled
def inputs(features: Floats, scale: Scale) -> Floats:
    """Return the network's inputs of pair features: columns on a log scale, flags, and a 1."""
    n_inputs = max(scale.flag.max() + 1, features.shape[1])
    rows = np.empty((len(features), n_inputs + 1), np.float32)
    block = _block(n_inputs + 1)
    for start in range(0, len(features), BLOCK):
        size = min(BLOCK, len(features) - start)
        _read(features[start : start + size], scale, block)
        for row in range(size):
            rows[start + row] = block[: n_inputs + 1, row]
    return rows


@compiled
def _sums(features: Floats, scale: Scale, weight: Floats, out: Floats) -> Doubles:
    sums, block = np.empty(len(features)), _block(len(weight))
    by_unit = np.zeros((weight.shape[1], len(block)), np.float32)
    by_unit[:, : len(weight)] = weight.T
    for start in range(0, len(features), BLOCK):
        size = min(BLOCK, len(features) - start)
        _read(features[start : start + size], scale, block)
        sums[start : start + size] = _sums_of(block, by_unit, out)[:size]
    return sums


@compiled
def _sums_of(block: Floats, weight: Floats, out: Floats) -> Doubles:
    """Return a block's log odds; four inputs at once, so ``hidden`` is read a quarter as often."""
    sums, hidden = np.full(BLOCK, np.float64(out[-1])), np.empty(BLOCK, np.float32)
    for unit in range(len(weight)):
        hidden[:] = 0
        for first in range(0, len(block), 4):
            one, two, three, four = block[first], block[first + 1], block[first + 2], block[first + 3]
            a, b = weight[unit, first], weight[unit, first + 1]
            c, d = weight[unit, first + 2], weight[unit, first + 3]
            for row in range(BLOCK):
                hidden[row] += (a * one[row] + b * two[row]) + (c * three[row] + d * four[row])
        for row in range(BLOCK):
            sums[row] += max(hidden[row], np.float32(0)) * out[unit]
    return sums


@compiled
def _sums_without(  # noqa: PLR0917 (numba takes arrays, not objects)
    features: Floats, scale: Scale, weight: Floats, out: Floats, usual: Floats, family: Ints
) -> Doubles:
    """Sum each family's inputs apart (the last row: of none), once for all families and for ``usual``."""
    n, n_units = family.max() + 1, weight.shape[1]
    found, block = np.empty((n, len(features))), _block(len(weight))
    whole, parts, sums = (
        np.empty(BLOCK, np.float32),
        np.empty((n + 1, BLOCK), np.float32),
        np.empty((n, BLOCK)),
    )
    by_unit, instead = np.zeros((n_units, len(block)), np.float32), np.zeros((n_units, n), np.float32)
    by_unit[:, : len(weight)] = weight.T
    places = _by_family(scale, family, len(block))
    _read(usual.reshape(1, -1), scale, block)
    for number in range(n):
        for place in places[number]:
            instead[:, number] += by_unit[:, place] * block[place, 0]
    for start in range(0, len(features), BLOCK):
        size = min(BLOCK, len(features) - start)
        _read(features[start : start + size], scale, block)
        sums[:] = np.float64(out[-1])
        for unit in range(n_units):
            whole[:], parts[:] = 0, 0
            for number in range(n + 1):
                _add_inputs(parts[number], block, by_unit[unit], places[number])
                whole += parts[number]
            for number in range(n):
                part, total, other = parts[number], sums[number], instead[unit, number]
                for row in range(BLOCK):
                    total[row] += max(whole[row] - part[row] + other, np.float32(0)) * out[unit]
        found[:, start : start + size] = sums[:, :size]
    return found


@compiled
def _add_inputs(hidden: Floats, block: Floats, weight: Floats, places: Longs) -> None:
    """Add some inputs, four at once as ``_sums_of``, the rest singly."""
    fours = len(places) // 4 * 4
    for at in range(0, fours, 4):
        p, q, r, s = places[at], places[at + 1], places[at + 2], places[at + 3]
        one, two, three, four = block[p], block[q], block[r], block[s]
        a, b, c, d = weight[p], weight[q], weight[r], weight[s]
        for row in range(BLOCK):
            hidden[row] += (a * one[row] + b * two[row]) + (c * three[row] + d * four[row])
    for place in places[fours:]:
        one, a = block[place], weight[place]
        for row in range(BLOCK):
            hidden[row] += a * one[row]


@compiled
def _by_family(scale: Scale, family: Ints, n_inputs: int) -> list[Longs]:
    """Return the inputs of each family, last those of none; a flag goes with the column it is read from."""
    of_input = np.full(n_inputs, -1, np.int32)
    for column in range(len(family)):
        of_input[column] = family[column]
        if scale.flag[column] >= 0:
            of_input[scale.flag[column]] = family[column]
    of_input[of_input < 0] = family.max() + 1
    return [np.flatnonzero(of_input == number) for number in range(family.max() + 2)]


@compiled
def _block(n: int) -> Floats:
    """Return room for a block of rows by input, the last of which is 1; zeros fill it up to fours."""
    block = np.zeros((-(-n // 4) * 4, BLOCK), np.float32)
    block[n - 1] = 1
    return block


@compiled
def _read(features: Floats, scale: Scale, block: Floats) -> None:
    """Write the inputs of some rows, at most ``BLOCK``, into the block."""
    for row in range(len(features)):
        block[: features.shape[1], row] = features[row]
    for column in range(features.shape[1]):
        flag = scale.flag[column]
        factor, mean, spread = scale.factor[column], scale.mean[column], scale.spread[column]
        for row in range(BLOCK if flag >= 0 else 0):
            block[flag, row] = block[column, row] == scale.missing
        for row in range(BLOCK):
            value = block[column, row]
            grown = np.float32(np.float32(1) + np.abs(value) * factor)
            log = np.float32(grown.view(np.int32) - np.int32(0x3F800000)) * np.float32(2**-23)
            z = min(max((np.copysign(log, value) - mean) / spread, -scale.far), scale.far)
            block[column, row] = np.float32(0) if value == scale.missing else z
