"""Staged rows become rows of the warehouse: which are new, which are here already, which are duplicates.

Order lines get an id made from their content, so that the same file gives the same ids and an overlapping one
adds only what is new. The side tables hold one row per key; a later row replaces an earlier one.
"""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb

from features.ingest import refused
from features.ingest.publish import known_lines, parquet
from features.storage.contracts import MADE_UP_ORDER, MONEY, ORDER_LINES, SIDE_TABLES, Table, local_time
from features.storage.tables import LINE

DUPLICATE = "exact duplicate of another line of its order"
UNMATCHED = "return of nothing bought before"
FUTURE = "ordered_at lies in the future"
REPEATED = "repeated: a later row is used"
AHEAD = timedelta(days=1)
"""Tolerance for clocks that differ, and for times read in another zone."""
CONTENT = (
    "customer_id",
    "order_id",
    "product_id",
    "ordered_at",
    "quantity",
    "unit_price",
    "discount",
    "channel",
)
_LINE = ", ".join(LINE)
RETURN_LINES = "return_lines.parquet"
"""Every return line as it came: links are recomputed when older purchases arrive."""


def refuse_future(con: duckdb.DuckDBPyConnection, now: datetime) -> str:
    """Quarantine order lines later than ``now``: one wrong year would move the newest order there.

    If most lines are later, the clock is wrong or the data synthetic: all are kept. Returns a note then.
    """
    last = (now + AHEAD).astimezone(UTC).replace(tzinfo=None)
    later = f"ordered_at > TIMESTAMP '{last}'"
    usable = f"SELECT count(*) FILTER ({later}), count(*) FROM staged_order_lines WHERE reason IS NULL"
    n, of = con.execute(usable).fetchall()[0]
    if 2 * n > of:
        return f"order_lines: {n:,} of {of:,} lie after this computer's clock ({now:%Y-%m-%d}); all are kept"
    con.execute(f"""
        UPDATE staged_order_lines AS s SET reason = '{FUTURE}', row = {_cells(ORDER_LINES)}
        WHERE reason IS NULL AND {later}""")
    return ""


def come_due(con: duckdb.DuckDBPyConnection) -> dict[str, str]:
    """Return, by source with lines in the future, the moment from which the first of them no longer is."""
    sql = f"SELECT source, min(ordered_at) FROM staged_order_lines WHERE reason = '{FUTURE}' GROUP BY 1"
    moments = con.execute(sql).fetchall()
    return {source: (first.replace(tzinfo=UTC) - AHEAD).isoformat() for source, first in moments}


def sort_lines(con: duckdb.DuckDBPyConnection, old: Path | None, *, timezone: str) -> None:
    """Create ``judged``, ``new_lines``, ``new_returns``, ``all_returns`` and ``rejected``.

    ``judged`` holds every usable line and its fate: line, return, duplicate (within an order of one source),
    or known (in the warehouse ``old``, or in an earlier source of this ingest).
    """
    con.execute(f"CREATE TABLE judged AS {_judged(timezone)}")
    _number_repeated(con)
    known = f"SELECT line_id FROM {parquet(old / RETURN_LINES)}" if old else "SELECT '' WHERE false"
    con.execute(f"UPDATE judged SET fate = 'known' WHERE fate = 'return' AND line_id IN ({known})")
    for there, here in known_lines(con, old) if old else ():
        known = f"SELECT line_id FROM {there}"
        con.execute(
            f"UPDATE judged SET fate = 'known' WHERE fate = 'line' AND {here} AND line_id IN ({known})"
        )
    con.execute(f"CREATE VIEW new_lines AS SELECT {_LINE} FROM judged WHERE fate = 'line'")
    con.execute(
        f"CREATE TABLE new_returns AS SELECT {_LINE}, source, __row FROM judged WHERE fate = 'return'"
    )
    before = f"FROM {parquet(old / RETURN_LINES)}" if old else "FROM new_returns LIMIT 0"
    con.execute(f"CREATE TABLE all_returns AS FROM ({before}) UNION ALL FROM new_returns")
    con.execute(f"""
        CREATE TABLE rejected AS
        SELECT 'order_lines' AS "table", source, __row AS row_number, reason, row, customer_id
        FROM staged_order_lines WHERE reason IS NOT NULL UNION ALL
        SELECT 'order_lines', source, __row, '{DUPLICATE}', {_json("judged")}, customer_id
        FROM judged WHERE fate = 'duplicate'""")


