"""Ends a process together with its parent: an orphaned worker would keep the port, a scoring its lock."""

import logging
import os
import signal
from threading import Thread
from time import sleep

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
