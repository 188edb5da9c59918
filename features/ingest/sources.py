"""Find a shop's files and open them for DuckDB: Parquet, CSV, blank-separated text; broken ones are named."""

import csv
import gzip
import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import duckdb

from features.ingest.contracts import TABLES
from features.errors import InputError
from features.settings import Settings, TableMap

PARQUET = (".parquet", ".pq")
DELIMITED = (".csv", ".tsv", ".csv.gz", ".tsv.gz")
TEXT = (".txt",)
DELIMITERS = ",;\t|"


@dataclass(frozen=True)
class Source:
    """One input of a table: a file, or a query over files; ``label`` is how reports and errors call it."""

    table: str
    label: str
    files: tuple[Path, ...]
    query: str = ""

    def digest(self) -> str:
        """Return the SHA-256 of the files' bytes and of the query."""
        total = hashlib.sha256(self.query.encode())
        for path in self.files:
            with path.open("rb") as handle:
                total.update(hashlib.file_digest(handle, "sha256").digest())
        return total.hexdigest()


def find(path: Path, settings: Settings) -> tuple[list[Source], list[str]]:
    """Return a shop's inputs and, in words, the mapped tables that are not there; a file alone is its order lines."""
    maps = {name: settings.tables.get(name, TableMap()) for name in TABLES}
    files = _single(path) if path.is_file() else {name: _files(path, name, maps[name].file) for name in TABLES}
    folder = path.parent if path.is_file() else path
    sources, notes = [], []
    for name, table_map in maps.items():
        if table_map.query:
            used = _named_in(table_map.query, folder if path.is_dir() else None, files["order_lines"])
            found = Source(name, f"query of {name}", tuple(used), table_map.query)
            sources += [found] if used else []
        elif files[name]:
            sources += [Source(name, _label(file, folder), (file,)) for file in files[name]]
        elif table_map.file and path.is_dir():
            notes.append(f"{name}: no file {table_map.file} in {folder}, left out")
    return sources, notes


def rows_of(source: Source) -> str:
    """Return SQL of a relation with the source's columns and ``__row``, its row number counted from 1."""
    if not source.query:
        return reader(source.files[0])
    return f"(SELECT row_number() OVER () AS __row, * FROM ({source.query.rstrip().rstrip(';')}))"


def register(con: duckdb.DuckDBPyConnection, source: Source, order_lines: tuple[Path, ...]) -> None:
    """Make the files a query reads visible under their stems, and the order lines under their table's name."""
    for file in source.files:
        con.execute(f'CREATE OR REPLACE TEMP VIEW "{_stem(file)}" AS SELECT * EXCLUDE (__row) FROM {reader(file)}')
    if order_lines:
        parts = " UNION ALL BY NAME ".join(f"SELECT * EXCLUDE (__row) FROM {reader(file)}" for file in order_lines)
        con.execute(f"CREATE OR REPLACE TEMP VIEW order_lines AS {parts}")


def reader(file: Path) -> str:
    """Return SQL that reads one file with ``__row``; raises ``InputError`` for a kind or a heading it cannot read."""
    name = quote(str(file))
    if file.stat().st_size == 0:
        raise InputError(f"{file} is empty", "export it again, or leave it out of the folder")
    if file.name.lower().endswith(PARQUET):
        return f"(SELECT * EXCLUDE (file_row_number), file_row_number + 1 AS __row FROM read_parquet({name}, file_row_number = true))"
    if file.name.lower().endswith(TEXT):
        return _text(name)
    if file.name.lower().endswith(DELIMITED):
        return _delimited(file, name)
    raise InputError(f"cannot read {file.name}: not Parquet or CSV", "convert it to one of them")


def quote(text: str) -> str:
    """Return a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def _text(name: str) -> str:
    """Fields apart by blanks; lines without a digit (headings, blank lines) hold no data."""
    lines = f"read_csv({name}, delim = '\\x01', quote = '', escape = '', header = false, columns = {{'line': 'VARCHAR'}}, auto_detect = false)"
    fields = "regexp_split_to_array(trim(line), '\\s+') AS fields"
    numbered = f"SELECT row_number() OVER () AS __row, line FROM {lines}"
    return f"(SELECT __row, {fields} FROM ({numbered}) WHERE regexp_matches(line, '[0-9]'))"


def _delimited(file: Path, name: str) -> str:
    """Every cell as text: our own contracts say what it must be, and name the rows where it is not."""
    delimiter, columns = _heading(file)
    types = ", ".join(f"{quote(column)}: 'VARCHAR'" for column in columns)
    options = f"delim = {quote(delimiter)}, quote = '\"', escape = '\"', header = true, auto_detect = false"
    return f"(SELECT row_number() OVER () AS __row, * FROM read_csv({name}, {options}, columns = {{{types}}}))"


def _heading(file: Path) -> tuple[str, list[str]]:
    try:
        first = next(_lines(file), "").rstrip("\r\n")
    except (UnicodeDecodeError, OSError) as error:
        raise InputError(f"{file} cannot be read as text: {error}", "save it as CSV in UTF-8") from error
    delimiter = max(DELIMITERS, key=first.count)
    columns = [column.strip() for column in next(csv.reader([first], delimiter=delimiter), [])]
    if not first.strip():
        raise InputError(f"{file} is empty", "the first line must hold the columns' names")
    repeated = sorted({column for column in columns if columns.count(column) > 1})
    if repeated or not all(columns):
        raise InputError(f"{file}: column names are missing or repeated: {columns}", "give each column its own name")
    return delimiter, columns


def _lines(file: Path) -> Iterator[str]:
    opened = gzip.open(file, "rt", encoding="utf-8-sig") if file.suffix == ".gz" else file.open(encoding="utf-8-sig")
    with opened as handle:
        yield from handle


def _single(path: Path) -> dict[str, list[Path]]:
    """One file is the table of its name, else the order lines."""
    table = _stem(path) if _stem(path) in TABLES else "order_lines"
    return {name: [path] if name == table else [] for name in TABLES}


def _files(folder: Path, table: str, pattern: str) -> list[Path]:
    """Return a table's files: as mapped, else ``<table>.parquet``, ``<table>.csv``, or all in the folder ``<table>/``."""
    if pattern:
        return sorted(file for file in folder.glob(pattern) if file.is_file())
    for suffix in (*PARQUET, *DELIMITED):
        if (folder / f"{table}{suffix}").is_file():
            return [folder / f"{table}{suffix}"]
    inner = folder / table
    return sorted(file for file in inner.rglob("*") if file.name.lower().endswith((*PARQUET, *DELIMITED)))


def _named_in(query: str, folder: Path | None, order_lines: list[Path]) -> list[Path]:
    """Return the files whose stems a query mentions; none where it mentions a table that is not there."""
    beside = [file for file in sorted(folder.iterdir()) if file.is_file()] if folder else []
    named = [file for file in beside if _stem(file) in query and file.name.lower().endswith((*PARQUET, *DELIMITED))]
    return named or (order_lines if "order_lines" in query else [])


def _stem(file: Path) -> str:
    return file.name.split(".")[0]


def _label(file: Path, folder: Path) -> str:
    return str(file.relative_to(folder)) if file.is_relative_to(folder) else file.name
