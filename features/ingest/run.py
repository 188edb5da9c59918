"""The whole way of one ingest: find, read, sort out, link, derive, write beside, swap."""

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb

from features import adapters
from features.errors import InputError, SettingsError
from features.ingest import lines, orders, publish, returns, side, sources, staging
from features.ingest.contracts import SIDE_TABLES, TABLES
from features.ingest.publish import parquet
from features.ingest.quality import Counts, Report, measure
from features.ingest.sources import Source
from features.settings import Settings

SHOP = "shop.json"
FIXED = ("timezone", "currency")
"""Settings that the rows already stored depend on."""
Tell = Callable[[str], None]


def ingest(
    source: str | Path,
    home: str | Path,
    *,
    adapter: str | None = None,
    fresh: bool = False,
    tell: Tell = lambda _: None,
) -> Report:
    """Read a shop (a folder, one file, or the name of an adapter that brings data) into ``home/warehouse``.

    A second ingest of the same rows changes no byte; new rows are added. ``fresh`` forgets what was there before;
    ``tell`` hears what is being done. Raises ``InputError`` or ``SettingsError``, and then nothing has changed.
    """
    path, name = adapters.locate(source, adapter)
    home = Path(home)
    with publish.workshop(home) as folder:
        old = None if fresh else publish.current(home)
        shop = json.loads((old / SHOP).read_text(encoding="utf-8")) if old else {}
        settings = _settings(path, name, shop)
        report = Report(source=str(source), adapter=name or shop.get("adapter", "canonical"))
        with publish.connection(folder) as con:
            read = _read(con, path, settings, shop, report, tell)
            settings = _one_currency(con, settings)
            _sort_out(con, old, settings, report, tell)
            state = {"settings": settings.model_dump(), "adapter": report.adapter, "sources": read}
            if old and not _is_new(con, old, state, shop):
                return _unchanged(report, old, shop)
            _build(con, folder, old, state, report, tell)
        report.warehouse = str(publish.swap(home, folder))
    return report


def _settings(path: Path, adapter: str | None, shop: dict[str, Any]) -> Settings:
    """Lay the adapter over what the warehouse knows of itself, and the source's ``recompra.toml`` over both."""
    stored = shop.get("settings", {})
    values = dict(stored)
    if adapter or not stored:
        values |= {"tables": {}, "columns": {}} | adapters.load(adapter or "canonical", path).values
    folder = path if path.is_dir() else path.parent
    settings = Settings.load(folder, Settings.parse(values, path))
    for key in FIXED:
        before, now = stored.get(key, ""), getattr(settings, key)
        if before and before != now:
            raise SettingsError(
                f"the warehouse was made with {key} {before!r}, this source says {now!r}",
                "use the same, or start anew with fresh (--fresh), or with another RECOMPRA_HOME",
            )
    return settings


def _read(
    con: duckdb.DuckDBPyConnection, path: Path, settings: Settings, shop: dict[str, Any], report: Report, tell: Tell
) -> list[dict[str, Any]]:
    """Stage every source; return the list of all files the warehouse was made of, in the order they came."""
    found, notes = sources.find(path, settings)
    report.notes.extend(notes)
    _require_lines(found, path, shop)
    line_files = tuple(file for source in found if source.table == "order_lines" for file in source.files)
    read = {(entry["table"], entry["sha256"]): entry for entry in shop.get("sources", [])}
    for table in TABLES.values():
        staging.create(con, table)
    for source in found:
        tell(f"reading {source.label}")
        counts = report.tables.setdefault(source.table, Counts())
        entry = _entry(source, settings)
        before = read.get((source.table, entry["sha256"]))
        if before and source.table == "order_lines":
            _require_same_map(source, before, entry)
            counts.rows += before["rows"]
            counts.already_here += before["rows"]
            continue
        rows = _stage(con, source, line_files, settings, report)
        read[source.table, entry["sha256"]] = entry | {"rows": rows}
        counts.rows += rows
    return list(read.values())


def _stage(
    con: duckdb.DuckDBPyConnection, source: Source, line_files: tuple[Path, ...], settings: Settings, report: Report
) -> int:
    try:
        if source.query:
            sources.register(con, source, line_files)
        rows = staging.stage(con, source, sources.rows_of(source), settings)
    except duckdb.CatalogException as error:
        report.notes.append(f"{source.table} left out: {str(error).splitlines()[0]}")
        return 0
    if rows == 0 and source.table == "order_lines":
        raise InputError(f"{source.label} holds no rows", "export it again, or leave it out of the folder")
    return rows


