"""What happened to customers since the scoring, and where they stand with it: of one customer, or of all."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Self, cast

import numpy as np

from features.arrays.dtypes import Bools, Doubles, Floats, Ints, Longs
from features.arrays.groups import among, found_at
from models.decisions.known import Known
from models.policy.actions import NAMES
from models.policy.standing import Standing
from models.policy.subjects import People
from serving.state import State
from serving.storefront.moments import days_on

CONTACT_DAYS = 28
"""Contacts are counted over this many days."""
WEEK_DAYS = 7
DAY = timedelta(days=1)
Contact = tuple[str, str | None, datetime]
"""Customer, action and moment."""
Order = tuple[str, str | None]
"""Customer and product."""


@dataclass(frozen=True)
class Recent:
    """Contacts and order lines since the scoring, an entry each, of customers whom it knows."""

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

    @classmethod
    def read(cls, state: State, now: datetime) -> Self:
        """Read the events of all customers from the store."""
        store, view = state.view.store, state.view
        orders = store.orders_made(view.since) if view.active else []
        return cls._of(state, store.contacts_made(_first(state, now)), orders, now)

    @classmethod
    def of_one(cls, state: State, customer_id: str, now: datetime) -> Self:
        """Read the events of one customer."""
        sent = state.view.contacts(customer_id, _first(state, now))
        lines = state.view.lines(customer_id) if customer_id in state.view.active else []
        orders = [(customer_id, line["product_id"]) for line in lines if line["kind"] == "order"]
        return cls._of(state, [(customer_id, *contact) for contact in sent], orders, now)

    @classmethod
    def _of(cls, state: State, contacts: Iterable[Contact], orders: Iterable[Order], now: datetime) -> Self:
        snapshot, sent, bought = state.snapshot, [*contacts], [*orders]
        contacted = snapshot.customers.codes([who for who, _, _ in sent])
        buyer = snapshot.customers.codes([who for who, _ in bought])
        product = snapshot.catalogue.products.codes([name or "" for _, name in bought])
        action = np.array([_position(name) for _, name, _ in sent], np.int64)
        age = np.array([(now - at) / DAY for _, _, at in sent], np.float64)
        known, ours = contacted >= 0, buyer >= 0
        return cls(contacted[known], action[known], age[known], buyer[ours], product[ours])

    def people(self, state: State, codes: Ints) -> People:
        """Return who of some customers may be contacted, with the contacts made since."""
        row, n = _rows(codes, self.contacted), len(codes)
        return state.snapshot.people.take(codes).contacted(_counts(row[row >= 0], n))

    def standing(self, state: State, codes: Ints, now: datetime, days_ahead: int = 0) -> Standing:
        """Return where some customers stand ``days_ahead`` days from now, if nothing happens until then.

        Who ordered waits until what was ordered has settled; for an unknown product as long as the slowest.
        """
        known = cast("Known", state.snapshot.known)
        standing = known.standing.take(codes).later(days_on(state.snapshot, now))
        row, n = _rows(codes, self.contacted), len(codes)
        week = _counts(row[(row >= 0) & (self.age <= WEEK_DAYS)], n)
        standing = standing.contacted(week, self._last_times(row, n))
        settles = np.maximum(standing.settles_in, self._settling(state, codes))
        return replace(standing, settles_in=settles).later(days_ahead)

    def bought(self, codes: Ints, product: Ints) -> Bools:
        """Return which candidates, shape (n, k), the customers ``codes`` bought since."""
        row, width = _rows(codes, self.buyer), int(product.max(initial=0)) + 1
        mine = (row >= 0) & (self.product >= 0) & (self.product < width)
        pairs = np.unique(row[mine] * width + self.product[mine])
        return (product >= 0) & among(np.arange(len(codes))[:, None] * width + product, pairs)

    def _last_times(self, row: Longs, n: int) -> dict[str, Floats]:
        """Return, by action, whole days since each customer's last contact with it; NaN without one."""
        days = {}
        for action in np.unique(self.action[(row >= 0) & (self.action >= 0)]).tolist():
            of_it = (row >= 0) & (self.action == action)
            column = np.full(n, np.nan, np.float32)
            np.fmin.at(column, row[of_it], np.floor(self.age[of_it]).astype(np.float32))
            days[NAMES[action]] = column
        return days

    def _settling(self, state: State, codes: Ints) -> Floats:
        """Return in how many days the latest orders have settled; 0 without one."""
        days, policy = cast("Known", state.snapshot.known).products.settling_days, state.snapshot.policy
        slowest = days.max(initial=policy.delivery_days + policy.settling_days)
        takes, settles = np.append(days, slowest), np.zeros(len(codes), np.float32)
        row = _rows(codes, self.buyer)
        np.maximum.at(settles, row[row >= 0], takes[self.product[row >= 0]].astype(np.float32))
        return settles


def _first(state: State, now: datetime) -> datetime:
    """Return from when on contacts count that the scoring does not know."""
    return max(state.snapshot.as_of, now - timedelta(days=CONTACT_DAYS))


def _position(action: str | None) -> int:
    return NAMES.index(action) if action in NAMES else -1


def _rows(codes: Ints, customer: Ints) -> Longs:
    """Return each customer's row in ``codes``, in any order; -1 where it is absent."""
    order = np.argsort(codes, kind="stable")
    return np.append(order, -1)[found_at(customer, codes[order])]  # -1 finds the last


def _counts(rows: Longs, n: int) -> Ints:
    return np.bincount(rows, minlength=n).astype(np.int32)
