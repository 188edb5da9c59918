"""Suggestions for ``recompra.toml`` where a source's columns cannot be read, found by trying."""

import duckdb

from features import adapters
from features.ingest import casting, sources
from features.settings import Settings, TableMap
from features.storage.contracts import ORDER_LINES, Column, Kind, Table

MISTYPED, MISTYPED_FLAGS = 0.5, 0.05
"""Up to this share of unreadable cells, a column's rows are quarantined one by one."""
DATE_FORMATS = (
    "%d/%m/%y",
    "%d.%m.%y",
    "%m/%d/%y",
    "%d/%m/%Y",
    "%d.%m.%Y",
    "%d-%m-%Y",
    "%m/%d/%Y",
    "%Y-%m-%d",
)
TIME_FORMATS = ("%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M:%S %p")
SPREADSHEET = "1899-12-30"
"""The day from which spreadsheets count days."""
YES = "'yes', 'sim', 'ja', 'oui', 'si', 'sí', 'y', 's', 'j', 'o', 'true', 'on', '1'"
NO = "'no', 'não', 'nao', 'nein', 'nee', 'non', 'n', 'false', 'off', '0'"
EXAMPLES: dict[Kind, tuple[str, ...]] = {
    "time": (
        *(f"try_strptime({{}}, '{day} {clock}')" for day in DATE_FORMATS for clock in TIME_FORMATS),
        *(f"CAST(try_strptime({{}}, '{day}') AS DATE)" for day in DATE_FORMATS),
        f"TIMESTAMP '{SPREADSHEET}' + to_seconds(round(num({{}}) * 86400))",
        "to_timestamp(num({}))",
        "to_timestamp(num({}) / 1000)",
    ),
    "day": (
        *(f"try_strptime({{}}, '{day}')" for day in DATE_FORMATS),
        f"DATE '{SPREADSHEET}' + CAST(num({{}}) AS INTEGER)",
    ),
    "number": (
        "replace(replace({}, '.', ''), ',', '.')",
        "replace(regexp_replace({}, '[^0-9,-]', '', 'g'), ',', '.')",
        "regexp_replace({}, '[^0-9.-]', '', 'g')",
    ),
    "flag": (f"lower(trim({{}})) IN ({YES})", "{} = 'its word for yes'"),
}
"""Expressions for common foreign formats: day before month, days since 1899, decimal comma, currency sign."""
COMMA = "regexp_full_match({}, '[^0-9]*([0-9]+|[0-9]{{1,3}}([. ][0-9]{{3}})+)(,[0-9]*)?[^0-9]*')"
POINT = "regexp_full_match({}, '[^0-9]*([0-9]+|[0-9]{{1,3}}([, ][0-9]{{3}})+)([.][0-9]*)?[^0-9]*')"
KNOWN = f"lower(trim({{}})) IN ({YES}, {NO})"
PROVIDED = dict(
    zip((*EXAMPLES["number"], *EXAMPLES["flag"]), (COMMA, COMMA, POINT, KNOWN, f"NOT {KNOWN}"), strict=True)
)
"""How a number or a flag must be written for an example to read it as it was meant."""
PARTED = "'-?[1-9][0-9]{0,2}([.][0-9]{3})+'"

OFFSET = "':.* ?([+-][0-9]{2}:?([0-9]{2})?)$'"


def example(con: duckdb.DuckDBPyConnection, relation: str, *, column: Column, cell: str) -> str:
    """Return the line of ``recompra.toml`` that reads most values of ``cell`` (SQL over the relation)."""
    forms, name = EXAMPLES[column.kind], _short(cell)
    tries = [
        f"CASE WHEN {PROVIDED.get(form, 'true')} THEN TRY({form}) END".format(*[name] * 2) for form in forms
    ]
    counts = ", ".join(f"count({casting.read(column.kind, attempt)})" for attempt in tries)
    read = con.execute(f"SELECT {counts} FROM {relation}").fetchall()[0]
    return setting(column.name, forms[read.index(max(read))].format(name))