def _sort_out(con: duckdb.DuckDBPyConnection, old: Path | None, settings: Settings, report: Report, tell: Tell) -> None:
    """Find what is new, and what is to be quarantined."""
    tell("looking for what is new")
    lines.sort_out(con, old, settings.timezone)
    side.merge(con, old)
    _require_usable(con, old)
    known = f"SELECT * FROM {parquet(old / 'quarantine.parquet')}" if old else "SELECT * FROM rejected WHERE false"
    nth = 'row_number() OVER (PARTITION BY "table", reason, row ORDER BY source, row_number) AS nth'
    con.execute(f"""
        CREATE TEMP TABLE refused AS
        WITH known AS (SELECT *, {nth} FROM ({known}) WHERE reason <> '{lines.UNMATCHED}'),
        fresh AS (SELECT *, {nth} FROM rejected)
        SELECT * EXCLUDE (nth), false AS is_new FROM known UNION ALL
        SELECT * EXCLUDE (nth), true FROM fresh ANTI JOIN known USING ("table", reason, row, nth)""")
    for (table, reason), n in _pairs(con, 'SELECT "table", reason, count(*) FROM rejected GROUP BY ALL ORDER BY 3 DESC, 2'):
        report.tables[table].reasons[reason] = n


def _is_new(con: duckdb.DuckDBPyConnection, old: Path, state: dict[str, Any], shop: dict[str, Any]) -> bool:
    """Tell whether anything at all differs from the warehouse as it stands."""
    rows = "SELECT (SELECT count(*) FROM new_lines) + (SELECT count(*) FROM new_returns) + (SELECT count(*) FROM refused WHERE is_new)"
    if _number(con, rows) or any(_sum(con, f"old_{table.name}") != _sum(con, table.name) for table in SIDE_TABLES):
        return True
    plain = [{k: v for k, v in s["settings"].items() if k not in ("tables", "columns")} for s in (state, shop)]
    return plain[0] != plain[1]


