"""A database by URL: one way to open it, for a shop's tables and for the online store."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import SettingsError

if TYPE_CHECKING:
    import sqlalchemy as sa


def is_missing(url: str) -> bool:
    """Return whether a URL names an SQLite file that is not there: to open it would make an empty one."""
    return url.startswith("sqlite:///") and not Path(url.removeprefix("sqlite:///")).is_file()


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
