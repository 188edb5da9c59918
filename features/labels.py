"""What happened in a closed horizon: the only code that reads events at or after a cutoff."""

from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from features.arrays.history import GUEST
from features.errors import SettingsError
from features.storage.tables import fetch, sql_of, table
from features.window import naive_utc, shift_days


def purchases(
    con: Any, cutoff: datetime, *, horizon_days: int, known_until: datetime, timezone: str
) -> pd.DataFrame:
    """Return what each customer bought in ``[cutoff, cutoff + horizon)``; who bought nothing has no row.

    Index ``customer_id``; ``n_order_days`` (days with an order), ``revenue`` (net of returns made before the
    horizon's end, in the shop's currency; NaN without prices). Raises ``SettingsError`` unless the horizon
    closed by ``known_until``.
    """
    end = _closed(cutoff, horizon_days, known_until=known_until, timezone=timezone)
    orders = table("orders")
    rows = orders.filter(orders.ordered_at >= naive_utc(cutoff), orders.ordered_at < naive_utc(end))
    back = table("returns")
    back = back.filter(back.purchased_at >= naive_utc(cutoff), back.returned_at < naive_utc(end))
    undone = back.group_by("customer_id").aggregate(back=back.revenue.sum())
    bought = rows.group_by("customer_id").aggregate(
        n_order_days=rows.ordered_on.nunique(), revenue=rows.revenue.sum()
    )
    answer = bought.left_join(undone, "customer_id").drop("customer_id_right")
    frame = fetch(con, sql_of(answer, con.name))
    frame["revenue"] = frame["revenue"].astype("float64") - frame.pop("back").fillna(0.0)
    return frame.set_index("customer_id").sort_index()


def products(
    con: Any,
    cutoff: datetime,
    *,
    horizon_days: int,
    known_until: datetime,
    timezone: str,
    guests: bool = False,
) -> pd.DataFrame:
    """Return ``customer_id, product_id, n_days, quantity, revenue`` of the horizon, as ordered, by id.

    With ``guests``, each order without a customer gets a made-up customer id that sorts after all others.
    Raises ``SettingsError`` unless the horizon closed by ``known_until``.
    """
    end = _closed(cutoff, horizon_days, known_until=known_until, timezone=timezone)
    lines = table("order_lines")
    if guests:
        lines = lines.mutate(customer_id=lines.customer_id.fill_null(GUEST + lines.order_id))
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
    return fetch(con, sql_of(bought.order_by(keys), con.name))


def contacted(con: Any, horizon_days: int, *, since: datetime, known_until: datetime) -> pd.DataFrame:
    """Return what followed each contact sent after ``since`` whose horizon closed by ``known_until``.

    One row per contact, oldest first: ``customer_id, sent_at`` (naive UTC), ``contact_id, action, product_id,
    treated, propensity, cost``, and the columns of ``followed``; including those held out (``treated``
    false).
    """
    contacts = table("contacts")
    sent = contacts.filter(
        contacts.sent_at > naive_utc(since),
        contacts.sent_at <= naive_utc(known_until) - timedelta(horizon_days),
    )
    keys = ["customer_id", "sent_at", "contact_id", "action", "product_id", "treated", "propensity", "cost"]
    rows = sent.select(*keys).order_by(["sent_at", "customer_id", "action", "contact_id"])
    frame = fetch(con, sql_of(rows, con.name))
    after = followed(con, frame.rename(columns={"sent_at": "moment"}), horizon_days=horizon_days)
    return pd.concat([frame, after], axis=1)


def followed(con: Any, asked: pd.DataFrame, *, horizon_days: int) -> pd.DataFrame:
    """Return what each customer bought in the ``horizon_days`` times 24 hours from a moment on.

    ``asked`` holds ``customer_id``, ``moment`` (naive UTC) and ``product_id`` (null for none). One row for
    each of its rows, in order: ``n_orders``; ``revenue``, net of later returns of it (NaN without prices);
    ``discount``, what was taken off that revenue; ``bought_product``, whether that very product was bought;
    ``knew_product``, whether it had been bought before. The caller must make sure that the horizons are
    closed.
    """
    wanted = asked[["customer_id", "moment", "product_id"]].assign(row=range(len(asked)))
    con.con.register("recompra_asked", wanted.astype({"customer_id": "str", "product_id": "object"}))
    frame = fetch(con, _FOLLOWED.format(days=horizon_days)).drop(columns="row")
    con.con.unregister("recompra_asked")
    return frame


_FOLLOWED = """
WITH asked AS (SELECT row, customer_id, moment, product_id::VARCHAR AS product_id FROM recompra_asked),
lines AS (
  SELECT line_id, customer_id, order_id, product_id, ordered_at,
         revenue - coalesce(back, 0) AS revenue, discount * (1 - coalesce(back, 0) / revenue) AS discount
  FROM order_lines LEFT JOIN
    (SELECT line_id, sum(revenue) AS back FROM returns WHERE line_id IS NOT NULL GROUP BY line_id)
    USING (line_id)
  WHERE customer_id IN (SELECT customer_id FROM asked)),
paired AS (
  SELECT asked.row, asked.product_id AS wanted, lines.*, ordered_at >= moment AS after
  FROM asked JOIN lines ON lines.customer_id = asked.customer_id
    AND ordered_at < moment + INTERVAL {days} DAY)
SELECT row, count(DISTINCT order_id) FILTER (after) AS n_orders,
       CASE WHEN count(paired.row) FILTER (after) = 0 THEN 0
            ELSE sum(revenue) FILTER (after) END::DOUBLE AS revenue,
       coalesce(sum(paired.discount) FILTER (after), 0)::DOUBLE AS discount,
       coalesce(bool_or(after AND paired.product_id = wanted), false) AS bought_product,
       coalesce(bool_or(NOT after AND paired.product_id = wanted), false) AS knew_product
FROM asked LEFT JOIN paired USING (row) GROUP BY row ORDER BY row
"""


def _closed(cutoff: datetime, horizon_days: int, *, known_until: datetime, timezone: str) -> datetime:
    end = shift_days(cutoff, horizon_days, timezone=timezone)
    if end > known_until:
        raise SettingsError(
            f"the {horizon_days} days from {cutoff:%Y-%m-%d} end on {end:%Y-%m-%d}, "
            f"but orders are known only until {known_until:%Y-%m-%d}",
            "take an earlier cutoff or a shorter horizon",
        )
    return end
