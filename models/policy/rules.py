"""Contact rules: whom a shop does not contact, when, and what it does not offer. One function per named rule.

A rule looks at all cases at once and returns a ``Refusal``: its name, and a mask of what it refuses (why, in
words: ``models.decisions.texts``). Rules take precedence over money: what one refuses is not offered,
whatever it would earn. A rule of time returns a ``Wait``: in how many days it will permit. So rules also
define the window to act in, and a plan can wait for the day.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from features.arrays.dtypes import Bools, Doubles, Ints
from features.settings import ContactPolicy, Economics
from models.policy.action_table import ALWAYS, ActionTable
from models.policy.actions import CHANNELS, EVENTS
from models.policy.standing import NOT_RECORDED, Standing
from models.policy.subjects import Goods, People

YES, NO = 1, 0
FIRST_ORDER, EMAIL, SITE = EVENTS.index("first_order"), CHANNELS.index("email"), CHANNELS.index("site")
Days = NDArray[np.floating]


class Refusal(NamedTuple):
    """What one rule refuses: a mask that broadcasts to the cases' shape."""

    rule: str
    mask: Bools


class Wait(NamedTuple):
    """The days until one rule permits each action: (n, n_actions) or (n, 1); 0 or less is now."""

    rule: str
    days: Days


# --- rules about people: shape (n,) ---


def consent(people: People, economics: Economics) -> Refusal:
    """Refuse customers who declined and, if consent is required, those who have not given it."""
    asked = people.consent_recorded and economics.require_consent
    mask = people.consent != YES if asked else people.consent == NO
    return Refusal("consent", mask)


def frequency_cap(people: People, economics: Economics) -> Refusal:
    """Refuse customers with as many contacts in 28 days as the shop allows."""
    return Refusal("frequency_cap", people.n_contacts_28d >= economics.max_contacts_28d)


# --- rules about people and actions: shape (n, n_actions) or (n, 1) ---


def held_out(standing: Standing) -> Refusal:
    """Refuse customers who are held out: the effect of contacts is measured against them."""
    return Refusal("held_out", standing.held_out[:, None])


def channel_consent(
    standing: Standing, table: ActionTable, *, economics: Economics, recorded: bool
) -> Refusal:
    """Refuse a channel without consent; a channel whose consent is not recorded follows that of e-mail.

    What is shown in the shop itself needs no consent. ``recorded``: whether the shop records consent at all.
    """
    given = standing.consent[:, table.channel]
    given = np.where(given == NOT_RECORDED, standing.consent[:, [EMAIL]], given)
    refused = given == NO
    if economics.require_consent and recorded:
        refused |= given == NOT_RECORDED
    return Refusal("consent", refused & (table.channel != SITE))


def open_return(standing: Standing) -> Refusal:
    """Refuse while the customer is returning something."""
    return Refusal("open_return", standing.return_open[:, None])


def not_meant(standing: Standing, table: ActionTable) -> Refusal:
    """Refuse an action meant for customers with higher risk, more orders, or higher worth."""
    mask = (standing.n_orders[:, None] < table.least_orders) | (standing.rank[:, None] < 1 - table.best_share)
    mask |= (table.least_risk > 0) & ~(standing.risk[:, None] >= table.least_risk)
    return Refusal("not_meant", mask)


def weekly_cap(standing: Standing, policy: ContactPolicy) -> Wait:
    """Wait until there were fewer contacts within 7 days than the shop allows; at most 7 days."""
    full = standing.n_contacts_7d >= policy.max_contacts_7d
    wait = np.where(full, 7.0 if policy.max_contacts_7d else np.inf, ALWAYS)
    return Wait("weekly_cap", wait[:, None])


def settling(standing: Standing) -> Wait:
    """Wait until the customer's orders have arrived, and the settling times of their products are over."""
    return Wait("settling", standing.settles_in[:, None])


def first_order_coupon(standing: Standing, table: ActionTable) -> Wait:
    """Wait with a discount for some days after the first order, lest customers learn to wait for one."""
    since = np.nan_to_num(standing.since[:, [FIRST_ORDER]], nan=-ALWAYS)
    return Wait("first_order_coupon", table.no_coupon - since)


def cooldown(standing: Standing, table: ActionTable) -> Wait:
    """Wait until the action's cooldown for this customer is over."""
    since = standing.since_action[:, table.name]
    wait = np.where(np.isnan(since), ALWAYS, table.cooldown - since)
    return Wait("cooldown", wait)


