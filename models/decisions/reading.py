"""Consent, contacts, deliveries and worth as of a cutoff, read from the tables into arrays by customer."""

import re
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from features.arrays.dtypes import Column, Floats
from features.arrays.history import Vocabulary
from features.settings import ContactPolicy, ProductGroup
from features.storage.tables import quote
from features.window import day_number, local_day, naive_utc, shift_days
from models.decisions.economics import margin_if_stays
from models.policy.actions import CHANNELS, EVENTS, NAMES
from models.policy.rules import NO
from models.policy.standing import NOT_RECORDED, Standing, draw_held_out
from models.policy.subjects import People

if TYPE_CHECKING:
    import pandas as pd

    from features.shop import Shop


def read_people(shop: "Shop", cutoff: datetime, *, customers: Vocabulary) -> People:
    """Read consent and the contacts of the 28 days before ``cutoff``, one row per customer."""
    since = naive_utc(shift_days(cutoff, -28, timezone=shop.timezone))
    given = shop.con.raw_sql(_CONSENT.format(column="email_consent")).fetchnumpy()
    sent = shop.con.raw_sql(_CONTACTS.format(since=since, moment=naive_utc(cutoff))).fetchnumpy()
    people = People.nobody_known(len(customers))
    _put(people.consent, customers, ids=given["customer_id"], values=given["consent"])
    _put(people.n_contacts_28d, customers, ids=sent["customer_id"], values=sent["n"])
    return replace(people, consent_recorded=bool((given["consent"] != NOT_RECORDED).any()))


def read_standing(
    shop: "Shop", cutoff: datetime, *, customers: Vocabulary, scores: "pd.DataFrame | None" = None
) -> Standing:
    """Read where each customer stands at ``cutoff``, one row per customer of the vocabulary.

    ``scores`` (index ``customer_id``) supplies ``churn_probability_{h}d`` and ``expected_margin_{h}d``;
    without it risk and margin are unknown. The status of a delivery has no timestamp, so open returns are the
    one thing here that cannot be reconstructed for a past date.
    """
    policy, zone = shop.settings.contact_policy, shop.timezone
    facts = {"moment": naive_utc(cutoff), "day": local_day(cutoff, zone), "zone": zone}
    standing = replace(
        Standing.unknown(len(customers)),
        held_out=draw_held_out(customers.ids, policy.held_out_share, salt=policy.held_out_salt),
        consent=_consents(shop, customers),
    )
    _put_contacts(standing, shop, customers=customers, facts=facts)
    _put_orders(standing, shop, customers=customers, facts=facts)
    _put_deliveries(standing, shop, customers=customers, facts=facts)
    _put_birthdays(standing, shop, customers=customers, cutoff=cutoff)
    if scores is None:
        return standing
    scores = scores.reindex(customers.all_names())
    return with_scores(standing, scores, horizon_days=shop.settings.horizon_days)


def with_scores(standing: Standing, scores: "pd.DataFrame", *, horizon_days: int) -> Standing:
    """Return the same customers with risk, margin and rank from ``scores`` (their rows, in their order)."""
    import pandas as pd

    unknown = np.full(len(standing), np.nan)
    names = [f"{what}_{horizon_days}d" for what in ("churn_probability", "expected_margin")]
    risk, expected = (scores[name].to_numpy(np.float64) if name in scores else unknown for name in names)
    rank = pd.Series(np.nan_to_num(expected)).rank(pct=True, method="max").to_numpy(np.float32)
    return replace(standing, risk=risk, margin=margin_if_stays(expected, risk), rank=rank)


def group_days(
    groups: Mapping[str, ProductGroup], paths: list[str], *, field: str, default: int = 0
) -> Floats:
    """Return a product group's ``field`` (days) for each category path; ``default`` if no group matches."""
    days = np.full(len(paths), np.nan, np.float32)
    for group in groups.values():
        word = _word(group)
        fits = np.array([bool(word and re.search(word, path.lower())) for path in paths], bool)
        days[fits & np.isnan(days)] = getattr(group, field)
    return np.nan_to_num(days, nan=default)


