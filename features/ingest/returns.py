"""Link each return to the purchases it undoes: same customer and product, nearest earlier first.

A customer's purchases of a product are a stack: a purchase puts units on it, a return takes them off its top.
Measured in heights of that stack, every event covers a span. Cut all spans at all edges: on each piece
purchases and returns alternate, and a return undoes the event just before it there. One ``lag``, no loop.
"""

import duckdb

from features.storage.contracts import EXACT

LINKS = """
WITH pairs AS (
  SELECT DISTINCT customer_id, coalesce(product_id, '') AS product
  FROM {returns}),
events AS (
  SELECT l.customer_id, product, ordered_at AS moment, 0 AS is_return, line_id, quantity::{exact} AS units
  FROM {lines} l JOIN pairs p ON l.customer_id = p.customer_id AND coalesce(l.product_id, '') = p.product
  UNION ALL
  SELECT customer_id, coalesce(product_id, ''), ordered_at, 1, line_id, -quantity::{exact}
  FROM {returns}),
sums AS (SELECT *, sum(units) OVER {by_time} AS total FROM events),
heights AS (SELECT *, total - least(0, min(total) OVER {by_time}) AS after FROM sums),
steps AS (SELECT *, coalesce(lag(after) OVER {by_time}, 0) AS before FROM heights),
spans AS (SELECT *, least(before, after) AS low, greatest(before, after) AS high FROM steps),
edges AS (
  SELECT customer_id, product, low AS edge FROM spans UNION SELECT customer_id, product, high FROM spans),
pieces AS (
  SELECT customer_id, product, edge AS low,
         lead(edge) OVER (PARTITION BY customer_id, product ORDER BY edge) AS high FROM edges),
turns AS (
  SELECT s.*, p.high - p.low AS quantity, lag(s.line_id) OVER (
    PARTITION BY s.customer_id, s.product, p.low ORDER BY s.moment, s.is_return, s.line_id) AS purchase
  FROM spans s JOIN pieces p
  ON s.customer_id = p.customer_id AND s.product = p.product AND p.low >= s.low AND p.high <= s.high)
SELECT line_id AS return_id, purchase AS line_id, CAST(sum(quantity) AS DOUBLE) AS quantity
FROM turns WHERE is_return = 1 GROUP BY ALL
"""
BY_TIME = "(PARTITION BY customer_id, product ORDER BY moment, is_return, line_id)"

MONEY_BACK = "coalesce(r.revenue * (k.quantity / r.quantity), l.revenue * (k.quantity / l.quantity))"


def link(con: duckdb.DuckDBPyConnection, lines: str, *, returns: str) -> None:
    """Create the table ``returns``: one row for each purchase that a return undoes, wholly or in part.

    ``lines`` and ``returns`` have the order lines' columns, all quantities positive; every return names its
    customer. A purchase at the same moment counts as earlier, because a file may hold bare dates. Returns in
    excess of purchases are dropped.
    """
    links = LINKS.format(lines=lines, returns=returns, exact=EXACT, by_time=BY_TIME)
    con.execute(f"CREATE TABLE links AS {links}")
    con.execute(f"""
        CREATE TABLE returns AS
        SELECT k.return_id, r.customer_id, r.product_id, r.ordered_at AS returned_at,
               r.ordered_on AS returned_on, k.quantity, round({MONEY_BACK}, 6) AS revenue, l.order_id,
               k.line_id, l.ordered_at AS purchased_at, l.ordered_on AS purchased_on
        FROM links k JOIN {returns} r ON r.line_id = k.return_id JOIN {lines} l ON l.line_id = k.line_id""")
