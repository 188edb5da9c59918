"""Whether an SQLite database was written to since the last look: a look at mapped memory, no query.

The first 96 bytes of ``<database>-shm``, two copies of the WAL index's header (https://sqlite.org/walformat.html,
section 2), change with every commit, of whichever process; what is committed is there before the commit
returns. The file lives as long as a connection is open, so this object belongs to one.
"""

from mmap import ACCESS_READ, mmap
from typing import Any

HEADERS = 96


class WalHeader:
    """The header of one database's WAL index."""

    def __init__(self, database: str) -> None:
        with open(f"{database}-shm", "rb") as file:
            self._map = mmap(file.fileno(), HEADERS, access=ACCESS_READ)

    @classmethod
    def of(cls, cursor: Any) -> "WalHeader | None":
        """Find the header of a connection that has read; None for other databases and journal modes."""
        try:
            cursor.execute("PRAGMA database_list")
            return cls(cursor.fetchone()[2])
        except (OSError, ValueError):
            return None

    def read(self) -> bytes:
        """Return bytes that change with every commit."""
        return self._map[:HEADERS]

    def close(self) -> None:
        """Unmap the file."""
        self._map.close()
