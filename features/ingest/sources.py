"""Find a shop's files and open them with DuckDB: Parquet, CSV, text separated by blanks."""

import csv
import gzip
import hashlib
import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path

import duckdb

from features.errors import InputError
from features.settings import Settings, TableMap
from features.storage.contracts import TABLES
from features.storage.tables import literal, quote

PARQUET = (".parquet", ".pq")
DELIMITED = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
TEXT = (".txt",)
DELIMITERS = ",;\t|"
OURS = ("__row", "__file")
"""Columns that are not the source's own."""


@dataclass(frozen=True)
class Source:
    """One input of a table: a file, or a query over files; ``label`` is its name in reports and errors."""

    table: str
    label: str
    files: tuple[Path, ...]
    query: str = ""
    may_lack: tuple[str, ...] = ()
    also: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def digest(self) -> str:
        """Return the SHA-256 of the files' bytes and of the query."""
        total = hashlib.sha256(self.query.encode())
        for path in self.files:
            with path.open("rb") as handle:
                total.update(hashlib.file_digest(handle, "sha256").digest())
        return total.hexdigest()

    def relation(self, con: duckdb.DuckDBPyConnection) -> str:
        """Return SQL of a relation with the source's columns and ``__row``, its row number counted from 1."""
        if not self.query:
            with in_words(self):
                return f"({completed(con, f'FROM {reader(self.files[0])}', source=self)[0]})"
        return f"(SELECT row_number() OVER () AS __row, * FROM ({self.query.strip().rstrip(';')}))"


def find(path: Path, settings: Settings) -> tuple[list[Source], list[str]]:
    """Return a shop's inputs, and notes on mapped tables whose files are missing.

    A single file is the table of its name, else the order lines. So is the only file of a folder in which no
    table was found, unless the map names a file for the order lines.
    """
    folder = path if path.is_dir() else path.parent
    maps = {name: settings.tables.get(name, TableMap()) for name in TABLES}
    alone = _stem(path) if _stem(path) in TABLES else "order_lines"
    inputs: list[Source] = []
    notes: list[str] = []
    lines: list[Path] = []
    for name, table_map in maps.items():
        files = _files(folder, name, table_map.file) if path.is_dir() else [path] * (name == alone)
        lines = files if name == "order_lines" else lines
        if table_map.query:
            used = tuple(_named_in(table_map.query, path, lines))
            source = Source(name, f"query of {name}", used, table_map.query, table_map.may_lack)
            inputs += [replace(source, also=maps["order_lines"].also)] if used else []
        elif files:
            labels = {file: str(file.relative_to(folder)) for file in files}
            inputs += [Source(name, labels[file], (file,), also=table_map.also) for file in files]
        elif table_map.file and path.is_dir():
            notes.append(f"{name}: no file {table_map.file} in {folder}, left out")
    is_open = path.is_dir() and not inputs and not maps["order_lines"].file
    if is_open and len(beside := _tables_in(path)) == 1:
        return find(beside[0], settings)
    return inputs, notes


@contextmanager
def registered(
    con: duckdb.DuckDBPyConnection, source: Source, *, order_lines: list[Path]
) -> Iterator[list[str]]:
    """Create views of the files a query reads, named by their stems, and of the order lines.

    They exist within the context only: a file may be named as one of our tables (``orders.csv``) and would
    shadow it. A row's ``__file`` is the file's number, from 0 by name: exports may overlap, and queries
    prefer the later one. Yields the optional columns that the order lines lack, which are added as NULL. Does
    nothing for a source without a query.
    """
    views = {_stem(file): [file] for file in source.files if source.query} | (
        {"order_lines": order_lines} if source.query and order_lines else {}
    )
    lacking: list[str] = []
    for name, files in views.items():
        read = (
            f"SELECT * EXCLUDE (__row), {at} AS __file FROM {reader(file)}" for at, file in enumerate(files)
        )
        parts = " UNION ALL BY NAME ".join(read)
        with in_words(source):
            if name == "order_lines":
                parts, lacking = completed(con, parts, source=source)
            con.execute(f'CREATE TEMP VIEW "{name}" AS {parts}')
    try:
        yield lacking
    finally:
        for name in views:
            con.execute(f'DROP VIEW temp."{name}"')


@contextmanager
def in_words(source: Source) -> Iterator[None]:
    """Turn DuckDB's errors about a broken file into ``InputError``."""
    try:
        yield
    except (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.OutOfRangeException) as error:
        in_csv = "CSV" in str(error)
        message = " ".join(str(error).splitlines()[: 3 if in_csv else 1])
        hint = (
            "repair that line, or export the file again" if in_csv else "repair the file, or the column map"
        )
        if "unicode" in message:
            hint = "save it as CSV in UTF-8, as spreadsheets and iconv -f WINDOWS-1252 -t UTF-8 do"
        raise InputError(f"{source.label} ({source.table}) is broken: {message}", hint) from error


def completed(
    con: duckdb.DuckDBPyConnection, query: str, *, source: Source | TableMap
) -> tuple[str, list[str]]:
    """Return ``query`` with the columns that ``source`` expects added, and which of them are just NULL."""
    there = {str(name).lower() for name, *_ in con.execute(f"DESCRIBE {query}").fetchall()}
    added = {
        name: next((f'"{other}"' for other in others if other.lower() in there), "")
        for name, others in source.also.items()
        if name.lower() not in there
    }
    lacking = [name for name in source.may_lack if name.lower() not in there and not added.get(name)]
    added |= dict.fromkeys(lacking, "CAST(NULL AS VARCHAR)")
    columns = "".join(f', {cell} AS "{name}"' for name, cell in added.items() if cell)
    return (f"SELECT *{columns} FROM ({query})" if columns else query), lacking


