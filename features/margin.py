"""The shop's margin: on what was actually sold, after discounts, at the unit costs that are known.

The catalogue's average margin is a different figure: best sellers often have low margins, and discounts lower
it.
"""

from datetime import datetime, timedelta
from typing import Any, NamedTuple, Self

from features.storage.tables import fetch, sql_of, table
from features.window import naive_utc

SOLD_DAYS = 182
"""The margin is measured on the sales of this many days: older prices and costs no longer hold."""


class Margin(NamedTuple):
    """The shop's margin, and its cost of goods relative to prices before discounts; both are shares."""

    rate: float
    """Margin as a share of revenue."""
    goods: float
    """Cost of goods as a share of revenue before discounts: a discount does not lower the cost."""

    @classmethod
    def sold(cls, con: Any, until: datetime, *, assumed: float) -> Self:
        """Return the margin of what customers bought in the ``SOLD_DAYS`` before ``until``.

        Measured on lines with a price and a known unit cost; if there are none, ``assumed`` is the rate.
        Returned lines count as sold: their margin is assumed to be like that of the others.
        """
        frame = fetch(con, sql_of(_sums(until), con.name)).fillna(0.0).round(6)
        revenue, full, known_revenue, known_full, cost = frame.iloc[0].tolist()
        if known_revenue > 0:
            return cls(1 - cost / known_revenue, cost / known_full)
        return cls(assumed, (1 - assumed) * (revenue / full if full > 0 else 1.0))


def _sums(until: datetime) -> Any:
    """Return one row: revenue, revenue before discounts, both of lines with a known cost, and that cost."""
    lines, products = table("order_lines"), table("products").select("product_id", "unit_cost")
    rows = lines.left_join(products, "product_id")
    rows = rows.filter(
        rows.ordered_at >= naive_utc(until - timedelta(days=SOLD_DAYS)),
        rows.ordered_at < naive_utc(until),
        rows.customer_id.notnull(),
        rows.revenue.notnull(),
    )
    full, known = rows.revenue + rows.discount, rows.unit_cost.notnull()
    return rows.aggregate(
        revenue=rows.revenue.sum(),
        full=full.sum(),
        known_revenue=rows.revenue.sum(where=known),
        known_full=full.sum(where=known),
        cost=(rows.quantity * rows.unit_cost).sum(where=known),
    )
