"""Which customers of a scoring were erased, found by marks that the scoring stores for everyone.

The store knows erased customers by a digest of their id. Computing it takes five microseconds, which for a
million customers is longer than a request may take. A mark is a digest's first eight bytes, computed once
with the scoring; only customers whose mark matches an erased one are hashed again.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.arrays.dtypes import Bools, Rows
from features.arrays.groups import among
from features.arrays.history import Vocabulary
from features.arrays.stored import read_array, write_arrays
from serving.persons.rights import digest_of

MARKS = "marks"
Numbers = NDArray[np.uint64]


@dataclass(frozen=True)
class Marks:
    """The mark of each customer, by code, made with one salt."""

    salt: int
    """Identifies the salt: a store may have been recreated since."""
    mark: Numbers

    @classmethod
    def of(cls, salt: bytes, names: Sequence[str]) -> "Marks":
        """Hash all ids: takes seconds for a million."""
        marks = (_number(digest_of(salt, name)) for name in names)
        return cls(_number(sha256(salt).digest()), np.fromiter(marks, np.uint64, len(names)))

    def made_with(self, salt: bytes) -> bool:
        """Return whether these marks were made with that salt."""
        return self.salt == _number(sha256(salt).digest())

    def among(self, digests: Collection[bytes]) -> Rows:
        """Return the codes of those to whom a digest may belong: nearly always exactly the right ones."""
        wanted = np.unique(np.fromiter(map(_number, digests), np.uint64, len(digests)))
        return np.flatnonzero(among(self.mark, wanted))

    def save(self, folder: Path) -> None:
        """Write one array, to be memory-mapped: the salt's number, then the marks."""
        write_arrays(folder, {MARKS: np.concatenate([np.array([self.salt], np.uint64), self.mark])})

    @classmethod
    def load(cls, folder: Path) -> "Marks | None":
        """Memory-map what ``save`` wrote; None if the scoring has no marks."""
        if not (folder / f"{MARKS}.npy").is_file():
            return None
        both = read_array(folder, MARKS)
        return cls(int(both[0]), both[1:])


class ErasedCustomers:
    """Which of some customers are erased now; recomputed only after another erasure."""

    def __init__(self, customers: Vocabulary, marks: Marks | None) -> None:
        self._customers, self._marks = customers, marks
        self._last: tuple[int, Bools] = (0, np.zeros(len(customers), bool))

    def mask(self, salt: bytes, erased: Collection[bytes]) -> Bools:
        """Mark, by code, whose digest is among ``erased``, which only grows. Do not change the result."""
        known = tuple(erased)  # other threads add to it
        n, mask = self._last
        if n == len(known):
            return mask
        mask = np.zeros(len(self._customers), bool)
        codes = self._with(salt).among(known)
        digests = [digest_of(salt, name) for name in self._customers.names(codes)]
        mask[[code for code, digest in zip(codes, digests, strict=True) if digest in erased]] = True
        self._last = len(known), mask
        return mask

    def _with(self, salt: bytes) -> Marks:
        """Return the marks of a salt: the stored ones, or made once now."""
        if self._marks is None or not self._marks.made_with(salt):
            self._marks = Marks.of(salt, self._customers.all_names())
        return self._marks


def _number(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "little")
