"""A shop at a URL or in a database: its tables are copied into a temporary folder, then read.

From a database, every table or view with one of our tables' names is read whole, or the one that the
settings name as its ``file``, and what a ``query`` names; from a URL, a single file, or each of our tables
that the folder holds. The copy is deleted once read; the URL's password is not stored.
"""

import csv
import re
import shutil
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from features.errors import InputError, first_line
from features.settings import FILE, TableMap
from features.storage.contracts import TABLES
from features.storage.database import engine_of, is_missing

WEB = ("http", "https")
SUFFIXES = (".parquet", ".csv", ".csv.gz")
WAIT_SECONDS = 60.0
BATCH = 50_000


def scheme_of(source: str | Path) -> str:
    """Return the scheme of a URL, empty for a path."""
    scheme, mark, _ = str(source).partition("://")
    return scheme.lower() if mark else ""


def is_database(source: str | Path) -> bool:
    """Tell whether a source is named by a URL, and not on the web."""
    return scheme_of(source) not in ("", *WEB)


def shown(source: str | Path) -> str:
    """Return a source as it may be printed and kept: without user and password."""
    if not scheme_of(source):
        return str(source)
    user, mark, _ = urlsplit(str(source)).netloc.rpartition("@")
    return str(source).replace(user + mark, "", 1)


@contextmanager
def at_hand(
    source: str | Path, tell: Callable[[str], None], *, maps: Mapping[str, TableMap] | None = None
) -> Iterator[str | Path]:
    """Yield a path for a source: itself, or a folder with a copy of what its URL holds.

    ``maps`` say what our tables are called in a database.

    Raises ``InputError`` where there is no table of order lines, or no answer.
    """
    scheme = scheme_of(source)
    if not scheme:
        yield source
        return
    with TemporaryDirectory(prefix="recompra-source-") as name:
        folder = Path(name)
        if is_database(source):
            yield _from_database(str(source), folder, tell=tell, maps=maps or {})
        else:
            yield _from_web(str(source), folder, tell)


def _from_database(
    url: str, folder: Path, *, tell: Callable[[str], None], maps: Mapping[str, TableMap]
) -> Path:
    import sqlalchemy as sa

    if is_missing(url):
        raise InputError(f"there is no database at {url}", "check the path: after sqlite:// it begins with /")
    engine = engine_of(url)
    try:
        with engine.connect() as db:
            inspector = sa.inspect(db)
            there = sorted({*inspector.get_table_names(), *inspector.get_view_names()})
            for name, table in _wanted(there, inspector, url=url, maps=maps).items():
                tell(f"copying {table}")
                schema, _, leaf = ("", "", table) if table in there else table.rpartition(".")
                everything = sa.select(sa.text("*")).select_from(sa.table(leaf, schema=schema or None))
                _copy(db.execution_options(yield_per=BATCH).execute(everything), folder / f"{name}.csv")
    except sa.exc.DatabaseError as error:
        message = f"the database {shown(url)} cannot be read: {first_line(error)}"
        raise InputError(message, "check the URL, and what its user may read") from error
    finally:
        engine.dispose()
    return folder


def _wanted(there: list[str], inspector: Any, *, url: str, maps: Mapping[str, TableMap]) -> dict[str, str]:
    """Return the tables to copy, by the name of the copy: ours, those named as files, and in queries."""
    named = {table: one.file for table, one in maps.items() if one.file}
    words = {word for one in maps.values() for word in re.findall(r"\w+", one.query)}
    same = {name: name for name in there if name in words or name in TABLES.keys() - named.keys()}
    asked = named if maps.get("order_lines", TableMap()).query else {"order_lines": "order_lines", **named}
    for table, name in asked.items():
        schema, _, leaf = name.rpartition(".")
        if name not in there and not (schema and inspector.has_table(leaf, schema=schema)):
            found = (there + _elsewhere(inspector))[:20]
            raise InputError(
                f"the database {shown(url)} has no table {name}, found {found}",
                f'name yours in --settings ([tables.{table}] file = "sales.{table}"), '
                "or make a view of that name",
            )
    return same | named


def _elsewhere(inspector: Any) -> list[str]:
    """Return the tables of other schemas than the user's own, as the settings name them."""
    known = {inspector.default_schema_name, "information_schema", "main"}
    schemas = [schema for schema in inspector.get_schema_names() if schema not in known]
    return sorted(f"{schema}.{table}" for schema in schemas for table in inspector.get_table_names(schema))


def _copy(rows: Any, path: Path) -> None:
    """Write a result as CSV, which is then read as any other file."""
    with path.open("w", newline="", encoding="utf-8") as file:
        out = csv.writer(file)
        out.writerow(rows.keys())
        for part in rows.partitions():
            out.writerows(part)


def _from_web(url: str, folder: Path, tell: Callable[[str], None]) -> Path:
    parts = urlsplit(url)
    name = Path(parts.path).name
    if name.lower().endswith((*SUFFIXES, ".tsv", ".txt")):
        if not _download(url, folder / name, tell):
            raise InputError(f"there is no file at {shown(url)}", "check the URL")
        return folder / name
    at = {leaf: urlunsplit(parts._replace(path=f"{parts.path.rstrip('/')}/{leaf}")) for leaf in _leaves()}
    _download(at[FILE], folder / FILE, tell)
    downloaded = [table for table in TABLES if _table(table, at, folder=folder, tell=tell)]
    if "order_lines" not in downloaded:
        raise InputError(
            f"there are no order lines at {shown(url)}: no order_lines{', order_lines'.join(SUFFIXES)}",
            "name the folder that holds them, or the file itself",
        )
    return folder


def _table(table: str, at: dict[str, str], *, folder: Path, tell: Callable[[str], None]) -> bool:
    leaves = (f"{table}{suffix}" for suffix in SUFFIXES)
    return any(_download(at[leaf], folder / leaf, tell) for leaf in leaves)


def _leaves() -> list[str]:
    return [FILE, *(f"{table}{end}" for table in TABLES for end in SUFFIXES)]


def _download(url: str, path: Path, tell: Callable[[str], None]) -> bool:
    """Copy a file; return False where there is none."""
    try:
        with urllib.request.urlopen(_request(url), timeout=WAIT_SECONDS) as answer, path.open("wb") as file:
            tell(f"copying {path.name}")
            shutil.copyfileobj(answer, file)
    except urllib.error.HTTPError as error:
        if error.code in (404, 410):
            return False
        message = f"{shown(url)} answers {error.code} {error.reason}"
        raise InputError(message, "check the URL and its user's rights") from error
    except OSError as error:
        message = f"{shown(url)} cannot be read: {_reason(error)}"
        raise InputError(message, "check the URL, and that this machine can reach it") from error
    return True


def _reason(error: OSError) -> str:
    """Return why a URL could not be read, in the system's words."""
    cause = getattr(error, "reason", error)
    return str(getattr(cause, "strerror", None) or cause)


def _request(url: str) -> urllib.request.Request:
    """Ask without the URL's user and password, which go as basic authentication."""
    parts, request = urlsplit(url), urllib.request.Request(shown(url))
    if parts.username is not None:
        secret = f"{unquote(parts.username)}:{unquote(parts.password or '')}".encode()
        request.add_header("Authorization", f"Basic {b64encode(secret).decode()}")
    return request