def sort_side_tables(con: duckdb.DuckDBPyConnection, old: Path | None) -> None:
    """Create each side table from what is staged over what the warehouse ``old`` holds."""
    for table in SIDE_TABLES:
        if table.name == "contacts":
            _name_contacts(con, table)
        _reject_repeated(con, table)
        names, key = ", ".join(column.name for column in table.columns), ", ".join(table.key)
        before = parquet(old / f"{table.name}.parquet") if old else f"staged_{table.name} LIMIT 0"
        con.execute(
            f"CREATE VIEW new_{table.name} AS SELECT {names} FROM staged_{table.name} WHERE reason IS NULL"
        )
        con.execute(f"CREATE VIEW old_{table.name} AS {table.whole(f'FROM {before}')}")
        con.execute(f"""
            CREATE TABLE {table.name} AS FROM new_{table.name} UNION ALL
            SELECT o.* FROM old_{table.name} o ANTI JOIN new_{table.name} USING ({key})""")


def refuse(con: duckdb.DuckDBPyConnection, old: Path | None) -> None:
    """Create ``refused``: the warehouse's quarantine and what this ingest adds to it (``is_new``).

    A row refused before, in whatever file, is not written twice; one that lay in the future and no longer
    does is dropped. Unmatched returns are not in here.
    """
    before = "(FROM rejected LIMIT 0)"
    if old:  # an older warehouse did not store whose a row is
        before = f"({before} UNION ALL BY NAME FROM {parquet(old / refused.FILE)})"
    if con.execute(f"SELECT 1 FROM {before} WHERE reason = '{FUTURE}' LIMIT 1").fetchall():
        usable = f"SELECT {_cells(ORDER_LINES)} FROM staged_order_lines AS s WHERE reason IS NULL"
        before = f"(FROM {before} WHERE reason <> '{FUTURE}' OR row NOT IN ({usable}))"
    nth = 'row_number() OVER (PARTITION BY "table", reason, row, source ORDER BY row_number) AS nth'
    con.execute(f"""
        CREATE TABLE refused AS
        WITH known AS (SELECT *, {nth} FROM {before} WHERE reason <> '{UNMATCHED}'),
        fresh AS (SELECT *, {nth} FROM rejected)
        SELECT * EXCLUDE (nth), false AS is_new FROM known UNION ALL
        SELECT * EXCLUDE (nth), true FROM (
          SELECT * FROM fresh ANTI JOIN known USING ("table", reason, row, nth)
          QUALIFY row_number() OVER (PARTITION BY "table", reason, row, nth ORDER BY source) = 1)""")


def quarantine(con: duckdb.DuckDBPyConnection) -> None:
    """Create ``unmatched``, the returns that ``links`` does not hold, and the whole ``quarantine``."""
    con.execute(f"""
        CREATE TABLE unmatched AS
        SELECT 'order_lines' AS "table", source, __row AS row_number, '{UNMATCHED}' AS reason,
               {_json("r")} AS row, customer_id, line_id
        FROM all_returns r ANTI JOIN links ON r.line_id = links.return_id""")
    con.execute("""
        CREATE VIEW quarantine AS
        SELECT * EXCLUDE (is_new) FROM refused UNION ALL SELECT * EXCLUDE (line_id) FROM unmatched""")


