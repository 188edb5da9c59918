"""API keys and their scopes. A key is shown once, when created; the store holds only its digest.

The secret has 256 random bits, so a plain SHA-256 suffices: guessing is hopeless, and requests need no slow
hash.
"""

import hashlib
import hmac
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

import sqlalchemy as sa

from features.errors import NotFound, SettingsError
from serving.online.tables import KEYS
from serving.store import Store

SCOPES = ("storefront", "crm", "admin")
"""``storefront``: lists, offers, events; ``crm``: scores, profiles, targets; ``admin``: everything."""
PREFIX = "rk"


@dataclass(frozen=True)
class Key:
    """A key as stored."""

    key_id: str
    name: str
    scopes: frozenset[str]
    digest: bytes
    created_at: datetime
    revoked_at: datetime | None
    per_second: float | None = None
    """Requests per second it may make, over all workers; None: unlimited."""

    @classmethod
    def of(cls, row: sa.RowMapping) -> "Key":
        """Read a row of the ``keys`` table."""
        scopes = frozenset(row["scopes"].split(","))
        plain = {name: row[name] for name in ("key_id", "name", "created_at", "revoked_at", "per_second")}
        return cls(scopes=scopes, digest=bytes(row["digest"]), **plain)

    def may(self, *scopes: str) -> bool:
        """Return whether this key has one of these scopes; ``admin`` has all."""
        return not self.scopes.isdisjoint((*scopes, "admin"))


def create(
    store: Store, scopes: Iterable[str], *, name: str = "", now: datetime, per_second: float | None = None
) -> str:
    """Create a key and return it; it cannot be read again. ``per_second`` limits its rate.

    Raises ``SettingsError`` for an unknown scope, no scope, or a rate that is not above 0.
    """
    if per_second is not None and not per_second > 0:
        raise SettingsError(
            f"a key's rate must be above 0 requests a second, found {per_second}",
            "give a number above 0, or none for no limit",
        )
    wanted = sorted(set(scopes))
    wrong = [scope for scope in wanted if scope not in SCOPES]
    if wrong or not wanted:
        raise SettingsError(
            f"unknown scope {', '.join(wrong) or '(none)'}", f"the scopes are {', '.join(SCOPES)}"
        )
    key_id, secret = secrets.token_hex(4), secrets.token_urlsafe(32)
    digest = hashlib.sha256(secret.encode()).digest()
    with store.write("keys") as (db, seq):
        values = {"key_id": key_id, "name": name, "scopes": ",".join(wanted), "digest": digest}
        db.execute(KEYS.insert().values(**values, per_second=per_second, created_at=now, seq=seq))
    return f"{PREFIX}_{key_id}_{secret}"


def listed(store: Store) -> list[Key]:
    """Return every key ever created, oldest first, without secrets."""
    with store.read() as db:
        return [Key.of(row) for row in db.execute(sa.select(KEYS).order_by(KEYS.c.created_at)).mappings()]


def revoke(store: Store, key_id: str, *, now: datetime) -> None:
    """Revoke a key, at once and in every worker; raise ``NotFound`` for an unknown id."""
    with store.write("keys") as (db, seq):
        query = KEYS.update().where(KEYS.c.key_id == key_id).values(revoked_at=now, seq=seq)
        if db.execute(query).rowcount == 0:
            raise NotFound(f"no key {key_id!r}", "`recompra keys list` shows their ids")


def holder(keys: Mapping[str, Key], presented: str) -> Key | None:
    """Return the valid key that matches ``presented``, or None; secrets are compared in constant time."""
    parts = presented.split("_", 2)
    key = keys.get(parts[1]) if len(parts) == 3 and parts[0] == PREFIX else None
    if key is None or key.revoked_at is not None:
        return None
    digest = hashlib.sha256(parts[2].encode(errors="replace")).digest()
    return key if hmac.compare_digest(digest, key.digest) else None
