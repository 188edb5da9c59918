"""Who waits for a refresh, since when, and in which order."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from worlds.snapshot import AS_OF

from serving.online import refreshed
from serving.online.backlog import Backlog
from serving.store import Store

NOW = AS_OF + timedelta(days=3)


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(f"sqlite:///{tmp_path / 'store.db'}")
    made.prepare()
    yield made
    made.close()


def event(name: str, customer: str | None, *, waits: int = 0, **more: Any) -> dict[str, Any]:
    """An order an hour after the scoring, received so many seconds ago."""
    rest = {"kind": "order", "product_id": "p", "quantity": 1.0, "unit_price": 1.0}
    times = {"occurred_at": AS_OF + timedelta(hours=1), "received_at": NOW - timedelta(seconds=waits)}
    return {"event_id": name, "customer_id": customer} | rest | times | more


def queue(store: Store) -> Backlog:
    """A queue that has looked once, before there was anything."""
    made = Backlog(store, "s-1", AS_OF)
    made.look(NOW)
    return made


def test_the_longest_waiting_comes_first_and_waits_since_the_first_event(store: Store) -> None:
    backlog = queue(store)
    store.keep([event("a", "ann", waits=1), event("b", "ben", waits=3), event("c", "ann", waits=5)])
    backlog.look(NOW)
    store.keep([event("d", "ann", waits=0), event("e", "cat", waits=0)])
    backlog.look(NOW)
    waits = {name: (NOW - since).total_seconds() for name, since in backlog.waiting.items()}
    assert list(waits.items()) == [("ann", 5), ("ben", 3), ("cat", 0)]
    assert backlog.oldest == NOW - timedelta(seconds=5)


def test_only_orders_and_returns_of_a_customer_since_the_scoring_queue_anybody(store: Store) -> None:
    backlog, late = queue(store), AS_OF + refreshed.LASTS
    store.keep(
        [
            event("contact", "ann", kind="contact"),
            event("guest", None),
            event("before", "ben", occurred_at=AS_OF - timedelta(microseconds=1)),
            event("at", "cat", occurred_at=AS_OF),
            event("return", "dan", kind="return"),
            event("late", "eve", occurred_at=late),
            event("later", "fay", kind="contact", occurred_at=late + timedelta(days=1)),
        ]
    )
    backlog.look(late)
    assert {*backlog.waiting} == {"cat", "dan"}
    assert backlog.newest == late


def test_what_a_wrong_clock_dated_into_the_future_is_not_the_newest(store: Store) -> None:
    backlog, year = queue(store), timedelta(days=365)
    store.keep([event("a", "ann"), event("b", "ben", occurred_at=NOW + year)])
    backlog.look(NOW)
    assert backlog.newest == AS_OF + timedelta(hours=1)
    store.keep([event("c", "ann", occurred_at=NOW + year)])
    backlog.look(NOW + year)
    assert backlog.newest == NOW + year
    store.keep([event("d", "ann", occurred_at=NOW)])
    backlog.look(NOW)
    assert backlog.newest == NOW


def test_at_the_first_look_those_wait_whose_row_lacks_an_event(store: Store) -> None:
    def row(customer: str, seq: int, stamp: str = "s-1") -> dict[str, Any]:
        known = {"as_of": AS_OF, "features": {}, "scores": {}}
        return {"customer_id": customer, "stamp": stamp, "events_seq": seq} | known

    seqs: list[int] = []
    for name, who in (("a", "ann"), ("b", "ben"), ("c", "ben"), ("d", "cat"), ("e", "dan")):
        store.keep([event(name, who, waits=9)])
        seqs.append(Backlog(store, "s-1", AS_OF).news([who]).seq)
    refreshed.keep(store, [row("ann", seqs[0]), row("ben", seqs[1]), row("cat", seqs[3], "s-0")])
    backlog = queue(store)
    assert backlog.waiting == {"ben": NOW, "cat": NOW, "dan": NOW}


def test_the_news_of_a_customer_are_their_events_and_contacts_since_the_scoring(store: Store) -> None:
    def sent(name: str, at: datetime) -> dict[str, Any]:
        return {"contact_id": name, "customer_id": "ann", "sent_at": at, "treated": True}

    contacts = [sent("b", AS_OF - timedelta(seconds=1)), sent("c", AS_OF)]
    store.keep([event("a", "ann"), *(event(name, "ann", kind="contact") for name in "bc")], contacts)
    store.keep([event("d", "ben")])
    news = queue(store).news(["ann"])
    assert [row["event_id"] for row in news.events] == ["a"]
    assert [row["contact_id"] for row in news.contacts] == ["c"]
