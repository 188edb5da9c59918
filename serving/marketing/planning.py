"""A calendar of contacts over arrays, in blocks of customers.

Rules, windows, caps and the choice of days are those of ``models``, applied to the customers of a scoring as
of now.
"""

from dataclasses import dataclass, replace
from datetime import date, datetime

import numpy as np

from features.arrays.dtypes import Ints, Longs
from features.window import day_number, zone
from models.budgets.calendar import Calendar, ContactRoom, plan, within
from models.decisions.economics import Money
from models.decisions.everyone import Options, options
from models.decisions.words import why_nothing
from models.policy.actions import Action
from models.policy.subjects import People
from models.texts import DEFAULT
from serving.marketing.candidates import candidates
from serving.marketing.period import Period, today
from serving.offer_inputs import case_now, goods_now
from serving.online.recent import Recent
from serving.scoring.snapshot import Snapshot
from serving.state import State

CUSTOMERS_AT_ONCE = 20_000
N_NOT_PLANNED = 100
"""Maximum number of customers with a reason for not being contacted."""


@dataclass(frozen=True)
class Planned:
    """A plan over arrays; ``calendar.row`` are indices into ``codes``."""

    codes: Ints
    """The customers it was made for."""
    calendar: Calendar
    actions: tuple[Action, ...]
    """Those of the action table, by position."""
    why_not: dict[int, str]
    """Why customers (by index) get no contact, for the first of them."""
    earliest_hour: int = 0
    """On the first day nothing can go out before this hour, as it has passed."""

    @property
    def first_hours(self) -> Longs:
        """The hour before which each contact cannot go out."""
        return np.where(self.calendar.day == 0, self.earliest_hour, 0)


def make_plan(state: State, codes: Ints, *, period: Period, now: datetime, locale: str = DEFAULT) -> Planned:
    """Plan for some customers (codes), in blocks; budget, days, caps and stock hold over all of them."""
    goods, terms = goods_now(state)
    recent, actions = Recent.read(state, now), terms.table.actions
    parts, why_not = [], dict[int, str]()
    for start in range(0, max(len(codes), 1), CUSTOMERS_AT_ONCE):
        block = codes[start : start + CUSTOMERS_AT_ONCE]
        choices, calendar = _block(state, block, period=period, recent=recent, now=now)
        if len(why_not) < N_NOT_PLANNED:
            missing = np.setdiff1d(np.arange(len(block)), calendar.row)[:N_NOT_PLANNED].tolist()
            why_not |= {start + at: why_nothing(choices, at, terms=terms, locale=locale) for at in missing}
        parts.append(replace(calendar, row=calendar.row + start))
    kept = within(
        Calendar.together(parts),
        budget=period.budget,
        per_day=period.per_day,
        n_contacts=period.n_contacts,
        most=np.array([action.most_customers or np.inf for action in actions]),
        stock=goods.stock,
    )
    local = now.astimezone(zone(state.snapshot.timezone))
    earliest = min(local.hour + 1, 23) if local.date() == period.first else 0
    return Planned(codes, kept, actions, why_not, earliest)


def _block(
    state: State, codes: Ints, *, period: Period, recent: Recent, now: datetime
) -> tuple[Options, Calendar]:
    """Value the options within the period, and place contacts; the calendar applies caps day by day."""
    goods, terms = goods_now(state)
    ahead = max((period.first - today(state, now)).days, 0)
    people, standing, week = recent.people(state, codes), None, np.zeros(len(codes), np.int32)
    if state.snapshot.known is not None:
        standing = recent.standing(state, codes, now=now, days_ahead=ahead)
        week = standing.n_contacts_7d
        standing = replace(standing, n_contacts_7d=np.zeros_like(week))
    room = ContactRoom(week, people.n_contacts_28d, terms.policy, terms.economics)
    free = People(people.consent, np.zeros_like(people.n_contacts_28d), people.consent_recorded)
    product, chance = candidates(state, codes)
    case = case_now(
        state, codes, recent=recent, people=free, product=product, chance=chance, standing=standing
    )
    choices = options(case, goods, terms=terms, days=period.n_days - 1)
    return choices, plan(
        choices, room, n_days=period.n_days, preferred=_next_order(state.snapshot, codes, period.first)
    )


def _next_order(snapshot: Snapshot, codes: Ints, first: date) -> Money | None:
    """Return in how many days from the first each customer is expected to order; NaN if unknown."""
    days = snapshot.scores.day_numbers("next_order_at", snapshot.timezone)
    if days is None:
        return None
    ahead = days[codes] - day_number(first)
    return np.where(ahead >= 0, ahead, np.nan)
