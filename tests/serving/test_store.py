import os
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from datetime import timedelta
from multiprocessing import get_context
from pathlib import Path
from threading import Barrier
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy.dialects import registry
from sqlalchemy.dialects.sqlite.pysqlite import SQLiteDialect_pysqlite
from sqlalchemy.exc import OperationalError
from worlds.orders import ODD
from worlds.snapshot import AS_OF, NOW

from features.errors import SettingsError
from serving.entrance import keys
from serving.online import view as view_module
from serving.online.tables import METADATA, Moment
from serving.online.view import View
from serving.persons import rights
from serving.store import Store
from training.ledger import Ledger


@pytest.fixture
def store(tmp_path: Path, database: str) -> Any:
    opened = Store.open(tmp_path)
    yield opened
    opened.close()


def event(event_id: str = "e1", **more: Any) -> dict[str, Any]:
    row = {"event_id": event_id, "customer_id": "ann", "kind": "order", "product_id": "tea", "quantity": 1.0}
    return row | {"unit_price": None, "occurred_at": NOW, "received_at": NOW} | more


def test_the_ledger_of_champions_lies_in_the_same_database(store: Store, tmp_path: Path) -> None:
    Ledger(tmp_path).succeed("churn", 2, now=NOW, reason="better")
    assert [entry.version for entry in Ledger(tmp_path).history("churn")] == [2]
    assert "ledger" in sa.inspect(store.engine).get_table_names()


def test_an_event_posted_twice_is_kept_once(store: Store) -> None:
    assert store.keep([event(), event("e2")])[0] == {"e1", "e2"}
    assert store.keep([event(), event("e3"), event("e3")])[0] == {"e3"}
    assert len(store.of_customer("ann")["events"]) == 3


def test_an_event_is_seen_by_another_view_at_once(store: Store, tmp_path: Path) -> None:
    other = View(Store.open(tmp_path), AS_OF)
    assert not other.sync()
    store.keep([event()])
    assert other.sync() == {"events"}
    assert {*other.active} == {"ann"}
    assert [line["product_id"] for line in other.lines("ann")] == ["tea"]
    other.close()
    other.store.close()


def test_every_write_is_seen_at_once_whatever_becomes_of_the_log_of_writes(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.online.view.SURE_SECONDS", 60.0)
    other = View(Store.open(tmp_path), AS_OF)
    for number in range(12):
        store.keep([event(f"e{number}")])
        assert other.sync() == {"events"}
        assert other.sync() == set()
        if number % 3 == 0 and store.engine.dialect.name == "sqlite":
            with store.engine.connect() as db:  # folds the log into the database: the next write starts anew
                db.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))
    other.close()
    other.store.close()


def test_the_clock_is_read_only_after_a_write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("serving.online.view.SURE_SECONDS", 60.0)
    store = Store(f"sqlite:///{tmp_path / 'online.db'}")
    store.prepare()
    view = View(store, AS_OF)
    reads: list[int] = []
    read = view._read_clock
    monkeypatch.setattr(view, "_read_clock", lambda: (reads.append(1), read())[1])
    for _ in range(5):
        view.sync()
    assert reads == []
    store.keep([event()])
    view.sync()
    assert reads == [1]
    view.close()
    store.close()


def test_lines_are_read_anew_after_the_customers_next_event(store: Store) -> None:
    other = View(store, AS_OF)
    store.keep([event()])
    other.sync()
    assert other.lines("ann") is other.lines("ann")
    store.keep([event("e2", product_id="milk"), event("e3", customer_id="bob")])
    other.sync()
    assert [line["product_id"] for line in other.lines("ann")] == ["tea", "milk"]
    assert [line["product_id"] for line in other.lines("bob")] == ["tea"]
    other.close()


