"""Loops over arrays, compiled to machine code: the same function for a million customers and for one request.

numba caches compiled code on disk (see ``cache_folder``) and recompiles only when the function's own file has
changed. So a compiled function must not call a compiled function of another file or read a constant of one:
whatever it needs is passed in as an argument.
"""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

P = ParamSpec("P")
R = TypeVar("R")


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile at the first call, or load from disk. Calls release the GIL; x / 0 gives inf or NaN."""
    import numba

    jitted: Callable[P, R] = numba.njit(cache=True, nogil=True, error_model="numpy")(function)
    _forgive(jitted)
    return jitted


def _forgive(jitted: Any) -> None:
    """Take a cached index that cannot be read for an old one: the function is then compiled again.

    numba reads an index before it checks that the file is unchanged; one that names a class which has another
    name since would raise. This relies on its internals, and does nothing if those change.
    """
    file = getattr(getattr(jitted, "_cache", None), "_cache_file", None)
    if file is None:
        return
    read = file._load_index

    def load_index() -> Any:
        try:
            return read()
        except Exception:  # whatever unpickling may raise
            return {}

    file._load_index = load_index


def cache_folder(home: Path) -> dict[str, str]:
    """Return environment variables that tell numba where to cache: nothing if it can write beside the source.

    In a read-only installation the cache is a folder of the home. ``NUMBA_CACHE_DIR``, if set, is respected.
    """
    beside = Path(__file__).parent
    if "NUMBA_CACHE_DIR" in os.environ or os.access(beside, os.W_OK):
        return {}
    return {"NUMBA_CACHE_DIR": str(home / "compiled")}
