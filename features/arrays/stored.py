"""Arrays on disk: a ``.npy`` each, which many processes map and share."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from features.arrays.dtypes import Column


def write_arrays(folder: Path, arrays: Mapping[str, Column]) -> None:
    """Write each as ``<name>.npy``; the folder is made."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)


def read_array(folder: Path, name: str, *, mmap: bool = True) -> Any:
    """Read ``<name>.npy``; with ``mmap`` it stays on disk, and processes share one copy.

    It is mapped copy-on-write: the file is safe from us, and compiled functions, which tell read-only arrays
    from others, see the same kind of array as in training.
    """
    return np.asarray(np.load(folder / f"{name}.npy", mmap_mode="c" if mmap else None, allow_pickle=False))
