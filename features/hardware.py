"""How much of this machine we may use: the one place that decides thread counts."""

import os

ALONE = 10_000_000
"""Up to so many cells (rows x columns), threads cost more than they bring, above all on a busy machine."""


def threads() -> int:
    """Return how many threads a fit may use: ``RECOMPRA_THREADS``, else the cores this process may run on.

    LightGBM with more threads than free cores slows down five-fold, so nothing else sets a thread count.
    """
    return int(os.environ.get("RECOMPRA_THREADS", "0")) or len(os.sched_getaffinity(0))


def threads_for(n_cells: int) -> int:
    """Return how many threads a table of ``n_cells`` (rows x columns) is worth: one, where it is small."""
    return threads() if n_cells > ALONE else 1
