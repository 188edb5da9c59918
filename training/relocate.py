"""A home that was moved, copied, or restored from a backup to another place than it was made in.

MLflow stores absolute URIs. Readers look in the current home first (``models.registry.kept_in``); before
anything is written, this function updates the database, so that new runs are stored there and MLflow's own
pages find the old ones.
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
"""Columns in which MLflow 3 stores URIs of artefacts; a missing table is an error, so that an upgrade is
noticed."""


def relocate(database: Path, old: str, *, new: str) -> None:
    """Change every URI at or below ``old`` to be at or below ``new``, in one transaction."""
    length = len(old) + 1
    with closing(sqlite3.connect(database, timeout=30)) as connection, connection:
        for table, column in URIS:
            lies_there = f"substr({column} || '/', 1, {length}) = ?"
            changed = f"? || substr({column}, {length})"
            connection.execute(
                f"UPDATE {table} SET {column} = {changed} WHERE {lies_there}", (new, f"{old}/")
            )
