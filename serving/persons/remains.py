"""Search for remains of a customer in every file of a home, by kind of file.

Parquet columns, arrays, databases, CSV and JSON are parsed; everything else is searched byte by byte. An id
that could be anything (``17``) is only searched where customer ids occur, and the answer says so.
"""

import csv
import mmap
import os
import re
import sqlite3
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG

import numpy as np

SQLITE = b"SQLite format 3\0"
SPELT_OUT = 6
"""An id of at least this length that is not only digits is searched in all text and bytes."""

END = "(?:$|[^A-Za-z0-9_-])"
BETWEEN = r"""[\\"'\s:=[(]{1,6}"""
"""What may be between a field and its value in JSON, logs and queries; no closing bracket, as in a schema."""


@dataclass
class Search:
    """What was searched, and where the id was found."""

    n_files: int = 0
    n_bytes: int = 0
    found: dict[str, int] = field(default_factory=dict)
    """Places (file, and column or table) -> number of occurrences."""
    everywhere: bool = True
    """False if the id is too short to be distinguished from other numbers or words, and was only searched in
    columns and fields of customers."""


def search(home: Path, customer_id: str) -> Search:
    """Search every file of a home for an id; hard links of one file are read once.

    Other commands may be at work: a file that goes meanwhile holds nothing.
    """
    done = Search(everywhere=len(customer_id) >= SPELT_OUT and not customer_id.isdigit())
    seen: set[tuple[int, int]] = set()
    for path in sorted(Path(folder) / name for folder, _, names in os.walk(home) for name in names):
        try:
            about = path.lstat()
            if not S_ISREG(about.st_mode) or (about.st_dev, about.st_ino) in seen:
                continue
            counts = _reader(path)(path, customer_id, done.everywhere)
        except Exception:  # whatever the reader of its kind raises
            if path.exists():
                raise
            continue  # another command's temporary file, or a version it removed
        seen.add((about.st_dev, about.st_ino))
        done.n_files, done.n_bytes = done.n_files + 1, done.n_bytes + about.st_size
        for where, n in counts.items():
            if n:
                done.found[f"{path.relative_to(home)}{where}"] = n
    return done


def _reader(path: Path) -> Callable[[Path, str, bool], dict[str, int]]:
    readers = {".parquet": _parquet, ".npy": _array, ".csv": _csv}
    if path.suffix in readers:
        return readers[path.suffix]
    with path.open("rb") as file:
        return _database if file.read(len(SQLITE)) == SQLITE else _bytes


def _parquet(path: Path, customer_id: str, everywhere: bool) -> dict[str, int]:
    import duckdb

    from features.storage.tables import literal

    rows = f"read_parquet({literal(path)}, hive_partitioning = false)"
    with duckdb.connect() as con:
        described = con.execute(f"DESCRIBE FROM {rows}").fetchall()
        names = [name for name, kind, *_ in described if "VARCHAR" in kind]
        counts = {}
        for name in names:
            quoted = '"' + name.replace('"', '""') + '"'
            if everywhere or name == "row":  # rows in quarantine are JSON
                condition = f"regexp_matches(CAST({quoted} AS VARCHAR), $id)"
                wanted = _word(customer_id) if everywhere else f'"{re.escape(customer_id)}"'
                condition += "" if everywhere else _of_unknown(names)
            elif _of_customers(name):
                condition, wanted = f"{quoted} = $id", customer_id
            else:
                continue
            sql = f"SELECT count(*) FROM {rows} WHERE {condition}"
            counts[f" column {name}"] = int(con.execute(sql, {"id": wanted}).fetchall()[0][0])
    return counts


def _of_unknown(names: list[str]) -> str:
    """Return SQL that leaves out rows in quarantine whose customer is known, and those of nobody."""
    from features.ingest.refused import OF_PERSONS

    known = " AND customer_id IS NULL" if "customer_id" in names else ""
    return known + (f" AND {OF_PERSONS}" if "table" in names else "")


def _array(path: Path, customer_id: str, everywhere: bool) -> dict[str, int]:
    array = np.load(path, mmap_mode="r", allow_pickle=False)
    if array.dtype.kind not in "SU" or not (everywhere or _of_customers(path.stem)):
        return {}
    wanted = customer_id.encode() if array.dtype.kind == "S" else customer_id
    return {"": int((array == np.array(wanted)).sum())}


def _csv(path: Path, customer_id: str, everywhere: bool) -> dict[str, int]:
    if everywhere:
        return _bytes(path, customer_id, everywhere)
    with path.open(newline="", encoding="utf-8", errors="replace") as file:
        rows = csv.DictReader(file)
        names = [name for name in rows.fieldnames or () if _of_customers(name)]
        return {"": sum(row[name] == customer_id for row in rows for name in names)} if names else {}


def _database(path: Path, customer_id: str, everywhere: bool) -> dict[str, int]:
    """Search every text of every table, then the bytes, where deleted rows may remain."""
    counts = {}
    with closing(sqlite3.connect(f"{path.absolute().as_uri()}?mode=ro", uri=True)) as db:
        tables = [name for (name,) in db.execute("SELECT name FROM sqlite_master WHERE type = 'table'")]
        for table in tables:
            for _, name, *_ in db.execute(f'PRAGMA table_info("{table}")').fetchall():
                condition = f'instr("{name}", ?) > 0' if everywhere else f'"{name}" = ?'
                if everywhere or _of_customers(name):
                    sql = f'SELECT count(*) FROM "{table}" WHERE {condition}'
                    counts[f" {table}.{name}"] = int(db.execute(sql, (customer_id,)).fetchone()[0])
    return counts | _bytes(path, customer_id, everywhere)


def _bytes(path: Path, customer_id: str, everywhere: bool) -> dict[str, int]:
    if not path.stat().st_size:
        return {}
    wanted = _word(customer_id) if everywhere else rf"customer_?[iI]d{BETWEEN}{re.escape(customer_id)}{END}"
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        n = sum(1 for _ in re.finditer(wanted.encode(), content))
    return {" (bytes)": n}


def _word(text: str) -> str:
    """Return a pattern that matches an id, but not within a longer one."""
    return rf"(?:^|[^A-Za-z0-9_-]){re.escape(text)}{END}"


def _of_customers(name: str) -> bool:
    return "customer" in name.lower()