def _judged(timezone: str) -> str:
    ordered_on = f"CAST({local_time(timezone)} AS DATE) AS ordered_on"
    text = ", ".join(f"coalesce(CAST({name} AS VARCHAR), '')" for name in CONTENT)
    return f"""
        SELECT source, __row, has_order_id, content, {_hex("content")} AS line_id, customer_id, order_id,
               product_id, ordered_at, {ordered_on}, abs(quantity) AS quantity,
               unit_price, abs(discount) AS discount, {MONEY} AS revenue, channel,
               CASE WHEN quantity < 0 THEN 'return' ELSE 'line' END AS fate
        FROM (SELECT *, md5_number_lower(concat_ws(chr(31), {text})) AS content
              FROM (SELECT * REPLACE (coalesce(order_id, {MADE_UP_ORDER}) AS order_id),
                           order_id IS NOT NULL AS has_order_id
                    FROM staged_order_lines WHERE reason IS NULL))"""


def _number_repeated(con: duckdb.DuckDBPyConnection) -> None:
    """Give equal lines of a source different ids; equal lines of different sources are the same line.

    A repeated line of an order is a duplicate, unless the source has no quantities: then each line is a unit.
    """
    con.execute("""
        CREATE TABLE repeated AS
        SELECT source, __row, row_number() OVER (PARTITION BY content, source ORDER BY __row) AS nth
        FROM judged
        SEMI JOIN (SELECT content FROM judged GROUP BY content HAVING count(*) > 1) USING (content)""")
    con.execute(f"""
        UPDATE judged SET line_id = {_hex("md5_number_lower(concat(content, '#', nth))")},
               fate = CASE WHEN has_order_id AND judged.source NOT IN (FROM uncounted) THEN 'duplicate'
                      ELSE fate END
        FROM repeated r WHERE judged.source = r.source AND judged.__row = r.__row AND nth > 1""")
    con.execute("""
        UPDATE judged SET fate = 'known' FROM (
          SELECT source, __row, row_number() OVER (PARTITION BY line_id ORDER BY source) AS nth
          FROM judged SEMI JOIN repeated USING (source, __row) WHERE fate IN ('line', 'return')) AS r
        WHERE judged.source = r.source AND judged.__row = r.__row AND r.nth > 1""")


def _name_contacts(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Give a contact without an id one made of its content."""
    text = ", ".join(
        f"coalesce(CAST({c.name} AS VARCHAR), '')" for c in table.columns if c.name != "contact_id"
    )
    con.execute(f"""
        UPDATE staged_contacts SET contact_id = {_hex(f"md5_number_lower(concat_ws(chr(31), {text}))")}
        WHERE contact_id IS NULL AND reason IS NULL""")


def _reject_repeated(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Keep the last row of each key: of the last file, as ``sources`` orders them, and of its last line."""
    key, verb = ", ".join(table.key), "is" if len(table.key) == 1 else "are"
    con.execute(f"""
        UPDATE staged_{table.name} AS s
        SET reason = '{" and ".join(table.key)} {verb} {REPEATED}',
            row = {_cells(table)}
        FROM (SELECT source, __row,
                     row_number() OVER (PARTITION BY {key} ORDER BY rowid DESC) AS nth
              FROM staged_{table.name} WHERE reason IS NULL) AS n
        WHERE s.source = n.source AND s.__row = n.__row AND n.nth > 1""")
    whose = "customer_id" if "customer_id" in {column.name for column in table.columns} else "NULL"
    con.execute(f"""
        INSERT INTO rejected SELECT '{table.name}', source, __row, reason, row, {whose}
        FROM staged_{table.name} WHERE reason IS NOT NULL""")


def _hex(number: str) -> str:
    return f"lower(lpad(to_hex({number}), 16, '0'))"


def _cells(table: Table) -> str:
    return _object([column.name for column in table.columns], "s")


def _json(alias: str) -> str:
    return _object([name for name in LINE if name not in ("line_id", "ordered_on")], alias)


def _object(names: list[str], alias: str) -> str:
    fields = ", ".join(f"'{name}': {alias}.{name}" for name in names)
    return f"CAST(to_json({{{fields}}}) AS VARCHAR)"
