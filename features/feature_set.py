"""A feature is one line; the set it belongs to writes the time filter, so that no author can look ahead."""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any, Protocol

import pandas as pd

from features.window import local_day, naive_utc

if TYPE_CHECKING:
    import ibis.expr.types as ir


class Source(Protocol):
    """A table of past events, prepared by its name: rows of ``(cutoff, customer_id, ...)``, all before the cutoff."""

    def __call__(self, con: Any, cutoffs: "ir.Table", ids: Sequence[str] | None) -> "ir.Table": ...


@dataclass(frozen=True)
class Feature:
    """One figure about a customer: an aggregate over the rows of a source, all of them before the cutoff."""

    name: str
    expression: Callable[[Any], Any]
    unit: str
    doc: str
    source: str = "days"
    dtype: str = "float64"


@dataclass(frozen=True)
class FeatureSet:
    """Features of one grain. ``sources[0]`` decides which customers there are; the others are joined to it."""

    name: str
    features: tuple[Feature, ...]
    sources: dict[str, Source]

    @property
    def names(self) -> list[str]:
        """Column names, in order."""
        return [feature.name for feature in self.features]

    def compute(
        self, con: Any, cutoff: datetime, ids: Sequence[str] | None = None, *, timezone: str
    ) -> pd.DataFrame:
        """Return features as of ``cutoff``: a float64 frame, one row a customer seen before it, index ``customer_id``.

        ``ids`` limits the answer to those customers (unknown ones are left out); the row of one equals its row in the batch.
        """
        return self.panel(con, [cutoff], ids, timezone=timezone).droplevel("cutoff")

    def panel(
        self, con: Any, cutoffs: Iterable[datetime], ids: Sequence[str] | None = None, *, timezone: str
    ) -> pd.DataFrame:
        """Return features as of many cutoffs in one scan: index ``(cutoff, customer_id)``, sorted."""
        cutoffs = sorted(cutoffs)
        query = self._query(con, _cutoff_table(cutoffs, timezone), ids)
        frame: pd.DataFrame = con.to_pandas(query)
        moments = {naive_utc(cutoff): cutoff for cutoff in cutoffs}
        frame["cutoff"] = frame["cutoff"].map(moments)
        frame = frame.set_index(["cutoff", "customer_id"]).sort_index()
        return frame[self.names].astype({feature.name: feature.dtype for feature in self.features})

    def _query(self, con: Any, cutoffs: "ir.Table", ids: Sequence[str] | None) -> "ir.Table":
        keys = ["cutoff", "customer_id"]
        query: Any = None
        for name, source in self.sources.items():
            rows = source(con, cutoffs, ids)
            wanted = {f.name: f.expression(rows).cast(f.dtype) for f in self.features if f.source == name}
            if not wanted:
                continue
            part = rows.group_by(keys).aggregate(**wanted)
            query = part if query is None else query.left_join(part, keys).drop("cutoff_right", "customer_id_right")
        return query

    @property
    def fingerprint(self) -> str:
        """Eight hex digits that change when any definition does: names, types, and the SQL they compile to."""
        import ibis

        digest = hashlib.sha256()
        for feature in self.features:
            rows = self.sources[feature.source](_Schema(), _cutoff_schema(), None)
            compiled = ibis.to_sql(rows.aggregate(x=feature.expression(rows)), dialect="duckdb")
            digest.update(f"{feature.name}|{feature.dtype}|{compiled}".encode())
        return digest.hexdigest()[:8]

    def catalogue(self) -> list[tuple[str, str, str]]:
        """Return ``(name, unit, doc)`` of every feature."""
        return [(feature.name, feature.unit, feature.doc) for feature in self.features]


def _cutoff_table(cutoffs: Sequence[datetime], timezone: str) -> "ir.Table":
    import ibis

    rows = {"cutoff": [naive_utc(c) for c in cutoffs], "cutoff_on": [local_day(c, timezone) for c in cutoffs]}
    return ibis.memtable(rows, schema=ibis.schema({"cutoff": "timestamp", "cutoff_on": "date"}))


def _cutoff_schema() -> "ir.Table":
    import ibis

    return ibis.table({"cutoff": "timestamp", "cutoff_on": "date"}, name="cutoffs")


class _Schema:
    """Stands in for a connection where only the shape of a query matters."""

    def table(self, name: str) -> "ir.Table":
        import ibis

        from features.tables import SCHEMAS

        return ibis.table(SCHEMAS[name], name=name)
