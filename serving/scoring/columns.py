"""A table with one row per customer as memory-mapped arrays, which workers read in place of a frame."""

import json
import mmap
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from math import isnan
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.arrays.dtypes import Bools, Column, Doubles, Ints, Longs
from features.arrays.stored import read_array, write_arrays
from features.errors import ArtefactError
from features.window import day_number, local_day

if TYPE_CHECKING:
    import pandas as pd

DECIMALS = 6
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NO_MOMENT = np.iinfo(np.int64).min
Value = float | str | None


@dataclass(frozen=True)
class Columns:
    """Named columns of three kinds, in ``order``. NaN, -1 and NaT are all read as None."""

    order: tuple[str, ...]
    kinds: Mapping[str, str]
    """``number``, ``text`` or ``moment``, by name."""
    words: Mapping[str, list[str]]
    """The vocabulary of each text column."""
    numbers: Doubles
    texts: Ints
    moments: Longs
    """Microseconds since 1970 in UTC."""

    def __len__(self) -> int:
        return len(self.numbers)

    def _of(self, kind: str) -> list[str]:
        return [name for name in self.order if self.kinds[name] == kind]

    def number(self, name: str) -> Doubles:
        """Return one numeric column; raise ``KeyError`` for an unknown name."""
        if self.kinds[name] != "number":
            raise KeyError(name)
        return self.numbers[:, self._of("number").index(name)]

    def text(self, name: str) -> Ints:
        """Return one text column as indices into ``words``, -1 for none; ``KeyError`` for an unknown name."""
        if self.kinds[name] != "text":
            raise KeyError(name)
        return self.texts[:, self._of("text").index(name)]

    def day_numbers(self, name: str, timezone: str) -> Doubles | None:
        """Return a column of moments as the shop's days since 1970-01-01 (NaN unknown); None without one."""
        if self.kinds.get(name) != "moment":
            return None
        moments = self.moments[:, self._of("moment").index(name)]
        days = np.full(len(moments), np.nan)
        known = np.flatnonzero(moments != NO_MOMENT)
        unique, at = np.unique(moments[known], return_inverse=True)
        days[known] = np.array([_day(value, timezone) for value in unique.tolist()], np.float64)[at]
        return days

    def rows(self, at: slice) -> Iterator[dict[str, Value]]:
        """Return rows as dictionaries, in order."""
        columns = self.shown(at)
        for values in zip(*columns, strict=True) if columns else ((),) * len(self.numbers[at]):
            yield dict(zip(self.order, values, strict=True))

    def shown(self, at: "slice | Longs") -> list[list[Value]]:
        """Return some rows by column, in order, as they are shown."""
        return [self._shown(name, at) for name in self.order]

    def row(self, at: int) -> dict[str, Value]:
        """Return one row as a dictionary."""
        return next(self.rows(slice(at, at + 1)), {})

    def _shown(self, name: str, at: "slice | Longs") -> list[Value]:
        column = self._of(self.kinds[name]).index(name)
        if self.kinds[name] == "number":
            return [None if isnan(value) else value for value in self.numbers[at, column].tolist()]
        if self.kinds[name] == "text":
            words = self.words[name]
            return [words[code] if code >= 0 else None for code in self.texts[at, column].tolist()]
        moments = self.moments[at, column].tolist()
        texts = {value: _moment(value) for value in set(moments)}
        return [texts[value] for value in moments]

    def among(self, name: str, words: Collection[str]) -> Bools:
        """Mark the rows whose text is one of ``words``; raise ``KeyError`` for an unknown column."""
        wanted = [code for code, word in enumerate(self.words.get(name, ())) if word in words]
        return np.isin(self.text(name), wanted)

    def release_pages(self) -> None:
        """Release the memory of mapped arrays that were read; they are read again when needed."""
        for name in ARRAYS:
            release_pages(getattr(self, name))

    @classmethod
    def of(cls, frame: "pd.DataFrame") -> "Columns":
        """Build from a frame's columns, in the order of its rows; numbers are rounded to six decimals."""
        import pandas as pd

        kinds: dict[str, str] = {}
        words: dict[str, list[str]] = {}
        values: Column
        parts: dict[str, list[Any]] = {"number": [], "text": [], "moment": []}
        for name, column in frame.items():
            if pd.api.types.is_datetime64_any_dtype(column):
                kind, values = "moment", _microseconds(column)
            elif pd.api.types.is_numeric_dtype(column):
                kind, values = "number", column.to_numpy(np.float64, na_value=np.nan).round(DECIMALS)
            else:
                codes, words[str(name)] = _coded(column)
                kind, values = "text", codes
            kinds[str(name)] = kind
            parts[kind].append(values)
        arrays = {kind: _stack(parts[kind], len(frame), dtype) for kind, dtype in DTYPES.items()}
        return cls(
            tuple(kinds),
            kinds,
            words,
            numbers=arrays["number"],
            texts=arrays["text"],
            moments=arrays["moment"],
        )

    def save(self, folder: Path) -> None:
        """Write three arrays and a card."""
        write_arrays(folder, {name: getattr(self, name) for name in ARRAYS})
        card = {"order": self.order, "kinds": self.kinds, "words": self.words}
        (folder / "columns.json").write_text(json.dumps(card), encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> "Columns":
        """Memory-map what ``save`` wrote; raise ``ArtefactError`` if it is broken."""
        try:
            card = json.loads((folder / "columns.json").read_text(encoding="utf-8"))
            arrays = {name: read_array(folder, name) for name in ARRAYS}
            return cls(tuple(card["order"]), card["kinds"], card["words"], **arrays)
        except (OSError, ValueError, KeyError) as error:
            raise ArtefactError(f"{folder.name}/ is no table of columns ({error})", "score again") from error


ARRAYS = ("numbers", "texts", "moments")
DTYPES = {"number": np.float64, "text": np.int32, "moment": np.int64}


def release_pages(array: Column) -> None:
    """Release the memory of a mapped array's pages; other arrays are left alone."""
    base: Any = array
    while base is not None and not isinstance(base, mmap.mmap):
        base = getattr(base, "base", None)
    if base is not None and hasattr(base, "madvise"):
        base.madvise(mmap.MADV_DONTNEED)


def _stack(columns: list[Any], n: int, dtype: Any) -> Any:
    return np.column_stack(columns).astype(dtype) if columns else np.zeros((n, 0), dtype)


def _coded(column: "pd.Series[Any]") -> tuple[Ints, list[str]]:
    """Return a code for every text of a column, -1 if it is missing, and the texts."""
    known = column.notna().to_numpy()
    texts = column[known].astype(str)
    words = sorted(set(texts))
    codes = np.full(len(column), -1, np.int32)
    codes[known] = texts.map({word: code for code, word in enumerate(words)})
    return codes, words


def _microseconds(column: "pd.Series[Any]") -> Longs:
    """Return microseconds since 1970; a naive time is in UTC."""
    aware = column if getattr(column.dtype, "tz", None) is not None else column.dt.tz_localize("UTC")
    naive = aware.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy("datetime64[us]")
    return np.asarray(naive.astype(np.int64))


def _day(value: int, timezone: str) -> int:
    return day_number(local_day(EPOCH + timedelta(microseconds=value), timezone))


def _moment(value: int) -> str | None:
    return None if value == NO_MOMENT else (EPOCH + timedelta(microseconds=value)).isoformat()
