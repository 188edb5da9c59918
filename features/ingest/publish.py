"""Warehouse versions on disk: write a new one, then swap a symlink; a failure leaves the old one in use."""

import errno
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import duckdb

from features import hardware
from features.errors import ArtefactError, Busy, InputError, first_line
from features.ingest.casting import MACROS
from features.storage.files import MAKE_ROOM, is_full, locked, remove
from features.storage.tables import literal, quote
from features.storage.warehouse import CARD

LINK = "warehouse"
LINES = "order_lines"
MONTH = "month="
KEPT_VERSIONS = 2
FIXED = ("timezone", "currency")
"""Settings that the rows already stored depend on."""


@contextmanager
def workshop(home: Path) -> Iterator[Path]:
    """Yield a folder to build the next version in, removed afterwards unless ``swap`` published it.

    Raises ``Busy`` while another ingest is at work, ``InputError`` where the disk fills up; the warehouse
    stays as it was.
    """
    home.mkdir(parents=True, exist_ok=True)
    with locked(home / f"{LINK}.lock", Busy(f"another ingest is writing into {home}", "wait for it to end")):
        for left in home.glob(f"{LINK}-*.part"):
            shutil.rmtree(left)
        folder = home / f"{LINK}-{_newest(home) + 1}.part"
        try:
            folder.mkdir()
            yield folder
        except (duckdb.Error, OSError) as error:
            raise _failure(error, home) from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def connection(folder: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a DuckDB connection that spills into ``folder``, so that a shop may be larger than memory."""
    work = folder / "work"
    work.mkdir()
    with duckdb.connect() as con:
        con.execute(f"SET threads = {hardware.threads()}")
        con.execute(f"SET memory_limit = '{hardware.memory_mb()}MB'")
        con.execute(f"SET temp_directory = {quote(str(work / 'spill'))}")
        con.execute("SET TimeZone = 'UTC'")
        con.execute(MACROS)
        yield con
    shutil.rmtree(work)


def current(home: Path) -> Path | None:
    """Return the folder of the warehouse's version in use, if there is one."""
    link = home / LINK
    return link.resolve() if link.is_dir() else None


def versions(home: Path) -> list[Path]:
    """Return the folders of all versions on disk."""
    return [path for path in home.glob(f"{LINK}-*") if path.name.removeprefix(f"{LINK}-").isdigit()]


def swap(home: Path, folder: Path) -> Path:
    """Make the finished ``folder`` the warehouse, atomically.

    Of older versions the last one stays, and those that are being read.
    """
    final = folder.with_suffix("")
    folder.rename(final)
    fresh = home / f"{LINK}.next"
    fresh.unlink(missing_ok=True)
    fresh.symlink_to(final.name)
    fresh.replace(home / LINK)
    for old in sorted(versions(home), key=_number)[:-KEPT_VERSIONS]:
        remove(old, old.with_suffix(".part"))
    return final


def read_card(version: Path) -> dict[str, Any]:
    """Return a version's card (its settings, sources, facts); ``ArtefactError`` where it cannot be read."""
    try:
        card: dict[str, Any] = json.loads((version / CARD).read_text(encoding="utf-8"))
        return card
    except ValueError as error:
        message = f"{CARD} of the warehouse cannot be read ({error})"
        raise ArtefactError(message, "restore it, or ingest everything with fresh (--fresh)") from error


def write_card(folder: Path, card: Mapping[str, Any]) -> None:
    """Write a version's card."""
    text = json.dumps(card, indent=1, ensure_ascii=False)
    (folder / CARD).write_text(text + "\n", encoding="utf-8")


def write_lines(con: duckdb.DuckDBPyConnection, old: Path | None, *, folder: Path) -> None:
    """Write ``order_lines`` by month: months with ``new_lines`` are rewritten, the others hard-linked."""
    target = folder / LINES
    target.mkdir()
    touched = _months(con, "new_lines")
    for part in sorted((old / LINES).iterdir()) if old else []:
        if part.name.removeprefix(MONTH) not in touched:
            for file in part.iterdir():
                link(file, target / part.name / file.name)
    for month in touched:
        place = f"{MONTH}{month}"
        (target / place).mkdir()
        rows = f"SELECT * FROM new_lines WHERE {_within(month)}"
        if old and (old / LINES / place).is_dir():
            rows += f" UNION ALL BY NAME FROM {parquet(old / LINES / place, '*.parquet')}"
        ordered = f"SELECT * FROM ({rows}) ORDER BY customer_id, ordered_at, order_id, line_id"
        write(con, ordered, path=target / place / "lines.parquet")


def known_lines(con: duckdb.DuckDBPyConnection, old: Path) -> Iterator[tuple[str, str]]:
    """Yield, for each month in both, SQL of the lines in ``old`` and a condition on rows of ``judged``."""
    for month in _months(con, "judged"):
        part = old / LINES / f"{MONTH}{month}"
        if part.is_dir():
            yield parquet(part, "*.parquet"), _within(month)


def write(con: duckdb.DuckDBPyConnection, sql: str, *, path: Path) -> None:
    """Write a query's rows to one Parquet file."""
    con.execute(f"COPY ({sql}) TO {quote(str(path))} (FORMAT parquet, COMPRESSION zstd)")


def parquet(path: Path, pattern: str = "") -> str:
    """Return SQL that reads Parquet files of the warehouse, without the month in their folder's name."""
    return f"read_parquet({literal(path, pattern)}, hive_partitioning = false)"


def _months(con: duckdb.DuckDBPyConnection, table: str) -> list[str]:
    rows = con.execute(f"SELECT DISTINCT strftime(ordered_at, '%Y-%m') FROM {table} ORDER BY 1").fetchall()
    return [str(month) for (month,) in rows]


def _within(month: str) -> str:
    first = f"TIMESTAMP '{month}-01'"
    return f"ordered_at >= {first} AND ordered_at < {first} + INTERVAL 1 MONTH"


def _failure(error: Exception, home: Path) -> InputError:
    if is_full(error):
        return InputError(
            f"the disk (or memory) is full: the warehouse in {home} stays as it was ({error})",
            f"{MAKE_ROOM}, and ingest again",
        )
    return InputError(
        f"the ingest into {home} failed, nothing was changed: {first_line(error)}",
        "check the source and the column map",
    )


def link(file: Path, place: Path) -> None:
    """Hard-link a file, or copy it where the file system does not support that."""
    place.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(file, place)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EOPNOTSUPP, errno.EMLINK):
            raise
        shutil.copy2(file, place)


def _number(version: Path) -> int:
    return int(version.name.removeprefix(f"{LINK}-"))


def _newest(home: Path) -> int:
    return max((_number(version) for version in versions(home)), default=0)
