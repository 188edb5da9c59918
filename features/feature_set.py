"""A feature is one line; the set it belongs to writes the time filter, so that no author can look ahead."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from typing import TYPE_CHECKING, Any

import pandas as pd

from features.storage.tables import fetch, quote, sql_of, table, tables_of
from features.window import local_day, naive_utc

if TYPE_CHECKING:
    import ibis.expr.types as ir

KEYS = ["cutoff", "customer_id"]
CUTOFFS = {"cutoff": "timestamp", "cutoff_on": "date"}
WANTED = {"customer_id": "string"}
DECIMALS = 6
"""Sums of floats depend in their last bits on the order in which threads add; the sixth decimal does not."""


class Past:
    """The tables as a source sees them: limited to the customers asked for, next to the cutoffs.

    ``keys`` identifies a customer's rows: cutoff and customer, or with a single cutoff the customer alone.
    """

    def __init__(self, *, limited: bool, one: bool = False) -> None:
        import ibis

        self.keys = KEYS[1:] if one else KEYS
        self._wanted = ibis.table(WANTED, name="recompra_wanted") if limited else None
        self.cutoffs: ir.Table = ibis.table(CUTOFFS, name="recompra_cutoffs")

    def __call__(self, name: str) -> "ir.Table":
        """Return one table of the warehouse, of the customers asked for."""
        rows = table(name)
        return rows if self._wanted is None else rows.semi_join(self._wanted, "customer_id")

    def by_customer(self, rows: "ir.Table", figures: dict[str, Any]) -> "ir.Table":
        """Aggregate a source's rows by customer; integer keys of customers are replaced by their ids."""
        key = "customer_id" if "customer_id" in rows.columns else "customer"
        sums = rows.group_by([*self.keys[:-1], key]).aggregate(**figures)
        return sums if key == "customer_id" else sums.join(self("customer_numbers"), key).drop(key)


Source = Callable[[Past], "ir.Table"]
"""Prepares rows ``(cutoff, customer_id, ...)`` of past events; every one of them lies before its cutoff.

Instead of ``customer_id`` they may have ``customer``, the key of the derived table ``customer_numbers``;
where there is a single cutoff they need not have ``cutoff``."""


@dataclass(frozen=True)
class Feature:
    """One figure about a customer: an aggregate over the rows of a source, all of them before the cutoff."""

    name: str
    expression: Callable[[Any], Any]
    unit: str
    doc: str
    source: str = "days"


