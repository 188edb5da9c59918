"""A calendar of contacts for a period: who, with which action and product, on which day and at which hour.

Rules, windows, caps and the choice of days are those of ``models.decisions``; here they meet the customers of
a scoring, as they are now. All of it runs over arrays, in blocks of customers.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta
from math import isnan
from typing import Any

import numpy as np

from features.arrays.dtypes import Ints, Longs
from features.errors import NotFound
from features.window import EPOCH, day_number, zone
from models.budgets.calendar import Calendar, Room, plan, within
from models.chance.reach import told
from models.decisions.case import Terms
from models.decisions.economics import Money
from models.decisions.everyone import Options, options
from models.decisions.words import why_nothing
from models.policy.actions import Action
from models.policy.rules import People, quiet_hours
from serving.api_crm import Plan, PlanRequest
from serving.desk import goods_now, no_offers
from serving.marketing.crowd import Recent, case_of, people_of, standing_of
from serving.marketing.period import Period, first_day, today
from serving.marketing.retention import worthwhile
from serving.scoring.snapshot import Snapshot
from serving.state import State

N_NOT_PLANNED = 100
CUSTOMERS_AT_ONCE = 20_000
USUAL_HOUR = 10
"""When a contact goes out to a customer whose hour is not known."""
Row = dict[str, Any]


@dataclass(frozen=True)
class Planned:
    """A plan over arrays; ``calendar.row`` are positions in ``codes``."""

    codes: Ints
    """The customers it was made for."""
    calendar: Calendar
    actions: tuple[Action, ...]
    """The deck's, by position."""
    why_not: dict[int, str]
    """Why a customer (by position) gets no contact, of the first who do not."""
    earliest_hour: int = 0
    """On the first day nothing can go out before this hour: it is over."""

    @property
    def first_hours(self) -> Longs:
        """The hour before which each contact cannot go out."""
        return np.where(self.calendar.day == 0, self.earliest_hour, 0)


def contact_plan(state: State, request: PlanRequest, now: datetime) -> Plan:
    """Plan contacts, each on its day; whoever is left out is named with the reason."""
    codes, left_out = chosen_customers(state, request, now)
    contacts: list[Row] = []
    snapshot = state.snapshot
    if snapshot.desk is None:
        left_out += [_left(snapshot, code, no_offers(state).message) for code in codes]
    else:
        first = request.first_day or first_day(state, now)
        period = Period(first, request.days, request.budget, request.per_day, request.limit).check(state, now)
        found = make_plan(state, np.asarray(codes, np.int32), period, now)
        contacts = rows_of(state, found, period)
        left_out += _not_planned(snapshot, found)
    effect = snapshot.effect_of(row["action"] for row in contacts)
    worth = "" if snapshot.desk is None else snapshot.desk[1].money
    answer = Plan(
        as_of=snapshot.moment,
        models=snapshot.models,
        contacts=contacts,
        not_planned=left_out[:N_NOT_PLANNED],
        n_not_planned=len(left_out),
        spent=_sum(contacts, "spend"),
        expected_incremental_margin=_sum(contacts, worth),
        currency=snapshot.currency,
        effect=effect,
        experiment=snapshot.experiment_for(effect),
        notes=told(snapshot.notes, snapshot.locale),
    )
    return answer if snapshot.desk is None else answer.named(names_of(state))


def _sum(rows: Sequence[Row], name: str) -> float:
    """Add a column up as it is shown, so that a file's sum is the plan's."""
    return float(round(sum(row[name] for row in rows), 4))


