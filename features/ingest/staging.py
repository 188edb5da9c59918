"""Read one source into a staged table: cells become our types, and a row that cannot be used gets its reason."""

import json

import duckdb

from features.errors import InputError
from features.ingest import contracts
from features.ingest.contracts import Column, Table
from features.ingest.sources import Source, quote
from features.settings import Settings, TableMap

BROKEN_SHARE = 0.5
"""Above this share of unreadable cells a column is of the wrong type, and the whole file is refused."""


def create(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Make the empty ``staged_<table>``: source, __row, our columns, reason, row (JSON of what came, if refused)."""
    columns = ", ".join(f"{column.name} {contracts.SQL_TYPE[column.kind]}" for column in table.columns)
    con.execute(f"CREATE TABLE staged_{table.name} (source VARCHAR, __row BIGINT, {columns}, reason VARCHAR, row VARCHAR)")


def stage(con: duckdb.DuckDBPyConnection, source: Source, relation: str, settings: Settings) -> int:
    """Append one source to its staged table and return its number of rows.

    Raises ``InputError`` for a missing column, a column of the wrong type or a file that breaks in the middle.
    """
    table = contracts.TABLES[source.table]
    table_map = table_map_of(settings, table.name)
    found = _describe(con, relation, source)
    cells = {column.name: _cell(con, column, table_map, found, source, relation) for column in table.columns}
    before = _count(con, table)
    sql = _select(table, cells, found, relation, table_map, settings)
    _run(con, f"INSERT INTO staged_{table.name} SELECT {quote(source.label)}, * FROM ({sql})", source)
    _refuse_wrong_types(con, table, source, cells)
    return _count(con, table) - before


def table_map_of(settings: Settings, table: str) -> TableMap:
    """Return a table's map; the top-level ``columns`` are short for those of the order lines."""
    table_map = settings.tables.get(table, TableMap())
    if table != "order_lines" or not settings.columns:
        return table_map
    return table_map.model_copy(update={"columns": {**table_map.columns, **settings.columns}})


def _select(
    table: Table,
    cells: dict[str, tuple[str, str]],
    found: dict[str, str],
    relation: str,
    table_map: TableMap,
    settings: Settings,
) -> str:
    """Three steps: the source's cells by our names, then our types, then the verdict."""
    raw = ", ".join(f"{quote(name)}: {_name(name)}" for name in found)
    mapped = ", ".join(f"{cell} AS __{name}" for name, (cell, _) in cells.items())
    typed = ", ".join(f"{_typed(column, cells, settings)} AS {column.name}" for column in table.columns)
    ours = f"({table_map.where}) IS TRUE" if table_map.where else "true"
    names = ", ".join(column.name for column in table.columns)
    return f"""
        SELECT __row, {names}, reason, CASE WHEN reason IS NOT NULL THEN CAST(to_json(__raw) AS VARCHAR) END AS row
        FROM (SELECT *, {_verdict(table, cells, table_map.where_reason)} AS reason
              FROM (SELECT __row, __raw, __ours, {", ".join(f"__{name}" for name in cells)}, {typed}
                    FROM (SELECT __row, {{{raw}}} AS __raw, {ours} AS __ours, {mapped} FROM {relation})))"""


def _typed(column: Column, cells: dict[str, tuple[str, str]], settings: Settings) -> str:
    zones = {"timezone": settings.timezone, "timestamps": settings.timestamps or settings.timezone}
    _, source_type = cells[column.name]
    value = contracts.cast(column.kind, f"__{column.name}", source_type, **zones)
    if column.default == "NULL":
        return value
    return f"CASE WHEN {_blank(column.name, source_type)} THEN {column.default} ELSE {value} END"


def _verdict(table: Table, cells: dict[str, tuple[str, str]], where_reason: str) -> str:
    """Return a CASE that names the first thing wrong with a row, or NULL."""
    cases = [("NOT __ours", where_reason)]
    for column in table.columns:
        name, blank = column.name, _blank(column.name, cells[column.name][1])
        if column.filled:
            cases.append((blank, f"{name} is missing"))
        if column.kind not in ("id", "text"):
            cases.append((f"{name} IS NULL AND NOT {blank}", _unreadable(column)))
        if column.kind == "number":
            low = f"{name} is negative" if column.low == 0 else f"{name} is out of range"
            cases += [(f"{name} < {column.low}", low), (f"{name} > {column.high}", f"{name} is out of range")]
    cases += table.rules
    return "CASE " + " ".join(f"WHEN {test} THEN {quote(reason)}" for test, reason in cases) + " END"


def _unreadable(column: Column) -> str:
    return f"{column.name} is not {contracts.WORDS[column.kind]}"


def _blank(name: str, source_type: str) -> str:
    return f"(__{name} IS NULL OR trim(__{name}) = '')" if source_type == "VARCHAR" else f"(__{name} IS NULL)"


def _cell(
    con: duckdb.DuckDBPyConnection,
    column: Column,
    table_map: TableMap,
    found: dict[str, str],
    source: Source,
    relation: str,
) -> tuple[str, str]:
    """Return the SQL of a column over the source, and its DuckDB type there."""
    lower = {name.lower(): name for name in found}
    wanted = table_map.columns.get(column.name)
    if wanted is not None and wanted.lower() not in lower:
        return _expression(con, column, wanted, found, source, relation)
    name = lower.get((wanted or column.name).lower())
    if name is None and column.required:
        raise _missing(column.name, source, found)
    if name is None:
        return "NULL", "NULL"
    return _check(column, _name(name), found[name], source)


def _expression(
    con: duckdb.DuckDBPyConnection,
    column: Column,
    wanted: str,
    found: dict[str, str],
    source: Source,
    relation: str,
) -> tuple[str, str]:
    """A DuckDB expression over the source's columns."""
    try:
        kind = con.execute(f"DESCRIBE SELECT {wanted} AS cell FROM {relation}").fetchall()[0][1]
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException) as error:
        raise _missing(column.name, source, found, f", mapped to {wanted!r}") from error
    return _check(column, f"({wanted})", str(kind), source)


