"""Consent to be contacted, which a row states even where it is of no other use.

A row with an unreadable birthday goes to quarantine, but the refusal in it stands. So consent is read from
all rows of a customer, usable or not, in the order they came, after what the warehouse holds: the last word
counts, and one that cannot be read is a refusal.
"""

import duckdb

from features.ingest.rows import REPEATED
from features.ingest.staging import unusable_ids
from features.storage.contracts import CONSENTS, TABLES
from features.storage.tables import quote
from features.words import counted

CUSTOMERS = TABLES["customers"]


def settle(con: duckdb.DuckDBPyConnection, *, left_out: str) -> list[str]:
    """Set the consents in ``customers``; return notes on what the rows did not say as they should.

    An empty cell withdraws a consent that was recorded; a source without the column changes nothing, and so
    do rows that the shop's own rule leaves out (with the reason ``left_out``). Who has nothing but unusable
    rows gets a row of consents.
    """
    told = ", ".join(f"{_stated(con, name)} AS {name}" for name in CONSENTS)
    names, key = ", ".join(CONSENTS), CUSTOMERS.key[0]
    no_id = " OR ".join(condition for condition, _ in unusable_ids(key))
    why = f"CASE WHEN NOT ends_with(reason, {quote(REPEATED)}) THEN reason END AS reason"
    con.execute(f"""
        CREATE TABLE consents AS
        SELECT {key}, {told}, arg_max_null(reason, nth) AS reason
        FROM (SELECT {key}, {names}, '' AS source, NULL AS reason, -1 AS nth FROM old_customers UNION ALL
              SELECT {key}, {names}, source, {why}, rowid
              FROM staged_customers WHERE NOT ({no_id}) AND reason IS DISTINCT FROM {quote(left_out)})
        GROUP BY {key}""")
    columns = ", ".join(f"consents.{c.name}" if c.name in CONSENTS else c.name for c in CUSTOMERS.columns)
    con.execute(f"""
        CREATE OR REPLACE TABLE customers AS SELECT {columns}
        FROM consents LEFT JOIN (SELECT *, true AS is_usable FROM customers) AS c USING ({key})
        WHERE is_usable OR coalesce({", ".join(f"consents.{name}" for name in CONSENTS)}) IS NOT NULL""")
    return [*_unusable(con), *_unsaid(con)]


def _stated(con: duckdb.DuckDBPyConnection, name: str) -> str:
    """Return SQL of a customer's consent: the last word, or a refusal if it was recorded and is empty now."""
    sql = "SELECT source FROM spoken WHERE name = ?"
    sources = ["", *(source for (source,) in con.execute(sql, [name]).fetchall())]
    speaks = f"source IN ({', '.join(map(quote, sources))})"
    withdrawn = f"CASE WHEN bool_or({name} IS NOT NULL) FILTER ({speaks}) THEN false END"
    return f"coalesce(arg_max_null({name}, nth) FILTER ({speaks}), {withdrawn})"


def _unusable(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return a note on customers whose newest row is in quarantine, where consent is recorded."""
    recorded = " OR ".join(f"{name} IS NOT NULL" for name in CONSENTS)
    sql = f"SELECT count(*) FROM consents WHERE reason IS NOT NULL AND ({recorded})"
    n = con.execute(sql).fetchall()[0][0]
    what = "is in quarantine; its consents count all the same, and those that cannot be read are refusals"
    return [f"customers: the newest row of {counted(n, 'customer')} {what}"] if n else []


def _unsaid(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return a note on consents that were recorded before, and of which these customers have no column."""
    sql = "SELECT count({0}) > 0 AND '{0}' NOT IN (SELECT name FROM spoken) FROM old_customers"
    gone = [name for name in CONSENTS if con.execute(sql.format(name)).fetchall()[0][0]]
    came = con.execute("SELECT count(*) FROM staged_customers").fetchall()[0][0]
    what = "stays as recorded before: who withdrew it since is not known"
    return [f"customers: no column {name}; it {what}" for name in gone] if came else []
