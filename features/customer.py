"""What we know of a customer as of a cutoff: rhythm, money, basket, returns, habits, contacts, satisfaction.

The grain of most features is the *purchase day*: all orders of a customer on one of the shop's days, net of what was
returned before the cutoff. A day whose every unit was returned by then is no purchase day.
"""

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from features.feature_set import Feature, FeatureSet

if TYPE_CHECKING:
    import ibis.expr.types as ir

KEYS = ["cutoff", "customer_id"]


def purchase_days(con: Any, cutoffs: "ir.Table", ids: Sequence[str] | None) -> "ir.Table":
    """Rows ``(cutoff, customer_id, ordered_on)`` with the day's sums, its age and the gap to the day before."""
    import ibis

    orders = _of(con.table("orders"), ids)
    returned = con.table("returns")
    undone = (
        returned.join(cutoffs, returned.returned_at < cutoffs.cutoff)
        .group_by(["cutoff", "customer_id", "order_id"])
        .aggregate(units_back=returned.quantity.sum(), revenue_back=returned.revenue.sum())
    )
    rows = orders.join(cutoffs, orders.ordered_at < cutoffs.cutoff)
    rows = rows.left_join(undone, ["cutoff", "customer_id", "order_id"])
    rows = rows.mutate(
        units_back=ibis.coalesce(rows.units_back, 0.0), revenue_back=ibis.coalesce(rows.revenue_back, 0.0)
    )
    days = rows.group_by([*KEYS, "cutoff_on", "ordered_on"]).aggregate(
        n_orders=rows.starts_order.cast("int64").sum(),
        n_lines=rows.n_lines.sum(),
        n_units=(rows.n_units - rows.units_back).sum(),
        n_units_returned=rows.units_back.sum(),
        revenue=(rows.revenue - rows.revenue_back).sum(),
        discount=rows.discount.sum(),
        n_new_products=rows.n_new_products.sum(),
        n_new_categories=rows.n_new_categories.sum(),
        hour=rows.hour.mean(),
        weekday=rows.weekday.max(),
    )
    days = days.filter(days.n_units > 0)
    previous = days.ordered_on.lag().over(ibis.window(group_by=KEYS, order_by="ordered_on"))
    return days.mutate(
        age_days=days.cutoff_on.delta(days.ordered_on, unit="day"),
        gap_days=days.ordered_on.delta(previous, unit="day"),
    )


def past_rows(
    con: Any, cutoffs: "ir.Table", ids: Sequence[str] | None, *, table: str, time: str
) -> "ir.Table":
    """Rows of a table of dated events before each cutoff, with their age in days."""
    events = _of(con.table(table), ids)
    rows = events.join(cutoffs, events[time] < cutoffs.cutoff)
    return rows.mutate(age_days=rows.cutoff.delta(rows[time], unit="day"))


def _of(table: "ir.Table", ids: Sequence[str] | None) -> "ir.Table":
    return table if ids is None else table.filter(table.customer_id.isin(list(ids)))


def _count(within: int) -> Any:
    return lambda d: (d.age_days <= within).cast("int64").sum()


def _money(within: int) -> Any:
    return lambda d: (d.age_days <= within).ifelse(d.revenue, 0.0).sum()


def _decayed(half_life: float) -> Any:
    return lambda d: (d.age_days * (-0.6931471805599453 / half_life)).exp().sum()


def _share(part: Any, whole: Any) -> Any:
    return part / whole.nullif(0)


def _repeat_revenue(d: Any) -> Any:
    """Mean revenue per repeat purchase day; a customer's first day does not count (Fader & Hardie)."""
    return _share(d.revenue.sum() - d.revenue.argmax(d.age_days), d.count() - 1)


def _sent(d: Any) -> Any:
    return d.treated.fill_null(True)


