"""Arrays on disk: one ``.npy`` each, which many processes memory-map and share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from features.arrays.dtypes import Column


def write_arrays(folder: Path, arrays: Mapping[str, Column]) -> None:
    """Write each array as ``<name>.npy``; creates the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def read_array(folder: Path, name: str) -> Any:
    """Memory-map ``<name>.npy``: it stays on disk, and processes share one copy.

    It is mapped copy-on-write: the file cannot be changed through it, yet the array is writable, as in
    training. numba compiles a second version of a function for read-only arrays.
    """
    return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="c", allow_pickle=False))