def _check(column: Column, cell: str, source_type: str, source: Source) -> tuple[str, str]:
    if not contracts.accepts(column.kind, source_type):
        raise InputError(
            f"{source.label}: column {column.name!r} of {source.table} must be {contracts.WORDS[column.kind]}, got {source_type}",
            f"map it to an expression in recompra.toml under [tables.{source.table}.columns]",
        )
    return cell, source_type


def _missing(name: str, source: Source, found: dict[str, str], mapped: str = "") -> InputError:
    return InputError(
        f"column {name!r}{mapped} missing from {source.table} ({source.label}); found {list(found)}",
        f"map it in recompra.toml under [tables.{source.table}.columns], or name an --adapter",
    )


def _describe(con: duckdb.DuckDBPyConnection, relation: str, source: Source) -> dict[str, str]:
    rows = _run(con, f"DESCRIBE SELECT * FROM {relation}", source).fetchall()
    return {name: str(kind) for name, kind, *_ in rows if name != "__row"}


def _refuse_wrong_types(
    con: duckdb.DuckDBPyConnection, table: Table, source: Source, cells: dict[str, tuple[str, str]]
) -> None:
    """A column whose cells are mostly unreadable is no accident of a row: refuse the file."""
    total = f"SELECT count(*) FROM staged_{table.name} WHERE source = {quote(source.label)}"
    rows = con.execute(total).fetchall()[0][0]
    for column in table.columns:
        if column.kind in ("id", "text") or cells[column.name][0] == "NULL":
            continue
        bad = f"source = {quote(source.label)} AND reason = {quote(_unreadable(column))}"
        broken = con.execute(f"SELECT count(*), min_by(row, __row) FROM staged_{table.name} WHERE {bad}").fetchall()[0]
        if broken[0] > BROKEN_SHARE * rows:
            raise InputError(
                f"{source.label}: column {column.name!r} of {source.table} must be {contracts.WORDS[column.kind]}; "
                f"{broken[0]} of {rows} rows are not, the first is {_shorten(broken[1])}",
                f"map it to an expression in recompra.toml under [tables.{table.name}.columns], "
                "such as try_strptime(date, '%d/%m/%Y') or replace(price, ',', '.')",
            )


def _shorten(row: str) -> str:
    return json.dumps(json.loads(row), ensure_ascii=False)[:200]


def _run(con: duckdb.DuckDBPyConnection, sql: str, source: Source) -> duckdb.DuckDBPyConnection:
    """Execute, and tell a broken file in words."""
    try:
        return con.execute(sql)
    except (duckdb.InvalidInputException, duckdb.ConversionException, duckdb.OutOfRangeException) as error:
        first = " ".join(str(error).split("\n")[:3])
        hint = "repair that line or export the file again as UTF-8" if "CSV" in first else "repair the file, or the column map"
        raise InputError(f"{source.label} ({source.table}) is broken: {first}", hint) from error


def _count(con: duckdb.DuckDBPyConnection, table: Table) -> int:
    return int(con.execute(f"SELECT count(*) FROM staged_{table.name}").fetchall()[0][0])


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