def too_early(standing: Standing, table: ActionTable) -> Wait:
    """Wait until the action's window opens; forever if the event it depends on is unknown."""
    wait = table.from_days - _since_event(standing, table)
    return Wait("too_early", np.where(np.isnan(wait), np.inf, wait))


def closes_in(standing: Standing, table: ActionTable) -> Days:
    """Return in how many days each action's window closes, negative if it has; shape (n, n_actions)."""
    closes = table.until_days - _since_event(standing, table)
    return np.where(np.isnan(closes), np.inf, closes)


def too_late(closes: Days, opens: Days) -> Refusal:
    """Refuse an action whose window has closed, or will before the rules permit it."""
    mask = (closes < 0) | ((opens > closes) & np.isfinite(opens))
    return Refusal("too_late", mask)


def _since_event(standing: Standing, table: ActionTable) -> Days:
    return np.where(table.event >= 0, standing.since[:, table.event], 0.0)


def quiet_hours(hour: NDArray[np.integer] | int, policy: ContactPolicy) -> Refusal:
    """Refuse to send in the shop's quiet hours; ``hour`` is in the shop's time zone (0 to 23)."""
    start, end = policy.quiet_from, policy.quiet_until
    at = np.asarray(hour)
    quiet = (at >= start) & (at < end) if start <= end else (at >= start) | (at < end)
    return Refusal("quiet_hours", np.asarray(quiet))


# --- rules about products: the shape of the products ---


def cannot_know(worth: Doubles) -> Refusal:
    """Refuse what has no known worth in money: a product without a price, a customer without a score."""
    return Refusal("cannot_know", ~np.isfinite(worth))


def hidden(goods: Goods, products: Ints) -> Refusal:
    """Refuse a product the shop hides."""
    return Refusal("hidden", goods.hidden[products])


def out_of_stock(goods: Goods, products: Ints) -> Refusal:
    """Refuse a product known to be out of stock; an unknown stock does not matter."""
    return Refusal("out_of_stock", goods.stock[products] <= 0)


def just_bought(days_since_bought: Doubles, days: int) -> Refusal:
    """Refuse what the customer bought within the last ``days`` days (NaN: never bought)."""
    return Refusal("just_bought", days_since_bought <= days)


def same_kind(cooling: Bools) -> Refusal:
    """Refuse another product of a category that is rarely bought again, soon after a purchase in it."""
    return Refusal("same_kind", cooling)


# --- rules together ---


def contact_refusals(people: People, economics: Economics) -> tuple[Refusal, ...]:
    """Return the refusals of every rule about people, each of shape (n,)."""
    return tuple(rule(people, economics) for rule in (consent, frequency_cap))


def goods_refusals(goods: Goods, products: Ints) -> tuple[Refusal, ...]:
    """Return the refusals of every rule about goods, each of the shape of ``products`` (codes)."""
    return tuple(rule(goods, products) for rule in (hidden, out_of_stock))


@dataclass(frozen=True)
class Timing:
    """When every action may be taken with every customer; arrays of shape (n, n_actions)."""

    opens: Days
    """Days from now until every rule of time permits it; negative if it has been permitted for that long."""
    closes: Days
    """Days from now until it is too late."""
    refusals: tuple[Refusal, ...]
    """What each rule refuses within the days in question."""


def timing(
    standing: Standing,
    table: ActionTable,
    *,
    economics: Economics,
    policy: ContactPolicy,
    recorded: bool,
    days: int,
) -> Timing:
    """Return the result of every rule about people and actions for the next ``days`` days (0: today)."""
    waits = (
        weekly_cap(standing, policy),
        settling(standing),
        first_order_coupon(standing, table),
        cooldown(standing, table),
        too_early(standing, table),
    )
    shape = (len(standing), len(table))
    opens = np.full(shape, ALWAYS)
    for wait in waits:
        opens = np.maximum(opens, wait.days)
    closes = closes_in(standing, table)
    refusals = (
        held_out(standing),
        channel_consent(standing, table, economics=economics, recorded=recorded),
        open_return(standing),
        *(Refusal(wait.rule, wait.days > days) for wait in waits),
        too_late(closes, opens),
        not_meant(standing, table),
    )
    return Timing(opens, closes, refusals)


def first_refusal(refusals: Sequence[Refusal], shape: tuple[int, ...]) -> NDArray[np.int8]:
    """Return, for every case, the position of the first rule that refuses it; -1 if none does."""
    first = np.full(shape, -1, np.int8)
    for position in reversed(range(len(refusals))):
        first[np.broadcast_to(refusals[position].mask, shape)] = position
    return first
