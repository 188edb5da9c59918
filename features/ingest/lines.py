"""Staged order lines become lines of the warehouse: ids by content, returns apart, duplicates and known lines out."""

from pathlib import Path

import duckdb

from features.ingest.contracts import MONEY
from features.ingest.publish import parquet

DUPLICATE = "exact duplicate of another line of its order"
UNMATCHED = "return of nothing bought before"

COLUMNS = (
    "line_id, customer_id, order_id, product_id, ordered_at, ordered_on, quantity, unit_price, discount, revenue, channel"
)
CONTENT = "customer_id, order_id, product_id, ordered_at, quantity, unit_price, discount, channel"
RETURN_LINES = "return_lines.parquet"
"""Every return line as it came: links are made anew when older purchases arrive."""


def sort_out(con: duckdb.DuckDBPyConnection, old: Path | None, timezone: str) -> None:
    """Create ``new_lines``, ``new_returns`` (not in the warehouse ``old`` yet), ``all_returns`` and ``rejected``.

    A line's id is a hash of its content and of how many equal lines came before it in this ingest, so that the same file
    gives the same ids, and a file that overlaps an earlier one adds only what is new.
    """
    con.execute(f"CREATE TEMP TABLE judged AS {_judged(timezone)}")
    known = f"SELECT line_id FROM {parquet(old / 'order_lines' / '*' / '*.parquet')}" if old else "SELECT '' WHERE false"
    before = f"SELECT * FROM {parquet(old / RETURN_LINES)}" if old else "SELECT * FROM new_returns WHERE false"
    con.execute(f"CREATE TEMP VIEW new_lines AS SELECT {COLUMNS} FROM judged WHERE fate = 'line'")
    if old:
        con.execute(f"UPDATE judged SET fate = 'known' WHERE fate = 'line' AND line_id IN ({known})")
        known = f"SELECT line_id FROM {parquet(old / RETURN_LINES)}"
        con.execute(f"UPDATE judged SET fate = 'known' WHERE fate = 'return' AND line_id IN ({known})")
    con.execute(f"CREATE TEMP TABLE new_returns AS SELECT {COLUMNS}, source, __row FROM judged WHERE fate = 'return'")
    con.execute(f"CREATE TEMP TABLE all_returns AS FROM ({before}) UNION ALL FROM new_returns")
    con.execute(f"""
        CREATE TEMP TABLE rejected AS
        SELECT 'order_lines' AS "table", source, __row AS row_number, reason, row FROM staged_order_lines WHERE reason IS NOT NULL
        UNION ALL
        SELECT 'order_lines', source, __row, '{DUPLICATE}', {_json("judged")} FROM judged WHERE fate = 'duplicate'""")


def reject_unmatched(con: duckdb.DuckDBPyConnection) -> None:
    """Create ``unmatched``, the quarantine rows of returns that ``links`` does not hold."""
    con.execute(f"""
        CREATE TEMP TABLE unmatched AS
        SELECT 'order_lines' AS "table", source, __row AS row_number, '{UNMATCHED}' AS reason, {_json("r")} AS row, line_id
        FROM all_returns r ANTI JOIN links ON r.line_id = links.return_id""")


def _judged(timezone: str) -> str:
    local = "ordered_at" if timezone == "UTC" else f"timezone('{timezone}', timezone('UTC', ordered_at))"
    made_up = "concat(customer_id, '@', replace(CAST(ordered_at AS VARCHAR), ' ', 'T'))"
    text = ", ".join(f"coalesce(CAST({name} AS VARCHAR), '')" for name in CONTENT.split(", "))
    return f"""
        SELECT source, __row, lower(lpad(to_hex(id), 16, '0')) AS line_id, customer_id, order_id, product_id, ordered_at,
               CAST({local} AS DATE) AS ordered_on, abs(quantity) AS quantity, unit_price, abs(discount) AS discount,
               {MONEY} AS revenue, channel,
               CASE WHEN has_order_id AND nth > 1 THEN 'duplicate' WHEN quantity < 0 THEN 'return' ELSE 'line' END AS fate
        FROM (SELECT *, CASE WHEN nth = 1 THEN content ELSE md5_number_lower(concat(content, '#', nth)) END AS id
              FROM (SELECT *, row_number() OVER (PARTITION BY content ORDER BY source, __row) AS nth
                    FROM (SELECT *, md5_number_lower(concat_ws(chr(31), {text})) AS content
                          FROM (SELECT * REPLACE (coalesce(order_id, {made_up}) AS order_id), order_id IS NOT NULL AS has_order_id
                                FROM staged_order_lines WHERE reason IS NULL))))"""


def _json(alias: str) -> str:
    names = [name for name in COLUMNS.split(", ") if name not in ("line_id", "ordered_on")]
    fields = ", ".join(f"'{name}': {alias}.{name}" for name in names)
    return f"CAST(to_json({{{fields}}}) AS VARCHAR)"
