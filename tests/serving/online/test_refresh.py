"""A refreshed customer is the customer a full scoring would give, whatever happened since."""

import logging
import shutil
from collections.abc import Iterator
from datetime import datetime, timedelta
from errno import ENOSPC
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds import refreshing
from worlds.orders import make_home
from worlds.refreshing import AS_OF, STAMP, as_lines
from worlds.snapshot import make_snapshot

from features.ingest import ingest
from features.shop import Shop
from serving.online import refresh, refreshed
from serving.online.backlog import NewEvents
from serving.online.refresh import Refresher
from serving.online.rescoring import INSTANT, Rescoring, by_day
from serving.persons import rights
from serving.persons.remains import search
from serving.scoring.columns import Columns
from serving.scoring.customer_scores import scores_of
from serving.scoring.snapshot import Snapshot
from serving.state import Pointer
from serving.store import Store
from serving.watching.watcher_status import WatcherStatus

NOW = AS_OF + timedelta(days=3)


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any], Snapshot]:
    """Return a home with a scoring in service, its models, and the scoring."""
    home = make_home(tmp_path_factory.mktemp("shop"), **refreshing.source())
    models = refreshing.train(home)
    return home, models, refreshing.score(home, models, make_snapshot())


@pytest.fixture
def home(trained: tuple[Path, dict[str, Any], Snapshot], tmp_path: Path) -> Path:
    copied = tmp_path / "home"
    shutil.copytree(trained[0], copied, symlinks=True)
    return copied


@pytest.fixture
def store(home: Path, database: str) -> Iterator[Store]:
    opened = Store.open(home)
    yield opened
    opened.close()


@pytest.fixture
def refresher(home: Path, store: Store) -> Refresher:
    return Refresher(home, lambda: NOW, store=store)


def event(number: int, customer: str = "c03", **more: Any) -> dict[str, Any]:
    return {
        "event_id": f"e{number}",
        "customer_id": customer,
        "kind": "order",
        "product_id": "p01",
        "quantity": 1.0,
        "unit_price": 9.0,
        "occurred_at": AS_OF + timedelta(hours=number),
        "received_at": NOW - timedelta(seconds=2),
    } | more


moments = st.integers(0, 50 * 60).map(lambda minutes: AS_OF + timedelta(minutes=minutes))
happenings = st.lists(
    st.fixed_dictionaries(
        {
            "customer_id": st.sampled_from(["c03", "c04", "c05", "somebody new"]),
            "kind": st.sampled_from(["order", "order", "return"]),
            "product_id": st.sampled_from(["p01", "p02", "p07", "unheard of", None]),
            "quantity": st.sampled_from([1.0, 2.0, 50.0]),
            "unit_price": st.sampled_from([None, 0.0, 3.5]),
            "occurred_at": moments,
        }
    ),
    min_size=3,
    max_size=10,
    unique_by=lambda happened: happened["occurred_at"],
)


@settings(max_examples=5)
@given(happened=happenings)
def test_refreshed_equals_a_full_scoring_of_a_warehouse_with_the_same_events(
    trained: tuple[Path, dict[str, Any], Snapshot],
    tmp_path_factory: pytest.TempPathFactory,
    happened: list[dict[str, Any]],
) -> None:
    home, models, _ = trained
    rescoring = Rescoring.open(home)
    events = [row | {"event_id": f"e{n}", "seq": n} for n, row in enumerate(happened)]
    ids = sorted({row["customer_id"] for row in events})
    rows = rescoring.rows(ids, NewEvents(1, events, []))
    whole = ingested(home, tmp_path_factory.mktemp("later"), events)
    cutoff = max(row["occurred_at"] for row in events) + INSTANT
    seen = [name for name in whole.customers_seen(cutoff) if name in ids]
    assert [row["customer_id"] for row in rows] == seen
    assert [row["features"] for row in rows] == shown(whole.customer_features(cutoff).reindex(seen))
    for row, wanted in zip(rows, shown(scores_of(models, whole, cutoff=cutoff, names=seen)), strict=True):
        assert row["scores"] == pytest.approx(wanted, abs=2e-6)


def ingested(home: Path, later: Path, events: list[dict[str, Any]]) -> Shop:
    version = (home / "warehouse").readlink()
    shutil.copytree(home / version, later / version)
    (later / "warehouse").symlink_to(version)
    as_lines(events).to_parquet(later / "order_lines.parquet")
    ingest(later / "order_lines.parquet", later)
    return Shop(later)


def shown(frame: Any) -> list[dict[str, Any]]:
    return list(Columns.of(frame).rows(slice(None)))


