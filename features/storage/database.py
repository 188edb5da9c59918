"""A database by URL: one way to open it, for a shop's tables and for the online store."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import ArtefactError, SettingsError
from features.storage.files import locked

if TYPE_CHECKING:
    import sqlalchemy as sa

ALONE = {"sqlite": "BEGIN IMMEDIATE", "postgresql": "SELECT pg_advisory_xact_lock(7326672)"}
"""What lets one transaction at a time pass, until it ends."""


def sqlite_url(file: Path, **asked: str) -> str:
    """Return the URL of an SQLite file, quoted: an unquoted ``%`` or ``?`` in its path would be misread.

    The driver is part of it, because MLflow creates folders from whatever follows ``sqlite:///``, quotes
    included. ``asked`` are SQLite's URI parameters, such as ``mode="ro"``; the path is then made absolute.
    """
    import sqlalchemy as sa

    query = {"uri": "true", **asked} if asked else {}
    name = file.as_uri() if asked else str(file)
    return sa.URL.create("sqlite+pysqlite", database=name, query=query).render_as_string()


def sqlite_file(url: str) -> Path | None:
    """Return the file of an SQLite URL; None for another database, or one in memory."""
    import sqlalchemy as sa

    parts = sa.make_url(url) if url.startswith("sqlite") else None
    return Path(parts.database) if parts and parts.database else None


def is_missing(url: str) -> bool:
    """Return whether a URL names an SQLite file that does not exist: opening it would create an empty one."""
    file = sqlite_file(url)
    return file is not None and not file.is_file()


def online_url(home: Path) -> str:
    """Return the URL of a home's online store: ``RECOMPRA_STORE_URL``, else ``online.db`` in the home."""
    return os.environ.get("RECOMPRA_STORE_URL") or sqlite_url(home.resolve() / "online.db")


def check_takes_writes(url: str) -> None:
    """Raise ``SettingsError`` where a URL names an SQLite file in a folder that cannot be written to."""
    if file := _read_only(url):
        raise SettingsError(f"{file.parent} is read-only", "set RECOMPRA_HOME to a writable copy")


def to_read(url: str) -> str:
    """Return the URL to read a database by; on a read-only disk (a backup), one that writes nothing.

    Raises ``ArtefactError`` where it is half-written there: SQLite would have to recover it first.
    """
    if not (file := _read_only(url)):
        return url
    log, index, journal = (file.with_name(f"{file.name}-{end}") for end in ("wal", "shm", "journal"))
    live = log.exists() and index.exists()
    if _holds(journal) or (_holds(log) and not live):
        message = f"{file} is half-written, on a read-only disk"
        raise ArtefactError(message, "set RECOMPRA_HOME to a writable copy: SQLite recovers it there")
    return sqlite_url(file, **({"mode": "ro"} if live else {"immutable": "1"}))


def _read_only(url: str) -> Path | None:
    """Return the SQLite file of a URL if its folder exists and is read-only, else None."""
    file = sqlite_file(url)
    return file if file and file.parent.is_dir() and not os.access(file.parent, os.W_OK) else None


def _holds(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def engine_of(url: str, **options: Any) -> "sa.Engine":
    """Open an engine; ``postgresql://`` and ``postgres://`` mean psycopg 3, the driver of our extra.

    Raises ``SettingsError`` if the URL is not a database's, or its driver is not installed.
    """
    import sqlalchemy as sa

    scheme, _, rest = url.partition("://")
    try:
        named = "postgresql+psycopg" if scheme in ("postgres", "postgresql") else scheme
        return sa.create_engine(f"{named}://{rest}", **options)
    except sa.exc.ArgumentError as error:
        raise SettingsError(
            f"{scheme!r} is not the scheme of a database's URL", "use one such as sqlite:///shop.db"
        ) from error
    except ImportError as error:
        hint = "pip install 'recompra[postgres]'" if "psycopg" in str(error) else "install its driver"
        raise SettingsError(f"no driver for {scheme}: {error}", hint) from error


@contextmanager
def alone(engine: "sa.Engine") -> Iterator["sa.Connection"]:
    """Open a transaction that one process at a time is in, to create tables or to change what was read.

    For an SQLite file the others wait outside, at a lock file beside it: entering WAL mode, at the very first
    opening, SQLite would refuse whoever waits inside.
    """
    file = sqlite_file(engine.url.render_as_string(hide_password=False))
    waiting = locked(file.with_name(f"{file.name}.lock")) if file and file.parent.is_dir() else nullcontext()
    with waiting, engine.begin() as db:
        if file:
            db.exec_driver_sql("PRAGMA journal_mode=WAL")
        db.exec_driver_sql(ALONE[db.dialect.name])
        yield db
