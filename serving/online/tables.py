"""The tables of the online state: the same on every database; later versions only add columns."""

from datetime import UTC, datetime, timedelta
from typing import Any

import sqlalchemy as sa

TOPICS = ("events", "stock", "erasures", "keys", "refreshed")
MOVING = ("order", "return")
"""The kinds of events that change a customer's features."""
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Moment(sa.TypeDecorator[datetime]):
    """An aware moment, stored as microseconds since 1970 in UTC: the same on every database."""

    impl = sa.BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Any) -> int | None:
        """Convert to microseconds; exact, unlike a float timestamp."""
        return None if value is None else (value - EPOCH) // timedelta(microseconds=1)

    def process_result_value(self, value: int | None, dialect: Any) -> datetime | None:
        """Convert to an aware moment."""
        return None if value is None else EPOCH + timedelta(microseconds=value)


def _seq() -> sa.Column[int]:
    return sa.Column("seq", sa.BigInteger, nullable=False, index=True)


def _name(column: str, **options: Any) -> sa.Column[str]:
    return sa.Column(column, sa.String(128), **options)


METADATA = sa.MetaData()
CLOCK = sa.Table(
    "clock",
    METADATA,
    sa.Column("id", sa.Integer, primary_key=True),
    *(sa.Column(topic, sa.BigInteger, nullable=False) for topic in TOPICS),
)
EVENTS = sa.Table(
    "events",
    METADATA,
    _name("event_id", primary_key=True),
    _seq(),
    _name("customer_id"),
    _name("kind", nullable=False),
    _name("product_id"),
    sa.Column("quantity", sa.Float),
    sa.Column("unit_price", sa.Float),
    sa.Column("occurred_at", Moment, nullable=False),
    sa.Column("received_at", Moment, nullable=False),
    sa.Index("events_of_a_customer", "customer_id", "occurred_at"),
)
CONTACTS = sa.Table(
    "contacts",
    METADATA,
    _name("contact_id", primary_key=True),
    _name("customer_id", nullable=False, index=True),
    sa.Column("sent_at", Moment, nullable=False),
    _name("channel"),
    _name("action"),
    _name("product_id"),
    sa.Column("treated", sa.Boolean, nullable=False),
    sa.Column("propensity", sa.Float),
    sa.Column("cost", sa.Float),
)
DECISIONS = sa.Table(
    "decisions",
    METADATA,
    _name("decision_id", primary_key=True),
    _name("customer_id", nullable=False, index=True),
    sa.Column("decided_at", Moment, nullable=False),
    _name("action", nullable=False),
    _name("product_id"),
    sa.Column("propensity", sa.Float, nullable=False),
    sa.Column("expected_margin", sa.Float),
    sa.Column("models", sa.Text, nullable=False),
    sa.Column("as_of", Moment, nullable=False),
)
STOCK = sa.Table(
    "stock",
    METADATA,
    _name("product_id", primary_key=True),
    _seq(),
    sa.Column("stock", sa.Float, nullable=False),
    sa.Column("occurred_at", Moment, nullable=False),
)
KEYS = sa.Table(
    "keys",
    METADATA,
    _name("key_id", primary_key=True),
    _seq(),
    _name("name", nullable=False),
    _name("scopes", nullable=False),
    sa.Column("digest", sa.LargeBinary(32), nullable=False),
    sa.Column("created_at", Moment, nullable=False),
    sa.Column("revoked_at", Moment),
    sa.Column("per_second", sa.Float),
)
ERASURES = sa.Table(
    "erasures",
    METADATA,
    sa.Column("digest", sa.LargeBinary(32), primary_key=True),
    _seq(),
    sa.Column("erased_at", Moment, nullable=False),
)
REFRESHED = sa.Table(
    "refreshed",
    METADATA,
    _name("customer_id", primary_key=True),
    _name("stamp", nullable=False),
    sa.Column("as_of", Moment, nullable=False),
    sa.Column("events_seq", sa.BigInteger, nullable=False),
    sa.Column("features", sa.Text, nullable=False),
    sa.Column("scores", sa.Text, nullable=False),
)
SALT = sa.Table("salt", METADATA, sa.Column("salt", sa.LargeBinary(32), primary_key=True))
