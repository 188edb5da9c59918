"""A database by URL: one way to open it, for a shop's tables and for the online store."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import SettingsError

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