def test_what_is_written_while_the_store_is_read_is_seen_by_the_next_look(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.online.view.SURE_SECONDS", 60.0)
    with closing(Store.open(tmp_path)) as store, closing(View(store, AS_OF)) as view:
        store.keep([event()])
        read_clock, read_lines = view_module.counters, view._lines

        def clock(*asked: Any) -> tuple[int, ...]:
            found = read_clock(*asked)
            store.keep([event("e2")])
            return found

        def lines(customer_id: str) -> list[dict[str, Any]]:
            found = read_lines(customer_id)
            store.keep([event("e3")])
            view.sync()
            return found

        with monkeypatch.context() as patch:
            patch.setattr(view_module, "counters", clock)
            assert view.sync() == {"events"}
        assert view.sync() == {"events"}
        with monkeypatch.context() as patch:
            patch.setattr(view, "_lines", lines)
            assert len(view.lines("ann")) == 2
        assert len(view.lines("ann")) == 3


def test_who_was_erased_stays_so_when_another_is(store: Store) -> None:
    view = View(store, AS_OF)
    for name in ("ann", "bob"):
        rights.forget(store, name, now=NOW)
        view.sync()
    assert [view.is_erased(name) for name in ("ann", "bob", "cat")] == [True, True, False]
    view.close()


def test_stock_is_taken_once_and_whole(store: Store) -> None:
    view = View(store, AS_OF)
    for name in ("tea", "milk"):
        stock = {"kind": "stock", "customer_id": None, "product_id": name, "quantity": 0.0}
        store.keep([event(name, **stock)])
        view.sync()
    assert (view.take_new_stock(), view.take_new_stock()) == ({"tea": 0.0, "milk": 0.0}, {})
    view.close()


def test_what_happened_before_the_scoring_is_not_new(store: Store) -> None:
    store.keep(
        [event(occurred_at=AS_OF - timedelta(seconds=1)), event("e2", customer_id="bob", occurred_at=AS_OF)]
    )
    view = View(store, AS_OF)
    assert {*view.active} == {"bob"}
    assert view.lines("ann") == []
    assert [line["event_id"] for line in view.lines("bob")] == ["e2"]
    view.close()


def test_only_orders_and_returns_make_a_customer_active(store: Store) -> None:
    store.keep([event(), event("e2", kind="contact"), event("e3", kind="contact", customer_id="bob")])
    store.keep([event("e4", kind="return", customer_id="cat")])
    view = View(store, AS_OF)
    assert {*view.active} == {"ann", "cat"}
    assert [line["event_id"] for line in view.lines("ann")] == ["e1"]
    view.close()


def test_lines_come_in_the_order_they_happened(store: Store) -> None:
    store.keep([event("late", occurred_at=NOW)])
    store.keep([event("early", occurred_at=NOW - timedelta(hours=1))])
    view = View(store, AS_OF)
    assert [line["event_id"] for line in view.lines("ann")] == ["early", "late"]
    view.close()


def test_a_store_that_is_away_is_not_asked_for_lines(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    store.keep([event()])
    view = View(store, AS_OF)
    known = view.lines("ann")
    store.keep([event("e2")])
    view.sync()
    view.down = "the store cannot be read"
    monkeypatch.setattr(view, "_lines", lambda _: pytest.fail("asked"))
    assert view.lines("ann") == known
    view.close()


def test_whoever_finds_the_store_lost_leaves_the_clock_to_the_thread_that_reads_it(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.keep([event()])
    view = View(store, AS_OF)
    clock, known = view._clock, view.lines("ann")
    store.keep([event("e2")])
    view.sync()

    def away(_: str) -> list[dict[str, Any]]:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(view, "_lines", away)
    assert view.lines("ann") == known != []
    assert view.down and view._clock is clock
    view.close()


def test_a_report_of_stock_after_the_scoring_is_no_longer_an_early_one(store: Store) -> None:
    report = {"kind": "stock", "customer_id": None, "quantity": 9.0}
    store.keep([event("s1", **report, occurred_at=AS_OF - timedelta(hours=1))])
    view = View(store, AS_OF)
    assert view.early == {"tea"}
    store.keep([event("s2", **report, occurred_at=AS_OF)])
    view.sync()
    assert view.early == set()
    view.close()


def test_the_newest_stock_report_counts_whatever_its_order(store: Store) -> None:
    view = View(store, AS_OF)
    late = {"kind": "stock", "customer_id": None, "quantity": 0.0, "occurred_at": NOW}
    early = late | {"quantity": 9.0, "occurred_at": NOW - timedelta(hours=1)}
    store.keep([event("s1", **late)])
    store.keep([event("s2", **early)])
    assert view.sync() == {"events", "stock"}
    assert view.stock == {"tea": 0.0}
    store.keep([event("s3", **late | {"quantity": 4.0})])  # of one moment the later report counts
    view.sync()
    assert view.stock == {"tea": 4.0}
    view.close()


def test_a_stock_report_of_a_clock_that_was_ahead_gives_way_to_the_next(store: Store) -> None:
    view = View(store, AS_OF)
    report = {"kind": "stock", "customer_id": None, "received_at": NOW}
    store.keep([event("s1", **report, quantity=9.0, occurred_at=NOW + timedelta(days=365))])
    store.keep([event("s2", **report, quantity=0.0, occurred_at=NOW)])
    view.sync()
    assert view.stock == {"tea": 0.0}
    view.close()


def test_a_write_that_fails_leaves_nothing_behind(store: Store) -> None:
    with pytest.raises(RuntimeError), store.write("events") as (db, seq):
        assert seq == 1
        raise RuntimeError
    assert store.keep([event()])[0] == {"e1"}
    with store.write("events") as (_, seq):
        assert seq == 2


def test_a_store_that_takes_no_writes_says_so_until_it_does(tmp_path: Path, caplog: Any) -> None:
    store = Store(f"sqlite:///{tmp_path / 'online.db'}")
    store.prepare()
    view = View(store, AS_OF)
    sa.event.listen(store.engine, "begin", lambda db: db.exec_driver_sql("PRAGMA query_only = 1"))
    with pytest.raises(OperationalError):
        store.keep([event(customer_id="secret")])
    assert "cannot be written" in view.trouble
    assert "attempt to write a readonly database" in caplog.text and "secret" not in caplog.text
    sa.event.listen(store.engine, "begin", lambda db: db.exec_driver_sql("PRAGMA query_only = 0"))
    assert (store.keep([event()])[0], view.trouble) == ({"e1"}, "")
    view.close()
    store.close()


def test_a_store_that_is_away_leaves_the_view_as_it_was_and_is_told_once(
    store: Store, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    store.keep([event()])
    view = View(store, AS_OF)

    def away() -> tuple[int, ...]:
        raise OperationalError("SELECT", {}, Exception("gone"))

    monkeypatch.setattr(view, "_read_clock", away)
    store.keep([event("e2")])
    assert view.sync() == view.sync() == set()
    assert {*view.active} == {"ann"}
    assert "cannot be read" in view.down and caplog.text.count("cannot be read") == 1
    view.close()


def test_contacts_are_counted_without_those_held_out(store: Store) -> None:
    sent = {"contact_id": "e1", "customer_id": "ann", "sent_at": NOW, "channel": "mail", "action": None}
    sent |= {"product_id": None, "treated": True, "propensity": 0.5, "cost": 0.1}
    held = sent | {"contact_id": "e2", "treated": False}
    for _ in range(2):  # posted again, it is no other contact
        store.keep([event(kind="contact"), event("e2", kind="contact")], [sent, held])
    assert [customer_id for customer_id, _, _ in store.contacts_made(AS_OF)] == ["ann"]
    view = View(store, AS_OF)
    assert view.contacts("ann", AS_OF) == [(None, NOW)]
    view.close()


@given(st.datetimes(timezones=st.just(NOW.tzinfo)))
def test_a_moment_comes_back_to_the_microsecond(moment: Any) -> None:
    kept = Moment().process_bind_param(moment, None)
    assert Moment().process_result_value(kept, None) == moment


def _record_all(home: Path, ids: list[str]) -> None:
    """Record events one by one, as one worker of many."""
    opened = Store.open(home)
    for name in ids:
        opened.keep([event(name)])
    opened.close()


def test_events_of_many_workers_are_all_kept_and_each_once(store: Store, tmp_path: Path) -> None:
    ids = [f"e{k}" for k in range(40)]
    workers = [
        get_context("spawn").Process(target=_record_all, args=(tmp_path, ids[at:] + ids[:at]))
        for at in (0, 10, 20)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    held = [row["event_id"] for row in store.of_customer("ann")["events"]]
    assert sorted(held) == sorted(ids)


def test_a_database_of_an_earlier_version_gets_the_columns_it_lacks(store: Store, tmp_path: Path) -> None:
    with store.engine.begin() as db:
        db.execute(sa.text("ALTER TABLE keys DROP COLUMN per_second"))
    newer = Store.open(tmp_path)
    keys.create(newer, ["crm"], now=NOW, per_second=3.0)
    newer.close()
    assert [key.per_second for key in keys.listed(store)] == [3.0]


@pytest.mark.parametrize(("asked", "level"), [(None, 1), ("normal", 1), ("full", 2), ("FULL", 2)])
def test_sqlite_waits_for_the_disk_as_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, asked: str | None, level: int
) -> None:
    if asked is not None:
        monkeypatch.setenv("RECOMPRA_STORE_SYNC", asked)
    opened = Store(f"sqlite:///{tmp_path / 'online.db'}")
    with opened.read() as db:
        assert db.execute(sa.text("PRAGMA synchronous")).scalar() == level
    opened.close()


def test_sqlite_is_not_told_to_trust_the_disk_less(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RECOMPRA_STORE_SYNC", "off")
    with pytest.raises(SettingsError, match="normal or full"):
        Store(f"sqlite:///{tmp_path / 'online.db'}").prepare()


def test_a_home_on_a_read_only_disk_is_read_as_it_stands(tmp_path: Path, monkeypatch: Any) -> None:
    home, empty = tmp_path / ODD, tmp_path / "empty"
    empty.mkdir()
    with closing(Store.open(home)) as store:
        store.keep([event()])
    monkeypatch.setattr(os, "access", lambda *_: False)
    with closing(Store.to_read(home)) as store:
        assert [row["event_id"] for row in store.of_customer("ann")["events"]] == ["e1"]
        with pytest.raises(OperationalError, match="readonly database"):
            store.keep([event("e2")])
    with closing(Store.to_read(empty)) as store:
        assert store.of_customer("ann")["events"] == []
    assert sorted(file.name for file in home.iterdir()) == ["online.db", "online.db.lock"]
    assert not [*empty.iterdir()]


@pytest.mark.usefixtures("database")
def test_a_new_store_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    def opened(home: Path) -> bytes:
        start.wait()
        with closing(Store.open(home)) as store:
            return store.salt()

    start = Barrier(8)
    for turn in range(20):
        home = tmp_path / str(turn)
        with ThreadPoolExecutor(8) as threads:
            salts = [*threads.map(opened, [home] * 8)]
        assert len({*salts}) == 1
        with closing(Store.open(home)) as store:
            METADATA.drop_all(store.engine)  # the next turn's is new, on a server too


class Strange(SQLiteDialect_pysqlite):
    name, supports_statement_cache = "strange", True


def test_a_database_of_another_kind_is_refused_in_words() -> None:
    registry.register("strange", __name__, Strange.__name__)
    with pytest.raises(SettingsError, match="cannot be kept in strange. Hint: use SQLite or PostgreSQL"):
        Store("strange://")
