"""What each table must contain: columns, types, ranges, keys."""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["id", "text", "time", "day", "number", "flag", "digest"]

SQL_TYPE: dict[Kind, str] = {
    "id": "VARCHAR",
    "text": "VARCHAR",
    "time": "TIMESTAMP",
    "day": "DATE",
    "number": "DOUBLE",
    "flag": "BOOLEAN",
    "digest": "VARCHAR",
}
IBIS_TYPE: dict[Kind, str] = {
    "id": "string",
    "text": "string",
    "time": "timestamp",
    "day": "date",
    "number": "float64",
    "flag": "boolean",
    "digest": "string",
}
EXACT = "DECIMAL(18, 6)"
"""Quantities and money are summed exactly, so that sums do not depend on the order of rows."""
WORDS: dict[Kind, str] = {
    "id": "an id",
    "text": "text",
    "time": "a date or time such as 2026-03-29 23:30:00 (with or without an offset)",
    "day": "a date such as 2026-03-29",
    "number": "a number",
    "flag": "true or false",
    "digest": "an address, of which only the SHA-256 is kept",
}
LARGEST = 1e9
LONGEST_ID = 128
"""In characters: ids occur in requests, and every vocabulary allots the longest one's width to each."""
BLANKS = "".join(map(chr, (0x20, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x202F, 0x205F, 0x3000)))
"""Unicode's spaces, which DuckDB's ``trim`` removes: at the ends of an id they are not part of it."""


def id_of(text: str) -> str:
    """Return an id that somebody typed or sent in the form the ingest stores; empty where it is no id."""
    return text.strip(BLANKS)


@dataclass(frozen=True)
class Column:
    """One column of a table: ``required`` must be mapped, ``filled`` must also hold a value in every row."""

    name: str
    kind: Kind
    required: bool = False
    filled: bool = False
    default: str = "NULL"
    low: float = -LARGEST
    high: float = LARGEST


@dataclass(frozen=True)
class Table:
    """A table's columns, rules, and ``key``: a later row with the same key replaces an earlier one."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    rules: tuple[tuple[str, str], ...] = ()
    """Conditions under which a row cannot be used, each with its reason."""

    def whole(self, rows: str) -> str:
        """Return SQL of ``rows`` (a query) with every column; one that an older warehouse lacks is NULL."""
        nothing = ", ".join(f"NULL::{SQL_TYPE[column.kind]} AS {column.name}" for column in self.columns)
        names = ", ".join(column.name for column in self.columns)
        return f"SELECT {names} FROM ((SELECT {nothing} WHERE false) UNION ALL BY NAME ({rows}))"


LARGEST_MONEY = LARGEST * 100
MADE_UP_ORDER = "concat(customer_id, '@', replace(CAST(ordered_at AS VARCHAR), ' ', 'T'))"
"""The id given to an order without one: what a customer buys at one moment is one order."""
MONEY = "round(abs(quantity) * unit_price - abs(discount), 6)"
"""A line's revenue, or what a return gives back; rounded, so that dividing and multiplying is harmless."""

ORDER_LINES = Table(
    "order_lines",
    (
        Column("customer_id", "id", required=True),
        Column("ordered_at", "time", required=True, filled=True),
        Column("order_id", "id"),
        Column("product_id", "id"),
        Column("quantity", "number", default="1"),
        Column("unit_price", "number", low=0),
        Column("discount", "number", default="0"),
        Column("currency", "text"),
        Column("channel", "text"),
    ),
    rules=(
        ("quantity = 0", "quantity is 0"),
        ("quantity < 0 AND customer_id IS NULL", "return without a customer"),
        ("quantity > 0 AND discount < 0", "discount is negative"),
        (f"{MONEY} <= 0", "free line: nothing was paid"),
        (f"{MONEY} > {LARGEST_MONEY:.0f}", f"the amount is out of range (more than {LARGEST_MONEY:,.0f})"),
    ),
)

SIDE_TABLES = (
    Table(
        "products",
        (
            Column("product_id", "id", required=True, filled=True),
            Column("name", "text"),
            Column("category", "text"),
            Column("brand", "text"),
            Column("list_price", "number", low=0),
            Column("unit_cost", "number", low=0),
            Column("stock", "number"),
            Column("launched_on", "day"),
            Column("consumable", "flag"),
        ),
        key=("product_id",),
    ),
    Table(
        "customers",
        (
            Column("customer_id", "id", required=True, filled=True),
            Column("email_consent", "flag"),
            Column("sms_consent", "flag"),
            Column("push_consent", "flag"),
            Column("post_consent", "flag"),
            Column("email", "digest"),
            Column("birthday", "day"),
            Column("gender", "text"),
            Column("interests", "text"),
            Column("acquisition_channel", "text"),
            Column("acquisition_cost", "number", low=0),
            Column("region", "text"),
        ),
        key=("customer_id",),
    ),
    Table(
        "contacts",
        (
            Column("customer_id", "id", required=True, filled=True),
            Column("sent_at", "time", required=True, filled=True),
            Column("contact_id", "id"),
            Column("channel", "text"),
            Column("action", "text"),
            Column("product_id", "id"),
            Column("treated", "flag", default="true"),
            Column("propensity", "number", low=0, high=1),
            Column("cost", "number", low=0),
        ),
        key=("contact_id",),
    ),
    Table(
        "deliveries",
        (
            Column("order_id", "id", required=True, filled=True),
            Column("shipped_at", "time"),
            Column("delivered_at", "time"),
            Column("status", "text"),
        ),
        key=("order_id",),
    ),
    Table(
        "surveys",
        (
            Column("customer_id", "id", required=True, filled=True),
            Column("answered_at", "time", required=True, filled=True),
            Column("score", "number", low=0, high=10),
        ),
        key=("customer_id", "answered_at"),
    ),
)
TABLES = {table.name: table for table in (ORDER_LINES, *SIDE_TABLES)}
CONSENTS = tuple(c.name for c in TABLES["customers"].columns if c.name.endswith("_consent"))


def local_time(timezone: str) -> str:
    """Return SQL of ``ordered_at`` on the shop's clock."""
    return "ordered_at" if timezone == "UTC" else f"timezone('{timezone}', timezone('UTC', ordered_at))"
