"""Files that are there whole, or not at all, and files that one process at a time may hold."""

import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from features.errors import Busy


@contextmanager
def beside(path: Path) -> Iterator[Path]:
    """Give a path beside ``path``, and rename it into place once it is written; folders are made.

    What fails on the way leaves ``path`` as it was, and nothing beside it. What is no file (``/dev/stdout``,
    a pipe) is written to as it is.
    """
    if path.exists() and not path.is_file():
        yield path
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.stem}.{os.getpid()}{path.suffix}")
    try:
        yield temporary
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)


@contextmanager
def made(folder: Path) -> Iterator[None]:
    """Make a folder, and those above it; what fails on the way takes away those it made that are empty."""
    missing = [place for place in (folder, *folder.parents) if not place.exists()]
    folder.mkdir(parents=True, exist_ok=True)
    try:
        yield
    except BaseException:
        for place in missing:
            with suppress(OSError):
                place.rmdir()
        raise


def hold(folder: Path) -> int:
    """Open a folder to read: ``remove`` leaves it until the descriptor is closed, or its process ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def remove(folder: Path, trash: Path) -> None:
    """Remove a folder unless it is held, by way of ``trash``: no half of it bears its name.

    What cannot be removed is left to the next time.
    """
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder.rename(trash))
        finally:
            os.close(descriptor)


@contextmanager
def alone(lock: Path, busy: Busy | None = None) -> Iterator[None]:
    """Hold a lock that no two processes hold; where another one does, raise ``busy``, or without it wait.

    It falls with the process, however that ends; the empty file stays.
    """
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            if busy is None:
                raise
            raise busy from error
        yield
