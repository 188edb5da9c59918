"""A home in another place than it was made in: moved, copied, or restored from a backup.

MLflow keeps absolute URIs of what it stores. Readers look in the home as it is now first
(``models.registry.kept_in``); before anything is written, this makes the database agree, so that new runs
land there and MLflow's own pages find the old ones.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

URIS = (
    ("experiments", "artifact_location"),
    ("runs", "artifact_uri"),
    ("model_versions", "source"),
    ("model_versions", "storage_location"),
)
"""Where MLflow 3 keeps URIs of artefacts; a table it no longer has is an error, so an upgrade cannot pass."""


def move(database: Path, old: str, new: str) -> None:
    """Let every URI at or below ``old`` lie at or below ``new``, all in one transaction."""
    length = len(old) + 1
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        for table, column in URIS:
            lies_there = f"substr({column} || '/', 1, {length}) = ?"
            changed = f"? || substr({column}, {length})"
            connection.execute(
                f"UPDATE {table} SET {column} = {changed} WHERE {lies_there}", (new, f"{old}/")
            )
