"""A database by URL: one way to open it, for a shop's tables and for the online store."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import ArtefactError, SettingsError

if TYPE_CHECKING:
    import sqlalchemy as sa


def sqlite_url(file: Path, **asked: str) -> str:
    """Return the URL of an SQLite file, quoted: as it is, a ``%`` or ``?`` in its path would name another.

    The driver is named, for MLflow makes folders of what follows ``sqlite:///``, quotes and all. ``asked`` is
    said to SQLite, such as ``mode="ro"``; then the path is absolute.
    """
    import sqlalchemy as sa

    query = {"uri": "true", **asked} if asked else {}
    name = file.as_uri() if asked else str(file)
    return sa.URL.create("sqlite+pysqlite", database=name, query=query).render_as_string()


def sqlite_file(url: str) -> Path | None:
    """Return the file that the URL of an SQLite database names; None for another database, or in memory."""
    import sqlalchemy as sa

    parts = sa.make_url(url) if url.startswith("sqlite") else None
    return Path(parts.database) if parts and parts.database else None


def is_missing(url: str) -> bool:
    """Return whether a URL names an SQLite file that is not there: to open it would make an empty one."""
    file = sqlite_file(url)
    return file is not None and not file.is_file()


def online_url(home: Path) -> str:
    """Return where the online state of a home is: ``RECOMPRA_STORE_URL``, else ``online.db`` in it."""
    return os.environ.get("RECOMPRA_STORE_URL") or sqlite_url(home.resolve() / "online.db")


def check_takes_writes(url: str) -> None:
    """Raise ``SettingsError`` where a URL names an SQLite file in a folder that cannot be written to."""
    if file := _read_only(url):
        raise SettingsError(f"{file.parent} takes no writes", "let RECOMPRA_HOME name a copy that does")


def to_read(url: str) -> str:
    """Return the URL to read a database by: where a disk takes no writes (a back-up), as it stands.

    Raises ``ArtefactError`` where it stands half-written there, and SQLite would first put it right.
    """
    if not (file := _read_only(url)):
        return url
    log, index, journal = (file.with_name(f"{file.name}-{end}") for end in ("wal", "shm", "journal"))
    live = log.exists() and index.exists()
    if _holds(journal) or (_holds(log) and not live):
        told = f"{file} is half-written, on a disk that takes no writes"
        raise ArtefactError(told, "let RECOMPRA_HOME name a copy that does: there it is put right by itself")
    return sqlite_url(file, **({"mode": "ro"} if live else {"immutable": "1"}))


def _read_only(url: str) -> Path | None:
    """Return the SQLite file of a URL where its folder is there and takes no writes."""
    file = sqlite_file(url)
    return file if file and file.parent.is_dir() and not os.access(file.parent, os.W_OK) else None


def _holds(file: Path) -> bool:
    return file.exists() and file.stat().st_size > 0


def engine_of(url: str, **options: Any) -> "sa.Engine":
    """Open an engine; ``postgresql://`` and ``postgres://`` mean psycopg 3, which is what we bring.

    Raises ``SettingsError`` for what is no URL of a database, or where its driver is not installed.
    """
    import sqlalchemy as sa

    scheme, _, rest = url.partition("://")
    try:
        named = "postgresql+psycopg" if scheme in ("postgres", "postgresql") else scheme
        return sa.create_engine(f"{named}://{rest}", **options)
    except sa.exc.ArgumentError as error:
        raise SettingsError(
            f"{scheme!r} does not begin a database's URL", "such as sqlite:///shop.db"
        ) from error
    except ImportError as error:
        hint = "pip install 'recompra[postgres]'" if "psycopg" in str(error) else "install its driver"
        raise SettingsError(f"no driver for {scheme}: {error}", hint) from error
