"""What an ingest requires of a source as a whole, before its rows are judged; else ``InputError``."""

from pathlib import Path
from typing import Any

import duckdb

from features import adapters
from features.errors import InputError, SettingsError
from features.ingest import advice
from features.ingest.quality import Report
from features.ingest.sources import Source
from features.settings import Settings, TableMap
from features.storage.contracts import TABLES
from features.storage.tables import quote
from features.words import counted

Card = dict[str, Any]
"""What the warehouse's card holds, or an entry of its sources."""


def check_maps(settings: Settings) -> None:
    """Raise ``SettingsError`` for a map of a table or a column that does not exist."""
    for name in settings.tables:
        if name not in TABLES:
            raise SettingsError(
                f"recompra.toml: unknown table {name!r}", f"the tables are {', '.join(TABLES)}"
            )
    for table in TABLES.values():
        known = [column.name for column in table.columns]
        for column in settings.map_of(table.name).columns:
            if column not in known:
                where = f"[tables.{table.name}.columns]"
                raise SettingsError(
                    f"recompra.toml: unknown column {column!r} in {where}",
                    f"the columns are {', '.join(known)}",
                )


def require_lines(inputs: list[Source], path: Path, *, old_card: Card, settings: Settings) -> None:
    """Refuse a first source without order lines, naming what was found in their place."""
    if any(source.table == "order_lines" for source in inputs) or (old_card and inputs):
        return
    called = settings.map_of("order_lines").file or "order_lines.parquet or order_lines.csv"
    beside = sorted(file.name for file in path.iterdir()) if path.is_dir() else [path.name]
    raise InputError(
        f"order_lines missing from {path}; found {beside[:20]}",
        f"name it {called}, map it in recompra.toml ([tables.order_lines]), "
        f"or name an --adapter ({', '.join(adapters.names())})",
    )


def filled(inputs: list[Source], report: Report) -> list[Source]:
    """Leave out empty files, with a note; if no order lines would be left, keep all: reading refuses them."""
    empty = [source for source in inputs if not source.query and not source.files[0].stat().st_size]
    filled = [source for source in inputs if source not in empty]
    if "order_lines" in {source.table for source in empty} - {source.table for source in filled}:
        return inputs
    report.notes.extend(f"{source.table}: {source.label} is empty, left out" for source in empty)
    return filled


def require_rows(inputs: list[Source], report: Report) -> None:
    """Refuse order lines that are a heading alone: a failed export, not a quiet day."""
    lines = [source.label for source in inputs if source.table == "order_lines"]
    if lines and not report.tables["order_lines"].rows:
        raise InputError(
            f"{', '.join(lines)} holds no rows", "export it again, or leave it out of the folder"
        )


def require_same_map(source: Source, before: Card, *, now: Card) -> None:
    """Refuse a file that was ingested before with another column map: its rows would be doubled."""
    if before["map"] != now["map"]:
        raise InputError(
            f"{source.label} is in the warehouse already, read with another column map or time zone",
            "start anew with fresh (--fresh) to read it with the new one",
        )


def one_currency(con: duckdb.DuckDBPyConnection, settings: Settings) -> Settings:
    """Return the settings with the order lines' currency; several raise ``InputError``, which names rows."""
    table_map = settings.map_of("order_lines")
    left_out = quote(table_map.where_reason)
    currencies = con.execute(f"""
        SELECT upper(currency), count(*), min(source), list(__row ORDER BY source, __row)[:5]
        FROM staged_order_lines WHERE currency IS NOT NULL AND reason IS DISTINCT FROM {left_out}
        GROUP BY 1 ORDER BY 2 DESC, 1""").fetchall()
    names = {name for name, *_ in currencies} | ({settings.currency.upper()} if settings.currency else set())
    if len(names) > 1:
        message = "; ".join(
            f"{name}: {counted(n, 'row')}, such as {src} row {', '.join(map(str, at))}"
            for name, n, src, at in currencies
        )
        ours = f" (the shop's is {settings.currency})" if settings.currency else ""
        raise InputError(
            f"order_lines: column 'currency' holds {len(names)} currencies{ours}: {message}",
            "convert the money to one, or keep one with [tables.order_lines] "
            + _keeping(table_map, settings.currency or currencies[0][0]),
        )
    return settings.model_copy(update={"currency": names.pop()}) if names else settings


def _keeping(table_map: TableMap, currency: str) -> str:
    """Return the setting ``where`` that keeps one currency, in addition to the map's own condition."""
    keep = f"upper({table_map.columns.get('currency', 'currency')}) = {quote(currency)}"
    return advice.setting("where", f"({table_map.where}) AND {keep}" if table_map.where else keep)
