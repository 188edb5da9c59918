"""Derive ``orders`` (one row for each customer, order and moment) and ``days`` (each customer and shop day).

Every column of a row depends only on that customer's past.
"""

import duckdb

from features.storage.contracts import EXACT, local_time

DAYS = f"""
SELECT customer_id, ordered_on, count(*) FILTER (starts_order) AS n_orders, sum(n_lines)::BIGINT AS n_lines,
       sum(n_units::{EXACT})::DOUBLE AS n_units, sum(n_new_products)::BIGINT AS n_new_products,
       sum(n_new_categories)::BIGINT AS n_new_categories, sum(revenue::{EXACT})::DOUBLE AS revenue,
       sum(discount::{EXACT})::DOUBLE AS discount, avg(hour) AS hour, any_value(weekday)::INTEGER AS weekday
FROM orders GROUP BY customer_id, ordered_on
"""


def derive(con: duckdb.DuckDBPyConnection, lines: str, *, products: str, timezone: str) -> None:
    """Create the tables ``orders`` and ``days`` from relations of order lines and products.

    Lines without a customer are left out. Rows of the same moment are ordered by order_id.
    """
    local = local_time(timezone)
    con.execute(f"CREATE TABLE order_rows AS {_rows(lines)}")
    con.execute(f"CREATE TABLE order_news AS {_news(lines, products)}")
    con.execute(f"""
        CREATE TABLE orders AS
        SELECT customer_id, order_id, ordered_at, ordered_on, starts_order,
               n_lines, n_units, n_products, coalesce(n_new_products, 0)::INTEGER AS n_new_products,
               coalesce(n_new_categories, 0)::INTEGER AS n_new_categories, revenue, discount, channel,
               hour({local})::INTEGER AS hour, (isodow({local}) - 1)::INTEGER AS weekday
        FROM order_rows LEFT JOIN order_news USING (position)""")
    con.execute(f"CREATE TABLE days AS {DAYS}")


def _rows(lines: str) -> str:
    """Group lines to order rows, numbered by customer and time."""
    return f"""
        SELECT *, row_number() OVER (ORDER BY customer_id, ordered_at, order_id) AS position,
               ordered_at = min(ordered_at) OVER (PARTITION BY customer_id, order_id) AS starts_order
        FROM (SELECT customer_id, order_id, ordered_at, any_value(ordered_on) AS ordered_on,
                     count(*)::INTEGER AS n_lines, sum(quantity::{EXACT})::DOUBLE AS n_units,
                     count(DISTINCT product_id)::INTEGER AS n_products,
                     sum(revenue::{EXACT})::DOUBLE AS revenue,
                     sum(discount::{EXACT})::DOUBLE AS discount, min(channel) AS channel
              FROM {lines} WHERE customer_id IS NOT NULL GROUP BY customer_id, order_id, ordered_at)"""


def _news(lines: str, products: str) -> str:
    """Count, for each order row, the products and the categories it is the customer's first row of."""
    return f"""
        WITH first_product AS (
          SELECT customer_id, product_id, min(position) AS position
          FROM {lines} JOIN order_rows USING (customer_id, order_id, ordered_at)
          WHERE product_id IS NOT NULL GROUP BY ALL),
        first_category AS (
          SELECT customer_id, category, min(position) AS position
          FROM first_product JOIN {products} USING (product_id) WHERE category IS NOT NULL GROUP BY ALL)
        SELECT position, sum(p)::INTEGER AS n_new_products, sum(c)::INTEGER AS n_new_categories
        FROM (SELECT position, 1 AS p, 0 AS c FROM first_product UNION ALL
              SELECT position, 0, 1 FROM first_category)
        GROUP BY position"""
