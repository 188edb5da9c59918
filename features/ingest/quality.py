"""The report of an ingest: its counts, its notes, the facts of the shop; as JSON and as a table."""

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

import duckdb
from pydantic import BaseModel, ConfigDict, Field

from features.ingest.rows import UNMATCHED
from features.settings import ListName, Lists
from features.storage.contracts import SIDE_TABLES, TABLES
from features.storage.tables import quote
from features.words import counted

if TYPE_CHECKING:
    from rich.table import Table

QUALITY = "quality.json"
N_NAMES_SHOWN = 5
"""At most this many unknown names are listed in a note."""
FACTS = (
    """SELECT count(*) AS n_lines, count(*) FILTER (customer_id IS NULL) AS n_lines_without_customer,
    count(DISTINCT product_id) AS n_products, count(product_id) > 0 AS has_products,
    count(unit_price) > 0 AS has_money,
    strftime(min(ordered_at), '%Y-%m-%dT%H:%M:%S+00:00') AS first_at, min(ordered_on)::VARCHAR AS first_on,
    strftime(max(ordered_at), '%Y-%m-%dT%H:%M:%S+00:00') AS last_at, max(ordered_on)::VARCHAR AS last_on,
    coalesce(sum(revenue::DECIMAL(18, 6)), 0)::DOUBLE AS revenue FROM lines""",
    """SELECT count(DISTINCT customer_id) AS n_customers, count(*) FILTER (starts_order) AS n_orders,
    count(DISTINCT (hour, minute(ordered_at))) > 1 AS has_time_of_day FROM orders""",
    """SELECT count(*) > 0 AS has_returns, count(DISTINCT return_id) AS n_returns FROM returns""",
    """SELECT count(*) > 0 AS has_catalogue, count(category) > 0 AS has_categories FROM products""",
    *(
        f"SELECT count(*) > 0 AS has_{name} FROM {name}"
        for name in ("customers", "contacts", "deliveries", "surveys")
    ),
    "SELECT count(*) AS n_quarantined FROM quarantine",
)
"""The facts in ``shop.json``: queries of one row each, whose columns are facts."""


ABSENT = {
    "has_products": "no product_id: there are no lists, and no models of products",
    "has_money": "no unit_price: orders and units are counted, money is unknown",
}
"""What a shop lacks, by the fact that is then false."""


class Counts(BaseModel):
    """What became of one table's rows: ``rows = kept + returns + quarantined + already_here + erased``."""

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
    erased: int = 0
    """Rows left out because their customer asked to be forgotten."""
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
    erased: dict[str, int] = Field(default_factory=dict)
    """Rows of this ingest left out because their customer asked to be forgotten, by the digest of the id."""
    notes: list[str] = Field(default_factory=list)
    """What was left out, and why, in words."""

    def write(self, folder: Path) -> None:
        """Write ``quality.json``."""
        text = json.dumps(self.model_dump(), indent=1, ensure_ascii=False)
        (folder / QUALITY).write_text(text + "\n", encoding="utf-8")


def render(report: Report) -> "Table":
    """Draw a report for a terminal."""
    from rich.table import Table

    table = Table(
        title=f"{report.source} ({report.adapter})", caption=_caption(report), caption_justify="left"
    )
    for heading in ("table", "rows", "kept", "returns", "already here", "quarantined"):
        table.add_column(heading, justify="left" if heading == "table" else "right")
    for name, counts in report.tables.items():
        numbers = (counts.rows, counts.kept, counts.returns, counts.already_here, counts.quarantined)
        table.add_row(name, *(f"{number:,}" for number in numbers))
        for reason, n in counts.reasons.items():
            table.add_row(f"  {reason}", "", "", "", "", f"{n:,}", style="dim")
    return table


