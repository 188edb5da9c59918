"""Files that are written atomically, folders that are held while read, locks between processes."""

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from features.errors import Busy

FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
FULL_WORDS = ("No space left", "File too large", "Out of Memory", "quota")
MAKE_ROOM = "free some space, or set RECOMPRA_HOME to a larger disk"


def is_full(error: Exception) -> bool:
    """Tell whether an error says that the disk (or memory) is full."""
    return getattr(error, "errno", None) in FULL or any(sign in str(error) for sign in FULL_WORDS)


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``, renamed into place at the end; folders are created.

    On failure ``path`` stays as it was, and the temporary file is removed. What exists and is not a regular
    file (``/dev/stdout``, a pipe) is written to directly.
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
def created(folder: Path) -> Iterator[None]:
    """Create a folder and its parents; on failure, remove those it created that are still empty."""
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
    """Lock a folder for reading: ``remove`` spares it until the descriptor is closed or the process ends."""
    descriptor = os.open(folder, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_SH)
    return descriptor


def remove(folder: Path, trash: Path) -> None:
    """Remove a folder unless it is held; renamed to ``trash`` first, so that its name never shows half of it.

    What cannot be removed is left for the next time.
    """
    with suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder.rename(trash))
        finally:
            os.close(descriptor)


@contextmanager
def locked(lock: Path, busy: Busy | None = None) -> Iterator[None]:
    """Hold an exclusive lock between processes; if it is taken, raise ``busy``, or wait if that is None.

    It is released when the process ends, however that happens; the empty file stays.
    """
    with lock.open("w") as handle:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | (fcntl.LOCK_NB if busy else 0))
        except BlockingIOError as error:
            if busy is None:
                raise
            raise busy from error
        yield
