"""The threads that answer what takes longer than a list, and a line before them that is never long.

A store that hangs holds up a few threads, not the loop that answers the storefront; what cannot be answered
soon is sent away at once, with the time after which to come again, rather than kept waiting and lost.
"""

import asyncio
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from threading import BoundedSemaphore
from typing import Any, TypeVar

from features.errors import Busy

Answer = TypeVar("Answer")


class Crew:
    """``n_threads`` at work, and at most ``most_waiting`` requests before them."""

    def __init__(self, n_threads: int, most_waiting: int) -> None:
        self._pool = ThreadPoolExecutor(n_threads, thread_name_prefix="answer")
        self._room = BoundedSemaphore(n_threads + most_waiting)

    async def do(self, function: Callable[..., Answer], *more: Any) -> Answer:
        """Call a function in one of the threads; raise ``Busy`` where the line is full.

        Whoever stops waiting for it (a request out of time) leaves the line; what runs already runs on.
        """
        if not self._room.acquire(blocking=False):
            raise Busy("too many requests wait here", "come again in a second")
        try:
            work = self._pool.submit(copy_context().run, function, *more)
        except BaseException:
            self._room.release()
            raise
        work.add_done_callback(lambda _: self._room.release())
        return await asyncio.wrap_future(work)
