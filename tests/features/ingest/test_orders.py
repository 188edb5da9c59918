"""Derived orders and days against a slow, obvious walk through each customer's past."""

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import duckdb
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.scratch import scratch

from features.ingest.orders import derive

START = datetime(2024, 3, 29, 20)
ZONE = "Europe/Lisbon"
CATEGORY = {"p": "x > y", "q": "x > y", "r": "x > z", "s": None}


def derived(lines: list[tuple]) -> dict[str, list[dict]]:
    """Derive the tables from lines (customer, order, hour, product)."""
    with scratch() as con:
        products = [list(CATEGORY), list(CATEGORY.values())]
        con.execute(
            "CREATE TABLE products AS SELECT unnest(?) AS product_id, unnest(?) AS category", products
        )
        con.execute("CREATE TABLE e (customer_id TEXT, order_id TEXT, ordered_at TIMESTAMP, product_id TEXT)")
        told = [(customer, order, START + timedelta(hours=hour), p) for customer, order, hour, p in lines]
        con.execute(f"INSERT INTO e VALUES {', '.join(['(?, ?, ?, ?)'] * len(told))}", sum(told, ()))
        con.execute(f"""
            CREATE VIEW lines AS
            SELECT *, timezone('{ZONE}', timezone('UTC', ordered_at))::DATE AS ordered_on,
                   2.0 AS quantity, 3.0 AS revenue, 0.5 AS discount, NULL::VARCHAR AS channel FROM e""")
        derive(con, "lines", products="products", timezone=ZONE)
        return {
            "orders": dictionaries(con.execute("FROM orders ORDER BY customer_id, ordered_at, order_id")),
            "days": dictionaries(con.execute("FROM days ORDER BY customer_id, ordered_on")),
        }


def dictionaries(cursor: duckdb.DuckDBPyConnection) -> list[dict]:
    names = [column[0] for column in cursor.description]
    return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def by_hand(lines: list[tuple]) -> list[dict]:
    """Walk through the order rows in time, remembering what each customer has had."""
    rows = []
    keys = sorted({(c, h, o) for c, o, h, _ in lines if c is not None})
    for customer, hour, order in keys:
        mine = [p for c, o, h, p in lines if (c, h, o) == (customer, hour, order)]
        past = [p for c, o, h, p in lines if c == customer and (h, o) < (hour, order)]
        moment = START + timedelta(hours=hour)
        local = moment.replace(tzinfo=ZoneInfo("UTC")).astimezone(ZoneInfo(ZONE))
        new = {p for p in mine if p is not None} - set(past)
        rows.append(
            {
                "customer_id": customer,
                "order_id": order,
                "ordered_at": moment,
                "ordered_on": local.date(),
                "starts_order": not any(o == order and c == customer and h < hour for c, o, h, _ in lines),
                "n_lines": len(mine),
                "n_units": 2.0 * len(mine),
                "n_products": len({p for p in mine if p is not None}),
                "n_new_products": len(new),
                "n_new_categories": len(
                    {CATEGORY[p] for p in new} - {CATEGORY[p] for p in past if p} - {None}
                ),
                "revenue": 3.0 * len(mine),
                "discount": 0.5 * len(mine),
                "channel": None,
                "hour": local.hour,
                "weekday": local.weekday(),
            }
        )
    return rows


SUMS = ("n_lines", "n_units", "n_new_products", "n_new_categories", "revenue", "discount")


def days_by_hand(orders: list[dict]) -> list[dict]:
    """Add up the order rows of each customer and day."""
    days = []
    for customer, day in sorted({(row["customer_id"], row["ordered_on"]) for row in orders}):
        mine = [row for row in orders if (row["customer_id"], row["ordered_on"]) == (customer, day)]
        days.append(
            {
                "customer_id": customer,
                "ordered_on": day,
                "n_orders": sum(row["starts_order"] for row in mine),
                **{name: sum(row[name] for row in mine) for name in SUMS},
                "hour": pytest.approx(sum(row["hour"] for row in mine) / len(mine)),
                "weekday": day.weekday(),
            }
        )
    return days


LINE = st.tuples(
    st.sampled_from(["a", "b", None]),
    st.sampled_from(["1", "2", "3"]),
    st.integers(0, 60),
    st.sampled_from([*CATEGORY, None]),
)


@settings(deadline=None, max_examples=50)
@given(st.lists(LINE, min_size=1, max_size=20))
def test_orders_know_each_customers_past_and_nothing_else_and_days_are_their_sums(lines):
    found, orders = derived(lines), by_hand(lines)
    assert found["orders"] == orders
    assert found["days"] == days_by_hand(orders)


def test_a_day_adds_up_its_orders_across_a_change_of_clocks():
    hours = (27, 28, 50, 51)  # 23:00, 00:00 the day after, 23:00 an hour short of a day, 00:00
    days = derived([("a", str(hour), hour, "p") for hour in hours])["days"]
    assert [(str(day["ordered_on"]), day["n_orders"], day["n_new_products"]) for day in days] == [
        ("2024-03-30", 1, 1),
        ("2024-03-31", 2, 0),
        ("2024-04-01", 1, 0),
    ]


def test_rows_of_one_order_at_two_moments_start_it_once():
    orders = derived([("a", "1", 0, "p"), ("a", "1", 1, "q")])["orders"]
    assert [row["starts_order"] for row in orders] == [True, False]
