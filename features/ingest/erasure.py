"""Erase customers from every version of a warehouse, and keep later ingests from bringing them back.

The caller passes a function that picks erased customers out of ids: the warehouse keeps no list of them.
"""

import os
import secrets
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import duckdb

from features.errors import ArtefactError, InputError
from features.ingest import publish, quality
from features.ingest.publish import LINES, parquet
from features.ingest.quality import QUALITY, Report, number
from features.ingest.refused import FILE, OF_CUSTOMERS, whose
from features.ingest.rows import RETURN_LINES
from features.storage.contracts import SIDE_TABLES

Forgotten = Callable[[Sequence[str]], Mapping[str, str]]
"""Takes ids; returns those whose customers asked to be forgotten, each with the digest it is stored as."""


def nobody(_: Sequence[str]) -> Mapping[str, str]:
    """Return an empty mapping: no one asked to be forgotten."""
    return {}


@dataclass
class Erased:
    """What was erased: ids, each with its digest, and rows by table of the version in use."""

    ids: dict[str, str] = field(default_factory=dict)
    rows: dict[str, int] = field(default_factory=dict)
    n_older_rows: int = 0
    """Rows erased from older versions."""


def erase(home: Path, forgotten: Forgotten) -> Erased:
    """Publish a version of the warehouse without the forgotten customers, and clean the older versions.

    Whoever opens the warehouse from now on sees none of them; the files of older versions, which may still be
    in use, are replaced one by one. Months without rows of theirs keep their files. Raises ``Busy`` while an
    ingest is running, ``InputError`` where the disk is full or nobody would be left.
    """
    old = publish.current(home)
    if old is None:
        return Erased()
    with publish.workshop(home) as folder:
        with publish.connection(folder) as con:
            done = Erased(_held(con, publish.versions(home), forgotten))
            if not done.ids:
                return done
            _table_of_ids(con, "gone", list(done.ids))
            for version in publish.versions(home):
                if version != old:
                    done.n_older_rows += sum(_take_out(con, version, version).values())
            done.rows = _take_out(con, old, folder)
            if done.rows:
                _write_report_and_card(con, old, folder=folder, done=done)
        if done.rows:
            _replace_files(old, publish.swap(home, folder))
    return done


def earlier_erasures(version: Path | None) -> dict[str, Any]:
    """Return a version's record of erasures: digests of erased orders, and what was erased each time.

    Empty where its card is broken: the warehouse is then rebuilt from sources that name these orders.
    """
    try:
        shop = publish.read_card(version) if version else {}
    except ArtefactError:
        shop = {}
    return shop.get("erased") or {"salt": secrets.token_hex(16), "orders": [], "times": []}


def leave_out(
    con: duckdb.DuckDBPyConnection, forgotten: Forgotten, *, report: Report, erased: dict[str, Any]
) -> dict[str, Any]:
    """Drop the staged rows of forgotten customers, usable or not, and count them in the report.

    ``erased`` is the warehouse's record (see ``earlier_erasures``): deliveries name no customer, so they are
    matched by digests of orders. It is returned with the new digests added.
    """
    every = " UNION ".join(f"SELECT customer_id FROM staged_{name}" for name in OF_CUSTOMERS)
    gone = forgotten(_texts(con, f"SELECT customer_id FROM ({every}) WHERE customer_id IS NOT NULL"))
    _table_of_ids(con, "gone", list(gone))
    con.execute(f"CREATE TABLE gone_orders AS {_orders('staged_order_lines')}")
    erased = _with_orders(con, erased)
    for name in OF_CUSTOMERS:
        sql = f"DELETE FROM staged_{name} WHERE {_condition('customer_id')} RETURNING customer_id"
        for customer_id, n in Counter(_texts(con, sql)).items():
            report.tables[name].erased += n
            report.erased[gone[customer_id]] = report.erased.get(gone[customer_id], 0) + n
    which = "md5(concat(?, order_id)) IN (SELECT unnest(?))"
    sql = f"DELETE FROM staged_deliveries WHERE {which} RETURNING order_id"
    if erased["orders"] and (n := len(con.execute(sql, [erased["salt"], erased["orders"]]).fetchall())):
        report.tables["deliveries"].erased += n
    return erased


def _with_orders(con: duckdb.DuckDBPyConnection, erased: dict[str, Any]) -> dict[str, Any]:
    """Add the digests of ``gone_orders``."""
    sql = "SELECT md5(concat(?, order_id)) FROM gone_orders"
    digests = {digest for (digest,) in con.execute(sql, [erased["salt"]]).fetchall()}
    return {**erased, "orders": sorted(digests.union(erased["orders"]))}


def _held(con: duckdb.DuckDBPyConnection, versions: Sequence[Path], forgotten: Forgotten) -> dict[str, str]:
    """Return the forgotten customers of whom any version holds a row, in quarantine or elsewhere."""
    held: dict[str, str] = {}
    for version in versions:
        for file in _tables(version):
            if file.name == FILE:
                rows = f"SELECT DISTINCT unnest({whose(version)}) FROM {parquet(file)}"
            elif _column(con, file) == "customer_id":
                rows = f"SELECT DISTINCT customer_id FROM {parquet(file)} WHERE customer_id IS NOT NULL"
            else:
                continue
            held |= forgotten(_texts(con, rows))
    return held