def reader(file: Path) -> str:
    """Return SQL that reads one file with ``__row``; ``InputError`` if it is empty or of unknown format."""
    name, lower = literal(file), file.name.lower()
    if file.stat().st_size == 0:
        raise InputError(f"{file} is empty", "export it again, or leave it out of the folder")
    if lower.endswith(PARQUET):
        numbered = "SELECT * EXCLUDE (file_row_number), file_row_number + 1 AS __row"
        return f"({numbered} FROM read_parquet({name}, file_row_number = true, hive_partitioning = false))"
    if lower.endswith(TEXT):
        return _text(name)
    if lower.endswith(DELIMITED):
        return _delimited(file, name)
    raise InputError(
        f"cannot read {file.name}: neither Parquet nor CSV",
        "convert it to one of them; a database is named by its URL (sqlite:///shop.db, postgresql://...)",
    )


def _text(name: str) -> str:
    """Return SQL of blank-separated fields; lines without a digit (headings, blank lines) are skipped."""
    options = "delim = '\x01', quote = '', escape = '', header = false, auto_detect = false"
    lines = f"read_csv({name}, {options}, columns = {{'line': 'VARCHAR'}})"
    numbered = f"SELECT row_number() OVER () AS __row, line FROM {lines}"
    fields = "regexp_split_to_array(trim(line), '\\s+') AS fields"
    return f"(SELECT __row, {fields} FROM ({numbered}) WHERE regexp_matches(line, '[0-9]'))"


def _delimited(file: Path, name: str) -> str:
    """Return SQL of a CSV with every cell as text: staging converts cells and names the rows that fail."""
    delimiter, columns = _heading(file)
    types = ", ".join(f"{quote(column)}: 'VARCHAR'" for column in columns)
    options = f"delim = {quote(delimiter)}, quote = '\"', escape = '\"', header = true, auto_detect = false"
    return (
        f"(SELECT row_number() OVER () AS __row, * FROM read_csv({name}, {options}, columns = {{{types}}}))"
    )


def delimiter_of(file: Path) -> str:
    """Return a CSV's delimiter: the most frequent candidate in its first line."""
    return _first_line(file)[1]


def _first_line(file: Path) -> tuple[str, str]:
    """Return a CSV's first line and its delimiter."""
    try:
        with gzip.open(file, "rb") if file.suffix == ".gz" else file.open("rb") as handle:
            first = handle.readline(1_000_000).decode("utf-8-sig").rstrip("\r\n")
        if odd := next((mark for mark in ("\0", "\r") if mark in first), ""):
            raise UnicodeError(f"{odd!r} in its first line")
    except (UnicodeError, OSError, EOFError) as error:
        raise InputError(f"{file} cannot be read as text: {error}", "save it as CSV in UTF-8") from error
    return first, max(DELIMITERS, key=first.count)


def _heading(file: Path) -> tuple[str, list[str]]:
    """Return a CSV's delimiter and column names; an unnamed column is called ``column <number>``."""
    first, delimiter = _first_line(file)
    cells = [cell.strip() for cell in next(csv.reader([first], delimiter=delimiter), [])]
    columns = [cell or f"column {place}" for place, cell in enumerate(cells, 1)]
    if not any(cells) or len({column.lower() for column in columns}) < len(columns):
        raise InputError(
            f"{file}: column names are missing or repeated: {cells}",
            "give each column its own name, in the first line",
        )
    return delimiter, columns


def _files(folder: Path, table: str, pattern: str) -> list[Path]:
    """Return a table's files: as mapped, else ``<table>.parquet`` or ``.csv``, or all in ``<table>/``."""
    if pattern:
        return sorted((file for file in folder.glob(pattern) if file.is_file()), key=_by_number)
    for suffix in (*PARQUET, *DELIMITED):
        if (folder / f"{table}{suffix}").is_file():
            return [folder / f"{table}{suffix}"]
    inner = (folder / table).rglob("*")
    return sorted(
        (file for file in inner if file.name.lower().endswith((*PARQUET, *DELIMITED))), key=_by_number
    )


def _by_number(file: Path) -> list[str | int]:
    """Sort ``orders_10`` after ``orders_2``, and a second download, ``orders (1)``, after ``orders``."""
    whole = str(file)
    bare = next(
        (whole.removesuffix(end) for end in (*DELIMITED, *PARQUET, *TEXT) if whole.endswith(end)), whole
    )
    return [int(part) if part.isdecimal() else part for part in re.split(r"(\d+)", bare)]


def _named_in(query: str, path: Path, order_lines: list[Path]) -> list[Path]:
    """Return the files a query reads: those in the folder whose stems it mentions, and the order lines."""
    words = set(re.findall(r"\w+", query))
    beside = _tables_in(path) if path.is_dir() else []
    named = [file for file in beside if _stem(file) in words]
    return named + [file for file in order_lines if "order_lines" in words and file not in named]


def _tables_in(folder: Path) -> list[Path]:
    return sorted(file for file in folder.iterdir() if file.name.lower().endswith((*PARQUET, *DELIMITED)))


def _stem(file: Path) -> str:
    return file.name.split(".", maxsplit=1)[0]