def chosen_customers(state: State, request: PlanRequest, now: datetime) -> tuple[list[int], list[Row]]:
    """Return the codes of those asked for, else of everyone; and who is unknown.

    In a large shop a request is answered for those most worth keeping; ``recompra plan`` is for everyone.
    """
    snapshot = state.snapshot
    if request.customer_ids is not None:
        wanted = list(dict.fromkeys(request.customer_ids))
        codes = {name: -1 if state.view.is_erased(name) else snapshot.customer(name) for name in wanted}
        unknown = [
            {"customer_id": name, "reason": "the customer is unknown"} for name in wanted if codes[name] < 0
        ]
        return [code for code in codes.values() if code >= 0], unknown
    if len(snapshot.customers) <= CUSTOMERS_AT_ONCE and snapshot.desk is not None:
        return everyone(state).tolist(), []
    if snapshot.retention is None:
        raise NotFound("no churn and ltv models serve yet, so nobody can be chosen", "send customer_ids")
    rows = np.flatnonzero(worthwhile(state, now))[: request.limit]
    return snapshot.retention.number("customer")[rows].astype(int).tolist(), []


def everyone(state: State) -> Ints:
    """Return the codes of all customers who have not asked to be forgotten."""
    return np.flatnonzero(~state.erased).astype(np.int32)


def make_plan(state: State, codes: Ints, period: Period, now: datetime) -> Planned:
    """Plan for some customers (codes), in blocks; budget, days, caps and stock are kept over all of them."""
    goods, terms = goods_now(state)
    recent, actions = Recent.read(state, now), terms.deck.actions
    parts, why_not = [], dict[int, str]()
    for start in range(0, max(len(codes), 1), CUSTOMERS_AT_ONCE):
        block = codes[start : start + CUSTOMERS_AT_ONCE]
        found, calendar = _block(state, block, period, recent, now)
        if len(why_not) < N_NOT_PLANNED:
            missing = np.setdiff1d(np.arange(len(block)), calendar.row)[:N_NOT_PLANNED].tolist()
            why_not |= {start + at: why_nothing(found, at) for at in missing}
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
    state: State, codes: Ints, period: Period, recent: Recent, now: datetime
) -> tuple[Options, Calendar]:
    """Weigh what could be done within the period, and place it; caps are the calendar's, day by day."""
    goods, terms = goods_now(state)
    ahead = max((period.first - today(state, now)).days, 0)
    people, standing, week = people_of(state, codes, recent), None, np.zeros(len(codes), np.int32)
    if state.snapshot.known is not None:
        standing = standing_of(state, codes, recent, now, ahead)
        week = standing.n_contacts_7d
        standing = replace(standing, n_contacts_7d=np.zeros_like(week))
    room = Room(week, people.n_contacts_28d, terms.policy, terms.economics)
    free = People(people.consent, np.zeros_like(people.n_contacts_28d), people.consent_recorded)
    found = options(case_of(state, codes, free, standing), goods, terms, days=period.n_days - 1)
    return found, plan(found, room, period.n_days, _next_order(state.snapshot, codes, period.first))


def _next_order(snapshot: Snapshot, codes: Ints, first: date) -> Money | None:
    """Return in how many days from the first each customer is expected to order; NaN where unknown."""
    days = snapshot.scores.day_numbers("next_order_at", snapshot.timezone)
    if days is None:
        return None
    ahead = days[codes] - day_number(first)
    return np.where(ahead >= 0, ahead, np.nan)


# --- in ids and words ---


def rows_of(state: State, found: Planned, period: Period) -> "list[Row]":
    """Return a plan's contacts as rows, by day and worth; times are in the shop's zone."""
    columns = columns_of(state, found, period)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def names_of(state: State) -> tuple[str, ...]:
    """Return what a contact's fields are called; money and chance bear the shop's horizon."""
    _, terms = goods_now(state)
    when, whom = ("on", "at", "until"), ("customer_id", "action", "channel", "product_id", "product_name")
    return (*when, *whom, "next_order_on", terms.money, terms.probability, "spend", "effect", "reason")


