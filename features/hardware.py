"""How much of this machine we may use: the one place that decides thread counts."""

import os


def threads() -> int:
    """Return how many threads a fit may use: ``RECOMPRA_THREADS``, else the cores this process may run on.

    LightGBM with more threads than free cores slows down five-fold, so nothing else sets a thread count.
    """
    return int(os.environ.get("RECOMPRA_THREADS", "0")) or len(os.sched_getaffinity(0))
