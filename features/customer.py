"""What we know of a customer as of a cutoff: rhythm, money, basket, returns, habits, contacts, satisfaction.

The grain of most features is the *purchase day*: all orders of a customer on one of the shop's days, net of
what was returned before the cutoff. A day whose every unit was returned by then is no purchase day.
"""

from dataclasses import replace
from functools import partial
from math import log
from typing import TYPE_CHECKING, Any

from features.bought import BOUGHT_FEATURES
from features.feature_set import Feature, FeatureSet, Past

if TYPE_CHECKING:
    import ibis.expr.types as ir

SUMS = [
    "n_orders",
    "n_lines",
    "n_units",
    "revenue",
    "discount",
    "n_new_products",
    "n_new_categories",
    "hour",
    "weekday",
]


def purchase_days(past: Past) -> "ir.Table":
    """Rows ``(cutoff, customer_id, ordered_on)``: the day's sums net of returns, its age, and the gap to the day before.

    A day of which all was returned has no row; ``n_units_returned`` is the customer's, of such days too.
    """
    import ibis

    rows = ibis.union(_whole_days(past), _day_so_far(past))
    back = past("returns").cross_join(past.cutoffs).filter(lambda t: t.returned_at < t.cutoff)
    in_all = back.group_by(past.keys).aggregate(units_in_all=back.quantity.sum())
    back = back.group_by([*past.keys, back.purchased_on.name("ordered_on")]).aggregate(
        units_back=back.quantity.sum(), revenue_back=back.revenue.sum()
    )
    rows = rows.left_join(back, [*past.keys, "ordered_on"])
    rows = rows.left_join(
        in_all, past.keys, rname="{name}_in_all"
    )  # dropping columns would order SQL by chance
    rows = rows.mutate(
        n_units_returned=ibis.coalesce(rows.units_in_all, 0.0),
        n_units=rows.n_units - ibis.coalesce(rows.units_back, 0.0),
        revenue=rows.revenue - ibis.coalesce(rows.revenue_back, 0.0),
        age_days=rows.cutoff_on.delta(rows.ordered_on, unit="day"),
    )
    rows = rows.filter(rows.n_units > 0)
    in_order = ibis.window(group_by=past.keys, order_by="ordered_on")
    return rows.mutate(
        gap_days=rows.ordered_on.delta(rows.ordered_on.lag().over(in_order), unit="day"),
        is_last=rows.ordered_on.lead().over(in_order).isnull(),
    )


def _whole_days(past: Past) -> "ir.Table":
    """Return the days before the cutoff's own."""
    rows = past("days").cross_join(past.cutoffs).filter(lambda t: t.ordered_on < t.cutoff_on)
    return rows.select(*past.keys, "cutoff_on", "ordered_on", *SUMS)


def _day_so_far(past: Past) -> "ir.Table":
    """Return the orders of the cutoff's own day that came before it: none when the cutoff is midnight."""
    rows = past("orders").cross_join(past.cutoffs)
    rows = rows.filter(rows.ordered_on == rows.cutoff_on, rows.ordered_at < rows.cutoff)
    days = rows.group_by([*past.keys, "cutoff_on", "ordered_on"]).aggregate(
        n_orders=rows.starts_order.cast("int64").sum(),
        n_lines=rows.n_lines.sum(),
        n_units=rows.n_units.sum(),
        revenue=rows.revenue.sum(),
        discount=rows.discount.sum(),
        n_new_products=rows.n_new_products.sum(),
        n_new_categories=rows.n_new_categories.sum(),
        hour=rows.hour.mean(),
        weekday=rows.weekday.max(),
    )
    return days.select(*past.keys, "cutoff_on", "ordered_on", *SUMS)


def past_rows(past: Past, *, table: str, time: str) -> "ir.Table":
    """Rows of a table of dated events before each cutoff, with their age in days."""
    rows = past(table).cross_join(past.cutoffs).filter(lambda t: t[time] < t.cutoff)
    return rows.mutate(age_days=rows.cutoff.delta(rows[time], unit="day"))


def _count(within: int) -> Any:
    return lambda d: d.count(where=d.age_days <= within)


def _money(within: int) -> Any:
    return lambda d: (d.age_days <= within).ifelse(d.revenue, 0.0).sum()


def _decayed(half_life: float) -> Any:
    return lambda d: (d.age_days.cast("float64") * (-log(2) / half_life)).exp().sum()


def _share(part: Any, whole: Any) -> Any:
    return part / whole.nullif(0)


def _repeat_revenue(d: Any) -> Any:
    """Mean revenue per repeat purchase day; a customer's first day does not count (Fader & Hardie)."""
    return _share(d.revenue.sum(where=d.gap_days.notnull()), d.count() - 1)


def _sent(d: Any) -> Any:
    return d.treated.fill_null(True)


OWN_FEATURES = FeatureSet(
    name="own",
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
        Feature("last_gap_days", lambda d: d.gap_days.max(where=d.is_last), "days", "The gap before the last purchase day."),
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
        Feature("last_order_revenue", lambda d: d.revenue.sum(where=d.is_last), "currency", "Revenue of the last purchase day."),
        Feature("discount_share", lambda d: _share(d.discount.sum(), d.revenue.sum() + d.discount.sum()), "ratio", "Share of the shelf price given away as discount."),
        # Basket: what an order looks like.
        Feature("n_units_per_order", lambda d: _share(d.n_units.sum(), d.n_orders.sum()), "units", "Units per order."),
        Feature("n_lines_per_order", lambda d: _share(d.n_lines.sum(), d.n_orders.sum()), "lines", "Order lines per order."),
        Feature("revenue_per_unit", lambda d: _share(d.revenue.sum(), d.n_units.sum()), "currency", "Mean price paid for a unit."),
        Feature("n_products", lambda d: d.n_new_products.sum(), "products", "Distinct products ordered so far, without those first bought on a day that was all returned."),
        Feature("n_categories", lambda d: d.n_new_categories.sum(), "categories", "Distinct categories ordered from so far, without those first bought from on such a day."),
        Feature("new_product_share", lambda d: _share(d.n_new_products.sum(), d.n_lines.sum()), "ratio", "Lines that were a first purchase of their product."),
        Feature("n_units_returned", lambda d: d.n_units_returned.max(), "units", "Units brought back before the cutoff."),
        # Habits.
        Feature("weekend_share", lambda d: (d.weekday >= 5).cast("float64").mean(), "ratio", "Purchase days on a Saturday or Sunday."),
        Feature("hour_mean", lambda d: d.hour.mean(), "hour", "Mean local hour of an order."),
        # Contacts and satisfaction; null where the shop has none.
        Feature("n_contacts", lambda d: _sent(d).cast("int64").sum(), "contacts", "Contacts received.", "contacts"),
        Feature("n_contacts_28d", lambda d: (_sent(d) & (d.age_days <= 28)).cast("int64").sum(), "contacts", "Contacts received in the last 28 days.", "contacts"),
        Feature("days_since_last_contact", lambda d: d.age_days.min(where=_sent(d)), "days", "From the last contact to the cutoff.", "contacts"),
        Feature("last_nps_score", lambda d: d.score.argmax(d.answered_at), "0 to 10", "The last answer to the satisfaction survey.", "surveys"),
    ),
)  # fmt: skip
"""Features that depend on the customer's own events alone."""
CUSTOMER_FEATURES = replace(OWN_FEATURES, name="customer", appended=(BOUGHT_FEATURES,))
"""The same, and the features of the products bought, which depend on all customers."""
