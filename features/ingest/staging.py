"""Read one source into a staged table: cells are converted to our types, unusable rows get a reason."""

import re
from dataclasses import dataclass

import duckdb

from features.errors import InputError, first_line
from features.ingest import advice, casting, sources
from features.ingest.sources import Source
from features.settings import Settings, TableMap
from features.storage import contracts
from features.storage.contracts import TABLES, Column, Kind, Table
from features.storage.tables import quote

UNTYPED = ("id", "text", "digest")


@dataclass(frozen=True)
class Cell:
    """Where a column's values come from: SQL over the source, and its DuckDB type there ("NULL": nowhere)."""

    column: Column
    sql: str = "NULL"
    type: str = "NULL"

    @property
    def blank(self) -> str:
        """SQL that tells whether the source holds nothing here."""
        name = f"__{self.column.name}"
        return f"({name} IS NULL OR trim({name}) = '')" if self.type == "VARCHAR" else f"({name} IS NULL)"

    @property
    def unreadable(self) -> str:
        """The reason of a row whose value is not of the column's type."""
        return f"{self.column.name} is not {contracts.WORDS[self.column.kind]}"

    @property
    def astray(self) -> str:
        """The reason of a time outside the plausible years: a placeholder, a typing error."""
        return f"{self.column.name} is out of range (years {casting.FIRST_YEAR} to {casting.LAST_YEAR})"

    @property
    def misread(self) -> str:
        """SQL condition of the rows refused because this value has the wrong type or is out of range."""
        return f"reason IN ({quote(self.unreadable)}, {quote(self.astray)})"


@dataclass(frozen=True)
class Opened:
    """A source as DuckDB sees it: its relation, its columns and their types, its map."""

    con: duckdb.DuckDBPyConnection
    source: Source
    relation: str
    columns: dict[str, str]
    map: TableMap

    @property
    def table(self) -> Table:
        """The table it is read into."""
        return TABLES[self.source.table]


def create(con: duckdb.DuckDBPyConnection) -> None:
    """Create empty tables ``staged_<table>``: source, __row, our columns, reason, row (JSON, if refused).

    And ``uncounted``: the sources of order lines without product_id or quantity; and ``spoken``: the consents
    of which a source has a column.
    """
    for table in TABLES.values():
        columns = ", ".join(f"{column.name} {contracts.SQL_TYPE[column.kind]}" for column in table.columns)
        con.execute(
            f"CREATE TABLE staged_{table.name} "
            f"(source VARCHAR, __row BIGINT, {columns}, reason VARCHAR, row VARCHAR)"
        )
    con.execute("CREATE TABLE uncounted (source VARCHAR)")
    con.execute("CREATE TABLE spoken (source VARCHAR, name VARCHAR)")


def stage(
    con: duckdb.DuckDBPyConnection, source: Source, *, relation: str, settings: Settings
) -> tuple[int, list[str]]:
    """Append one source to its staged table; return its number of rows, and notes on what looks odd.

    Raises ``InputError`` for a missing column, one of the wrong type, or a file that breaks in the middle.
    """
    try:
        with sources.in_words(source):
            described = con.execute(f"DESCRIBE SELECT * FROM {relation}").fetchall()
    except duckdb.BinderException as error:
        raise _unreadable(con, source, error) from error
    columns = {str(name): str(kind) for name, kind, *_ in described if name not in sources.OURS}
    opened = Opened(con, source, relation, columns, settings.map_of(source.table))
    cells = [_cell(opened, column) for column in opened.table.columns]
    sql = _select(opened, cells, settings)
    with sources.in_words(source):
        con.execute(f"INSERT INTO staged_{source.table} SELECT {quote(source.label)}, * FROM ({sql})")
    missing = {cell.column.name for cell in cells if cell.type == "NULL"}
    if source.table == "order_lines" and missing & {"product_id", "quantity"}:
        con.execute(f"INSERT INTO uncounted VALUES ({quote(source.label)})")
    for name in {*contracts.CONSENTS} & {cell.column.name for cell in cells} - missing:
        con.execute("INSERT INTO spoken VALUES (?, ?)", [source.label, name])
    _make_whole(opened, cells)
    n = _refuse_wrong_types(opened, cells)
    odd = advice.thousands(con, relation, table=opened.table, numbers=_of_words(cells, "number"))
    if source.table == "order_lines":
        for cell in _of_words(cells, "time").values():
            odd += advice.offset(con, relation, cell=cell, timezone=settings.timezone)
    return n, odd


