"""What happened in a closed horizon: the only code that reads events at or after a cutoff."""

from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from features.errors import SettingsError
from features.tables import compiled, fetch, table
from features.window import naive_utc, shift_days


def purchases(
    con: Any, cutoff: datetime, horizon_days: int, known_until: datetime, *, timezone: str
) -> pd.DataFrame:
    """Return what each customer bought in ``[cutoff, cutoff + horizon)``; who bought nothing has no row.

    Index ``customer_id``; ``n_order_days`` (days with an order), ``revenue`` (net of returns made before the
    horizon's end, in the shop's currency; NaN without prices). Raises ``SettingsError`` unless the horizon
    closed by ``known_until``.
    """
    end = _closed(cutoff, horizon_days, known_until, timezone)
    orders = table("orders")
    rows = orders.filter(orders.ordered_at >= naive_utc(cutoff), orders.ordered_at < naive_utc(end))
    back = table("returns")
    back = back.filter(back.purchased_at >= naive_utc(cutoff), back.returned_at < naive_utc(end))
    undone = back.group_by("customer_id").aggregate(back=back.revenue.sum())
    bought = rows.group_by("customer_id").aggregate(
        n_order_days=rows.ordered_on.nunique(), revenue=rows.revenue.sum()
    )
    answer = bought.left_join(undone, "customer_id").drop("customer_id_right")
    frame = fetch(con, compiled(answer, con.name))
    frame["revenue"] = frame["revenue"].astype("float64") - frame.pop("back").fillna(0.0)
    return frame.set_index("customer_id").sort_index()


def products(
    con: Any, cutoff: datetime, horizon_days: int, known_until: datetime, *, timezone: str
) -> pd.DataFrame:
    """Return ``customer_id, product_id, n_days, quantity, revenue`` of the horizon, as ordered, by id."""
    end = _closed(cutoff, horizon_days, known_until, timezone)
    lines = table("order_lines")
    rows = lines.filter(
        lines.ordered_at >= naive_utc(cutoff),
        lines.ordered_at < naive_utc(end),
        lines.customer_id.notnull(),
        lines.product_id.notnull(),
    )
    keys = ["customer_id", "product_id"]
    bought = rows.group_by(keys).aggregate(
        n_days=rows.ordered_on.nunique(), quantity=rows.quantity.sum(), revenue=rows.revenue.sum()
    )
    return fetch(con, compiled(bought.order_by(keys), con.name))


def contacted(con: Any, horizon_days: int, since: datetime, known_until: datetime) -> pd.DataFrame:
    """Return what followed each contact sent after ``since`` whose horizon closed by ``known_until``.

    One row a contact, oldest first: ``customer_id, sent_at`` (UTC, naive), ``action, treated, propensity,
    cost`` and the customer's orders in the ``horizon_days`` times 24 hours from ``sent_at`` on: ``n_orders``
    and ``revenue`` (as ordered; NaN without prices). The held out (``treated`` false) are rows as well.
    """
    import ibis

    contacts, orders = table("contacts"), table("orders")
    horizon = ibis.interval(days=horizon_days)
    sent = contacts.filter(
        contacts.sent_at > naive_utc(since),
        contacts.sent_at <= naive_utc(known_until) - timedelta(horizon_days),
    )
    keys = ["customer_id", "sent_at", "contact_id", "action", "treated", "propensity", "cost"]
    sent = sent.select(*keys)
    bought = orders.select("ordered_at", "revenue", buyer=orders.customer_id)
    pairs = sent.left_join(
        bought,
        [
            sent.customer_id == bought.buyer,
            bought.ordered_at >= sent.sent_at,
            bought.ordered_at < sent.sent_at + horizon,
        ],
    )
    rows = pairs.group_by(keys).aggregate(
        n_orders=pairs.ordered_at.count(),
        revenue=ibis.ifelse(pairs.buyer.isnull(), 0.0, pairs.revenue).sum(),
    )
    return fetch(con, compiled(rows.order_by(["sent_at", "customer_id", "action", "contact_id"]), con.name))


def _closed(cutoff: datetime, horizon_days: int, known_until: datetime, timezone: str) -> datetime:
    end = shift_days(cutoff, horizon_days, timezone)
    if end > known_until:
        raise SettingsError(
            f"the {horizon_days} days from {cutoff:%Y-%m-%d} end on {end:%Y-%m-%d}, after what may be known "
            f"({known_until:%Y-%m-%d})",
            "take an earlier cutoff or a shorter horizon",
        )
    return end
