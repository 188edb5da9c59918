"""What an ingest did, in numbers: the report, its JSON, its table, and the facts of a shop."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import duckdb
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from rich.table import Table

QUALITY = "quality.json"


class Counts(BaseModel):
    """What became of one table's rows: ``rows = kept + returns + quarantined + already_here``."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    rows: int = 0
    """Rows read in this ingest."""
    kept: int = 0
    """Rows now in the warehouse that were not there before."""
    returns: int = 0
    """Return lines that undo a purchase."""
    quarantined: int = 0
    """Rows that cannot be used."""
    already_here: int = 0
    """Rows an earlier ingest had brought."""
    reasons: dict[str, int] = Field(default_factory=dict)
    """Quarantined rows by reason."""


class Report(BaseModel):
    """What one ingest did, and what the warehouse holds after it."""

    model_config = ConfigDict(use_attribute_docstrings=True)

    source: str
    """Where the rows came from."""
    adapter: str
    """The column map that read them."""
    changed: bool = True
    """False: everything was there already, and no byte was written."""
    warehouse: str = ""
    """Folder of the warehouse's version."""
    fingerprint: str = ""
    """Hash of the warehouse's content."""
    tables: dict[str, Counts] = Field(default_factory=dict)
    """Counts of this ingest, by table."""
    facts: dict[str, Any] = Field(default_factory=dict)
    """What the warehouse holds."""
    quarantine: dict[str, dict[str, int]] = Field(default_factory=dict)
    """Everything in quarantine, by table and reason."""
    notes: list[str] = Field(default_factory=list)
    """What was left out, and why, in words."""

    def write(self, folder: Path) -> None:
        """Write ``quality.json``."""
        (folder / QUALITY).write_text(json.dumps(self.model_dump(), indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def render(report: Report) -> "Table":
    """Draw a report for a terminal."""
    from rich.table import Table

    table = Table(title=f"{report.source} ({report.adapter})", caption=_caption(report), caption_justify="left")
    for heading in ("table", "rows", "kept", "returns", "already here", "quarantined"):
        table.add_column(heading, justify="left" if heading == "table" else "right")
    for name, counts in report.tables.items():
        numbers = (counts.rows, counts.kept, counts.returns, counts.already_here, counts.quarantined)
        table.add_row(name, *(f"{number:,}" for number in numbers))
        for reason, n in counts.reasons.items():
            table.add_row(f"  [dim]{reason}[/dim]", "", "", "", "", f"[dim]{n:,}[/dim]")
    return table


def measure(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Return the facts of a shop from its finished tables; times are ISO 8601 with +00:00."""
    lines = _row(
        con,
        """SELECT count(*) AS n_lines, count(*) FILTER (customer_id IS NULL) AS n_lines_without_customer,
        count(DISTINCT product_id) AS n_products, count(product_id) > 0 AS has_products,
        count(unit_price) > 0 AS has_money, strftime(min(ordered_at), '%Y-%m-%dT%H:%M:%S+00:00') AS first_at,
        strftime(max(ordered_at), '%Y-%m-%dT%H:%M:%S+00:00') AS last_at, min(ordered_on)::VARCHAR AS first_on,
        max(ordered_on)::VARCHAR AS last_on, coalesce(sum(revenue::DECIMAL(18, 6)), 0)::DOUBLE AS revenue FROM lines""",
    )
    orders = _row(
        con,
        """SELECT count(DISTINCT customer_id) AS n_customers, count(*) FILTER (starts_order) AS n_orders,
        count(DISTINCT (hour, minute(ordered_at))) > 1 AS has_time_of_day FROM orders""",
    )
    rest = _row(
        con,
        """SELECT (SELECT count(*) FROM returns) > 0 AS has_returns, (SELECT count(DISTINCT return_id) FROM returns) AS n_returns,
        (SELECT count(*) FROM products) > 0 AS has_catalogue, (SELECT count(category) FROM products) > 0 AS has_categories,
        (SELECT count(*) FROM customers) > 0 AS has_customers, (SELECT count(*) FROM contacts) > 0 AS has_contacts,
        (SELECT count(*) FROM deliveries) > 0 AS has_deliveries, (SELECT count(*) FROM surveys) > 0 AS has_surveys,
        (SELECT count(*) FROM quarantine) AS n_quarantined""",
    )
    return lines | orders | rest


def _row(con: duckdb.DuckDBPyConnection, sql: str) -> dict[str, Any]:
    cursor = con.execute(sql)
    names = [column[0] for column in cursor.description or []]
    return dict(zip(names, cursor.fetchall()[0], strict=True))


def _caption(report: Report) -> str:
    facts = report.facts
    state = "written" if report.changed else "unchanged: everything was here already"
    has = f"{facts.get('n_customers', 0):,} customers, {facts.get('n_orders', 0):,} orders, {facts.get('n_lines', 0):,} lines"
    span = f"{facts.get('first_on', '')} to {facts.get('last_on', '')}"
    return "\n".join([f"warehouse {state}: {has}, {span}", *report.notes])
