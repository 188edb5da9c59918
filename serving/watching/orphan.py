"""How our processes end: with their parent (an orphan would keep its port or its lock), and in words."""

import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable
from threading import Thread
from time import sleep

from features.errors import RecompraError, first_line

log = logging.getLogger("recompra.serving")
KEEPER = "RECOMPRA_KEEPER"
"""The id of the process that supervises the workers: it may have ended before a worker has started."""
LOOK_SECONDS = 0.5
GRACE_SECONDS = 10.0
"""Time left for requests in flight."""


def end_with(parent: int) -> None:
    """End this process, first gracefully and then by force, when ``parent`` is no longer its parent.

    Checked by a thread, so that it ends even if the main one is busy, or hangs.
    """
    Thread(target=_watch, args=(parent,), name="orphan", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        sleep(LOOK_SECONDS)
    log.error("process %d, which keeps this one, is gone: this one ends", parent)
    os.kill(os.getpid(), signal.SIGTERM)
    sleep(GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)


def with_last_words(work: Callable[[], int]) -> int:
    """Return the exit code of a process's work; if it fails, its last line on standard error says why."""
    try:
        return work()
    except RecompraError as error:
        print(error, file=sys.stderr)
    except Exception as error:  # a bug, or another library's error: where it was is above the reason
        traceback.print_exc()
        print(f"it failed unexpectedly: {first_line(error)} (the log shows where)", file=sys.stderr)
    return 1