def _select(opened: Opened, cells: list[Cell], settings: Settings) -> str:
    """Return SQL in three steps: the source's cells under our names, converted to our types, then judged."""
    raw = ", ".join(f"{quote(name)}: {_name(name)}" for name in opened.columns)
    mapped = ", ".join(f"{cell.sql} AS __{cell.column.name}" for cell in cells)
    typed = ", ".join(f"{_typed(cell, settings)} AS {cell.column.name}" for cell in cells)
    names = ", ".join(_kept(cell) for cell in cells)
    ours = f"({opened.map.where}) IS TRUE" if opened.map.where else "true"
    return f"""
        SELECT __row, {names}, reason,
               CASE WHEN reason IS NOT NULL THEN CAST(to_json(__raw) AS VARCHAR) END AS row
        FROM (SELECT *, {_verdict(opened, cells)} AS reason
              FROM (SELECT *, {typed}
                    FROM (SELECT __row, {{{raw}}} AS __raw, {ours} AS __ours, {mapped}
                          FROM {opened.relation})))"""


def _typed(cell: Cell, settings: Settings) -> str:
    zones = {"timezone": settings.timezone, "timestamps": settings.timestamps or settings.timezone}
    value = casting.cast(cell.column.kind, f"__{cell.column.name}", source_type=cell.type, **zones)
    if cell.column.default == "NULL":
        return value
    return f"CASE WHEN {cell.blank} THEN {cell.column.default} ELSE {value} END"


def _kept(cell: Cell) -> str:
    """Return SQL of a value as it is stored: a consent that cannot be read counts as a refusal."""
    name = cell.column.name
    if name not in contracts.CONSENTS:
        return name
    return f"CASE WHEN {name} IS NULL AND NOT {cell.blank} THEN false ELSE {name} END AS {name}"


def _verdict(opened: Opened, cells: list[Cell]) -> str:
    """Return a CASE that names the first thing wrong with a row, or NULL."""
    cases = [("NOT __ours", opened.map.where_reason)]
    for cell in cells:
        name, column = cell.column.name, cell.column
        if column.filled:
            cases.append((cell.blank, f"{name} is missing"))
        if column.kind == "time":
            cases.append((f"{name} IS NULL AND {casting.is_moment(f'__{name}')}", cell.astray))
        if column.kind not in UNTYPED:
            cases.append((f"{name} IS NULL AND NOT {cell.blank}", cell.unreadable))
        elif column.filled:
            cases.append((f"{name} IS NULL", f"{name} is missing"))
        if column.kind == "id" and cell.type == "VARCHAR":
            cases += unusable_ids(name)
        if column.kind == "number":
            astray = f"{name} is out of range ({column.low:,.0f} to {column.high:,.0f})"
            low = f"{name} is negative" if column.low == 0 else astray
            cases += [(f"{name} < {column.low}", low), (f"{name} > {column.high}", astray)]
    cases += opened.table.rules
    return "CASE " + " ".join(f"WHEN {test} THEN {quote(reason)}" for test, reason in cases) + " END"


def _make_whole(opened: Opened, cells: list[Cell]) -> None:
    """Write ids such as 13085.0 as 13085 if all whole numbers of a source's text column look like that.

    Integer columns with empty cells are often exported so. If the column also holds a plain 13085, they stay.
    """
    staged, label = f"staged_{opened.table.name}", quote(opened.source.label)
    for name in [c.column.name for c in cells if c.column.kind == "id" and c.type == "VARCHAR"]:
        kinds = (
            f"suffix({name}, '.0') AND regexp_full_match({name}, '-?[0-9]+[.]0')",
            f"regexp_full_match({name}, '-?[0-9]+')",
        )
        counts = ", ".join(f"count(*) FILTER ({kind})" for kind in kinds)
        floats, plain = opened.con.execute(
            f"SELECT {counts} FROM {staged} WHERE source = {label}"
        ).fetchall()[0]
        if floats and not plain:
            value = f"{name} = left({name}, -2)"
            opened.con.execute(f"UPDATE {staged} SET {value} WHERE source = {label} AND {kinds[0]}")


def unusable_ids(name: str) -> list[tuple[str, str]]:
    """Return the conditions that make a text unusable as an id: the service could not be asked for it."""
    longest = contracts.LONGEST_ID
    return [
        (f"length({name}) > {longest}", f"{name} is longer than {longest} characters"),
        (f"regexp_matches({name}, '[[:cntrl:]]')", f"{name} contains a control character"),
    ]


