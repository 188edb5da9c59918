"""What each customer did in the last period and in the one before it: the rows that KPIs are counted on."""

from functools import cache, partial
from typing import TYPE_CHECKING, Any

from features.customer import past_rows, purchase_days
from features.feature_set import Feature, FeatureSet, Past
from features.storage.tables import table

if TYPE_CHECKING:
    import ibis.expr.types as ir

FIRST_YEAR_DAYS = 365
DEARER_FROM = 1.1
"""A category counts as bought dearer from this many times the unit price the customer paid in it before."""


def days_with_age(past: Past) -> "ir.Table":
    """Rows ``(cutoff, customer_id, ordered_on)``: purchase days, with the days since the customer's first."""
    import ibis

    rows = purchase_days(past)
    mine = ibis.window(group_by=past.keys)
    return rows.mutate(customer_days=rows.age_days.max().over(mine) - rows.age_days)


def prices_by_category(past: Past, *, period_days: int) -> "ir.Table":
    """Rows ``(cutoff, customer_id, category)``: mean price of a unit in the last period, and before it."""
    lines, products = past("order_lines"), table("products").select("product_id", "category")
    rows = lines.join(products, "product_id").cross_join(past.cutoffs)
    rows = rows.filter(rows.ordered_at < rows.cutoff, rows.category.notnull(), rows.revenue.notnull())
    now = rows.cutoff_on.delta(rows.ordered_on, unit="day") <= period_days
    return rows.group_by([*past.keys, "category"]).aggregate(
        price_now=rows.revenue.sum(where=now) / rows.quantity.sum(where=now),
        price_before=rows.revenue.sum(where=~now) / rows.quantity.sum(where=~now),
    )


@cache
def activity(period_days: int) -> FeatureSet:
    """Return the features of the last ``period_days`` days and of as many days before them, net of returns.

    Index and cutoffs as in ``features.customer``; money is in the shop's currency.
    """

    def now(d: Any) -> Any:
        return d.age_days <= period_days

    def before(d: Any) -> Any:
        return (d.age_days > period_days) & (d.age_days <= 2 * period_days)

    def again(d: Any) -> Any:
        return d.price_now.notnull() & d.price_before.notnull()

    def dearer(d: Any) -> Any:
        return (d.price_now / d.price_before).round(6) >= DEARER_FROM  # 11 is 1.1 times 10

    return FeatureSet(
        name=f"activity_{period_days}d",
        sources={
            "days": days_with_age,
            "surveys": partial(past_rows, table="surveys", time="answered_at"),
            "prices": partial(prices_by_category, period_days=period_days),
        },
        features=(
            Feature("days_since_first_order", lambda d: d.age_days.max(), "days", "Age of the customer."),
            Feature("recency_days", lambda d: d.customer_days.max(), "days", "First to last purchase day."),
            Feature("n_order_days", lambda d: d.count(), "days", "Purchase days so far."),
            Feature("n_orders_now", lambda d: d.n_orders.sum(where=now(d)), "orders", "Orders of the period."),
            Feature("n_orders_before", lambda d: d.n_orders.sum(where=before(d)), "orders", "Of the one before."),
            Feature("revenue_now", lambda d: d.revenue.sum(where=now(d)), "currency", "Revenue of the period."),
            Feature("revenue_first_year", lambda d: d.revenue.sum(where=d.customer_days < FIRST_YEAR_DAYS), "currency", "Revenue of the customer's first 365 days, so far."),
            Feature("n_new_categories_now", lambda d: d.n_new_categories.sum(where=now(d) & (d.customer_days > 0)), "categories", "Categories first bought from in the period, by one who had bought before."),
            Feature("n_repeat_days_now", lambda d: d.count(where=now(d) & (d.customer_days > 0)), "days", "Purchase days of the period after the customer's first."),
            Feature("nps_score", lambda d: d.score.argmax(d.answered_at, where=now(d)), "0 to 10", "The last answer to the satisfaction survey in the period.", "surveys"),
            Feature("n_categories_again", lambda d: again(d).cast("int64").sum(), "categories", "Categories bought from in the period and before it.", "prices"),
            Feature("n_categories_dearer", lambda d: (again(d) & dearer(d)).cast("int64").sum(), "categories", "Of these, the ones bought at 1.1 times the unit price of before, or dearer.", "prices"),
        ),
    )  # fmt: skip
