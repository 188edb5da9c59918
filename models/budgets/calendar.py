"""A calendar of contacts for everyone: each on its best day, under every rule.

Rules of time give each action a window of days; caps close further days. Contacts are placed one after the
other, a customer's most valuable first, each on its preferred day or the nearest open day after it, never two
on one day. Of contacts before the plan only the number in the last 7 and 28 days is known, so each counts
against the caps as long as it possibly could: no cap is broken, whenever they were made.

Worth adds up: a contact without a product changes only customers whom those placed before did not win, and
may then be worth too little to be made. Offers each count for their own product.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace

import numpy as np
from numpy.typing import NDArray

from features.arrays.dtypes import Bools, Ints, Longs
from features.arrays.groups import cumcount
from features.settings import ContactPolicy, Economics
from models.budgets.budget import affordable
from models.decisions.economics import Money
from models.decisions.everyone import Options

WEEK, MONTH = 7, 28
ROWS_AT_ONCE = 5_000


@dataclass(frozen=True)
class Calendar:
    """Planned contacts, by day and then by worth; arrays with one entry per contact."""

    row: Longs
    """The customer: a row of the options."""
    action: Ints
    """Position in the action table."""
    day: Ints
    """Days from the plan's first."""
    last: Ints
    """The last day on which the contact still makes sense."""
    product: Ints
    worth: Money
    spend: Money
    chance: Money
    """The chance without the contact: of buying the product, or without a product of an order."""

    def __len__(self) -> int:
        return len(self.row)

    def take(self, entries: "Longs | Bools") -> "Calendar":
        """Return some of the contacts."""
        return Calendar(*(getattr(self, field.name)[entries] for field in fields(self)))

    @classmethod
    def together(cls, parts: "Sequence[Calendar]") -> "Calendar":
        """Return the contacts of several calendars, one after the other."""
        return cls(*(np.concatenate([getattr(part, field.name) for part in parts]) for field in fields(cls)))

    def in_order(self) -> "Calendar":
        """Return the contacts by day, then by worth, then by customer."""
        return self.take(np.lexsort((self.row, -self.worth, self.day)))


@dataclass(frozen=True)
class ContactRoom:
    """How many contacts customers had before the plan begins, shape (n,), and the caps."""

    n_contacts_7d: Ints
    n_contacts_28d: Ints
    policy: ContactPolicy = ContactPolicy()
    economics: Economics = Economics()


def plan(options: Options, room: ContactRoom, *, n_days: int, preferred: Money | None = None) -> Calendar:
    """Place the contacts of ``n_days`` days.

    ``options`` must permit whatever rules of time permit within ``n_days - 1`` days, and ignore caps: those
    are applied here, day by day. ``preferred`` is the best day to offer each customer a product (NaN: the
    first possible), shape (n,). Each action occurs at most once per customer, even if its cooldown ends in
    the plan.
    """
    best = np.full(len(options), np.nan) if preferred is None else preferred
    parts = [
        _block(
            options,
            room,
            n_days=n_days,
            preferred=best,
            rows=np.arange(at, min(at + ROWS_AT_ONCE, len(options))),
        )
        for at in range(0, max(len(options), 1), ROWS_AT_ONCE)
    ]
    row, action, day, worth, spend = (np.concatenate(column) for column in zip(*parts, strict=True))
    taken = (row, action)
    return Calendar(
        row=row,
        action=action,
        day=day,
        last=np.clip(np.floor(options.closes[taken]), 0, n_days - 1).astype(np.int32),
        product=options.product[taken],
        worth=worth,
        spend=spend,
        chance=options.chance[taken],
    ).in_order()


def within(
    calendar: Calendar,
    *,
    budget: float | None = None,
    per_day: int | None = None,
    n_contacts: int | None = None,
    most: Money | None = None,
    stock: Money | None = None,
) -> Calendar:
    """Return the contacts that fit a budget, a number, a day's capacity, caps by action, stock by product.

    Of each product and action the most valuable stay, then as far as the budget goes those that earn most for
    what they spend (contact and discount). A full day passes its least valuable contacts to the next day if
    their window allows it and they are their customer's only contact; otherwise they are dropped.
    """
    order = np.argsort(-calendar.worth, kind="stable")
    kept = calendar.take(order)
    if stock is not None:
        units = np.append(np.where(np.isnan(stock), np.inf, stock), np.inf)
        kept = kept.take(cumcount(kept.product) < units[kept.product])
    if most is not None:
        kept = kept.take(cumcount(kept.action) < most[kept.action])
    if budget is not None:
        ratio = kept.worth / np.maximum(kept.spend, 1e-12)
        kept = kept.take(np.argsort(-ratio, kind="stable"))
        kept = kept.take(affordable(kept.spend, budget))
    if n_contacts is not None:
        kept = kept.take(np.argsort(-kept.worth, kind="stable")[:n_contacts])
    return (kept if per_day is None else _spread(kept, per_day)).in_order()


def _spread(calendar: Calendar, per_day: int) -> Calendar:
    """Move what a full day cannot take to the next, if it may wait; an only contact breaks no cap by that."""
    _, at, counts = np.unique(calendar.row, return_inverse=True, return_counts=True)
    alone, day, kept = counts[at] == 1, calendar.day.copy(), np.ones(len(calendar), bool)
    for today in range(int(calendar.last.max(initial=-1)) + 1):  # over days, not over customers
        here = np.flatnonzero(kept & (day == today))
        over = here[np.argsort(-calendar.worth[here], kind="stable")][per_day:]
        moves = alone[over] & (calendar.last[over] > today)
        day[over[moves]] = today + 1
        kept[over[~moves]] = False
    return replace(calendar, day=day).take(kept)


