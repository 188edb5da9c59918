"""What customers bought, told by how those products fare with all the shop's customers.

What is known of a product ends ``SETTLED_DAYS`` before the cutoff's own day. So a customer refreshed within
that time after a scoring gets what a new scoring would give them, and no sales after the scoring are needed.
Products that nobody had bought by then are left out; where orders name no products, these features are null.

Tables are joined by numbers (``customer``, ``product``) that each connection gives out: joining by ids takes
five times as long.
"""

from typing import TYPE_CHECKING, Any

from features.feature_set import Feature, FeatureSet, Past
from features.storage.tables import table

if TYPE_CHECKING:
    import ibis.expr.types as ir

SETTLED_DAYS = 7
RECENT_DAYS = 28
PRIOR_BUYERS = 2
"""So many buyers who come back as the shop's do are added to each product's."""
PRIOR_SALES = 5
"""So many sales are added to each product's, of which ``PRIOR_RECENT`` recent."""
PRIOR_RECENT = 0.5


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
    """Rows ``(customer, product, ordered_on)``: when on that day it was first bought."""
    lines = (
        _known_lines()
        .join(table("customer_numbers"), "customer_id")
        .join(table("product_numbers"), "product_id")
    )
    return lines.group_by(["customer", "product", "ordered_on"]).aggregate(ordered_at=lines.ordered_at.min())


def first_purchases() -> "ir.Table":
    """Rows ``(customer, product)``: when it was first bought."""
    days = table("bought_days")
    return days.group_by(["customer", "product"]).aggregate(ordered_at=days.ordered_at.min())


def product_days() -> "ir.Table":
    """Rows ``(product, ordered_on)``: its buyers of a day, and of how many it is the first or second."""
    import ibis

    pair = ibis.window(group_by=["customer", "product"], order_by="ordered_on")
    days = table("bought_days").mutate(nth=ibis.row_number().over(pair))
    return days.group_by(["product", "ordered_on"]).aggregate(
        n_buyers=days.count(),
        n_first=days.count(where=days.nth == 0),
        n_second=days.count(where=days.nth == 1),
    )


def product_totals() -> "ir.Table":
    """Rows ``(product, since)``: the sums of its days so far, as they stand ``until`` its next one."""
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
    """Rows ``(ordered_on,)``: of how many customers and products it is the first, and the second, day."""
    days = table("product_days")
    return days.group_by("ordered_on").aggregate(
        n_first=days.n_first.sum().cast("float64"), n_second=days.n_second.sum().cast("float64")
    )


def _until(past: Past, days: int) -> "ir.Table":
    """One row: the day on which those that count ended, so many days before the cutoff's own."""
    import ibis

    ended = past.cutoffs.cutoff_on - ibis.interval(days=days)
    return past.cutoffs.select(ended=ended.cast("timestamp").cast("date"))


def _totals(past: Past, days: int) -> "ir.Table":
    totals = table("product_totals").cross_join(_until(past, days))
    return totals.filter(totals.since < totals.ended, totals.ended <= totals.until)


def _usual(past: Past) -> "ir.Table":
    """One row: the share of all products' buyers who came back."""
    days = table("shop_days").cross_join(_until(past, SETTLED_DAYS))
    days = days.filter(days.ordered_on < days.ended)
    return days.aggregate(usual=days.n_second.sum() / days.n_first.sum())


def product_facts(past: Past) -> "ir.Table":
    """Rows ``(product,)``: share of its buyers who came back for it, recent share of its sales."""
    before = _totals(past, SETTLED_DAYS + RECENT_DAYS).select("product", n_before="n_sales")
    now = _totals(past, SETTLED_DAYS).left_join(before, "product").cross_join(_usual(past))
    n_recent = now.n_sales - now.n_before.fill_null(0)
    return now.select(
        "product",
        back=(now.n_back + PRIOR_BUYERS * now.usual) / (now.n_buyers + PRIOR_BUYERS),
        recent=(n_recent + PRIOR_RECENT) / (now.n_sales + PRIOR_SALES),
    )


def products_bought(past: Past) -> "ir.Table":
    """Rows ``(customer, product)``: what each had bought before the cutoff, with its facts."""
    mine = table("first_purchases").cross_join(past.cutoffs)
    # DuckDB takes a bare comparison for selective and builds the join on its larger side: twice the time.
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