def _build(
    con: duckdb.DuckDBPyConnection, folder: Path, old: Path | None, state: dict[str, Any], report: Report, tell: Tell
) -> None:
    """Write the next version of the warehouse into ``folder``."""
    timezone = state["settings"]["timezone"]
    tell("writing the order lines, month by month")
    publish.write_lines(con, "new_lines", old, folder)
    con.execute(f"CREATE TEMP VIEW lines AS SELECT * FROM {parquet(folder / 'order_lines' / '*' / '*.parquet')}")
    tell("linking returns, deriving orders")
    returns.link(con, "lines", "all_returns")
    lines.reject_unmatched(con)
    orders.derive(con, "lines", "products", timezone)
    con.execute("CREATE TEMP VIEW quarantine AS SELECT * EXCLUDE (is_new) FROM refused UNION ALL SELECT * EXCLUDE (line_id) FROM unmatched")
    _write_tables(con, folder)
    _count(con, report)
    report.facts = measure(con)
    report.fingerprint = _fingerprint(con, state)
    for (table, reason), n in _pairs(con, 'SELECT "table", reason, count(*) FROM quarantine GROUP BY ALL ORDER BY 1, 3 DESC, 2'):
        report.quarantine.setdefault(table, {})[reason] = n
    report.write(folder)
    shop = {**state, "facts": report.facts, "fingerprint": report.fingerprint}
    (folder / SHOP).write_text(json.dumps(shop, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def _write_tables(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    publish.write(con, "FROM orders ORDER BY customer_id, ordered_at, order_id", folder / "orders.parquet")
    publish.write(con, orders.DAYS, folder / "days.parquet")
    publish.write(con, "FROM returns ORDER BY customer_id, returned_at, return_id, line_id", folder / "returns.parquet")
    publish.write(con, "FROM all_returns ORDER BY line_id", folder / lines.RETURN_LINES)
    publish.write(con, 'FROM quarantine ORDER BY "table", source, row_number, reason', folder / "quarantine.parquet")
    for table in SIDE_TABLES:
        publish.write(con, f"FROM {table.name} ORDER BY {', '.join(table.key)}", folder / f"{table.name}.parquet")


def _count(con: duckdb.DuckDBPyConnection, report: Report) -> None:
    """Fill in what became of this ingest's rows."""
    for name, counts in report.tables.items():
        if name == "order_lines":
            unmatched = _number(con, "SELECT count(*) FROM new_returns SEMI JOIN unmatched USING (line_id)")
            if unmatched:
                counts.reasons[lines.UNMATCHED] = unmatched
            counts.kept = _number(con, "SELECT count(*) FROM new_lines")
            counts.returns = _number(con, "SELECT count(*) FROM new_returns") - unmatched
            counts.already_here += _number(con, "SELECT count(*) FROM judged WHERE fate = 'known'")
        else:
            counts.kept, counts.already_here = side.kept(con, TABLES[name])
        counts.quarantined = sum(counts.reasons.values())


def _unchanged(report: Report, old: Path, shop: dict[str, Any]) -> Report:
    """Return the report of an ingest that brought nothing new."""
    report.changed, report.warehouse = False, str(old)
    report.facts, report.fingerprint = shop["facts"], shop["fingerprint"]
    for counts in report.tables.values():
        counts.quarantined = sum(counts.reasons.values())
        counts.already_here = counts.rows - counts.quarantined
    return report


def _fingerprint(con: duckdb.DuckDBPyConnection, state: dict[str, Any]) -> str:
    """Hash all that was ingested, whatever the order and the files it came in."""
    tables = ("lines", "all_returns", *(table.name for table in SIDE_TABLES))
    content = {name: _sum(con, name) for name in tables}
    content |= {key: state["settings"][key] for key in FIXED}
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:16]


def _sum(con: duckdb.DuckDBPyConnection, table: str) -> str:
    """Add up a hash of each row: the same for the same rows in any order."""
    row = "line_id" if table in ("lines", "all_returns") else f"CAST({table} AS VARCHAR)"
    return str(con.execute(f"SELECT count(*), sum(md5_number_lower({row})) FROM {table}").fetchall()[0])


def _one_currency(con: duckdb.DuckDBPyConnection, settings: Settings) -> Settings:
    """Check that all money is in one currency, and note which; raise ``InputError`` naming the rows of the others."""
    found = con.execute("""
        SELECT upper(currency), count(*), min(source), list(__row ORDER BY source, __row)[:5] FROM staged_order_lines
        WHERE currency IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1""").fetchall()
    names = {name for name, *_ in found} | ({settings.currency.upper()} if settings.currency else set())
    if len(names) > 1:
        rows = "; ".join(f"{name}: {n} rows, as {source} row {', '.join(map(str, at))}" for name, n, source, at in found)
        shops = f" (the shop's is {settings.currency})" if settings.currency else ""
        raise InputError(
            f"order_lines: column 'currency' holds {len(names)} currencies{shops}: {rows}",
            "convert the money to one currency, or leave the others out with [tables.order_lines] where = \"currency = '...'\"",
        )
    return settings.model_copy(update={"currency": names.pop()}) if names else settings


def _require_lines(found: list[Source], path: Path, shop: dict[str, Any]) -> None:
    if any(source.table == "order_lines" for source in found) or (shop and found):
        return
    beside = sorted(file.name for file in path.iterdir()) if path.is_dir() else [path.name]
    raise InputError(
        f"order_lines missing from {path}; found {beside[:20]}",
        "name it order_lines.parquet or order_lines.csv, map it in recompra.toml ([tables.order_lines] file = ...), "
        f"or name an --adapter ({', '.join(adapters.names())})",
    )


def _require_usable(con: duckdb.DuckDBPyConnection, old: Path | None) -> None:
    if old or _number(con, "SELECT count(*) FROM new_lines"):
        return
    reasons = con.execute("SELECT reason, count(*) FROM rejected WHERE \"table\" = 'order_lines' GROUP BY 1 ORDER BY 2 DESC").fetchall()
    told = "; ".join(f"{reason}: {n}" for reason, n in reasons) or "only returns"
    raise InputError(f"no order line can be used ({told})", "check the column map")


def _require_same_map(source: Source, before: dict[str, Any], now: dict[str, Any]) -> None:
    if before["map"] != now["map"]:
        raise InputError(
            f"{source.label} is in the warehouse already, read with another column map or time zone",
            "start anew with fresh (--fresh) to read it with the new one",
        )


def _entry(source: Source, settings: Settings) -> dict[str, Any]:
    table_map = staging.table_map_of(settings, source.table).model_dump(exclude={"file", "where_reason"})
    zones = [settings.timezone, settings.timestamps or settings.timezone]
    text = json.dumps([table_map, zones], sort_keys=True)
    return {
        "table": source.table,
        "file": source.label,
        "sha256": source.digest(),
        "map": hashlib.sha256(text.encode()).hexdigest()[:16],
    }


def _number(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    return int(con.execute(sql).fetchall()[0][0])


def _pairs(con: duckdb.DuckDBPyConnection, sql: str) -> list[tuple[tuple[str, str], int]]:
    return [((table, reason), n) for table, reason, n in con.execute(sql).fetchall()]
