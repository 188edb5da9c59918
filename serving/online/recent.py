"""What happened to customers since the scoring, and where they stand with it: of one customer, or of all."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self, cast

import numpy as np

from features.arrays.dtypes import Doubles, Floats, Ints, Longs
from features.arrays.groups import found_at
from features.arrays.history import History
from features.window import day_number, local_day
from models.decisions.economics import margin_if_stays
from models.decisions.known import Known
from models.policy.actions import NAMES, Event
from models.policy.standing import Standing
from models.policy.subjects import People
from serving.online import refreshed
from serving.online.refreshed import Row
from serving.scoring.snapshot import Snapshot
from serving.state import State
from serving.store import ORDER_LINE, OrderLine
from serving.storefront.moments import days_on

CONTACT_DAYS = 28
"""Contacts are counted over this many days."""
WEEK_DAYS = 7
AHEAD_DAYS = 1
"""A contact further in the future was dated by a clock that was wrong: it bars nobody until then."""
DAY = timedelta(days=1)
QUARTER = 900
"""Seconds of a quarter of an hour, the step of time zones."""
Contact = tuple[str, str | None, datetime]
"""Customer, action and moment."""


@dataclass(frozen=True)
class Recent:
    """Contacts, order lines and refreshed scores since the scoring, of customers whom it knows."""

    contacted: Ints
    """The contact's customer, by code."""
    action: Longs
    """The contact's action, by its position in ``NAMES``; -1 for any other."""
    age: Doubles
    """Days since the contact."""
    buyer: Ints
    """The line's customer, by code."""
    product: Ints
    """The line's product, by code; -1 if unknown."""
    ordered: Doubles
    """The moment of the line's order, in seconds since 1970."""
    day: Longs
    """The shop's days since the order."""
    money: Doubles
    """What the line cost; NaN if unknown."""
    scored: Ints
    """Customers with refreshed scores, by code."""
    risk: Doubles
    expected: Doubles
    """Their churn probability and expected margin over the shop's horizon; NaN if unknown."""

    @classmethod
    def read(cls, state: State, now: datetime) -> Self:
        """Read the events of all customers from the store."""
        store, view = state.view.store, state.view
        lines = store.orders_made(view.since) if view.active else []
        scores = refreshed.scores(store, state.snapshot.stamp) if view.active else {}
        return cls._of(state, store.contacts_made(_first(state, now)), lines=lines, scores=scores, now=now)

    @classmethod
    def of_one(cls, state: State, customer_id: str, *, now: datetime) -> Self:
        """Read the events of one customer."""
        sent = state.view.contacts(customer_id, _first(state, now))
        contacts = [(customer_id, *contact) for contact in sent]
        if customer_id not in state.view.active:
            return cls._of(state, contacts, lines=[], scores={}, now=now)
        rows = [row for row in state.view.lines(customer_id) if row["kind"] == "order"]
        lines: list[OrderLine] = [tuple(row[name] for name in ORDER_LINE) for row in rows]
        scores = refreshed.scores(state.view.store, state.snapshot.stamp, customer_id=customer_id)
        return cls._of(state, contacts, lines=lines, scores=scores, now=now)

    @classmethod
    def _of(
        cls,
        state: State,
        contacts: Iterable[Contact],
        *,
        lines: Sequence[OrderLine],
        scores: Mapping[str, Row],
        now: datetime,
    ) -> Self:
        snapshot, sent = state.snapshot, [*contacts]
        whose, what, quantity, price, moments = zip(*lines, strict=True) if lines else ((),) * 5
        contacted = snapshot.customers.codes([who for who, _, _ in sent])
        buyer = snapshot.customers.codes(whose)
        scored = snapshot.customers.codes([*scores])
        ours, here = buyer >= 0, scored >= 0
        action = np.array([_position(name) for _, name, _ in sent], np.int64)
        age = np.array([(now - at) / DAY for _, _, at in sent], np.float64)
        known = (contacted >= 0) & (age > -AHEAD_DAYS)
        product = snapshot.catalogue.products.codes([name or "" for name in what])
        ordered = np.array([at.timestamp() for at in moments], np.float64)
        money = np.array(quantity, np.float64) * np.array(price, np.float64)
        risk, expected = (_column(scores, f"{what}_{snapshot.horizon_days}d") for what in SCORES)
        return cls(
            contacted=contacted[known],
            action=action[known],
            age=age[known],
            buyer=buyer[ours],
            product=product[ours],
            ordered=ordered[ours],
            day=_days(snapshot, ordered, now)[ours],
            money=money[ours],
            scored=scored[here],
            risk=risk[here],
            expected=expected[here],
        )

    def people(self, state: State, codes: Ints) -> People:
        """Return who of some customers may be contacted, with the contacts made since."""
        row, n = _rows(codes, self.contacted), len(codes)
        return state.snapshot.people.take(codes).contacted(_counts(row[row >= 0], n))

    def standing(self, state: State, codes: Ints, *, now: datetime, days_ahead: int = 0) -> Standing:
        """Return where some customers stand ``days_ahead`` days from now, if nothing happens until then.

        As a scoring of today would say it, if the orders since had been ingested; with the scores refreshed.
        """
        known = cast("Known", state.snapshot.known)
        standing = known.standing.take(codes).later(days_on(state.snapshot, now))
        row, n = _rows(codes, self.contacted), len(codes)
        week = _counts(row[(row >= 0) & (self.age <= WEEK_DAYS)], n)
        standing = standing.contacted(week, self._last_times(row, n))
        if len(self.buyer):
            standing = self._ordered(state.snapshot, standing, codes)
        if len(self.scored):
            standing = self._scored(state.snapshot, standing, codes)
        return standing.later(days_ahead)

    def history(self, history: History, codes: Ints) -> History:
        """Return the purchases of some customers with those since, which are of the cutoff's day."""
        mine, row = history.of_customers(codes), _rows(codes, self.buyer)
        new = np.flatnonzero((row >= 0) & (self.product >= 0))
        if not len(new):
            return mine
        new = new[np.lexsort((self.ordered[new], row[new]))]
        ends, order = mine.indptr[row[new] + 1], int(mine.order.max(initial=-1)) + 1
        counts = np.append(0, np.cumsum(_counts(row[new], len(codes))))
        return History(
            mine.customers,
            mine.products,
            mine.indptr + counts,
            product=np.insert(mine.product, ends, self.product[new]),
            order=np.insert(mine.order, ends, order + np.arange(len(new))),
            day=np.insert(mine.day, ends, mine.cutoff_day),
            quantity=np.insert(mine.quantity, ends, 1),
            revenue=np.insert(mine.revenue, ends, self.money[new]),
            cutoff_day=mine.cutoff_day,
        )

    def _last_times(self, row: Longs, n: int) -> dict[str, Floats]:
        """Return, by action, whole days since each customer's last contact with it; NaN without one."""
        days = {}
        for action in np.unique(self.action[(row >= 0) & (self.action >= 0)]).tolist():
            of_it = (row >= 0) & (self.action == action)
            days[NAMES[action]] = _latest(row[of_it], np.floor(self.age[of_it]), n)
        return days

    def _ordered(self, snapshot: Snapshot, standing: Standing, codes: Ints) -> Standing:
        """Return the customers with their orders since: assumed delivered as if none is recorded."""
        row, n = _rows(codes, self.buyer), len(codes)
        mine = np.flatnonzero(row >= 0)
        row, day, money = row[mine], self.day[mine], self.money[mine]
        orders = _each_once(row, self.ordered[mine])
        first, spent = np.full(n, np.nan, np.float32), np.full(n, np.nan)
        np.fmax.at(first, row, day)
        priced = np.isfinite(money)
        spent[row[priced]] = 0.0
        np.add.at(spent, row[priced], money[priced])
        there = day >= snapshot.policy.delivery_days
        delivery = _latest(row[there], day[there] - snapshot.policy.delivery_days, n)
        settles = np.full(n, -np.inf, np.float32)
        np.maximum.at(settles, row, self._settling(snapshot)[mine] - day)
        events: dict[Event, Floats]
        events = {"first_order": first, "last_order": _latest(row, day, n), "delivery": delivery}
        return standing.ordered(_counts(orders, n), spent, days=events, settles_in=settles)

    def _settling(self, snapshot: Snapshot) -> Floats:
        """Return in how many days from its order each line settles: of an unknown product as the slowest."""
        days, policy = cast("Known", snapshot.known).products.settling_days, snapshot.policy
        slowest = days.max(initial=policy.delivery_days + policy.settling_days)
        return np.append(days, slowest).astype(np.float32)[self.product]

    def _scored(self, snapshot: Snapshot, standing: Standing, codes: Ints) -> Standing:
        """Return the customers with their refreshed scores, ranked among those of the scoring."""
        row = _rows(codes, self.scored)
        mine = row >= 0
        risk, expected = self.risk[mine], self.expected[mine]
        margins = snapshot.margins_in_order
        rank = np.searchsorted(margins, np.nan_to_num(expected), side="right") / max(len(margins), 1)
        return standing.scored(
            row[mine], risk, margin=margin_if_stays(expected, risk), rank=rank.astype(np.float32)
        )


