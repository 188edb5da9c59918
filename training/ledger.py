"""The ledger: which version was champion when, and why; a small table beside the online state.

``ledger(id, name, version, from_at, until_at, reason)``: times are naive UTC; the version in service has no
``until_at``. It is stored with the online state: in ``<home>/online.db`` (SQLite), or in the database named
by ``RECOMPRA_STORE_URL``.
"""

from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import sqlalchemy as sa

from features.storage.database import alone, engine_of, is_missing, online_url, to_read

METADATA = sa.MetaData()
LEDGER = sa.Table(
    "ledger",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("name", sa.String(64), nullable=False, index=True),
    sa.Column("version", sa.Integer, nullable=False),
    sa.Column("from_at", sa.DateTime, nullable=False),
    sa.Column("until_at", sa.DateTime),
    sa.Column("reason", sa.Text, nullable=False),
)


class Entry(NamedTuple):
    """One version's time in service; ``until_at`` is None for the current one."""

    name: str
    version: int
    from_at: datetime
    until_at: datetime | None
    reason: str


class Ledger:
    """Reads and writes the ledger of one home."""

    def __init__(self, home: Path) -> None:
        self.url = online_url(home)

    @cached_property
    def _engine(self) -> sa.Engine:
        return _opened(self.url)

    def succeed(self, name: str, version: int, *, now: datetime, reason: str) -> None:
        """Record that ``version`` serves from ``now`` on, and that its predecessor served until then.

        Nothing is recorded if that version serves already.
        """
        moment = now.astimezone(UTC).replace(tzinfo=None)
        current = (LEDGER.c.name == name) & LEDGER.c.until_at.is_(None)
        row = {"name": name, "version": version, "from_at": moment, "reason": reason}
        with alone(self._engine) as con:  # of two at once, the second sees what the first recorded
            if con.execute(sa.select(LEDGER.c.version).where(current)).scalar() == version:
                return
            con.execute(LEDGER.update().where(current).values(until_at=moment))
            con.execute(LEDGER.insert().values(row))

    def history(self, name: str | None = None, *, at: datetime | None = None) -> list[Entry]:
        """Return all entries, oldest first, of one model or of all; with ``at``, those valid at that moment.

        Empty if there is no database yet; none is created.
        """
        if is_missing(self.url):
            return []
        query = sa.select(*(LEDGER.c[column] for column in Entry._fields)).order_by(LEDGER.c.id)
        if name is not None:
            query = query.where(LEDGER.c.name == name)
        if at is not None:
            moment, until = at.astimezone(UTC).replace(tzinfo=None), LEDGER.c.until_at
            query = query.where((LEDGER.c.from_at <= moment) & (until.is_(None) | (until > moment)))
        with self._engine.connect() as con:
            return [Entry(*row) for row in con.execute(query)]

    def before_champion(self, name: str) -> int | None:
        """Return the version that the champion replaced, to which a rollback returns; None if there is none.

        A second rollback goes back one further: restoring a version discards those that came after it.
        """
        line: list[int] = []
        for entry in self.history(name):
            line = line[: line.index(entry.version)] if entry.version in line else line
            line.append(entry.version)
        return line[-2] if len(line) > 1 else None


def _opened(url: str) -> sa.Engine:
    """Open the ledger's database, and create its table if it is missing and can be."""
    engine = engine_of(readable := to_read(url), poolclass=sa.NullPool)
    if readable == url:
        with alone(engine) as db:
            METADATA.create_all(db)
    return engine
