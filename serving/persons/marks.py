"""Who of a scoring's customers asked to be forgotten: told by marks that the scoring keeps of everyone.

The store knows the erased by a digest of their id. To compute it takes five microseconds, so for a million
customers longer than a request may last. A mark is a digest's first eight bytes, computed once with the
scoring; only customers whose mark is that of somebody erased are hashed again.
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
    """What tells that salt from another: a store may have been made anew since."""
    mark: Numbers

    @classmethod
    def of(cls, salt: bytes, names: Sequence[str]) -> "Marks":
        """Hash everyone: seconds for a million."""
        marks = (_number(digest_of(salt, name)) for name in names)
        return cls(_number(sha256(salt).digest()), np.fromiter(marks, np.uint64, len(names)))

    def made_with(self, salt: bytes) -> bool:
        """Tell whether these are marks of that salt."""
        return self.salt == _number(sha256(salt).digest())

    def among(self, digests: Collection[bytes]) -> Rows:
        """Return the codes of those whom a digest may belong to: nearly always exactly those it does."""
        wanted = np.unique(np.fromiter(map(_number, digests), np.uint64, len(digests)))
        return np.flatnonzero(among(self.mark, wanted))

    def save(self, folder: Path) -> None:
        """Write one array, to be mapped: the salt's number, then the marks."""
        write_arrays(folder, {MARKS: np.concatenate([np.array([self.salt], np.uint64), self.mark])})

    @classmethod
    def load(cls, folder: Path) -> "Marks | None":
        """Map what ``save`` wrote; None where a scoring keeps no marks."""
        if not (folder / f"{MARKS}.npy").is_file():
            return None
        both = read_array(folder, MARKS)
        return cls(int(both[0]), both[1:])


class Sieve:
    """Who of some customers is forgotten by now; worked out again only after another erasure."""

    def __init__(self, customers: Vocabulary, marks: Marks | None) -> None:
        self._customers, self._marks = customers, marks
        self._told: tuple[int, Bools] = (0, np.zeros(len(customers), bool))

    def among(self, salt: bytes, erased: Collection[bytes]) -> Bools:
        """Mark, by code, whose digest is among those ``erased``; these only grow. Read it, do not write."""
        known = tuple(erased)  # others add to it
        n, told = self._told
        if n == len(known):
            return told
        told = np.zeros(len(self._customers), bool)
        codes = self._with(salt).among(known)
        digests = [digest_of(salt, name) for name in self._customers.names(codes)]
        told[[code for code, digest in zip(codes, digests, strict=True) if digest in erased]] = True
        self._told = len(known), told
        return told

    def _with(self, salt: bytes) -> Marks:
        """Return the marks of a salt: those kept, or made now, once."""
        if self._marks is None or not self._marks.made_with(salt):
            self._marks = Marks.of(salt, self._customers.all_names())
        return self._marks


def _number(digest: bytes) -> int:
    return int.from_bytes(digest[:8], "little")