def _cell(opened: Opened, column: Column) -> Cell:
    """Find a column in a source: as mapped (a name or an expression), else by its own name."""
    lower = {name.lower(): name for name in opened.columns}
    wanted = opened.map.columns.get(column.name)
    name = lower.get((column.name if wanted is None else wanted).lower())
    if name is not None:
        return _check(Cell(column, _name(name), opened.columns[name]), opened.source)
    if wanted is not None:
        return _check(Cell(column, f"({wanted})", _type_of(opened, column, wanted)), opened.source)
    if column.required:
        raise _missing(opened, column.name)
    return Cell(column)


def _type_of(opened: Opened, column: Column, expression: str) -> str:
    try:
        sql = f"DESCRIBE SELECT {expression} AS cell FROM {opened.relation}"
        return str(opened.con.execute(sql).fetchall()[0][1])
    except (duckdb.BinderException, duckdb.ParserException, duckdb.CatalogException) as error:
        if "Referenced column" in str(error):
            raise _missing(opened, column.name, f", mapped to {expression!r},") from error
        raise InputError(
            f"column {column.name!r} of {opened.table.name} ({opened.source.label}) is mapped to "
            f"{expression!r}, which is no valid expression: {first_line(error)}",
            f"write a column or DuckDB's SQL in recompra.toml under [tables.{opened.table.name}.columns]",
        ) from error


def _check(cell: Cell, source: Source) -> Cell:
    if casting.accepts(cell.column.kind, cell.type):
        return cell
    must = contracts.WORDS[cell.column.kind]
    raise InputError(
        f"{source.label}: column {cell.column.name!r} of {source.table} must be {must}, found {cell.type}",
        f"map it to an expression in recompra.toml under [tables.{source.table}.columns]",
    )


def _missing(opened: Opened, column: str, mapped: str = "") -> InputError:
    table, columns = opened.table.name, list(opened.columns)
    fits = advice.adapter(opened.con, opened.relation) if table == "order_lines" else ""
    adapter = f"use --adapter {fits}" if fits else "name an --adapter"
    return InputError(
        f"column {column!r}{mapped} missing from {table} ({opened.source.label}); found {columns}",
        f"map it in recompra.toml under [tables.{table}.columns], or {adapter}",
    )


def _unreadable(con: duckdb.DuckDBPyConnection, source: Source, error: duckdb.Error) -> InputError:
    """Return the error that names the column a query lacks, and the columns of the first file it reads."""
    message = first_line(error)
    named = re.search(r'olumn "?(.+?)"? (?:referenced|not found)', message)
    relation = sources.reader(source.files[0])
    columns = [name for name, *_ in con.execute(f"DESCRIBE FROM {relation}").fetchall() if name != "__row"]
    fits = advice.adapter(con, relation)
    adapter = f"use --adapter {fits}" if fits else f"map [tables.{source.table}] in recompra.toml"
    return InputError(
        f"{source.label}: column {named[1]!r} missing; found {columns}"
        if named
        else f"{source.label}: {message}",
        f"export that column too, or {adapter}",
    )


def _refuse_wrong_types(opened: Opened, cells: list[Cell]) -> int:
    """Return the number of rows; ``InputError`` if most of a column is unreadable: then its type is wrong."""
    table, label = opened.table.name, opened.source.label
    typed = [cell for cell in cells if cell.column.kind not in UNTYPED and cell.type != "NULL"]
    counts = "".join(
        f", count(*) FILTER ({cell.misread}), "
        f"count({cell.column.name}) FILTER (({cell.misread}) IS NOT TRUE), "
        f"min_by(row, __row) FILTER ({cell.misread})"
        for cell in typed
    )
    sql = f"SELECT count(*){counts} FROM staged_{table} WHERE source = {quote(label)}"
    rows, *counted = opened.con.execute(sql).fetchall()[0]
    for cell, broken, read, first in zip(typed, counted[::3], counted[1::3], counted[2::3], strict=True):
        if advice.is_foreign(cell.column, broken, n_read=read):
            texts = {c.column: c.sql for c in typed[typed.index(cell) + 1 :] if c.type == "VARCHAR"}
            proposed = advice.examples(
                opened.con, opened.relation, column=cell.column, sql=cell.sql, others=texts
            )
            raise InputError(
                f"{label}: column {cell.column.name!r} of {table} must be "
                f"{contracts.WORDS[cell.column.kind]}; {broken} of {rows} rows are not, as in {first[:300]}",
                f"map it to an expression in recompra.toml under [tables.{table}.columns], "
                f"such as {proposed}",
            )
    return int(rows)


def _of_words(cells: list[Cell], kind: Kind) -> dict[str, str]:
    """Return the SQL of each column of that kind whose source is text, by its name."""
    return {c.column.name: c.sql for c in cells if c.column.kind == kind and c.type == "VARCHAR"}


def _name(column: str) -> str:
    return '"' + column.replace('"', '""') + '"'
