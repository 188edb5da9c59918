"""The warehouse as its readers see it: one consistent version of the shop's tables, through Ibis."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from weakref import finalize

from pydantic import BaseModel, ConfigDict

from features.errors import ArtefactError, NotFound, first_line
from features.hardware import memory_mb, spill_folder, threads
from features.settings import Settings
from features.storage.contracts import SIDE_TABLES
from features.storage.files import hold
from features.storage.tables import literal, quote

if TYPE_CHECKING:
    from ibis.backends.duckdb import Backend

CARD = "shop.json"
"""The card of a version of the warehouse: settings, adapter, sources, facts, fingerprint."""
TABLES = ("orders", "days", "returns", *(table.name for table in SIDE_TABLES), "quarantine")


class Facts(BaseModel):
    """What a warehouse holds, and so what can be learnt from it."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    n_lines: int
    n_orders: int
    n_customers: int
    n_products: int
    first_at: datetime
    last_at: datetime
    n_lines_without_customer: int = 0
    has_products: bool = True
    has_money: bool = True
    has_categories: bool = False
    has_customers: bool = False
    has_contacts: bool = False


class Warehouse:
    """Reads ``<home>/warehouse``: the version in use when it was opened, whatever is ingested later.

    Raises ``NotFound`` before the first ingest, ``ArtefactError`` where its card is broken.
    """

    def __init__(self, home: Path) -> None:
        self.folder = (home / "warehouse").resolve()
        if self.folder.is_dir():
            finalize(self, os.close, hold(self.folder))  # no ingest removes it while this object lives
        if not (self.folder / CARD).is_file():
            raise NotFound(f"no warehouse in {home}", "run `recompra ingest SOURCE` first")
        try:
            card = json.loads((self.folder / CARD).read_text(encoding="utf-8"))
            self.settings, _ = Settings.stored(card["settings"])
            self.facts = Facts.model_validate(card["facts"])
            self.fingerprint: str = card.get("fingerprint", "")
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise _broken(CARD, error) from error

    def connect(self) -> "Backend":
        """Return an Ibis DuckDB backend with one view per table; raise ``ArtefactError`` for a broken one."""
        import duckdb
        import ibis

        con: Any = ibis.duckdb.connect(threads=threads(), memory_limit=f"{memory_mb()}MB")
        con.raw_sql(f"SET temp_directory = {quote(str(spill_folder()))}")
        con.raw_sql("SET enable_progress_bar = false")
        con.raw_sql("SET parquet_metadata_cache = true")
        lines = literal(self.folder / "order_lines", "*/*.parquet")
        views = {"order_lines": f"FROM read_parquet({lines}, hive_partitioning = false)"}
        views |= {name: f"FROM read_parquet({literal(self.folder / f'{name}.parquet')})" for name in TABLES}
        views |= {table.name: table.whole(views[table.name]) for table in SIDE_TABLES}
        for table, rows in views.items():
            try:
                con.raw_sql(f"CREATE VIEW {table} AS {rows}")
            except duckdb.Error as error:
                raise _broken(table, error) from error
        return con

    @property
    def first_at(self) -> datetime:
        """The first order, aware."""
        return self.facts.first_at.replace(tzinfo=UTC)

    @property
    def last_at(self) -> datetime:
        """The last order, aware."""
        return self.facts.last_at.replace(tzinfo=UTC)


def _broken(what: str, error: Exception) -> ArtefactError:
    message = f"{what} of the warehouse cannot be read ({first_line(error)})"
    return ArtefactError(message, "restore it, or run `recompra ingest SOURCE --fresh`")
