"""Threads for requests that take longer than a list, with a short queue.

A store that hangs blocks a few threads, not the event loop that answers the storefront; requests beyond the
queue are refused at once, with the time after which to retry, rather than kept waiting and lost.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import BoundedSemaphore
from typing import Any, TypeVar

from features.errors import Busy

Answer = TypeVar("Answer")


class BoundedThreads:
    """``n_threads`` workers, and a queue of at most ``most_waiting`` requests."""

    def __init__(self, n_threads: int, most_waiting: int) -> None:
        self._pool = ThreadPoolExecutor(n_threads, thread_name_prefix="answer")
        self._room = BoundedSemaphore(n_threads + most_waiting)

    async def run(self, function: Callable[..., Answer], *more: Any, **named: Any) -> Answer:
        """Call a function in one of the threads; raise ``Busy`` if the queue is full.

        A request that times out leaves the queue; what runs already is not interrupted.
        """
        if not self._room.acquire(blocking=False):
            raise Busy("too many requests are waiting", "try again in a second")
        try:
            work = self._pool.submit(copy_context().run, function, *more, **named)
        except BaseException:
            self._room.release()
            raise
        work.add_done_callback(lambda _: self._room.release())
        return await asyncio.wrap_future(work)