def _word(group: ProductGroup) -> str:
    """Return the regular expression of a group's category paths, valid in both Python and DuckDB."""
    return (
        rf"(^|[^a-z])({'|'.join(re.escape(word.lower()) for word in group.categories)})"
        if group.categories
        else ""
    )


def _put(column: Column, customers: Vocabulary, *, ids: Any, values: Any) -> None:
    """Write values into the rows of known ids; NULL leaves the old value."""
    codes, masked = customers.codes(ids.tolist()), np.ma.asarray(values)
    known = (codes >= 0) & ~np.ma.getmaskarray(masked)
    column[codes[known]] = masked.data[known]


def _consents(shop: "Shop", customers: Vocabulary) -> NDArray[np.int8]:
    """Read consent by channel; of a channel whose consents are recorded, one not given is a refusal.

    Only where nobody's is recorded does a channel follow e-mail's (see ``rules.channel_consent``).
    """
    required = shop.settings.economics.require_consent
    consents = np.full((len(customers), len(CHANNELS)), NOT_RECORDED, np.int8)
    columns = {row[0] for row in shop.con.raw_sql("DESCRIBE customers").fetchall()}
    for at, channel in enumerate(CHANNELS):
        if f"{channel}_consent" in columns:
            given = shop.con.raw_sql(_CONSENT.format(column=f"{channel}_consent")).fetchnumpy()
            recorded = (given["consent"] != NOT_RECORDED).any()
            if channel != "email" and required and recorded:
                given["consent"] = np.where(given["consent"] == NOT_RECORDED, NO, given["consent"])
                consents[:, at] = NO
            _put(consents[:, at], customers, ids=given["customer_id"], values=given["consent"])
    return consents


def _put_contacts(
    standing: Standing, shop: "Shop", *, customers: Vocabulary, facts: Mapping[str, Any]
) -> None:
    contacts = shop.con.raw_sql(_LAST_CONTACTS.format(**facts)).df()
    recent = contacts.groupby("customer_id")["n_7d"].sum()
    _put(standing.n_contacts_7d, customers, ids=recent.index, values=recent.to_numpy())
    for at, name in enumerate(NAMES):
        rows = contacts[contacts["action"] == name]
        _put(standing.since_action[:, at], customers, ids=rows["customer_id"], values=rows["days"])


def _put_orders(standing: Standing, shop: "Shop", *, customers: Vocabulary, facts: Mapping[str, Any]) -> None:
    orders = shop.con.raw_sql(_ORDERS.format(**facts)).fetchnumpy()
    for event in ("first_order", "last_order"):
        _put(
            standing.since[:, EVENTS.index(event)], customers, ids=orders["customer_id"], values=orders[event]
        )
    _put(standing.n_orders, customers, ids=orders["customer_id"], values=orders["n_orders"])
    _put(standing.basket, customers, ids=orders["customer_id"], values=orders["basket"])


def _put_deliveries(
    standing: Standing, shop: "Shop", *, customers: Vocabulary, facts: Mapping[str, Any]
) -> None:
    policy = shop.settings.contact_policy
    deliveries = shop.con.raw_sql(
        _DELIVERIES.format(
            **facts,
            settling=_settling_sql(shop.settings.product_groups, policy),
            delivery_days=policy.delivery_days,
            lost_days=policy.lost_days,
            statuses=", ".join(quote(status.lower()) for status in ("", *policy.open_return_statuses)),
        )
    ).fetchnumpy()
    _put(
        standing.since[:, EVENTS.index("delivery")],
        customers,
        ids=deliveries["customer_id"],
        values=deliveries["delivery"],
    )
    _put(standing.settles_in, customers, ids=deliveries["customer_id"], values=deliveries["settles_in"])
    _put(standing.return_open, customers, ids=deliveries["customer_id"], values=deliveries["return_open"])


def _settling_sql(groups: Mapping[str, ProductGroup], policy: ContactPolicy) -> str:
    """Return SQL of a product's settling days by its ``category``."""
    cases = "".join(
        f" WHEN regexp_matches(lower(category), {quote(_word(group))}) THEN {group.settling_days}"
        for group in groups.values()
        if group.categories
    )
    return f"CASE{cases} ELSE {policy.settling_days} END" if cases else str(policy.settling_days)


