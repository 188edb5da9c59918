"""Days and moments: how old a scoring is, and when a contact may go out by the shop's clock."""

from collections.abc import Mapping
from datetime import datetime, timedelta

from features.settings import ContactPolicy
from features.window import day_number, local_day, zone
from models.policy.rules import quiet_hours
from serving.scoring.snapshot import Snapshot

STALE_DAYS = 28
"""A scoring older than this (a demo, an archive) is used as of its own day."""


def days_on(snapshot: Snapshot, now: datetime) -> int:
    """Return the shop's days from the scoring to ``now``; 0 if the scoring is too old to be aged."""
    passed = day_number(local_day(now, snapshot.timezone)) - snapshot.cutoff_day
    return passed if 0 <= passed <= STALE_DAYS else 0


def send_at(
    moment: datetime, timezone: str, *, policy: ContactPolicy, channel: str | None = None
) -> datetime:
    """Return the first moment from ``moment`` on outside the shop's quiet hours, in the shop's time zone.

    What is shown in the shop itself (channel ``site``) goes out at any hour.
    """
    local = moment.astimezone(zone(timezone))
    if channel == "site" or not quiet_hours(local.hour, policy).mask:
        return local
    opens = local.replace(hour=policy.quiet_until, minute=0, second=0, microsecond=0)
    return opens if opens > local else opens + timedelta(days=1)


def act_window(
    window: Mapping[str, int | None] | None,
    now: datetime,
    *,
    timezone: str,
    policy: ContactPolicy,
    channel: str | None,
) -> dict[str, str | None] | None:
    """Return a window of days from now as two moments, ISO 8601 in the shop's zone; an open end is None."""
    if window is None:
        return None
    first = send_at(
        now + timedelta(days=window["opens_in_days"] or 0), timezone, policy=policy, channel=channel
    )
    last = window["closes_in_days"]
    if last is None:
        return {"from": first.isoformat(), "until": None}
    midnight = now.astimezone(zone(timezone)).replace(hour=0, minute=0, second=0, microsecond=0)
    return {"from": first.isoformat(), "until": (midnight + timedelta(days=last + 1)).isoformat()}