def count(con: duckdb.DuckDBPyConnection, report: Report) -> None:
    """Fill in what became of this ingest's rows, from the finished tables."""
    sql = 'SELECT "table", reason, count(*) FROM rejected GROUP BY ALL ORDER BY 3 DESC, 2'
    for table, reason, n in con.execute(sql).fetchall():
        report.tables[table].reasons[reason] = n
    for name, counts in report.tables.items():
        if name == "order_lines":
            _count_lines(con, counts)
        else:
            staged = number(con, f"SELECT count(*) FROM new_{name}")
            brought = f"FROM {name} SEMI JOIN new_{name} USING ({', '.join(TABLES[name].key)})"
            counts.kept = number(con, f"SELECT count(*) FROM ({brought} EXCEPT FROM old_{name})")
            counts.already_here = staged - counts.kept
        counts.quarantined = sum(counts.reasons.values())


def measure(con: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """Return the facts of a shop from its finished tables; times are ISO 8601 with +00:00."""
    facts: dict[str, Any] = {}
    for sql in FACTS:
        cursor = con.execute(sql)
        names = [column[0] for column in cursor.description or []]
        facts |= dict(zip(names, cursor.fetchall()[0], strict=True))
    return facts


def refused(con: duckdb.DuckDBPyConnection) -> dict[str, dict[str, int]]:
    """Return the number of quarantined rows by table and reason."""
    sql = 'SELECT "table", reason, count(*) FROM quarantine GROUP BY ALL ORDER BY 1, 3 DESC, 2'
    counts: dict[str, dict[str, int]] = {}
    for table, reason, n in con.execute(sql).fetchall():
        counts.setdefault(table, {})[reason] = n
    return counts


def fingerprint(con: duckdb.DuckDBPyConnection, settings: dict[str, str]) -> str:
    """Hash all that was ingested, whatever the order and the files it came in, and what it was read with."""
    tables = ("lines", "all_returns", *(table.name for table in SIDE_TABLES))
    content = settings | {name: content_of(con, name) for name in tables}
    return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def content_of(con: duckdb.DuckDBPyConnection, table: str) -> str:
    """Add up a hash of each row: independent of the rows' order."""
    row = "line_id" if table in ("lines", "all_returns") else f"CAST({table} AS VARCHAR)"
    return str(con.execute(f"SELECT count(*), sum(md5_number_lower({row})) FROM {table}").fetchall()[0])


def unseen(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return a note on products that are shown to nobody: never ordered, and without a launch date."""
    n = number(
        con, "SELECT count(*) FROM products ANTI JOIN lines USING (product_id) WHERE launched_on IS NULL"
    )
    message = "were never ordered and have no launched_on: they are shown to nobody until they have either"
    return [f"products: {n:,} {message}"] if n else []


def absent(facts: dict[str, Any]) -> list[str]:
    """Return a note on each column the order lines lack entirely; ``facts`` as ``measure`` returns them."""
    hint = "if it has another name, map it in recompra.toml under [tables.order_lines.columns]"
    return [f"order_lines: {message}; {hint}" for name, message in ABSENT.items() if not facts[name]]


def unpriced(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return a note on lines without a price, where others have one: they count as no money."""
    n, whole = con.execute("SELECT count(*) FILTER (revenue IS NULL), count(*) FROM lines").fetchall()[0]
    message = "have no unit_price: they count as orders and units, but not in sums of money"
    return [f"order_lines: {n:,} of {whole:,} lines {message}"] if 0 < n < whole else []


def twins(con: duckdb.DuckDBPyConnection) -> list[str]:
    """Return a note on ids that differ only in letter case: they count as different."""
    notes = []
    for name, table in {"customer_id": "orders", "product_id": "lines"}.items():
        n = number(con, f"SELECT count(DISTINCT {name}) - count(DISTINCT lower({name})) FROM {table}")
        message = f"differ from another only in letter case; if they are the same, map {name} to lower(...)"
        notes += [f"{name}: {n:,} {message}"] if n else []
    return notes


def changed_lines(con: duckdb.DuckDBPyConnection, left_out: str) -> list[str]:
    """Return a note on lines that an earlier ingest read differently, or that ``left_out`` now leaves out.

    Lines are matched by order, product and moment. The earlier ones stay, so money counts twice.
    """
    what = "order_id, product_id, ordered_at"
    n = number(
        con,
        f"""SELECT count(*) FROM (
          SELECT {what} FROM new_lines UNION ALL
          SELECT {what} FROM staged_order_lines WHERE reason = {quote(left_out)}) AS came
        SEMI JOIN (FROM lines ANTI JOIN new_lines USING (line_id)) AS here
        ON came.order_id = here.order_id AND came.ordered_at = here.ordered_at
        AND came.product_id IS NOT DISTINCT FROM here.product_id""",
    )
    if not n:
        return []
    as_before = "ingested before (same order, product and moment)"
    anew = "`recompra ingest --fresh` of the whole export replaces"
    if n == 1:
        told = (
            f"1 line differs from one {as_before}, or is left out now; "
            f"the earlier one still counts: {anew} it"
        )
    else:
        told = (
            f"{n:,} lines differ from those {as_before}, or are left out now; "
            f"the earlier ones still count: {anew} them"
        )
    return [f"order_lines: {told}"]


def unknown_names(con: duckdb.DuckDBPyConnection, lists: Lists) -> list[str]:
    """Return a note on each name under ``[lists]`` that is no list of ours, no product and no category."""
    strange, ours = lists.pinned.keys() - {*get_args(ListName)}, ", ".join(get_args(ListName))
    notes = [f"[lists.pinned] {name!r} is not a list; the lists are {ours}" for name in sorted(strange)]
    pinned = [name for names in lists.pinned.values() for name in names]
    others = {"boosted": [*lists.boosted], "hidden": lists.hidden, "returns": [*lists.returns]}
    for key, names in {"pinned": pinned, **others}.items():
        below = (
            "category = named OR starts_with(category, concat(named, ' > '))" if key in others else "false"
        )
        sql = f"""
            SELECT DISTINCT named FROM (SELECT unnest(?::VARCHAR[]) AS named)
            WHERE NOT EXISTS (FROM products WHERE product_id = named OR {below})
            AND named NOT IN (SELECT product_id FROM lines WHERE product_id IS NOT NULL) ORDER BY 1"""
        unknown = [name for (name,) in con.execute(sql, [names]).fetchall()]
        more = ", ..." if len(unknown) > N_NAMES_SHOWN else ""
        kind = "product or category" if key in others else "product"
        if unknown:
            notes.append(f"[lists.{key}]: no {kind} is called {', '.join(unknown[:N_NAMES_SHOWN])}{more}")
    return notes


def number(con: duckdb.DuckDBPyConnection, sql: str) -> int:
    """Return the one number a query gives."""
    return int(con.execute(sql).fetchall()[0][0])


def _count_lines(con: duckdb.DuckDBPyConnection, counts: Counts) -> None:
    unmatched = number(con, "SELECT count(*) FROM new_returns SEMI JOIN unmatched USING (line_id)")
    if unmatched:
        counts.reasons[UNMATCHED] = unmatched
    counts.kept = number(con, "SELECT count(*) FROM new_lines")
    counts.returns = number(con, "SELECT count(*) FROM new_returns") - unmatched
    counts.already_here += number(con, "SELECT count(*) FROM judged WHERE fate = 'known'")


def _caption(report: Report) -> str:
    facts = report.facts
    state = "written" if report.changed else "unchanged, everything was here already"
    counts = ", ".join(counted(facts.get(f"n_{name}s", 0), name) for name in ("customer", "order", "line"))
    lines = [f"warehouse {state}: {counts}, {facts['first_on']} to {facts['last_on']}"]
    if report.erased:
        n, whose = sum(report.erased.values()), ", ".join(digest[:12] for digest in report.erased)
        lines.append(f"{n:,} rows of customers who asked to be forgotten were left out ({whose})")
    return "\n".join([*lines, *report.notes])
