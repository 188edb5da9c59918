"""Features of the products a customer bought: how those products sell to all the shop's customers.

What is known of a product ends ``LAG_DAYS`` before the cutoff's own day. So a customer refreshed within
that time after a scoring gets the values a new scoring would give, without any sales after the scoring.
Products that nobody had bought by then are left out; where orders name no products, these features are null.

Tables are joined by integer keys (``customer``, ``product``) assigned per connection: joining by string ids
takes five times as long.
"""

from typing import TYPE_CHECKING, Any

from features.feature_set import Feature, FeatureSet, Past
from features.storage.tables import table

if TYPE_CHECKING:
    import ibis.expr.types as ir

LAG_DAYS = 7
RECENT_DAYS = 28
PRIOR_BUYERS = 2
"""Prior strength: buyers added to each product's, who come back at the shop's average rate."""
PRIOR_SALES = 5
"""Prior strength: sales added to each product's."""
PRIOR_RECENT = 0.5
"""How many of ``PRIOR_SALES`` count as recent."""


def _known_lines() -> "ir.Table":
    lines = table("order_lines")
    return lines.filter(lines.customer_id.notnull(), lines.product_id.notnull())


def _numbered(name: str) -> "ir.Table":
    import ibis

    ids = _known_lines().select(f"{name}_id").distinct()
    number = ibis.row_number().over(ibis.window(order_by=f"{name}_id"))
    return ids.mutate(**{name: number.cast("int32")})


def customer_numbers() -> "ir.Table":
    """Rows ``(customer_id, customer)``, numbered from 0."""
    return _numbered("customer")


def product_numbers() -> "ir.Table":
    """Rows ``(product_id, product)``, numbered from 0."""
    return _numbered("product")


def bought_days() -> "ir.Table":
    """Rows ``(customer, product, ordered_on)``: the moment of that day when it was first bought."""
    lines = (
        _known_lines()
        .join(table("customer_numbers"), "customer_id")
        .join(table("product_numbers"), "product_id")
    )
    return lines.group_by(["customer", "product", "ordered_on"]).aggregate(ordered_at=lines.ordered_at.min())


def first_purchases() -> "ir.Table":
    """Rows ``(customer, product)``: the moment it was first bought."""
    days = table("bought_days")
    return days.group_by(["customer", "product"]).aggregate(ordered_at=days.ordered_at.min())


def product_days() -> "ir.Table":
    """Rows ``(product, ordered_on)``: that day's buyers, and for how many it was the first or second time."""
    import ibis

    pair = ibis.window(group_by=["customer", "product"], order_by="ordered_on")
    days = table("bought_days").mutate(nth=ibis.row_number().over(pair))
    return days.group_by(["product", "ordered_on"]).aggregate(
        n_buyers=days.count(),
        n_first=days.count(where=days.nth == 0),
        n_second=days.count(where=days.nth == 1),
    )


def product_totals() -> "ir.Table":
    """Rows ``(product, since)``: running totals to the end of that day, which hold ``until`` its next one."""
    import ibis

    days = table("product_days")
    later = ibis.window(group_by="product", order_by="ordered_on")
    so_far = ibis.window(group_by="product", order_by="ordered_on", rows=(None, 0))
    return days.select(
        "product",
        since=days.ordered_on,
        until=days.ordered_on.lead().over(later).fill_null(ibis.date(9999, 12, 31)),
        n_sales=days.n_buyers.sum().over(so_far).cast("int32"),
        n_buyers=days.n_first.sum().over(so_far).cast("int32"),
        n_back=days.n_second.sum().over(so_far).cast("int32"),
    ).order_by("until")


def shop_days() -> "ir.Table":
    """Rows ``(ordered_on,)``: for how many (customer, product) it was the first, and the second, day."""
    days = table("product_days")
    return days.group_by("ordered_on").aggregate(
        n_first=days.n_first.sum().cast("float64"), n_second=days.n_second.sum().cast("float64")
    )


def _until(past: Past, days: int) -> "ir.Table":
    """One row: the (exclusive) end of what is counted, ``days`` before the cutoff's own day."""
    import ibis

    ended = past.cutoffs.cutoff_on - ibis.interval(days=days)
    return past.cutoffs.select(ended=ended.cast("timestamp").cast("date"))


def _totals(past: Past, days: int) -> "ir.Table":
    totals = table("product_totals").cross_join(_until(past, days))
    return totals.filter(totals.since < totals.ended, totals.ended <= totals.until)


def _usual(past: Past) -> "ir.Table":
    """One row: over all products, the share of buyers who bought the product again."""
    days = table("shop_days").cross_join(_until(past, LAG_DAYS))
    days = days.filter(days.ordered_on < days.ended)
    return days.aggregate(usual=days.n_second.sum() / days.n_first.sum())


def product_facts(past: Past) -> "ir.Table":
    """Rows ``(product,)``: share of its buyers who bought it again, and share of its sales that is recent."""
    before = _totals(past, LAG_DAYS + RECENT_DAYS).select("product", n_before="n_sales")
    now = _totals(past, LAG_DAYS).left_join(before, "product").cross_join(_usual(past))
    n_recent = now.n_sales - now.n_before.fill_null(0)
    return now.select(
        "product",
        back=(now.n_back + PRIOR_BUYERS * now.usual) / (now.n_buyers + PRIOR_BUYERS),
        recent=(n_recent + PRIOR_RECENT) / (now.n_sales + PRIOR_SALES),
    )


def products_bought(past: Past) -> "ir.Table":
    """Rows ``(customer, product)``: what each had bought before the cutoff, with its facts."""
    mine = table("first_purchases").cross_join(past.cutoffs)
    # DuckDB thinks a bare comparison selective and then builds the join on its larger side: twice the time.
    mine = mine.filter((mine.ordered_at < mine.cutoff).fill_null(False)).select("customer", "product")
    return mine.join(product_facts(past), "product")


def _mean(name: str) -> Any:
    return lambda d: d[name].mean()


BACK = "Share of a product's buyers who came back for it, mean of the products bought."
RECENT = "Share of a product's sales in the four weeks until a week ago, mean of the products bought."
BOUGHT_FEATURES = FeatureSet(
    name="bought",
    sources={"products": products_bought},
    derived={
        made.__name__: made
        for made in (
            customer_numbers,
            product_numbers,
            bought_days,
            first_purchases,
            product_days,
            product_totals,
            shop_days,
        )
    },
    features=(
        Feature("product_back_share", _mean("back"), "ratio", BACK, "products"),
        Feature("product_recent_share", _mean("recent"), "ratio", RECENT, "products"),
    ),
    one_cutoff=True,
)
