"""What each table must hold: columns, types, ranges, keys; and how a source's cell becomes ours, in SQL."""

from dataclasses import dataclass
from typing import Literal

from features.storage.tables import SCHEMAS

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
WORDS: dict[Kind, str] = {
    "id": "an id",
    "text": "text",
    "time": "a date or time (2026-03-29 23:30:00, with an offset or without)",
    "day": "a date (2026-03-29)",
    "number": "a number",
    "flag": "true or false",
    "digest": "an address, of which only the SHA-256 is kept",
}
FIRST_YEAR, LAST_YEAR = 1970, 2100
LARGEST = 1e9
LONGEST_ID = 128
"""Characters: an id is what the service is asked for by, and what every vocabulary makes room for."""


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
    """A table's columns, rules, and ``key``: a later row of the same key takes an earlier one's place."""

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...] = ()
    rules: tuple[tuple[str, str], ...] = ()
    """Conditions under which a row cannot be used, each with its reason."""


MACROS = f"""
CREATE OR REPLACE TEMP MACRO num(x) AS TRY_CAST(x AS DOUBLE);
CREATE OR REPLACE TEMP MACRO sane(m) AS
  CASE WHEN isfinite(m) AND year(m) BETWEEN {FIRST_YEAR} AND {LAST_YEAR} THEN m END;
"""
"""``num`` is for column maps; ``sane`` drops infinities and placeholders (0001-01-01, 9999-12-31)."""

LARGEST_MONEY = LARGEST * 100
MADE_UP_ORDER = "concat(customer_id, '@', replace(CAST(ordered_at AS VARCHAR), ' ', 'T'))"
"""The id of an order that has none: what a customer buys at one moment is one order."""
MONEY = "round(abs(quantity) * unit_price - abs(discount), 6)"
"""What a line earns or a return gives back, rounded: a price divided and multiplied again is the price."""

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
        (f"{MONEY} > {LARGEST_MONEY:.0f}", "amount is out of range"),
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
LINE = tuple(SCHEMAS["order_lines"])
"""The columns of a line as the warehouse keeps it, purchase or return."""
TABLES = {table.name: table for table in (ORDER_LINES, *SIDE_TABLES)}


def accepts(kind: Kind, source_type: str) -> bool:
    """Tell whether a source column of that DuckDB type can hold a ``kind`` at all."""
    family = _family(source_type)
    allowed = {
        "id": {"text", "number", "uuid"},
        "text": {"text", "number", "flag", "uuid", "time"},
        "time": {"text", "time"},
        "day": {"text", "time"},
        "number": {"text", "number"},
        "flag": {"text", "number", "flag"},
        "digest": {"text"},
    }
    return family == "null" or family in allowed[kind]


def local_time(timezone: str) -> str:
    """Return SQL of ``ordered_at`` on the shop's clock."""
    return "ordered_at" if timezone == "UTC" else f"timezone('{timezone}', timezone('UTC', ordered_at))"


def cast(kind: Kind, cell: str, source_type: str, *, timezone: str, timestamps: str) -> str:
    """Return SQL that turns ``cell`` into our type, or NULL where it cannot.

    Naive times are read in the zone ``timestamps``; a bare date is the midnight of the shop's ``timezone``.
    Times come out in UTC, without a zone.
    """
    if _family(source_type) == "null":
        return f"CAST(NULL AS {SQL_TYPE[kind]})"
    if kind in ("id", "text"):
        return _cast_text(kind, cell, source_type)
    if kind == "digest":
        return _digest(cell)
    if kind == "time":
        return f"sane({_cast_time(cell, source_type.upper(), timezone, timestamps)})"
    source = f"nullif(trim({cell}), '')" if _family(source_type) == "text" else cell
    value = f"TRY_CAST({source} AS {SQL_TYPE[kind]})"
    return f"CASE WHEN isfinite({value}) THEN {value} END" if kind in ("number", "day") else value


def _family(source_type: str) -> str:
    base = source_type.split("(", maxsplit=1)[0].strip(' "').upper()
    if base.endswith("]") or base in ("STRUCT", "MAP", "UNION", "BLOB", "INTERVAL", "TIME", "VARIANT"):
        return "other"
    if base.startswith("TIMESTAMP") or base == "DATE":
        return "time"
    families = {
        "NULL": "null",
        "VARCHAR": "text",
        "ENUM": "text",
        "JSON": "text",
        "BOOLEAN": "flag",
        "UUID": "uuid",
    }
    return families.get(base, "number")


def _cast_text(kind: Kind, cell: str, source_type: str) -> str:
    """Trim; an id that came as a float (13085.0) is written as the integer it was."""
    text = f"nullif(trim(CAST({cell} AS VARCHAR)), '')"
    if kind == "text" or source_type.upper().endswith(("INT", "INTEGER")):
        return text
    if _family(source_type) == "number":
        whole = f"CAST(TRY_CAST({cell} AS HUGEINT) AS VARCHAR)"
        finite = f"CASE WHEN {cell} = floor({cell}) THEN {whole} ELSE {text} END"
        return f"CASE WHEN isfinite({cell}::DOUBLE) THEN {finite} END"
    whole = f"regexp_replace({text}, '^(-?[0-9]+)[.]0$', '\\1')"
    return f"CASE WHEN suffix({text}, '.0') THEN {whole} ELSE {text} END"


def _digest(cell: str) -> str:
    """Hash an address, trimmed and in lower case, as ad platforms match them; a digest stays as it came."""
    text = f"nullif(lower(trim({cell})), '')"
    return f"CASE WHEN regexp_full_match({text}, '[0-9a-f]{{64}}') THEN {text} ELSE sha256({text}) END"


def _cast_time(cell: str, source_type: str, timezone: str, timestamps: str) -> str:
    if source_type == "DATE":
        return _to_utc(f"CAST({cell} AS TIMESTAMP)", timezone)
    if source_type.endswith("WITH TIME ZONE") or source_type.startswith("TIMESTAMPTZ"):
        return f"timezone('UTC', CAST({cell} AS TIMESTAMPTZ))"
    if source_type.startswith("TIMESTAMP"):
        return _to_utc(f"CAST({cell} AS TIMESTAMP)", timestamps)
    text = f"regexp_replace(trim({cell}), '(:.*?) ?([+-][0-9]{{2}}):?([0-9]{{2}})$', '\\1\\2:\\3')"
    naive = f"TRY_CAST({text} AS TIMESTAMP)"
    is_day = f"regexp_full_match({text}, '[0-9]{{4}}[-/][0-9]{{1,2}}[-/][0-9]{{1,2}}')"
    is_aware = f"regexp_matches({text}, ':.*[a-zA-Z+-]')"  # without its zone (or PM) it would be another time
    return (
        f"CASE WHEN {is_day} THEN {_to_utc(naive, timezone)} "
        f"WHEN {is_aware} THEN timezone('UTC', TRY_CAST({text} AS TIMESTAMPTZ)) "
        f"ELSE {_to_utc(naive, timestamps)} END"
    )


def _to_utc(naive: str, zone: str) -> str:
    return naive if zone == "UTC" else f"timezone('UTC', timezone('{zone}', {naive}))"
