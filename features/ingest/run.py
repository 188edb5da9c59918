"""The steps of an ingest: find, read, sort out, link returns, derive, write beside the old version, swap."""

import hashlib
import json
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import duckdb

from features import adapters
from features.errors import InputError, SettingsError, first_line
from features.ingest import (
    consents,
    demands,
    erasure,
    orders,
    publish,
    quality,
    remote,
    returns,
    rows,
    sources,
    staging,
)
from features.ingest.demands import Card
from features.ingest.erasure import Forgotten, nobody
from features.ingest.quality import Counts, Report, number
from features.ingest.sources import Source
from features.settings import Lists, Settings, TableMap
from features.storage.contracts import SIDE_TABLES

Tell = Callable[[str], None]
Check = Callable[[Settings], object]


def ingest(
    source: str | Path,
    home: str | Path,
    *,
    adapter: str | None = None,
    settings: Path | None = None,
    fresh: bool = False,
    forgotten: Forgotten = nobody,
    now: datetime | None = None,
    tell: Tell = lambda _: None,
    check: Check = lambda _: None,
) -> Report:
    """Read a shop (a folder, file, URL, or adapter that brings data) into ``home/warehouse``.

    ``settings`` is the path of its ``recompra.toml``, by default the one beside the tables (a database has
    none).

    A second ingest of the same rows changes no byte; new rows are added. ``fresh`` drops what was there;
    ``forgotten`` picks out ids whose rows are to be left out (see ``erasure``); ``tell`` is called with each
    step. With ``now``, later orders are quarantined. ``check`` raises ``SettingsError`` for settings that
    only later steps understand (the actions).

    Raises ``Busy``, ``InputError`` or ``SettingsError``; the warehouse is then unchanged.
    """
    home = Path(home)
    with remote.at_hand(source, tell, maps=_maps(source, settings)) as place:
        path, name = adapters.locate(place, adapter)
        report = Report(source=remote.shown(source), adapter=name or "")
        with publish.workshop(home) as folder:
            old = None if fresh else publish.current(home)
            old_card = publish.read_card(old) if old else {}
            beside = path if path.is_dir() else path.parent
            shop = _settings(path, report, old_card=old_card, settings_at=settings or beside)
            shop = _copied(shop) if remote.is_database(source) else shop
            check(shop)
            report.adapter = report.adapter or old_card.get("adapter", "canonical")
            with publish.connection(folder) as con:
                read = _read(con, path, settings=shop, old_card=old_card, report=report, tell=tell, now=now)
                if now is not None and (note := rows.refuse_future(con, now)):
                    report.notes.append(note)
                due = rows.come_due(con)
                read = [
                    entry | {"due": due[entry["file"]]} if entry["file"] in due else entry for entry in read
                ]
                shop = demands.one_currency(con, shop)
                before = erasure.earlier_erasures(publish.current(home))
                erased = erasure.leave_out(con, forgotten, report=report, erased=before)
                card = {"settings": shop.model_dump(mode="json"), "adapter": report.adapter}
                card |= {"sources": read, "erased": erased}
                tell("looking for what is new")
                report.notes += _sort_out(con, old, shop, report=report)
                if old and not _is_new(con, card, old_card):
                    return _unchanged(con, report, old=old, old_card=old_card)
                _build(con, folder, old=old, card=card, report=report, tell=tell)
            report.warehouse = str(publish.swap(home, folder))
        return report


def _settings(path: Path, report: Report, *, old_card: Card, settings_at: Path) -> Settings:
    """Return the warehouse's settings, overlaid by the adapter's, then by the source's ``recompra.toml``."""
    stored = old_card.get("settings", {})
    known, gone = Settings.stored(stored)
    if gone:
        report.notes.append(f"unknown settings of the warehouse are left out: {', '.join(gone)}")
    values = known.model_dump(exclude_unset=True)
    if report.adapter or not stored:
        values |= {"tables": {}, "columns": {}} | adapters.load(report.adapter or "canonical", path).values
    settings = Settings.load(settings_at, Settings.parse(values, path.name))
    demands.check_maps(settings)
    for key in publish.FIXED:
        before, now = stored.get(key, ""), getattr(settings, key)
        if before and before.upper() != now.upper():
            raise SettingsError(
                f"the warehouse was made with {key} {before!r}, this source says {now!r}",
                "use the same, or start anew with fresh (--fresh), or with another RECOMPRA_HOME",
            )
    return settings


