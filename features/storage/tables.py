"""The warehouse's tables and their columns: those derived at ingest, and those of the table contracts.

Timestamps are UTC; ``*_on`` are the shop's days.
``days`` are the ``orders`` of a customer summed by the shop's day: the grain of the customer features.
Tables with integer keys of customers or products are not files: each connection derives them
(``features.bought``).
"""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from features.errors import SettingsError
from features.storage.contracts import IBIS_TYPE, SIDE_TABLES

if TYPE_CHECKING:
    import ibis.expr.types as ir
    import pandas as pd

SCHEMAS: dict[str, dict[str, str]] = {
    "order_lines": {
        "line_id": "string",
        "customer_id": "string",
        "order_id": "string",
        "product_id": "string",
        "ordered_at": "timestamp",
        "ordered_on": "date",
        "quantity": "float64",
        "unit_price": "float64",
        "discount": "float64",
        "revenue": "float64",
        "channel": "string",
    },
    "orders": {
        "customer_id": "string",
        "order_id": "string",
        "ordered_at": "timestamp",
        "ordered_on": "date",
        "starts_order": "boolean",
        "n_lines": "int64",
        "n_units": "float64",
        "n_products": "int64",
        "n_new_products": "int64",
        "n_new_categories": "int64",
        "revenue": "float64",
        "discount": "float64",
        "channel": "string",
        "hour": "int32",
        "weekday": "int32",
    },
    "days": {
        "customer_id": "string",
        "ordered_on": "date",
        "n_orders": "int64",
        "n_lines": "int64",
        "n_units": "float64",
        "n_new_products": "int64",
        "n_new_categories": "int64",
        "revenue": "float64",
        "discount": "float64",
        "hour": "float64",
        "weekday": "int32",
    },
    "customer_numbers": {"customer_id": "string", "customer": "int32"},
    "product_numbers": {"product_id": "string", "product": "int32"},
    "bought_days": {"customer": "int32", "product": "int32", "ordered_on": "date", "ordered_at": "timestamp"},
    "first_purchases": {"customer": "int32", "product": "int32", "ordered_at": "timestamp"},
    "product_days": {
        "product": "int32",
        "ordered_on": "date",
        "n_buyers": "int64",
        "n_first": "int64",
        "n_second": "int64",
    },
    "product_totals": {
        "product": "int32",
        "since": "date",
        "until": "date",
        "n_sales": "int32",
        "n_buyers": "int32",
        "n_back": "int32",
    },
    "shop_days": {"ordered_on": "date", "n_first": "float64", "n_second": "float64"},
    "returns": {
        "return_id": "string",
        "customer_id": "string",
        "product_id": "string",
        "returned_at": "timestamp",
        "returned_on": "date",
        "quantity": "float64",
        "revenue": "float64",
        "order_id": "string",
        "line_id": "string",
        "purchased_at": "timestamp",
        "purchased_on": "date",
    },
    **{
        table.name: {column.name: IBIS_TYPE[column.kind] for column in table.columns} for table in SIDE_TABLES
    },
}

LINE = tuple(SCHEMAS["order_lines"])
"""The columns of a line as the warehouse stores it, purchase or return."""


def table(name: str) -> "ir.Table":
    """Return a table of the warehouse as an unbound Ibis table, for any backend."""
    import ibis

    return ibis.table(SCHEMAS[name], name=name)


def fetch(con: Any, sql: str) -> "pd.DataFrame":
    """Run compiled SQL on an Ibis backend and return a frame.

    Ibis' own ``to_pandas`` compiles anew each time, and in version 12 warns about both DuckDB 2 and pandas 3.
    """
    answer = con.raw_sql(sql)
    frame: pd.DataFrame = answer.df() if con.name == "duckdb" else answer.toPandas()
    return frame


def tables_of(con: Any) -> set[str]:
    """Return the names of the tables a connection has created; on Spark none, as they are views there."""
    if con.name != "duckdb":
        return set()
    return {name for (name,) in con.raw_sql("SELECT table_name FROM duckdb_tables()").fetchall()}


def sql_of(expression: Any, dialect: str) -> str:
    """Return the SQL of an Ibis expression in a backend's dialect."""
    import ibis

    return str(ibis.to_sql(expression, dialect=dialect))


def quote(text: str) -> str:
    """Return a SQL string literal."""
    return "'" + text.replace("'", "''") + "'"


def literal(path: Path, pattern: str = "") -> str:
    """Return a SQL literal of a path for DuckDB's readers, which treat ``[``, ``*`` and ``?`` as wildcards.

    Raises ``SettingsError`` where a pattern is needed and the path has a backslash: in patterns it means
    ``/``.
    """
    exact = re.sub(r"([\[*?])", r"[\1]", str(path))
    if "\\" in exact and (pattern or exact != str(path)):
        message = f"DuckDB takes the backslash in {path} for a slash"
        raise SettingsError(message, "rename the folder, or set RECOMPRA_HOME to another")
    return quote(f"{exact}/{pattern}" if pattern else exact)
