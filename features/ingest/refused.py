"""Whose a row in quarantine is: it cannot be used, but it is still of a person."""

from pathlib import Path

import duckdb

from features.ingest import publish
from features.settings import Settings
from features.storage.contracts import TABLES
from features.storage.tables import quote

FILE = "quarantine.parquet"
OF_CUSTOMERS = [name for name, table in TABLES.items() if "customer_id" in {c.name for c in table.columns}]
OF_PERSONS = f""""table" IN ({", ".join(map(quote, OF_CUSTOMERS))})"""
"""SQL condition of the rows that may be of a customer: products and deliveries name none."""
AS_READ = "regexp_replace(trim({}), '^(-?[0-9]+)[.]0$', '\\1')"
"""An id as ingest reads it."""


def whose(version: Path) -> str:
    """Return SQL of the ids of the customers whose a row in a version's quarantine may be.

    It is of the customer whom ingest read in it. Rows of before that was stored, and those whose id could
    not be read, are of whom they name under our name of the column or the source's; where neither is
    present, any value may be an id.
    """
    settings, _ = Settings.stored(publish.read_card(version)["settings"])
    names = {settings.map_of(table).columns.get("customer_id", "customer_id") for table in TABLES}
    paths = [quote('$."{}"'.format(name.replace('"', '\\"'))) for name in sorted(names)]
    cells = ", ".join(f"json_extract_string(row, {path})" for path in paths)
    named = f"""
        list_transform(list_filter(
          CASE WHEN NOT {OF_PERSONS} THEN [] WHEN coalesce({cells}) IS NOT NULL THEN [{cells}]
               ELSE json_extract_string(row, '$.*') END, lambda x: x IS NOT NULL),
          lambda x: {AS_READ.format("x")})"""
    if not _has_id(version):
        return named
    return (
        f"CASE WHEN customer_id IS NULL THEN {named} ELSE [customer_id, {AS_READ.format('customer_id')}] END"
    )


def _has_id(version: Path) -> bool:
    with duckdb.connect() as con:
        described = con.execute(f"DESCRIBE FROM {publish.parquet(version / FILE)}").fetchall()
    return "customer_id" in {name for name, *_ in described}