def _put_birthdays(standing: Standing, shop: "Shop", *, customers: Vocabulary, cutoff: datetime) -> None:
    birthdays = shop.con.raw_sql(
        "SELECT customer_id, birthday FROM customers WHERE birthday IS NOT NULL"
    ).fetchnumpy()
    born = np.asarray(birthdays["birthday"]).astype("datetime64[D]")
    days = days_since_birthday(born, day_number(local_day(cutoff, shop.timezone)))
    _put(standing.since[:, EVENTS.index("birthday")], customers, ids=birthdays["customer_id"], values=days)


def days_since_birthday(born: NDArray[np.datetime64], today: int) -> Floats:
    """Return days since the nearest birthday, negative before it; ``today`` counts days since 1970-01-01.

    A birthday on 29 February is on 1 March in other years.
    """
    month = born.astype("datetime64[M]")
    in_year = (month - born.astype("datetime64[Y]").astype("datetime64[M]")).astype(np.int64)
    day = (born - month.astype("datetime64[D]")).astype(np.int64)
    year = int(np.datetime64(today, "D").astype("datetime64[Y]").astype(np.int64))
    months = np.arange(year - 1, year + 2)[:, None] * 12 + in_year
    dates = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64) + day
    since = today - dates
    nearest = np.abs(since).argmin(axis=0) if since.shape[1] else np.zeros(0, np.int64)
    return np.asarray(since[nearest, np.arange(since.shape[1])], np.float32)


_CONSENT = """
SELECT customer_id, coalesce({column}::TINYINT, -1::TINYINT) AS consent FROM customers
"""

_CONTACTS = """
SELECT customer_id, count(*)::INT AS n FROM contacts
WHERE sent_at >= TIMESTAMP '{since}' AND sent_at < TIMESTAMP '{moment}' AND treated
GROUP BY customer_id
"""

_LAST_CONTACTS = """
SELECT customer_id, coalesce(action, '') AS action, min(days)::FLOAT AS days,
       count(*) FILTER (days < 7)::INT AS n_7d
FROM (SELECT *, DATE '{day}' - timezone('{zone}', timezone('UTC', sent_at))::DATE AS days FROM contacts
      WHERE sent_at < TIMESTAMP '{moment}' AND treated)
GROUP BY ALL
"""

_ORDERS = """
SELECT customer_id, (DATE '{day}' - min(ordered_on))::FLOAT AS first_order,
       (DATE '{day}' - max(ordered_on))::FLOAT AS last_order, count(*) FILTER (starts_order)::INT AS n_orders,
       sum(revenue) / count(*) FILTER (starts_order) AS basket
FROM orders WHERE ordered_at < TIMESTAMP '{moment}' GROUP BY customer_id
"""

_DELIVERIES = """
WITH bought AS (
  SELECT customer_id, order_id, min(ordered_on) AS ordered_on, max({settling}) AS settling
  FROM order_lines LEFT JOIN products USING (product_id)
  WHERE ordered_at < TIMESTAMP '{moment}' AND customer_id IS NOT NULL GROUP BY customer_id, order_id),
sent AS (
  SELECT order_id, lower(status) AS status,
         CASE WHEN delivered_at < TIMESTAMP '{moment}'
              THEN timezone('{zone}', timezone('UTC', delivered_at))::DATE END AS delivered_on
  FROM deliveries),
back AS (SELECT DISTINCT order_id FROM returns WHERE returned_at < TIMESTAMP '{moment}'),
by_order AS (
  SELECT bought.*, status,
         CASE WHEN sent.order_id IS NULL THEN ordered_on + {delivery_days}
              ELSE delivered_on END AS arrived_on,
         ordered_on + {lost_days} AS lost_on, back.order_id IS NOT NULL AS came_back
  FROM bought LEFT JOIN sent USING (order_id) LEFT JOIN back USING (order_id))
SELECT customer_id,
       (DATE '{day}' - max(arrived_on) FILTER (arrived_on <= DATE '{day}'))::FLOAT AS delivery,
       max(coalesce(arrived_on + settling::INT, lost_on) - DATE '{day}')::FLOAT AS settles_in,
       bool_or(status IN ({statuses}) AND NOT came_back AND lost_on > DATE '{day}') AS return_open
FROM by_order GROUP BY customer_id
"""
