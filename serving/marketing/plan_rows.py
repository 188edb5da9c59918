"""A plan in ids and words: its contacts as rows and columns, each at an hour of the shop's clock."""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from math import isnan
from typing import Any

import numpy as np

from features.arrays.dtypes import Ints, Longs
from features.window import EPOCH, zone
from models.decisions.case import Terms
from models.decisions.texts import amount, called, told
from models.policy.rules import quiet_hours
from models.texts import DEFAULT
from serving.marketing.period import Period
from serving.marketing.planning import Planned
from serving.offer_inputs import goods_now
from serving.scoring.snapshot import Snapshot
from serving.state import State

USUAL_HOUR = 10
"""The hour of a contact to a customer whose usual hour is unknown."""
Row = dict[str, Any]


def rows_of(state: State, planned: Planned, *, period: Period, locale: str = DEFAULT) -> "list[Row]":
    """Return a plan's contacts as rows, by day and worth; times are in the shop's time zone."""
    columns = columns_of(state, planned, period=period, locale=locale)
    return [dict(zip(columns, values, strict=True)) for values in zip(*columns.values(), strict=True)]


def names_of(state: State) -> tuple[str, ...]:
    """Return the names of a contact's fields; money and chance contain the shop's horizon."""
    _, terms = goods_now(state)
    when, whom = ("on", "at", "until"), ("customer_id", "action", "channel", "product_id", "product_name")
    return (*when, *whom, "next_order_on", terms.money, terms.probability, "spend", "effect", "reason")


def columns_of(
    state: State, planned: Planned, *, period: Period, locale: str = DEFAULT
) -> dict[str, list[Any]]:
    """Return a plan's contacts as columns, with None for missing values."""
    snapshot, calendar = state.snapshot, planned.calendar
    _, terms = goods_now(state)
    codes = planned.codes[calendar.row]
    days = [period.first + timedelta(days=day) for day in range(period.n_days)]
    actions = [planned.actions[code] for code in calendar.action.tolist()]
    names: list[str] = [action.name for action in actions]
    worth = np.round(calendar.worth, 4).tolist()
    spoken = {name: called(name, locale) for name in set(names)}
    columns: list[list[Any]] = [
        [days[day].isoformat() for day in calendar.day.tolist()],
        _moments(
            snapshot,
            calendar.day,
            days=days,
            hour=send_hours(snapshot, terms, codes=codes, earliest=planned.first_hours),
        ),
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
        ["learnt" if name in snapshot.learnt else terms.effect for name in names],
        [
            told("planned", locale, action=spoken[name], money=amount(money, terms, locale=locale))
            for name, money in zip(names, worth, strict=True)
        ],
    ]
    return dict(zip(names_of(state), columns, strict=True))


def _moments(snapshot: Snapshot, day: Ints, *, days: Sequence[date], hour: Longs) -> list[str]:
    """Return when each contact goes out, on its day and at its hour of the shop's clock."""
    place = zone(snapshot.timezone)
    midnights = [datetime(each.year, each.month, each.day, tzinfo=place) for each in days]
    hours = [[midnight.replace(hour=at).isoformat() for at in range(24)] for midnight in midnights]
    moments: list[str] = np.array(hours, dtype=object)[day, hour].tolist()
    return moments


def send_hours(snapshot: Snapshot, terms: Terms, *, codes: Ints, earliest: Longs) -> Longs:
    """Return the hour for each customer: their mean hour of ordering, else 10, but no quiet hour.

    ``earliest`` holds each contact's earliest possible hour. If all orders are at midnight, the shop records
    days without hours.
    """
    hour = np.full(len(codes), float(USUAL_HOUR))
    if snapshot.features.kinds.get("hour_mean") == "number":
        everyone = snapshot.features.number("hour_mean")
        mean = everyone[codes]
        if (mean > 0).any() or (everyone > 0).any():
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
    numbers = days[codes].tolist()
    return [None if isnan(day) else (EPOCH + timedelta(days=int(day))).isoformat() for day in numbers]