@dataclass(frozen=True, eq=False)
class FeatureSet:
    """Features of one grain. The first source decides which customers there are; others are joined to it."""

    name: str
    features: tuple[Feature, ...]
    sources: dict[str, Source]
    derived: dict[str, Callable[[], "ir.Table"]] = field(default_factory=dict)
    """Tables derived from the warehouse's once per connection, because many queries need them."""
    appended: tuple["FeatureSet", ...] = ()
    """Sets of the same grain whose columns are appended, each by its own query; this one decides the rows."""
    one_cutoff: bool = False
    """Whether its query handles a single cutoff only: a panel then runs it once per cutoff."""

    @property
    def names(self) -> list[str]:
        """Column names, in order."""
        return [name for name, _, _ in self.catalogue()]

    def compute(
        self, con: Any, cutoff: datetime, *, ids: Sequence[str] | None = None, timezone: str
    ) -> pd.DataFrame:
        """Return features as of ``cutoff``, a row per customer seen before it: index ``customer_id``, sorted.

        ``ids`` limits the answer to those customers (unknown ones have no row); the row of one equals its
        row in the batch. ``timezone`` is the shop's: it decides which day a cutoff falls on.
        """
        frame = self._rows(con, [cutoff], ids=ids, timezone=timezone, keys=KEYS[1:])
        for other in self.appended:
            frame = frame.join(other.compute(con, cutoff, ids=ids, timezone=timezone))
        return frame

    def panel(
        self, con: Any, cutoffs: Iterable[datetime], *, ids: Sequence[str] | None = None, timezone: str
    ) -> pd.DataFrame:
        """Return features as of many cutoffs in one scan: index ``(cutoff, customer_id)``, sorted."""
        cutoffs = sorted(cutoffs)
        if self.one_cutoff or len(cutoffs) == 1:
            alone = [self.compute(con, cutoff, ids=ids, timezone=timezone) for cutoff in cutoffs]
            return pd.concat(alone, keys=cutoffs, names=KEYS)
        frame = self._rows(con, cutoffs, ids=ids, timezone=timezone, keys=KEYS)
        for other in self.appended:
            frame = frame.join(other.panel(con, cutoffs, ids=ids, timezone=timezone))
        return frame

    def _rows(
        self,
        con: Any,
        cutoffs: Sequence[datetime],
        *,
        ids: Sequence[str] | None,
        timezone: str,
        keys: list[str],
    ) -> pd.DataFrame:
        """Return this set's own features, index ``keys``, sorted."""
        moments = at_cutoffs(con, cutoffs, timezone=timezone)
        self.derive(con)
        if ids is not None:
            limit(con, ids)
        frame = fetch(con, _compiled(self, con.name, limited=ids is not None, one=keys != KEYS))
        if keys == KEYS:
            frame["cutoff"] = frame["cutoff"].map(moments)
        frame["customer_id"] = frame["customer_id"].astype("str")
        frame = frame.set_index(keys).sort_index()[[feature.name for feature in self.features]]
        return frame.astype("float64").round(DECIMALS)

    def derive(self, con: Any) -> None:
        """Create the derived tables that the connection lacks; on Spark they are views."""
        kind = "TEMP TABLE" if con.name == "duckdb" else "OR REPLACE TEMP VIEW"
        there = tables_of(con)
        for name in (name for name in self.derived if name not in there):
            con.raw_sql(f"CREATE {kind} {name} AS {_compiled_table(self, name, con.name)}")

    def expression(self, *, limited: bool = False, one: bool = False) -> "ir.Table":
        """Return the query over unbound tables, for any backend of Ibis; of many cutoffs or of ``one``."""
        past, query = Past(limited=limited, one=one), None
        for name, source in self.sources.items():
            rows: Any = source(past)
            mine = {f.name: f.expression(rows).cast("float64") for f in self.features if f.source == name}
            part = past.by_customer(rows, mine)
            if query is not None:
                part = query.left_join(part, past.keys).drop(*(f"{key}_right" for key in past.keys))
            query = part
        return query

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that change when any definition does: names, types, and the compiled queries."""
        queries = [_compiled(self, "duckdb", limited=False, one=True)]
        queries += [_compiled_table(self, name, "duckdb") for name in self.derived]
        queries += [other.fingerprint for other in self.appended]
        return hashlib.sha256("\n".join(queries).encode()).hexdigest()[:8]

    def catalogue(self) -> list[tuple[str, str, str]]:
        """Return ``(name, unit, doc)`` of every feature."""
        own = [(feature.name, feature.unit, feature.doc) for feature in self.features]
        return own + [row for other in self.appended for row in other.catalogue()]


@cache
def _compiled(features: FeatureSet, dialect: str, *, limited: bool, one: bool) -> str:
    return sql_of(features.expression(limited=limited, one=one), dialect)


@cache
def _compiled_table(features: FeatureSet, name: str, dialect: str) -> str:
    return sql_of(features.derived[name](), dialect)


def at_cutoffs(con: Any, cutoffs: Iterable[datetime], *, timezone: str) -> dict[datetime, datetime]:
    """Set the cutoffs that ``Past`` reads; return them by their form in the tables (naive UTC)."""
    moments = {naive_utc(cutoff): cutoff for cutoff in sorted(cutoffs)}
    rows = [
        f"(TIMESTAMP '{naive}', DATE '{local_day(cutoff, timezone)}')" for naive, cutoff in moments.items()
    ]
    _view(con, "recompra_cutoffs", columns=list(CUTOFFS), rows=rows)
    return moments


def limit(con: Any, ids: Iterable[str]) -> None:
    """Set the customers that ``Past`` reads when it is limited."""
    names = [str(name) for name in ids]
    if con.name == "duckdb":  # as a value: 400,000 names in the text of a query take gigabytes
        chosen = (
            "CREATE OR REPLACE TEMP TABLE recompra_wanted AS SELECT unnest($ids::VARCHAR[]) AS customer_id"
        )
        con.raw_sql(chosen, parameters={"ids": names})
    else:
        _view(
            con,
            "recompra_wanted",
            columns=list(WANTED),
            rows=[f"({quote(name)})" for name in names] or ["(NULL)"],
        )


def _view(con: Any, name: str, *, columns: list[str], rows: list[str]) -> None:
    values = f"SELECT * FROM (VALUES {', '.join(rows)}) AS rows({', '.join(columns)})"
    con.raw_sql(f"CREATE OR REPLACE TEMP VIEW {name} AS {values}")
