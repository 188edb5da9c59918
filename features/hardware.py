"""How much of this machine we may use: the one place that decides thread counts."""

import os

from features.errors import SettingsError

ALONE = 10_000_000
"""Up to so many cells (rows x columns), threads cost more than they bring, above all on a busy machine."""


def threads() -> int:
    """Return how many threads a fit may use: ``RECOMPRA_THREADS``, else the cores this process may run on.

    LightGBM with more threads than free cores slows down five-fold, so nothing else sets a thread count.
    Raises ``SettingsError`` for what is no number.
    """
    told = os.environ.get("RECOMPRA_THREADS") or "0"
    if not told.isdecimal():
        raise SettingsError(f"RECOMPRA_THREADS is {told!r}", "set it to a number of threads; 0: all cores")
    return int(told) or len(os.sched_getaffinity(0))


def threads_for(n_cells: int) -> int:
    """Return how many threads a table of ``n_cells`` (rows x columns) is worth: one, where it is small."""
    return threads() if n_cells > ALONE else 1