def test_an_order_is_in_the_features_and_scores_after_one_look(
    refresher: Refresher, store: Store, trained: tuple[Path, dict[str, Any], Snapshot]
) -> None:
    before = trained[2]
    code = before.customer("c03")
    assert not refresher.look()
    store.keep([event(1), event(2)])
    assert refresher.look()
    row = refreshed.of_customer(store, STAMP, customer_id="c03")
    assert row is not None
    assert row.features["n_orders"] == before.features.row(code)["n_orders"] + 2  # type: ignore[operator]
    assert row.scores["expected_revenue_28d"] != before.scores.row(code)["expected_revenue_28d"]
    assert row.as_of == (AS_OF + timedelta(hours=2, microseconds=1)).isoformat()
    assert not refresher.look()
    assert refresher.status.refreshed == 1
    assert refresher.status.lag.total == pytest.approx(2.0)


def test_somebody_new_has_scores_from_the_first_order(refresher: Refresher, store: Store) -> None:
    store.keep([event(1, "somebody new")])
    refresher.look()
    row = refreshed.of_customer(store, STAMP, customer_id="somebody new")
    assert row is not None
    assert row.features["n_orders"] == 1.0
    assert row.scores["churn_probability_28d"] is not None


def test_what_happened_before_the_scoring_is_in_it_and_refreshes_nobody(
    refresher: Refresher, store: Store
) -> None:
    store.keep([event(-3)])
    assert not refresher.look()
    store.keep([event(0)])  # at its very moment: after it
    assert refresher.look()


def test_an_order_years_after_the_scoring_makes_nobody_look_silent_for_years(
    refresher: Refresher, store: Store, home: Path, caplog: pytest.LogCaptureFixture
) -> None:
    late = NOW + timedelta(days=3000)
    store.keep([event(1), event(2, "c04", occurred_at=late)])
    refresher.clock = lambda: late
    refresher.look()
    refresher.look()
    assert refreshed.names(store, STAMP) == {"c03"}
    told = WatcherStatus.read(home)
    assert told is not None and "too old for what was ordered on 2032" in told.down(late)
    assert caplog.text.count("recompra score") == 1


def test_a_clock_that_was_years_ahead_is_no_trouble_once_it_is_right(
    refresher: Refresher, store: Store
) -> None:
    late = NOW + timedelta(days=3000)
    store.keep([event(1, "c04", occurred_at=late)])
    refresher.clock = lambda: late
    refresher.look()
    assert refresher.status.trouble
    refresher.clock = lambda: NOW
    store.keep([event(2)])
    assert refresher.look()
    assert refresher.status.trouble == ""


def test_a_refresh_holds_what_happened_within_28_days_whatever_came_later(
    refresher: Refresher, store: Store
) -> None:
    last, late = (AS_OF + refreshed.LASTS - timedelta(seconds=n) for n in (1, 0))
    store.keep([event(1, occurred_at=last), event(2, occurred_at=late)])
    refresher.look()
    row = refreshed.of_customer(store, STAMP, customer_id="c03")
    assert row is not None and row.as_of == (last + INSTANT).isoformat()
    assert row.features["days_since_last_order"] == 0


def test_a_scoring_that_holds_the_late_orders_ends_the_trouble(
    refresher: Refresher, store: Store, home: Path, trained: tuple[Path, dict[str, Any], Snapshot]
) -> None:
    store.keep([event(1, occurred_at=AS_OF + timedelta(days=40))])
    refresher.clock = lambda: AS_OF + timedelta(days=41)
    refresher.look()
    assert refresher.status.trouble
    later = "20240713T0000-0002"
    shutil.copytree(home / "lists" / STAMP, home / "lists" / later)
    Pointer(later, (AS_OF + timedelta(days=42)).isoformat(), trained[2].models).move(home)
    refresher.look()
    assert refresher.status.trouble == ""


def test_a_watcher_that_starts_again_does_what_was_left_and_no_more(
    home: Path, store: Store, refresher: Refresher
) -> None:
    store.keep([event(1)])
    refresher.look()
    store.keep([event(2, "c04")])
    again = Refresher(home, lambda: NOW, store=store)
    assert again.look()
    assert again.status.refreshed == 1
    assert refreshed.names(store, STAMP) == {"c03", "c04"}


def test_thousands_at_once_are_worked_through_in_the_order_they_came(
    refresher: Refresher, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refresh, "BATCH", 20)
    store.keep([event(n % 24, f"c{n:02d}", event_id=f"e{n}") for n in range(50)])
    looks = 0
    while refresher.look():
        looks += 1
        done = len(refreshed.names(store, STAMP))
        assert done == min(20 * looks, 50)
    assert (looks, refresher.status.skipped) == (3, 0)


