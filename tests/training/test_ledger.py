from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from training.ledger import Ledger

START = datetime(2024, 5, 1, tzinfo=UTC)


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
