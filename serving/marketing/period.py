"""The days of a plan, in the shop's calendar."""

from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from typing import Self

from features.errors import Conflict
from features.window import EPOCH, local_day, zone
from models.policy.rules import quiet_hours
from serving.offer_inputs import goods_now
from serving.state import State
from serving.storefront.moments import days_on

NOON = 12
FURTHEST_DAYS = 366
"""Maximum days ahead at which a plan may begin."""


@dataclass(frozen=True)
class Period:
    """The period that a plan is requested for."""

    first: date
    n_days: int
    budget: float | None = None
    per_day: int | None = None
    n_contacts: int | None = None

    def check(self, state: State, now: datetime) -> Self:
        """Return the period, beginning tomorrow if today's last hour for contacts has passed.

        Raises ``Conflict`` if the first day is in the past or too far ahead.
        """
        begin = today(state, now)
        end = max(begin, local_day(now, state.snapshot.timezone)) + timedelta(days=FURTHEST_DAYS)
        if not begin <= self.first <= end:
            message = f"a plan begins between today and a year from now, {begin} to {end}; found {self.first}"
            raise Conflict(
                message, "give such a day of the shop's calendar; for an old scoring, today is its own day"
            )
        return replace(self, first=first_day(state, now)) if self.first == begin else self


def today(state: State, now: datetime) -> date:
    """Return the shop's day; for a scoring of long ago, its own."""
    snapshot = state.snapshot
    return EPOCH + timedelta(days=snapshot.cutoff_day + days_on(snapshot, now))


def first_day(state: State, now: datetime) -> date:
    """Return the first day on which contacts can go out: today, or tomorrow if quiet hours are near."""
    day, (_, terms) = today(state, now), goods_now(state)
    local = now.astimezone(zone(state.snapshot.timezone))
    late = local.date() == day and (local.hour == 23 or quiet_hours(local.hour + 1, terms.policy).mask)
    return day + timedelta(days=1) if late and local.hour >= NOON else day