def test_a_poison_event_costs_its_customer_the_refresh_and_nobody_else(
    refresher: Refresher, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    poison = event(5, "c05", event_id="poison", quantity=1e6, unit_price=99_999.0, occurred_at=AS_OF)
    more = [poison | {"event_id": f"poison-{n}"} for n in range(20)]
    store.keep([event(1), *more, event(6, "c06")])
    with caplog.at_level(logging.ERROR):
        refresher.look()
    assert refreshed.names(store, STAMP) == {"c03", "c06"}
    assert refresher.status.skipped == 1
    assert "poison-" in caplog.text
    store.keep([event(7, "c07")])
    refresher.look()
    assert "c07" in refreshed.names(store, STAMP)


def test_without_loadable_models_the_old_scores_stay_and_it_is_said(home: Path, store: Store) -> None:
    (home / "models" / "churn" / "1" / "model.json").write_text("{")
    broken = Refresher(home, lambda: NOW, store=store)
    store.keep([event(1)])
    assert not broken.look()
    told = WatcherStatus.read(home)
    assert told is not None and "churn" in told.down(NOW)
    assert refreshed.names(store, STAMP) == set()


def test_a_database_that_goes_away_during_a_refresh_costs_nobody_theirs(
    refresher: Refresher, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_: object) -> None:
        raise sa.exc.OperationalError("insert", None, Exception("the server closed the connection"))

    store.keep([event(1), event(2, "c04")])
    with monkeypatch.context() as patch:
        patch.setattr(refreshed, "keep", gone)
        assert not refresher.look()
        assert "the store cannot be read" in refresher.status.trouble
    assert refresher.look()
    assert refreshed.names(store, STAMP) == {"c03", "c04"}


def test_a_full_disk_stops_no_refresh_and_no_watcher(
    refresher: Refresher, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(ENOSPC, "No space left on device")

    monkeypatch.setattr(WatcherStatus, "write", full)
    store.keep([event(1)])
    assert refresher.look()
    assert refreshed.of_customer(store, STAMP, customer_id="c03") is not None


def test_models_that_load_but_cannot_predict_stop_all_refreshes_and_lose_no_event(
    home: Path, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    refresher = Refresher(home, lambda: NOW, store=store)
    assert not refresher.look()

    def fail(*_: object) -> None:
        raise ValueError("out of order")

    store.keep([event(1), event(2, "c04")])
    with monkeypatch.context() as patch:
        patch.setattr(refreshing.Churn, "predict_from", fail)
        refresher.look()
        assert "out of order" in refresher.status.trouble
    refresher._again = 0.0
    assert refresher.look()
    assert refreshed.names(store, STAMP) == {"c03", "c04"}
    assert (refresher.status.skipped, refresher.status.trouble) == (0, "")


def test_who_is_erased_while_being_refreshed_is_not_written_again(home: Path, store: Store) -> None:
    rescoring = Rescoring.open(home)
    rows = rescoring.rows(["c03"], NewEvents(1, [event(1)], []))
    assert refreshed.keep(store, rows) == 1
    rights.forget(store, "c03", now=NOW)
    assert refreshed.names(store, STAMP) == set()
    assert refreshed.keep(store, rows) == 0
    assert refreshed.names(store, STAMP) == set()


def test_nothing_of_an_erased_customers_older_rows_is_left_in_the_file(home: Path) -> None:
    store, rescoring = Store.open(home), Rescoring.open(home)
    for number in range(1, 6):
        events = [event(hour, who) for who in ("somebody new", "c03", "c04") for hour in range(1, number + 1)]
        refreshed.keep(store, rescoring.rows(["somebody new", "c03", "c04"], NewEvents(number, events, [])))
    rights.forget(store, "somebody new", now=NOW)
    rights.scrub(store)
    assert search(home, "somebody new").found == {}
    store.close()


def test_the_next_scoring_drops_what_it_covers(
    home: Path, store: Store, refresher: Refresher, trained: tuple[Path, dict[str, Any], Snapshot]
) -> None:
    store.keep([event(1)])
    refresher.look()
    later = "20240603T0000-0002"
    shutil.copytree(home / "lists" / STAMP, home / "lists" / later)
    Pointer(later, (AS_OF + timedelta(days=2)).isoformat(), trained[2].models).move(home)
    assert not refresher.look()
    assert refreshed.names(store, STAMP) | refreshed.names(store, later) == set()


def test_a_contact_made_since_is_in_the_features(home: Path) -> None:
    sent = AS_OF + timedelta(minutes=5)
    contact = {"customer_id": "c03", "sent_at": sent, "contact_id": "k", "treated": True, "channel": "email"}
    later = contact | {"contact_id": "l", "sent_at": AS_OF + timedelta(hours=2)}  # after the event
    rescoring = Rescoring.open(home)
    plain, told = (
        rescoring.rows(["c03"], NewEvents(1, [event(1)], made))[0]["features"]
        for made in ([], [contact, later])
    )
    assert told["n_contacts"] == plain["n_contacts"] + 1
    assert told["days_since_last_contact"] == 0


def test_days_are_divided_so_that_each_has_one_cutoff() -> None:
    events = [event(1), event(30, "c04"), event(31, "c05"), event(2, "c05")]  # the last was posted late
    parts = list(by_day(NewEvents(1, events, []), "UTC"))
    assert [ids for ids, _ in parts] == [["c03"], ["c04", "c05"]]
    assert [len(part.events) for _, part in parts] == [1, 3]
    assert isinstance(parts[0][1].events[0]["occurred_at"], datetime)
    night = NewEvents(1, [event(4), event(26, "c04")], [])
    assert [len([*by_day(night, zone)]) for zone in ("UTC", "America/Sao_Paulo")] == [2, 1]
