"""A database that hangs: stopped like a machine that swaps, it takes connections and answers nothing."""

import time
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from sqlalchemy.exc import OperationalError
from worlds import postgres
from worlds.snapshot import AS_OF

from serving.online.clock import counters
from serving.online.view import View
from serving.store import Store


@pytest.fixture
def server() -> Iterator[postgres.Server]:
    if postgres.programs() is None:
        pytest.skip("no PostgreSQL server is installed here (Debian: apt-get install postgresql)")
    with postgres.running() as made:
        yield made


def test_a_store_that_hangs_is_away_after_a_moment_and_back_when_it_wakes(
    server: postgres.Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("serving.online.clock.CLOCK_SECONDS", 0.2)
    store = Store(server.url.format(database="postgres"))
    store.prepare()
    view = View(store, AS_OF)
    with server.hanging():
        begun = time.monotonic()
        assert view.sync() == set()
        assert time.monotonic() - begun < 2
        assert "cannot be read" in view.down
    view.sync()
    assert view.down == ""
    view.close()
    store.close()


def test_an_answer_that_is_an_error_is_a_store_that_is_away() -> None:
    refused = SimpleNamespace(status=7, nfields=0)  # PGRES_FATAL_ERROR
    for answer in ([refused, None], [None, None]):
        wire = SimpleNamespace(
            send_query=lambda _: None, is_busy=lambda: False, get_result=iter(answer).__next__
        )
        with pytest.raises(OperationalError, match="is broken"):
            counters(SimpleNamespace(connection=SimpleNamespace(pgconn=wire)), "SELECT 1")