def columns_of(state: State, found: Planned, period: Period) -> dict[str, list[Any]]:
    """Return a plan's contacts as columns: every row has the same names, absent is None."""
    snapshot, calendar = state.snapshot, found.calendar
    _, terms = goods_now(state)
    codes = found.codes[calendar.row]
    days = [period.first + timedelta(days=day) for day in range(period.n_days)]
    learnt = set(snapshot.known.learnt) if snapshot.known is not None else set()
    actions = [found.actions[code] for code in calendar.action.tolist()]
    names: list[str] = [action.name for action in actions]
    worth = np.round(calendar.worth, 4).tolist()
    columns: list[list[Any]] = [
        [days[day].isoformat() for day in calendar.day.tolist()],
        _moments(snapshot, calendar.day, days, send_hours(snapshot, terms, codes, found.first_hours)),
        [days[day].isoformat() for day in calendar.last.tolist()],
        snapshot.customers.names(codes),
        names,
        [action.channel for action in actions],
        _ids(snapshot, calendar.product),
        _titles(snapshot, calendar.product),
        _next_order_on(snapshot, codes),
        worth,
        np.round(calendar.chance, 6).tolist(),
        np.round(calendar.spend, 4).tolist(),
        ["learnt" if name in learnt else terms.effect for name in names],
        [
            f"{name.replace('_', ' ')}: {money:+.2f} {terms.currency}".rstrip() + " of margin after its cost"
            for name, money in zip(names, worth, strict=True)
        ],
    ]
    return dict(zip(names_of(state), columns, strict=True))


def _moments(snapshot: Snapshot, day: Ints, days: Sequence[date], hour: Longs) -> list[str]:
    """Return when each contact goes out, on its day and at its hour of the shop's clock."""
    place = zone(snapshot.timezone)
    midnights = [datetime(each.year, each.month, each.day, tzinfo=place) for each in days]
    hours = [[midnight.replace(hour=at).isoformat() for at in range(24)] for midnight in midnights]
    found: list[str] = np.array(hours, dtype=object)[day, hour].tolist()
    return found


def send_hours(snapshot: Snapshot, terms: Terms, codes: Ints, earliest: Longs) -> Longs:
    """Return the hour to reach each customer at: their mean hour of ordering, else 10, never a quiet one.

    ``earliest`` are the hours before which each contact cannot go out.
    """
    hour = np.full(len(codes), float(USUAL_HOUR))
    if snapshot.features.kinds.get("hour_mean") == "number":
        mean = snapshot.features.number("hour_mean")[codes]
        hour = np.where(np.isfinite(mean), mean, hour)
    whole = np.maximum(np.clip(hour, 0, 23).astype(np.int64), earliest)
    return np.where(quiet_hours(whole, terms.policy).mask, terms.policy.quiet_until, whole)


def _ids(snapshot: Snapshot, product: Ints) -> list[str | None]:
    known = iter(snapshot.catalogue.products.names(product[product >= 0]))
    return [next(known) if code >= 0 else None for code in product.tolist()]


def _titles(snapshot: Snapshot, product: Ints) -> list[str | None]:
    known = iter(snapshot.catalogue.names(product[product >= 0]))
    return [next(known) if code >= 0 else None for code in product.tolist()]


def _next_order_on(snapshot: Snapshot, codes: Ints) -> list[str | None]:
    days = snapshot.scores.day_numbers("next_order_at", snapshot.timezone)
    if days is None:
        return [None] * len(codes)
    found = days[codes].tolist()
    return [None if isnan(day) else (EPOCH + timedelta(days=int(day))).isoformat() for day in found]


def _not_planned(snapshot: Snapshot, found: Planned) -> list[Row]:
    """Name who gets no contact, and why: a rule, or a plan that is full."""
    full = "every day left in the plan is full, or others earn more within its budget and number"
    missing = np.setdiff1d(np.arange(len(found.codes)), found.calendar.row).tolist()
    return [_left(snapshot, int(found.codes[at]), found.why_not.get(at, full)) for at in missing]


def _left(snapshot: Snapshot, code: int, reason: str) -> Row:
    return {"customer_id": snapshot.customers.names([code])[0], "reason": reason}
