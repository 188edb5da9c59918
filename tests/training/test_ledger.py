import sqlite3
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from threading import Barrier, BrokenBarrierError
from typing import Any

import pytest
import sqlalchemy as sa

from training.ledger import METADATA, Ledger, _opened

START = datetime(2024, 5, 1, tzinfo=UTC)


def meeting(n: int) -> Callable[..., None]:
    """Return a place where ``n`` threads wait for each other, in vain and briefly if fewer may come."""
    barrier = Barrier(n)

    def meet(*_: object, **__: object) -> None:
        with suppress(BrokenBarrierError):
            barrier.wait(2)

    return meet


@contextmanager
def hooked(target: Any, name: str, function: Callable[..., None]) -> Iterator[None]:
    """Call a function at an event of SQLAlchemy's."""
    sa.event.listen(target, name, function)
    try:
        yield
    finally:
        sa.event.remove(target, name, function)


@pytest.fixture
def ledger(tmp_path: Path) -> Ledger:
    return Ledger(tmp_path)


def promote(ledger: Ledger, *versions: int) -> None:
    for day, version in enumerate(versions):
        ledger.succeed("churn", version, now=START + timedelta(days=day), reason="better")


def test_a_new_champion_ends_the_time_of_the_one_before(ledger: Ledger) -> None:
    promote(ledger, 1, 2)
    first, second = ledger.history("churn")
    assert first.until_at == second.from_at == datetime(2024, 5, 2)
    assert second.until_at is None


def test_who_serves_already_is_not_written_again(ledger: Ledger) -> None:
    promote(ledger, 1, 2, 2)
    assert [(entry.version, entry.from_at.day) for entry in ledger.history("churn")] == [(1, 1), (2, 2)]


def test_models_do_not_end_each_other(ledger: Ledger) -> None:
    promote(ledger, 1)
    ledger.succeed("ltv", 1, now=START, reason="first")
    assert [entry.until_at for entry in ledger.history()] == [None, None]


@pytest.mark.parametrize(
    ("served", "target"),
    [((), None), ((1,), None), ((1, 2), 1), ((1, 2, 3, 2), 1), ((1, 2, 3, 2, 4), 2), ((1, 2, 1), None)],
)
def test_a_rollback_goes_to_what_the_champion_replaced(ledger: Ledger, served, target) -> None:
    promote(ledger, *served)
    assert ledger.before_champion("churn") == target


def test_times_are_kept_in_utc(ledger: Ledger) -> None:
    lisbon = datetime.fromisoformat("2024-05-01T12:00:00+01:00")
    ledger.succeed("churn", 1, now=lisbon, reason="first")
    assert ledger.history()[0].from_at == datetime(2024, 5, 1, 11)


def test_two_readers_see_one_ledger(ledger: Ledger, tmp_path: Path) -> None:
    promote(ledger, 1)
    assert Ledger(tmp_path).history() == ledger.history()


@pytest.mark.parametrize(
    ("at", "version"),
    [
        ("2024-04-30T23:59:59+00:00", None),
        ("2024-05-01T00:00:00+00:00", 1),
        ("2024-05-01T23:59:59+00:00", 1),
        ("2024-05-02T01:00:00+02:00", 1),
        ("2024-05-02T00:00:00+00:00", 2),
        ("2026-11-17T14:03:00+00:00", 2),
    ],
)
def test_one_version_served_at_a_moment(ledger: Ledger, at: str, version: int | None) -> None:
    promote(ledger, 1, 2)
    found = [entry.version for entry in ledger.history("churn", at=datetime.fromisoformat(at))]
    assert found == ([] if version is None else [version])


@pytest.mark.usefixtures("database")
def test_a_new_ledger_may_be_opened_by_many_at_once(tmp_path: Path) -> None:
    with hooked(METADATA, "before_create", meeting(2)), ThreadPoolExecutor(2) as threads:
        engines = [*threads.map(_opened, [Ledger(tmp_path).url] * 2)]
    assert all(sa.inspect(engine).has_table("ledger") for engine in engines)


@pytest.mark.usefixtures("database")
def test_of_two_that_succeed_at_once_one_serves(tmp_path: Path) -> None:
    def meet_at_change(_con: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("UPDATE ledger"):
            meet()

    meet = meeting(2)
    promote(ledger := Ledger(tmp_path), 1)
    with hooked(sa.Engine, "before_cursor_execute", meet_at_change), ThreadPoolExecutor(2) as threads:
        assert [*threads.map(partial(promote, ledger), (2, 3))] == [None, None]
    assert len([entry for entry in ledger.history() if entry.until_at is None]) == 1


def test_a_ledger_alone_is_in_the_mode_in_which_readers_and_a_writer_do_not_wait(tmp_path: Path) -> None:
    promote(Ledger(tmp_path), 1)
    with closing(sqlite3.connect(tmp_path / "online.db")) as db:
        assert db.execute("PRAGMA journal_mode").fetchone() == ("wal",)