def _take_out(con: duckdb.DuckDBPyConnection, version: Path, target: Path) -> dict[str, int]:
    """Write a version without the table ``gone``'s customers into ``target``; return rows erased by table.

    With ``target`` the version itself, its files are replaced in place.
    """
    con.execute(f"CREATE OR REPLACE TABLE gone_orders AS {_orders(parquet(version / LINES, '*/*.parquet'))}")
    n_erased: Counter[str] = Counter()
    for file in _tables(version):
        place, condition = target / file.relative_to(version), _condition(_column(con, file))
        if file.name == FILE:
            condition = f"list_has_any({whose(version)}, (SELECT list(customer_id) FROM gone))"
        n = number(con, f"SELECT count(*) FROM {parquet(file)} WHERE {condition}")
        if n:
            n_erased[LINES if LINES in file.parts else file.stem] += n
            _write_rest(con, f"FROM {parquet(file)} WHERE ({condition}) IS NOT TRUE", place)
        elif target != version:
            publish.link(file, place)
    return dict(n_erased)


def _write_rest(con: duckdb.DuckDBPyConnection, rest: str, place: Path) -> None:
    """Write what is left of a file; a month with nothing left is removed."""
    if LINES in place.parts and not number(con, f"SELECT count(*) FROM ({rest})"):
        place.unlink(missing_ok=True)
        return
    place.parent.mkdir(parents=True, exist_ok=True)
    beside = place.with_suffix(".rest")
    publish.write(con, rest, path=beside)
    os.replace(beside, place)


def _write_report_and_card(con: duckdb.DuckDBPyConnection, old: Path, *, folder: Path, done: Erased) -> None:
    """Write the new version's report and card, which names its fingerprint and the one before."""
    if not any((folder / LINES).glob("*/*.parquet")):
        raise InputError("without this customer the warehouse would hold no order", "remove the whole home")
    views = {table.name: parquet(folder / f"{table.name}.parquet") for table in SIDE_TABLES}
    views |= {name: parquet(folder / f"{name}.parquet") for name in ("orders", "returns", "quarantine")}
    views |= {"lines": parquet(folder / LINES, "*/*.parquet"), "all_returns": parquet(folder / RETURN_LINES)}
    for name, rows in views.items():
        con.execute(f"CREATE VIEW {name} AS FROM {rows}")
    shop = publish.read_card(old)
    report = Report.model_validate_json((old / QUALITY).read_text(encoding="utf-8"))
    report.facts, report.quarantine = quality.measure(con), quality.refused(con)
    report.fingerprint = quality.fingerprint(con, {key: shop["settings"][key] for key in publish.FIXED})
    report.write(folder)
    took = {"n_customers": len(done.ids), "rows": done.rows, "fingerprint_before": shop["fingerprint"]}
    erased = _with_orders(con, earlier_erasures(old))
    shop["erased"] = {**erased, "times": [*erased["times"], took]}
    publish.write_card(folder, shop | {"facts": report.facts, "fingerprint": report.fingerprint})


def _replace_files(old: Path, new: Path) -> None:
    """Replace the old version's files by the new one's, for whoever still reads the old version."""
    for file in _tables(old):
        fresh, beside = new / file.relative_to(old), file.with_suffix(".rest")
        if not fresh.is_file():
            file.unlink()
        elif not fresh.samefile(file):
            publish.link(fresh, beside)
            os.replace(beside, file)


def _tables(version: Path) -> list[Path]:
    return sorted(version.rglob("*.parquet"))


def _column(con: duckdb.DuckDBPyConnection, file: Path) -> str:
    """Return the column that says whose rows a file holds; empty if they belong to no customer."""
    names = {row[0] for row in con.execute(f"DESCRIBE FROM {parquet(file)}").fetchall()}
    return next((name for name in ("customer_id", "order_id") if name in names), "")


def _condition(column: str) -> str:
    """Return the SQL condition that holds for rows of the customers in ``gone``."""
    return {
        "customer_id": "customer_id IN (SELECT customer_id FROM gone)",
        "order_id": "order_id IN (SELECT order_id FROM gone_orders)",
        "": "false",
    }[column]


def _orders(lines: str) -> str:
    """Return SQL of the orders all of whose lines belong to customers in ``gone``."""
    of_gone = _condition("customer_id")
    return f"""
        SELECT order_id FROM {lines} WHERE order_id IS NOT NULL
        GROUP BY 1 HAVING bool_and(coalesce({of_gone}, false))"""


def _table_of_ids(con: duckdb.DuckDBPyConnection, table: str, ids: list[str]) -> None:
    con.execute(f"CREATE TABLE {table} AS SELECT unnest(?::VARCHAR[]) AS customer_id", [ids])


def _texts(con: duckdb.DuckDBPyConnection, sql: str) -> list[str]:
    return [text for (text,) in con.execute(sql).fetchall()]
