"""What customers bought, told by how those products fare with all the shop's customers.

A product's facts are of the days that ended ``SETTLED_DAYS`` before the cutoff's own. So a customer refreshed
within that time of a scoring gets what a scoring at that moment would say: nothing newer is needed than the
scoring knew. What nobody had bought by then is left out; a shop that names no products has nulls.
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


def product_days() -> "ir.Table":
    """Rows ``(product_id, ordered_on)``: its buyers of a day, and of how many it is the first or second."""
    import ibis

    days = _known_lines().select("customer_id", "product_id", "ordered_on").distinct()
    pair = ibis.window(group_by=["customer_id", "product_id"], order_by="ordered_on")
    days = days.mutate(nth=ibis.row_number().over(pair))
    return days.group_by(["product_id", "ordered_on"]).aggregate(
        n_buyers=days.count(),
        n_first=(days.nth == 0).cast("int64").sum(),
        n_second=(days.nth == 1).cast("int64").sum(),
    )


def first_purchases() -> "ir.Table":
    """Rows ``(customer_id, product_id)``: when it was first bought."""
    lines = _known_lines()
    return lines.group_by(["customer_id", "product_id"]).aggregate(ordered_at=lines.ordered_at.min())


def product_facts(past: Past) -> "ir.Table":
    """Rows ``(cutoff, product_id)``: share of its buyers who came back for it, recent share of its sales."""
    import ibis

    days = table("product_days").cross_join(past.cutoffs)
    days = days.mutate(age_days=days.cutoff_on.delta(days.ordered_on, unit="day"))
    days = days.filter(days.age_days > SETTLED_DAYS)
    sums = days.group_by(["cutoff", "product_id"]).aggregate(
        n_buyers=days.n_first.sum(),
        n_back=days.n_second.sum(),
        n_sales=days.n_buyers.sum(),
        n_recent=(days.age_days <= SETTLED_DAYS + RECENT_DAYS).ifelse(days.n_buyers, 0).sum(),
    )
    shop = ibis.window(group_by="cutoff")
    usual = sums.n_back.sum().over(shop) / sums.n_buyers.sum().over(shop)
    return sums.select(
        "cutoff",
        "product_id",
        back=(sums.n_back + PRIOR_BUYERS * usual) / (sums.n_buyers + PRIOR_BUYERS),
        recent=(sums.n_recent + PRIOR_RECENT) / (sums.n_sales + PRIOR_SALES),
    )


def products_bought(past: Past) -> "ir.Table":
    """Rows ``(cutoff, customer_id, product_id)``: what each had bought before the cutoff, with its facts."""
    mine = past("first_purchases").cross_join(past.cutoffs).filter(lambda t: t.ordered_at < t.cutoff)
    return mine.join(product_facts(past), ["cutoff", "product_id"])


def _mean(name: str) -> Any:
    return lambda d: d[name].mean()


BACK = "Share of a product's buyers who came back for it, mean of the products bought."
RECENT = "Share of a product's sales in the four weeks until a week ago, mean of the products bought."
BOUGHT_FEATURES = FeatureSet(
    name="bought",
    sources={"products": products_bought},
    derived={"product_days": product_days, "first_purchases": first_purchases},
    features=(
        Feature("product_back_share", _mean("back"), "ratio", BACK, "products"),
        Feature("product_recent_share", _mean("recent"), "ratio", RECENT, "products"),
    ),
)
