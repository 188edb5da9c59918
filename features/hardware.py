"""How much of this machine may be used: the one place that decides thread counts and sizes of batches."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import gettempdir
from typing import TypeVar

from features.errors import SettingsError

Piece = TypeVar("Piece")
Result = TypeVar("Result")

ONE_THREAD_CELLS = 10_000_000
"""Tables of up to this many cells (rows x columns) get one thread: more cost more than they gain."""

CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
"""The memory of this container in bytes, or "max"."""

BATCH_CELLS = 16_000_000
"""Work on customers x products is done in batches of at most this many cells."""


def threads() -> int:
    """Return how many threads a fit may use: ``RECOMPRA_THREADS``, else the cores this process may run on.

    LightGBM with more threads than free cores slows down five-fold, so nothing else sets a thread count.
    Raises ``SettingsError`` where the variable is not a number.
    """
    wanted = os.environ.get("RECOMPRA_THREADS") or "0"
    if not wanted.isdecimal():
        raise SettingsError(f"RECOMPRA_THREADS is {wanted!r}", "set it to a number of threads; 0: all cores")
    return int(wanted) or len(os.sched_getaffinity(0))


def memory_mb() -> int:
    """Return how many MB a database may use: half of the memory, at most 4,000; the rest goes to disk."""
    limits = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(OSError, ValueError):  # no container, or one without a limit ("max")
        limits.append(int(CONTAINER_LIMIT.read_text()))
    return min(4_000, min(limits) // 2_000_000)


def spill_folder() -> Path:
    """Return where a database may put what does not fit: never the folder a command happens to run in."""
    return Path(gettempdir()) / f"recompra-{os.getuid()}"


def threads_for(n_cells: int) -> int:
    """Return how many threads a table of ``n_cells`` (rows x columns) is worth: one, where it is small."""
    return threads() if n_cells > ONE_THREAD_CELLS else 1


def rows_at_once(n_columns: int) -> int:
    """Return how many rows of ``n_columns`` make one batch, so that its memory is the same in any shop."""
    return max(BATCH_CELLS // max(n_columns, 1), 1)


def side_by_side(work: Callable[[Piece], Result], pieces: Iterable[Piece]) -> Iterator[Result]:
    """Yield ``work(piece)`` for each piece, in order, as many in parallel as there are threads.

    For work that mostly releases the GIL (numpy, compiled loops). Pieces are drawn lazily, so that only a few
    are in memory; an error is raised in the place of its result.
    """
    n = threads()
    if n == 1:
        yield from map(work, pieces)
        return
    with ThreadPoolExecutor(n) as pool:
        started: deque[Future[Result]] = deque()
        for piece in pieces:
            started.append(pool.submit(work, piece))
            if len(started) > n:
                yield started.popleft().result()
        while started:
            yield started.popleft().result()