@dataclass(frozen=True)
class _ContactCounts:
    """Contacts in the 7 and the 28 days up to each day of the plan; arrays of shape (n, n_days)."""

    week: NDArray[np.int16]
    month: NDArray[np.int16]
    taken: Bools
    """Days with a contact."""

    @classmethod
    def open(cls, room: ContactRoom, rows: Longs, *, n_days: int) -> "_ContactCounts":
        days = np.arange(n_days)
        counts = (room.n_contacts_7d, room.n_contacts_28d)
        week, month = (
            np.where(days < length - 1, count[rows, None], 0).astype(np.int16)
            for length, count in zip((WEEK, MONTH), counts, strict=True)
        )
        return cls(week, month, np.zeros(week.shape, bool))

    def free(self, room: ContactRoom) -> Bools:
        """Mark the days without a contact on which one more breaks no cap."""
        week = _ahead(self.week, WEEK) < room.policy.max_contacts_7d
        month = _ahead(self.month, MONTH) < room.economics.max_contacts_28d
        return np.asarray(week & month & ~self.taken)

    def enter(self, rows: Longs, day: Longs) -> None:
        """Count one more contact of some customers, each on its day."""
        days = np.arange(self.week.shape[1])
        self.taken[rows, day] = True
        for counts, length in ((self.week, WEEK), (self.month, MONTH)):
            counts[rows] += (days >= day[:, None]) & (days < day[:, None] + length)


def _ahead(counts: NDArray[np.int16], length: int) -> NDArray[np.int16]:
    """Return the largest count among each day and the ``length - 1`` days after it, within the plan."""
    n_days = counts.shape[1]
    most = counts.copy()
    for shift in range(1, min(length, n_days)):
        np.maximum(most[:, :-shift], counts[:, shift:], out=most[:, :-shift])
    return most


def _block(
    options: Options, room: ContactRoom, *, n_days: int, preferred: Money, rows: Longs
) -> tuple[Longs, Ints, Ints, Money, Money]:
    """Place the contacts of some customers; return row, action, day, worth and spend of each."""
    opens = np.clip(np.ceil(options.opens[rows]), 0, n_days)
    closes = np.clip(np.floor(options.closes[rows]), -1, n_days - 1)
    counts, placed = _ContactCounts.open(room, rows, n_days=n_days), []
    left, keeps, waits = np.ones(len(rows)), _keeps(options, rows), options.worth[rows] > 0
    with_product = np.arange(len(options.table)) < options.table.n_with_product
    wanted = np.where(with_product & np.isfinite(preferred[rows, None]), preferred[rows, None], opens)
    while True:
        worth, spend = _beside(options, rows, left)
        day = _days(counts.free(room), opens, closes=closes, wanted=np.maximum(wanted, opens))
        value = np.where(waits & (day >= 0) & (worth > 0), worth, -np.inf)
        best = value.argmax(axis=1)
        at = np.flatnonzero(np.isfinite(value[np.arange(len(rows)), best]))
        if not len(at):
            break
        taken = (at, best[at])
        placed.append((rows[at], best[at], day[taken], worth[taken], spend[taken]))
        counts.enter(at, day[taken])
        left[at] *= 1 - keeps[taken]
        waits[taken] = False
    none = (rows[:0],) * 3 + (np.zeros(0),) * 2
    row, action, on, worths, spends = (np.concatenate(column) for column in zip(none, *placed, strict=True))
    return row, action.astype(np.int32), on.astype(np.int32), worths, spends


def _keeps(options: Options, rows: Longs) -> Money:
    """Return the share of otherwise lost customers that each action wins; 0 where it offers a product."""
    moved, stay_away = options.moved[rows], 1 - options.chance[rows]
    share = np.clip(moved / np.maximum(stay_away, 1e-12), 0, 1)
    share[:, : options.table.n_with_product] = 0.0
    return np.asarray(np.nan_to_num(share))


def _beside(options: Options, rows: Longs, left: Money) -> tuple[Money, Money]:
    """Return each action's worth and spend when contacts before it left the share ``left`` of the risk, (n,).

    What an action without a product wins shrinks with the risk; customers won before take its discount as
    well.
    """
    worth, spend = options.worth[rows], options.spend[rows]
    beside = (worth > 0) & (np.arange(len(options.table)) >= options.table.n_with_product)
    lost = np.where(beside, 1 - left[:, None], 0.0)
    orders = np.where(beside, options.chance[rows] + options.moved[rows], 1.0)
    dearer = np.where(beside, spend - options.table.cost, 0.0) * lost * (1 - orders) / orders
    return worth - lost * np.where(beside, worth + spend, 0.0) - dearer, spend + dearer


def _days(free: Bools, opens: Money, *, closes: Money, wanted: Money) -> Longs:
    """Return each action's day: the first free one from ``wanted`` on, else from ``opens`` on, else -1."""
    later = _first_free(free, np.maximum(wanted, opens), closes)
    return np.where(later >= 0, later, _first_free(free, opens, closes))


def _first_free(free: Bools, start: Money, closes: Money) -> Longs:
    """Return the first free day within ``[start, closes]``, -1 where there is none; shape (n, n_actions)."""
    n, n_days = free.shape
    next_free = np.full((n, n_days + 1), n_days, np.int64)
    for day in reversed(range(n_days)):
        next_free[:, day] = np.where(free[:, day], day, next_free[:, day + 1])
    first = np.take_along_axis(next_free, np.clip(start, 0, n_days).astype(np.int64), axis=1)
    return np.where((first < n_days) & (first <= closes), first, -1)
