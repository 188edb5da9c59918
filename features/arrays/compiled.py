"""Loops over arrays, compiled to machine code: the same function for a million customers and for one request.

numba keeps what it compiled on disk (see ``cache_folder``), and compiles anew where the function's own file
has changed, only then. So a compiled function calls no compiled function of another file, and reads no
constant of one: what it needs comes in as an argument.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile at the first call, or take it from the disk; the GIL is free meanwhile, x / 0 is inf or NaN."""
    import numba

    found: Callable[P, R] = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    return found


def cache_folder(home: Path) -> dict[str, str]:
    """Return the environment that tells numba where to keep machine code: beside the source if it may.

    In a read-only installation that is a folder of the home. A folder already chosen is left alone.
    """
    beside = Path(__file__).parent
    if "NUMBA_CACHE_DIR" in os.environ or os.access(beside, os.W_OK):
        return {}
    return {"NUMBA_CACHE_DIR": str(home / "compiled")}