SCORES = ("churn_probability", "expected_margin")


def _first(state: State, now: datetime) -> datetime:
    """Return from when on contacts count that the scoring does not know."""
    return max(state.snapshot.as_of, now - timedelta(days=CONTACT_DAYS))


def _position(action: str | None) -> int:
    return NAMES.index(action) if action in NAMES else -1


def _column(scores: Mapping[str, Row], name: str) -> Doubles:
    return np.array([row.get(name) for row in scores.values()], np.float64)


def _days(snapshot: Snapshot, ordered: Doubles, now: datetime) -> Longs:
    """Return the shop's days from each moment to today: for a scoring of long ago, to its own day."""
    today, zone = snapshot.cutoff_day + days_on(snapshot, now), snapshot.timezone
    quarters, at = np.unique(ordered // QUARTER, return_inverse=True)  # no clock changes within one
    starts = (datetime.fromtimestamp(quarter * QUARTER, UTC) for quarter in quarters.tolist())
    days = np.array([day_number(local_day(start, zone)) for start in starts], np.int64)
    return np.maximum(today - days[at], 0)


def _each_once(row: Longs, moment: Doubles) -> Longs:
    """Return the row of every order: lines of one row and moment are one."""
    at = np.lexsort((moment, row))
    new = np.append(True, (np.diff(row[at]) != 0) | (np.diff(moment[at]) != 0))[: len(row)]
    return np.asarray(row[at][new])


def _latest(row: Longs, days: Doubles | Longs, n: int) -> Floats:
    """Return the fewest days by row; NaN without any."""
    column = np.full(n, np.nan, np.float32)
    np.fmin.at(column, row, days.astype(np.float32))
    return column


def _rows(codes: Ints, customer: Ints) -> Longs:
    """Return each customer's row in ``codes``, in any order; -1 where it is absent."""
    order = np.argsort(codes, kind="stable")
    return np.append(order, -1)[found_at(customer, codes[order])]  # -1 finds the last


def _counts(rows: Longs, n: int) -> Ints:
    return np.bincount(rows, minlength=n).astype(np.int32)
