"""Time: a cutoff is exclusive and passed in; nothing here reads a clock."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

from features.errors import SettingsError

EPOCH = date(1970, 1, 1)
YEAR_DAYS = 364
"""52 weeks: the same weekday a year ago."""
FIRST_DAYS = 90
"""A shop's first days say nothing about seasons: all its customers are new."""
YEARS = range(1900, 2201)
"""Years a cutoff may lie in: far enough from the calendar's limits to be shifted."""


def last_year_days(horizon_days: int) -> int:
    """Return how many days of orders are needed for last year to show a horizon's season (a year at most)."""
    return YEAR_DAYS + horizon_days + max(FIRST_DAYS, horizon_days)


def zone(name: str) -> ZoneInfo:
    """Return the time zone of that IANA name; raise ``SettingsError`` for one that does not exist."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise SettingsError(
            f"unknown time zone {name!r}",
            "use an IANA name such as 'Europe/Lisbon', 'America/Sao_Paulo' or 'UTC'",
        ) from error


def parse_cutoff(text: str, timezone: str = "UTC") -> datetime:
    """Read a cutoff: a bare date is that day's midnight; it and a naive time are in the shop's zone.

    Raises ``SettingsError`` for text that is not a date, or a year outside ``YEARS``.
    """
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise SettingsError(
            f"cannot read {text!r} as a date", "write YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS"
        ) from error
    if moment.year not in YEARS:
        message = f"expected a date from {YEARS[0]} to {YEARS[-1]}, got {text!r}"
        raise SettingsError(message, "write YYYY-MM-DD or YYYY-MM-DDTHH:MM:SS")
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=zone(timezone))
    return moment.astimezone(UTC)


def local_day(moment: datetime, timezone: str) -> date:
    """Return the shop's calendar day that holds an aware ``moment``."""
    return moment.astimezone(zone(timezone)).date()


def day_number(day: date) -> int:
    """Return days since 1970-01-01, the unit of every ``day`` array."""
    return (day - EPOCH).days


def shift_days(moment: datetime, days: int, *, timezone: str) -> datetime:
    """Move by calendar days of the shop: the start of a day stays one across a change of clocks.

    That is midnight, unless the clocks skip it: until 2018, Brazil's daylight saving time began at midnight.
    """
    local = moment.astimezone(zone(timezone))
    naive = local.replace(tzinfo=None)
    if midnight(moment, timezone) == moment:
        naive = datetime.combine(naive, time.min)
    return (naive + timedelta(days=days)).replace(tzinfo=zone(timezone)).astimezone(UTC)


def midnight(moment: datetime, timezone: str) -> datetime:
    """Return the start of the shop's day that contains an aware ``moment``."""
    return parse_cutoff(local_day(moment, timezone).isoformat(), timezone)


def end_of_day(moment: datetime, timezone: str) -> datetime:
    """Return the midnight that ends the shop's day of an aware ``moment``."""
    return shift_days(midnight(moment, timezone), 1, timezone=timezone)


def naive_utc(moment: datetime) -> datetime:
    """Return an aware moment as the warehouse stores it: UTC without a zone."""
    return moment.astimezone(UTC).replace(tzinfo=None)
