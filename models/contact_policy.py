"""Manners: whom a shop does not contact, and what it does not offer. One named rule a function, numpy only.

A rule looks at all cases at once and answers with a ``Refusal``: its name, its reason in words, and a mask
of what it refuses. Rules never argue with money: what one refuses is not offered, whatever it would earn.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.history import History, Ints, Vocabulary
from features.settings import Economics
from features.window import naive_utc, shift_days

if TYPE_CHECKING:
    from features.shop import Shop

Mask = NDArray[np.bool_]
YES, NO, NOT_RECORDED = 1, 0, -1


@dataclass(frozen=True)
class People:
    """What decides whether a customer may be contacted; arrays of shape (n,)."""

    consent: NDArray[np.int8]
    """1 given, 0 refused, -1 not recorded."""
    n_contacts_28d: Ints
    """Contacts received in the last 28 days, over all channels."""
    consent_recorded: bool = True
    """False for a shop that records nobody's consent: nobody is then known to refuse."""

    @classmethod
    def nobody_known(cls, n: int) -> "People":
        """Return ``n`` customers of a shop that records neither consent nor contacts."""
        return cls(np.full(n, NOT_RECORDED, np.int8), np.zeros(n, np.int32), consent_recorded=False)

    def of(self, rows: Ints) -> "People":
        """Return some of them, in the order given."""
        return replace(self, consent=self.consent[rows], n_contacts_28d=self.n_contacts_28d[rows])

    def contacted(self, n_more: Ints) -> "People":
        """Return the same people after ``n_more`` contacts each: those made since the tables were read."""
        return replace(self, n_contacts_28d=self.n_contacts_28d + n_more)


@dataclass(frozen=True)
class Goods:
    """What decides whether a product may be offered, and what it earns; arrays of shape (n_products,)."""

    price: NDArray[np.float64]
    margin: NDArray[np.float64]
    """Margin of one unit in the shop's currency; NaN where the price is unknown."""
    stock: NDArray[np.float64]
    """Units on hand, NaN where unknown."""
    hidden: Mask


class Refusal(NamedTuple):
    """What one rule refuses: a mask that broadcasts to the cases' shape."""

    rule: str
    why: str
    mask: Mask


def consent(people: People, economics: Economics) -> Refusal:
    """Refuse whoever said no and, where consent must be given, whoever has not said yes."""
    asked = people.consent_recorded and economics.require_consent
    mask = people.consent != YES if asked else people.consent == NO
    return Refusal("consent", "the customer has not agreed to be contacted", mask)


def frequency_cap(people: People, economics: Economics) -> Refusal:
    """Refuse whoever had as many contacts in 28 days as the shop allows."""
    why = f"the customer has had {economics.max_contacts_28d} contacts in 28 days, the most allowed"
    return Refusal("frequency_cap", why, people.n_contacts_28d >= economics.max_contacts_28d)


def cannot_know(worth: NDArray[np.float64]) -> Refusal:
    """Refuse what has no worth in money: a product without a price, a customer without a score."""
    why = "its price or its chance is unknown, so what it would earn cannot be known"
    return Refusal("cannot_know", why, ~np.isfinite(worth))


def hidden(goods: Goods, products: Ints) -> Refusal:
    """Refuse a product the shop has taken off its shelves."""
    return Refusal("hidden", "the shop hides it", goods.hidden[products])


def out_of_stock(goods: Goods, products: Ints) -> Refusal:
    """Refuse a product known to be out of stock; an unknown stock is no obstacle."""
    return Refusal("out_of_stock", "it is out of stock", goods.stock[products] <= 0)


def excluded(mask: Mask) -> Refusal:
    """Refuse what the caller does not want offered."""
    return Refusal("excluded", "the request excludes it", mask)


def just_bought(days_since_bought: NDArray[np.float64], days: int) -> Refusal:
    """Refuse what the customer bought within the last ``days`` days (NaN: never bought)."""
    why = f"the customer bought it within the last {days} days"
    return Refusal("just_bought", why, days_since_bought <= days)


def contact_refusals(people: People, economics: Economics) -> tuple[Refusal, ...]:
    """Return what every rule about people refuses, each of shape (n,)."""
    return tuple(rule(people, economics) for rule in (consent, frequency_cap))


def goods_refusals(goods: Goods, products: Ints) -> tuple[Refusal, ...]:
    """Return what every rule about goods refuses, each of the shape of ``products`` (codes)."""
    return tuple(rule(goods, products) for rule in (hidden, out_of_stock))


def first_refusal(refusals: Sequence[Refusal], shape: tuple[int, ...]) -> NDArray[np.int8]:
    """Return, for every case, the position of the first rule that refuses it; -1 where none does."""
    first = np.full(shape, -1, np.int8)
    for position in reversed(range(len(refusals))):
        first[np.broadcast_to(refusals[position].mask, shape)] = position
    return first


def read_people(shop: "Shop", cutoff: datetime, customers: Vocabulary) -> People:
    """Read consent and the contacts of the 28 days before ``cutoff``, one row a customer."""
    since = naive_utc(shift_days(cutoff, -28, shop.timezone))
    given = shop.con.raw_sql(_CONSENT).fetchnumpy()
    sent = shop.con.raw_sql(_CONTACTS.format(since=since, moment=naive_utc(cutoff))).fetchnumpy()
    people = People.nobody_known(len(customers))
    _put(people.consent, customers.codes(given["customer_id"].tolist()), given["consent"])
    _put(people.n_contacts_28d, customers.codes(sent["customer_id"].tolist()), sent["n"])
    return replace(people, consent_recorded=bool((given["consent"] != NOT_RECORDED).any()))


def days_since_bought(history: History, products: Ints) -> NDArray[np.float64]:
    """Return days from each customer's last purchase of each candidate to the cutoff; NaN if never bought.

    ``products`` are codes of shape (n_customers, k), row by row those of ``history``; -1 stands for no
    candidate.
    """
    if not len(history.product):
        return np.full(products.shape, np.nan)
    n_products = len(history.products)
    bought = history.customer.astype(np.int64) * n_products + history.product
    pairs, last = np.unique(
        bought[::-1], return_index=True
    )  # in time order: the first from behind is the last
    day = history.day[::-1][last]
    wanted = np.arange(len(products), dtype=np.int64)[:, None] * n_products + products
    at = np.minimum(np.searchsorted(pairs, wanted), len(pairs) - 1)
    found = (products >= 0) & (pairs[at] == wanted)
    return np.where(found, history.cutoff_day - day[at], np.nan)


def _put(column: NDArray[np.generic], codes: Ints, values: NDArray[np.generic]) -> None:
    known = codes >= 0
    column[codes[known]] = values[known]


_CONSENT = """
SELECT customer_id, (CASE WHEN bool_or(NOT email_consent) THEN 0
                          WHEN bool_or(email_consent) THEN 1 ELSE -1 END)::TINYINT AS consent
FROM customers GROUP BY customer_id
"""

_CONTACTS = """
SELECT customer_id, count(*)::INT AS n FROM contacts
WHERE sent_at >= TIMESTAMP '{since}' AND sent_at < TIMESTAMP '{moment}' AND coalesce(treated, true)
GROUP BY customer_id
"""
