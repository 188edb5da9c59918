"""A process that ends with the one that started it: a worker would keep the port, a scoring its lock."""

import logging
import os
import signal
from threading import Thread
from time import sleep

log = logging.getLogger("recompra.serving")
KEEPER = "RECOMPRA_KEEPER"
"""The process that keeps the workers, by its id: it may be gone before a worker has started."""
LOOK_SECONDS = 0.5
GRACE_SECONDS = 10.0
"""What is left for the requests in flight."""


def end_with(parent: int) -> None:
    """End this process, in order and then by force, once ``parent`` is not its parent.

    A thread looks, so that it ends even where the main one is busy, or hangs.
    """
    Thread(target=_watch, args=(parent,), name="orphan", daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        sleep(LOOK_SECONDS)
    log.error("process %d, which keeps this one, is gone: this one ends", parent)
    os.kill(os.getpid(), signal.SIGTERM)
    sleep(GRACE_SECONDS)
    os.kill(os.getpid(), signal.SIGKILL)