def examples(
    con: duckdb.DuckDBPyConnection, relation: str, *, column: Column, sql: str, others: dict[Column, str]
) -> str:
    """Return the line that reads a refused column, and those for ``others`` (texts) that would be refused."""
    as_text = {"source_type": "VARCHAR", "timezone": "UTC", "timestamps": "UTC"}
    counts = [
        f", count({casting.cast(other.kind, cell, **as_text)}), count(nullif(trim({cell}), ''))"
        for other, cell in others.items()
    ]
    _, *counted = con.execute(f"SELECT 0{''.join(counts)} FROM {relation}").fetchall()[0]
    shares = zip(others.items(), counted[::2], counted[1::2], strict=True)
    alike = [it for it, read, there in shares if is_foreign(it[0], there - read, n_read=read)]
    refused = [(column, sql), *alike]
    one, *more = [example(con, relation, column=each, cell=cell) for each, cell in refused]
    return f"{one}; and likewise {'; '.join(more)}" if more else one


def is_foreign(column: Column, n_unreadable: int, *, n_read: int) -> bool:
    """Tell whether so many cells are unreadable that the column is of another type: then nothing is read.

    A flag has two words only: where its yes or its no is unreadable, that is no typing error.
    """
    share = MISTYPED_FLAGS if column.kind == "flag" else MISTYPED
    return n_unreadable > share * (n_unreadable + n_read)


def thousands(
    con: duckdb.DuckDBPyConnection, relation: str, *, table: Table, numbers: dict[str, str]
) -> list[str]:
    """Return a note on each column of numbers (name -> SQL of its text) whose dots may separate thousands."""
    counts = [
        f"count_if(regexp_full_match(trim({cell}), {PARTED})), count_if(contains({cell}, '.'))"
        for cell in numbers.values()
    ]
    if not counts:
        return []
    counted = con.execute(f"SELECT {', '.join(counts)} FROM {relation}").fetchall()[0]
    notes = []
    for (name, cell), parted, dotted in zip(numbers.items(), counted[::2], counted[1::2], strict=True):
        line = setting(name, f"replace({_short(cell)}, '.', '')")
        message = f"{table.name}: in {name} three digits follow every dot, which is read as a decimal point"
        if dotted and parted == dotted:
            notes.append(f"{message}; if 1.475 means 1475, write {line} under [tables.{table.name}.columns]")
    return notes


def offset(con: duckdb.DuckDBPyConnection, relation: str, *, cell: str, timezone: str) -> list[str]:
    """Return a note where the shop's zone is UTC and most times (SQL of their text) have another offset."""
    if timezone != "UTC":
        return []
    modes = con.execute(f"SELECT mode(regexp_extract(trim({cell}), {OFFSET}, 1)) FROM {relation}").fetchall()
    if not (of := modes[0][0]) or not of.strip("+-0:"):
        return []
    message = f"order_lines: most times have the offset {of}, but the shop's time zone is UTC"
    return [f'{message}; if that is wrong, set timezone (such as "America/New_York") in recompra.toml']


def adapter(con: duckdb.DuckDBPyConnection, relation: str) -> str:
    """Return the adapter that can read the most columns of order lines from a relation; empty for none."""
    fits = {name: _fit(con, relation, name) for name in adapters.names()}
    best = max(fits, key=lambda name: fits[name])
    return best if fits[best] else ""


def _fit(con: duckdb.DuckDBPyConnection, relation: str, name: str) -> int:
    """Return how many columns of the order lines an adapter could read; 0 if a required one is missing."""
    table_map = Settings.parse(adapters.load(name).values, name).tables.get("order_lines", TableMap())
    lines, _ = sources.completed(con, f"SELECT *, 0 AS __file FROM {relation}", source=table_map)
    source = f"WITH order_lines AS ({lines})"

    def read(column: Column) -> bool:
        cell = table_map.columns.get(column.name, column.name)
        try:
            con.execute(f"DESCRIBE {source} SELECT {cell} FROM ({table_map.query or 'FROM order_lines'})")
        except duckdb.Error:
            return False
        return True

    there = [column for column in ORDER_LINES.columns if read(column)]
    lacks = any(column.required and column not in there for column in ORDER_LINES.columns)
    return 0 if lacks else len(there)


def _short(cell: str) -> str:
    name = cell.strip('"')
    return name if name.isidentifier() else cell


def setting(name: str, expression: str) -> str:
    """Return the line ``name = "expression"`` of ``recompra.toml``, escaped."""
    escaped = expression.replace("\\", "\\\\").replace('"', '\\"')
    return f'{name} = "{escaped}"'
