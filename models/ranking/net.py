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

SMALL = 1.5
"""Columns that never exceed this are shares and the like, and are scaled by 100."""
FAR = 4.0
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
    far: Any = np.float32(FAR)

    @classmethod
    def of(cls, features: Floats) -> Self:
        """Compute from some rows."""
        n_columns, known = features.shape[1], features != MISSING
        largest = np.where(known, np.abs(features), 0).max(axis=0, initial=0)
        factor = np.where(largest <= SMALL, 100, 1).astype(np.float32)
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
    found = np.zeros((len(features), n_inputs + 1), np.float32)
    for row in range(len(features)):
        found[row, -1] = 1
        for column in range(features.shape[1]):
            found[row, column] = _input(features[row, column], scale, column)
            if features[row, column] == scale.missing and scale.flag[column] >= 0:
                found[row, scale.flag[column]] = 1
    return found


@compiled
def _input(value: np.float32, scale: Scale, column: int) -> np.float32:
    if value == scale.missing:
        return np.float32(0)
    grown = np.float32(np.float32(1) + np.abs(value) * scale.factor[column])
    log = np.float32(grown.view(np.int32) - np.int32(0x3F800000)) * np.float32(2**-23)
    z = (np.copysign(log, value) - scale.mean[column]) / scale.spread[column]
    return min(max(z, -scale.far), scale.far)


@compiled
def _sums(features: Floats, scale: Scale, weight: Floats, out: Floats) -> Doubles:
    sums = np.empty(len(features))
    hidden = np.empty(weight.shape[1], np.float32)
    place, value = np.zeros(len(weight) + 3, np.int64), np.zeros(len(weight) + 3, np.float32)
    for row in range(len(features)):
        known = _known(features[row], scale, place, value)
        hidden[:] = weight[-1]
        for first in range(0, known, 4):
            _add(hidden, weight, place[first : first + 4], value[first : first + 4])
        sums[row] = out[-1]
        for unit in range(len(hidden)):
            sums[row] += max(hidden[unit], np.float32(0)) * out[unit]
    return sums


@compiled
def _known(row: Floats, scale: Scale, place: Longs, value: Floats) -> int:
    """Write the known inputs, padded with 0 to a multiple of four; return how many."""
    known = 0
    for column in range(len(row)):
        if row[column] != scale.missing:
            place[known], value[known] = column, _input(row[column], scale, column)
            known += 1
        elif scale.flag[column] >= 0:
            place[known], value[known] = scale.flag[column], 1
            known += 1
    place[known : known + 3], value[known : known + 3] = 0, 0
    return known


@compiled
def _add(hidden: Floats, weight: Floats, place: Longs, value: Floats) -> None:
    """Add four inputs at once, so that hidden units are read and written a quarter as often."""
    one, two, three, four = value[0], value[1], value[2], value[3]
    first, second, third, fourth = weight[place[0]], weight[place[1]], weight[place[2]], weight[place[3]]
    for unit in range(len(hidden)):
        hidden[unit] += (one * first[unit] + two * second[unit]) + (three * third[unit] + four * fourth[unit])
