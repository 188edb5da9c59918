"""The right to erasure: the store's data is deleted, and a digest records that it was."""

import hmac
import os
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import sqlalchemy as sa

from features.errors import NotFound, first_line
from features.storage.contracts import BLANKS
from serving.online.tables import ERASURES, METADATA
from serving.store import Store

OF_CUSTOMERS = [table for table in METADATA.sorted_tables if "customer_id" in table.c]


def digest_of(salt: bytes, customer_id: str) -> bytes:
    """Return the 32 bytes stored in place of an erased id: it can be recognised, but not recovered."""
    return hmac.digest(salt, customer_id.encode(), "sha256")


def forget(store: Store, customer_id: str, *, now: datetime) -> dict[str, int]:
    """Delete everything the store holds on a customer, and record never to answer with their data again.

    Returns the number of rows deleted, by table. Erasing twice changes nothing more. Deleted data is
    overwritten; ``scrub`` also empties the database's log.
    """
    digest, named = digest_of(store.salt(), customer_id), spelt(store, customer_id)
    gone = {}
    with store.write("erasures") as (db, seq):
        overwrite(db)
        for table in OF_CUSTOMERS:
            gone[table.name] = db.execute(table.delete().where(table.c.customer_id.in_(named))).rowcount
        if db.execute(sa.select(ERASURES.c.seq).where(ERASURES.c.digest == digest)).first() is None:
            db.execute(ERASURES.insert().values(digest=digest, seq=seq, erased_at=now))
    return gone


def spelt(store: Store, customer_id: str) -> list[str]:
    """Return an id as the store spells it: rows of before ids were read as ingest reads them keep blanks."""
    columns = [table.c.customer_id for table in OF_CUSTOMERS]
    spellings = (sa.select(column).where(sa.func.trim(column, BLANKS) == customer_id) for column in columns)
    with store.read() as db:
        return [customer_id, *db.execute(sa.union(*spellings)).scalars()]


def overwrite(db: sa.Connection) -> None:
    """Overwrite what this connection deletes (PostgreSQL does so by VACUUM)."""
    if db.dialect.name == "sqlite":
        db.execute(sa.text("PRAGMA secure_delete = ON"))


def scrub(store: Store) -> None:
    """Remove deleted data from the database's log and dead rows."""
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as db:
        if store.engine.dialect.name == "sqlite":
            db.execute(sa.text("PRAGMA wal_checkpoint(TRUNCATE)"))
        else:
            db.execute(sa.text(f"VACUUM {', '.join(table.name for table in OF_CUSTOMERS)}"))


@dataclass(frozen=True)
class Forgotten:
    """Everyone who was erased, by digest."""

    salt: bytes
    digests: frozenset[bytes]

    @classmethod
    def of(cls, home: Path, *, make: bool = False) -> "Forgotten":
        """Read them from the store of a home; empty if there is no store yet.

        ``make`` creates the store if it is missing, so that its salt is fixed.

        Raises ``NotFound`` if the store is unavailable: no erased customer may come back meanwhile.
        """
        if not (make or os.environ.get("RECOMPRA_STORE_URL") or (home / "online.db").is_file()):
            return cls(b"", frozenset())
        try:
            with closing(Store.open(home)) as store, store.read() as db:
                digests = db.execute(sa.select(ERASURES.c.digest)).scalars()
                return cls(store.salt(), frozenset(bytes(digest) for digest in digests))
        except sa.exc.SQLAlchemyError as error:
            message = (
                f"the store cannot be read ({first_line(error)}), and only it knows who asked to be forgotten"
            )
            raise NotFound(message, "start it, free disk space, or correct RECOMPRA_STORE_URL") from error

    def among(self, names: Sequence[str]) -> dict[str, str]:
        """Return those of some ids that are erased, each with its digest in hexadecimal."""
        if not self.digests:
            return {}
        digests = ((name, digest_of(self.salt, name)) for name in names)
        return {name: digest.hex() for name, digest in digests if digest in self.digests}

    def without(self, names: list[str]) -> list[str]:
        """Return the ids without the erased ones."""
        gone = self.among(names)
        return [name for name in names if name not in gone] if gone else names