CUSTOMER_FEATURES = FeatureSet(
    name="customer",
    sources={
        "days": purchase_days,
        "contacts": partial(past_rows, table="contacts", time="sent_at"),
        "surveys": partial(past_rows, table="surveys", time="answered_at"),
    },
    features=(
        # Rhythm: how often, how regular, how long ago.
        Feature("days_since_last_order", lambda d: d.age_days.min(), "days", "From the last purchase day to the cutoff."),
        Feature("days_since_first_order", lambda d: d.age_days.max(), "days", "T of BG/NBD: first purchase day to the cutoff."),
        Feature("n_orders", lambda d: d.n_orders.sum(), "orders", "Orders; several of one day count each."),
        Feature("n_order_days", lambda d: d.count(), "days", "Days with at least one order."),
        Feature("frequency", lambda d: d.count() - 1, "days", "x of BG/NBD: repeat purchase days."),
        Feature("recency_days", lambda d: d.age_days.max() - d.age_days.min(), "days", "t_x of BG/NBD: first to last purchase day."),
        Feature("gap_mean_days", lambda d: d.gap_days.mean(), "days", "Mean days between purchase days; null for one-timers."),
        Feature("gap_median_days", lambda d: d.gap_days.median(), "days", "Median days between purchase days."),
        Feature("gap_std_days", lambda d: d.gap_days.std(), "days", "Standard deviation of the gaps; null below two gaps."),
        Feature("gap_max_days", lambda d: d.gap_days.max(), "days", "The longest gap so far."),
        Feature("last_gap_days", lambda d: d.gap_days.argmin(d.age_days), "days", "The gap before the last purchase day."),
        Feature("overdue_ratio", lambda d: _share(d.age_days.min(), d.gap_days.mean()), "ratio", "Days since the last order over the mean gap."),
        Feature("n_order_days_7d", _count(7), "days", "Purchase days in the last 7 days."),
        Feature("n_order_days_28d", _count(28), "days", "Purchase days in the last 28 days."),
        Feature("n_order_days_56d", _count(56), "days", "Purchase days in the last 56 days."),
        Feature("n_order_days_91d", _count(91), "days", "Purchase days in the last 91 days."),
        Feature("n_order_days_182d", _count(182), "days", "Purchase days in the last 182 days."),
        Feature("n_order_days_364d", _count(364), "days", "Purchase days in the last 364 days."),
        Feature("order_days_decayed_28d", _decayed(28), "days", "Purchase days, each halved every 28 days."),
        Feature("order_days_decayed_91d", _decayed(91), "days", "Purchase days, each halved every 91 days."),
        Feature("order_day_rate", lambda d: _share(d.count(), d.age_days.max()), "1/day", "Purchase days per day since the first."),
        # Money: net of what was returned before the cutoff.
        Feature("revenue", lambda d: d.revenue.sum(), "currency", "Revenue so far."),
        Feature("revenue_28d", _money(28), "currency", "Revenue of the last 28 days."),
        Feature("revenue_91d", _money(91), "currency", "Revenue of the last 91 days."),
        Feature("revenue_182d", _money(182), "currency", "Revenue of the last 182 days."),
        Feature("revenue_364d", _money(364), "currency", "Revenue of the last 364 days."),
        Feature("monetary_value", _repeat_revenue, "currency", "Mean revenue per repeat purchase day; null for one-timers."),
        Feature("revenue_per_order_day", lambda d: d.revenue.mean(), "currency", "Mean revenue of a purchase day."),
        Feature("revenue_order_day_std", lambda d: d.revenue.std(), "currency", "Spread of a purchase day's revenue."),
        Feature("revenue_order_day_max", lambda d: d.revenue.max(), "currency", "The dearest purchase day."),
        Feature("last_order_revenue", lambda d: d.revenue.argmin(d.age_days), "currency", "Revenue of the last purchase day."),
        Feature("discount_share", lambda d: _share(d.discount.sum(), d.revenue.sum() + d.discount.sum()), "ratio", "Share of the shelf price given away as discount."),
        # Basket: what an order looks like.
        Feature("n_units_per_order", lambda d: _share(d.n_units.sum(), d.n_orders.sum()), "units", "Units per order."),
        Feature("n_lines_per_order", lambda d: _share(d.n_lines.sum(), d.n_orders.sum()), "lines", "Order lines per order."),
        Feature("revenue_per_unit", lambda d: _share(d.revenue.sum(), d.n_units.sum()), "currency", "Mean price paid for a unit."),
        Feature("n_products", lambda d: d.n_new_products.sum(), "products", "Distinct products ordered so far."),
        Feature("n_categories", lambda d: d.n_new_categories.sum(), "categories", "Distinct categories ordered from so far."),
        Feature("new_product_share", lambda d: _share(d.n_new_products.sum(), d.n_lines.sum()), "ratio", "Lines that were a first purchase of their product."),
        Feature("n_units_returned", lambda d: d.n_units_returned.sum(), "units", "Units brought back before the cutoff."),
        # Habits.
        Feature("weekend_share", lambda d: (d.weekday >= 5).cast("float64").mean(), "ratio", "Purchase days on a Saturday or Sunday."),
        Feature("hour_mean", lambda d: d.hour.mean(), "hour", "Mean local hour of an order."),
        # Contacts and satisfaction; null where the shop has none.
        Feature("n_contacts", lambda d: _sent(d).cast("int64").sum(), "contacts", "Contacts received.", "contacts"),
        Feature("n_contacts_28d", lambda d: (_sent(d) & (d.age_days <= 28)).cast("int64").sum(), "contacts", "Contacts received in the last 28 days.", "contacts"),
        Feature("days_since_last_contact", lambda d: d.age_days.min(where=_sent(d)), "days", "From the last contact to the cutoff.", "contacts"),
        Feature("last_nps_score", lambda d: d.score.argmin(d.age_days), "0 to 10", "The last answer to the satisfaction survey.", "surveys"),
    ),
)  # fmt: skip