def _maps(source: str | Path, settings: Path | None) -> dict[str, TableMap]:
    """Return what a database's tables are called, by the settings given with it."""
    return Settings.load(settings).tables if settings and remote.is_database(source) else {}


def _copied(settings: Settings) -> Settings:
    """Return the settings for the copies of a database's tables, which are called as ours are."""
    tables = {name: one.model_copy(update={"file": ""}) for name, one in settings.tables.items()}
    return settings.model_copy(update={"tables": tables})


def _read(
    con: duckdb.DuckDBPyConnection,
    path: Path,
    *,
    settings: Settings,
    old_card: Card,
    report: Report,
    tell: Tell,
    now: datetime | None,
) -> list[Card]:
    """Stage every source; return the entries of all files in the warehouse, in the order they came.

    A file of order lines that is in the warehouse is not read again, unless lines of it lay in the future and
    have come due.
    """
    inputs, notes = sources.find(path, settings)
    report.notes.extend(notes)
    inputs = demands.filled(inputs, report)
    demands.require_lines(inputs, path, old_card=old_card, settings=settings)
    lines = [file for source in inputs if source.table == "order_lines" for file in source.files]
    read = {(entry["table"], entry["sha256"]): entry for entry in old_card.get("sources", [])}
    staging.create(con)
    for source in inputs:
        tell(f"reading {source.label}")
        counts = report.tables.setdefault(source.table, Counts())
        entry = _entry(source, settings)
        before = read.get((source.table, entry["sha256"]))
        if before and source.table == "order_lines":
            demands.require_same_map(source, before, now=entry)
        if before and source.table == "order_lines" and not _is_due(before, now):
            entry, counts.already_here = before, counts.already_here + before["rows"]
        else:
            entry["rows"] = _stage(con, source, lines=lines, settings=settings, report=report)
        read[source.table, entry["sha256"]] = entry
        counts.rows += entry["rows"]
    demands.require_rows(inputs, report)
    return list(read.values())


def _is_due(entry: Card, now: datetime | None) -> bool:
    """Return whether a file has lines that lay in the future when it was read, and no longer do."""
    return "due" in entry and (now is None or datetime.fromisoformat(entry["due"]) <= now)


def _stage(
    con: duckdb.DuckDBPyConnection, source: Source, *, lines: list[Path], settings: Settings, report: Report
) -> int:
    try:
        with sources.registered(con, source, order_lines=lines) as lacking:
            n, odd = staging.stage(con, source, relation=source.relation(con), settings=settings)
    except duckdb.CatalogException as error:
        report.notes.append(f"{source.table} left out: {first_line(error)}")
        return 0
    if lacking:
        odd = [*odd, f"{source.table}: no column {', '.join(lacking)}, read as empty"]
    report.notes.extend(note for note in odd if note not in report.notes)
    if n == 0:
        report.notes.append(f"{source.table}: {source.label} holds no rows")
    return n


def _sort_out(
    con: duckdb.DuckDBPyConnection, old: Path | None, settings: Settings, *, report: Report
) -> list[str]:
    """Find what is new and what cannot be used; refuse a first source of which no order line is usable.

    Returns notes on consents.
    """
    n_erased = report.tables.get("order_lines", Counts()).erased
    rows.sort_lines(con, old, timezone=settings.timezone)
    rows.sort_side_tables(con, old)
    notes = consents.settle(con, left_out=settings.map_of("customers").where_reason)
    rows.refuse(con, old)
    if not old and not number(con, "SELECT count(*) FROM new_lines"):
        sql = (
            "SELECT reason, count(*) FROM rejected WHERE \"table\" = 'order_lines' GROUP BY 1 ORDER BY 2 DESC"
        )
        why = {"of customers who asked to be forgotten": n_erased} if n_erased else {}
        why |= dict(con.execute(sql).fetchall())
        message = "; ".join(f"{reason}: {n}" for reason, n in why.items()) or "only returns"
        hint = "check the column map; no prices: leave out unit_price"
        if len(why) == 1 and n_erased:
            hint = "they stay out: bring orders of others, or name another RECOMPRA_HOME"
        raise InputError(f"no order line can be used ({message})", hint)
    return notes


