"""Reading the store's counters on the event loop, with a time limit, even if the database hangs.

A dead database gives an error; one that hangs, or a network that drops packets, gives none, and a plain query
would block all of the worker's requests. So for PostgreSQL (psycopg) the query is sent and its answer awaited
here.
"""

import select
from time import monotonic
from typing import Any

import sqlalchemy as sa

TUPLES = 2
"""``PGRES_TUPLES_OK`` of libpq."""
CLOCK_SECONDS = 1.0
"""A store that has not answered after this time is unavailable."""


def counters(cursor: Any, query: str) -> tuple[int, ...]:
    """Return the row of numbers that ``query`` gives; raise ``OperationalError`` if none comes in time."""
    wire = getattr(cursor.connection, "pgconn", None)
    if wire is None:
        cursor.execute(query)
        return tuple(cursor.fetchone())
    wire.send_query(query.encode())
    until = monotonic() + CLOCK_SECONDS
    while wire.is_busy():
        _wait(wire.socket, until)
        wire.consume_input()
    result = wire.get_result()
    while wire.get_result() is not None:
        continue
    if result is None or result.status != TUPLES:
        raise _gone("the connection to the database is broken")
    return tuple(int(result.get_value(0, column)) for column in range(result.nfields))


def _wait(socket: int, until: float) -> None:
    poll = select.poll()
    poll.register(socket, select.POLLIN)
    if not poll.poll(max(until - monotonic(), 0) * 1000):
        raise _gone(f"no answer of the database within {CLOCK_SECONDS:g} s")


def _gone(message: str) -> sa.exc.OperationalError:
    return sa.exc.OperationalError("reading the clock", None, Exception(message))
