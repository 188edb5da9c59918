import asyncio
import threading

import pytest

from features.errors import Busy
from serving.entrance.threads import BoundedThreads
from serving.watching.logs import REQUEST_ID


def test_what_cannot_be_answered_soon_is_sent_away_at_once() -> None:
    threads, go = BoundedThreads(1, 1), threading.Event()

    async def three() -> list[object]:
        asked = [asyncio.create_task(threads.run(go.wait, 5)) for _ in range(3)]
        await asyncio.sleep(0.05)
        go.set()
        return await asyncio.gather(*asked, return_exceptions=True)

    first, second, third = asyncio.run(three())
    assert (first, second) == (True, True)
    assert isinstance(third, Busy)


def test_who_stops_waiting_leaves_the_line() -> None:
    threads, go = BoundedThreads(1, 1), threading.Event()

    async def impatient() -> object:
        slow = asyncio.create_task(threads.run(go.wait, 5))
        await asyncio.sleep(0)  # it is at work before anybody waits
        for _ in range(10):
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(threads.run(print), 0.01)
        go.set()
        await slow
        return await threads.run(str, 7)

    assert asyncio.run(impatient()) == "7"


def test_an_error_comes_back_as_it_is_and_leaves_room() -> None:
    threads = BoundedThreads(1, 0)

    async def fail() -> None:
        for _ in range(5):
            with pytest.raises(ZeroDivisionError):
                await threads.run(lambda: 1 / 0)

    asyncio.run(fail())


def test_a_thread_knows_the_request_it_answers() -> None:
    async def asked() -> str:
        REQUEST_ID.set("r-1")
        return await BoundedThreads(1, 1).run(REQUEST_ID.get)

    assert asyncio.run(asked()) == "r-1"