def _is_new(con: duckdb.DuckDBPyConnection, card: Card, old_card: Card) -> bool:
    """Tell whether anything differs from the warehouse in use."""
    for table in ("new_lines", "new_returns", "refused WHERE is_new"):
        if number(con, f"SELECT count(*) FROM {table}"):
            return True
    if any(quality.content_of(con, f"old_{t.name}") != quality.content_of(con, t.name) for t in SIDE_TABLES):
        return True
    before, now = ({**s["settings"], "tables": None, "columns": None} for s in (old_card, card))
    return bool(before != now)


def _build(
    con: duckdb.DuckDBPyConnection,
    folder: Path,
    *,
    old: Path | None,
    card: Card,
    report: Report,
    tell: Tell,
) -> None:
    """Write the next version of the warehouse into ``folder``."""
    tell("writing the order lines, month by month")
    publish.write_lines(con, old, folder=folder)
    con.execute(f"CREATE TEMP VIEW lines AS FROM {publish.parquet(folder / publish.LINES, '*/*.parquet')}")
    tell("linking returns, deriving orders")
    returns.link(con, "lines", returns="all_returns")
    rows.quarantine(con)
    orders.derive(con, "lines", products="products", timezone=card["settings"]["timezone"])
    _write_tables(con, folder)
    quality.count(con, report)
    report.facts, report.quarantine = quality.measure(con), quality.refused(con)
    report.fingerprint = quality.fingerprint(con, {key: card["settings"][key] for key in publish.FIXED})
    if old:
        left_out = card["settings"]["tables"].get("order_lines", {}).get("where_reason", "")
        report.notes.extend(quality.changed_lines(con, left_out))
    report.notes.extend(quality.unknown_names(con, Lists.model_validate(card["settings"]["lists"])))
    report.notes.extend(
        [*quality.absent(report.facts), *quality.unseen(con), *quality.unpriced(con), *quality.twins(con)]
    )
    report.write(folder)
    publish.write_card(folder, {**card, "facts": report.facts, "fingerprint": report.fingerprint})


def _write_tables(con: duckdb.DuckDBPyConnection, folder: Path) -> None:
    order_by = {
        "orders": "customer_id, ordered_at, order_id",
        "days": "customer_id, ordered_on",
        "returns": "customer_id, returned_at, return_id, line_id",
        "quarantine": '"table", source, row_number, reason',
        **{table.name: ", ".join(table.key) for table in SIDE_TABLES},
    }
    for name, order in order_by.items():
        publish.write(con, f"FROM {name} ORDER BY {order}", path=folder / f"{name}.parquet")
    publish.write(con, "FROM all_returns ORDER BY line_id", path=folder / rows.RETURN_LINES)


def _unchanged(con: duckdb.DuckDBPyConnection, report: Report, *, old: Path, old_card: Card) -> Report:
    """Return the report of an ingest that brought nothing new."""
    report.changed, report.warehouse = False, str(old)
    report.facts, report.fingerprint = old_card["facts"], old_card["fingerprint"]
    con.execute("CREATE TABLE unmatched AS FROM new_returns LIMIT 0")
    quality.count(con, report)
    return report


def _entry(source: Source, settings: Settings) -> Card:
    """Return a source's entry in the card: its file, digest, and a digest of the map it was read with."""
    table_map = settings.map_of(source.table).model_dump(exclude={"file", "where_reason", "may_lack", "also"})
    text = json.dumps(
        [table_map, settings.timezone, settings.timestamps or settings.timezone], sort_keys=True
    )
    read_with = hashlib.sha256(text.encode()).hexdigest()[:16]
    return {"table": source.table, "file": source.label, "sha256": source.digest(), "map": read_with}
