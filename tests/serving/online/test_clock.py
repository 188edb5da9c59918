"""A database that hangs: stopped like a machine that swaps, it takes connections and answers nothing."""

import time
from collections.abc import Iterator

import pytest
from worlds import postgres
from worlds.snapshot import AS_OF

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
