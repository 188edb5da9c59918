"""Tables beside the order lines: one row a key, a later row in place of an earlier one."""

from pathlib import Path

import duckdb

from features.ingest.contracts import SIDE_TABLES, Table
from features.ingest.publish import parquet


def merge(con: duckdb.DuckDBPyConnection, old: Path | None) -> None:
    """Create each side table from what is staged and what the warehouse ``old`` holds; repeated keys are ``rejected``."""
    for table in SIDE_TABLES:
        _name_contacts(con, table)
        _reject_repeated(con, table)
        names = ", ".join(column.name for column in table.columns)
        key = ", ".join(table.key)
        con.execute(f"CREATE TEMP VIEW new_{table.name} AS SELECT {names} FROM staged_{table.name} WHERE reason IS NULL")
        before = f"(SELECT {names} FROM {parquet(old / f'{table.name}.parquet')})" if old else f"(FROM new_{table.name} LIMIT 0)"
        con.execute(f"CREATE TEMP VIEW old_{table.name} AS FROM {before}")
        con.execute(f"""
            CREATE TEMP TABLE {table.name} AS
            SELECT * FROM (FROM new_{table.name} UNION ALL
                           SELECT o.* FROM old_{table.name} o ANTI JOIN new_{table.name} USING ({key}))
            ORDER BY {key}""")


def kept(con: duckdb.DuckDBPyConnection, table: Table) -> tuple[int, int]:
    """Return how many staged rows are new or changed, and how many the warehouse had just so."""
    fresh = f"SELECT count(*) FROM (FROM new_{table.name} EXCEPT FROM old_{table.name})"
    new = int(con.execute(fresh).fetchall()[0][0])
    return new, int(con.execute(f"SELECT count(*) FROM new_{table.name}").fetchall()[0][0]) - new


def _name_contacts(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    """Give a contact without an id one made of its content."""
    if table.name != "contacts":
        return
    text = ", ".join(f"coalesce(CAST({c.name} AS VARCHAR), '')" for c in table.columns if c.name != "contact_id")
    con.execute(f"""
        UPDATE staged_contacts SET contact_id = left(md5(concat_ws(chr(31), {text})), 16)
        WHERE contact_id IS NULL AND reason IS NULL""")


def _reject_repeated(con: duckdb.DuckDBPyConnection, table: Table) -> None:
    key = ", ".join(table.key)
    fields = ", ".join(f"'{column.name}': s.{column.name}" for column in table.columns)
    con.execute(f"""
        UPDATE staged_{table.name} AS s SET reason = '{" and ".join(table.key)} repeated: a later row is used',
               row = CAST(to_json({{{fields}}}) AS VARCHAR)
        FROM (SELECT source, __row, row_number() OVER (PARTITION BY {key} ORDER BY source DESC, __row DESC) AS nth
              FROM staged_{table.name} WHERE reason IS NULL) AS n
        WHERE s.source = n.source AND s.__row = n.__row AND n.nth > 1""")
    con.execute(f"""
        INSERT INTO rejected SELECT '{table.name}', source, __row, reason, row FROM staged_{table.name} WHERE reason IS NOT NULL""")
