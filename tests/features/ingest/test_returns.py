"""Returns against a slow, obvious stack: the last unit bought is the first that comes back."""

from collections import defaultdict
from datetime import datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.scratch import scratch

from features.ingest.returns import link

START = datetime(2024, 1, 1)
COLUMNS = (
    "line_id TEXT, customer_id TEXT, product_id TEXT, ordered_at TIMESTAMP, quantity DOUBLE, revenue DOUBLE"
)


def linked(events: list[tuple], columns: str = "return_id, line_id, quantity, revenue") -> list[tuple]:
    """Link events (customer, product, hour, quantity, price); a negative quantity is a return."""
    rows = [
        (
            f"{i:03}",
            customer,
            product,
            START + timedelta(hours=hour),
            quantity,
            price and abs(quantity) * price,
        )
        for i, (customer, product, hour, quantity, price) in enumerate(events)
    ]
    with scratch() as con:
        con.execute(f"CREATE TABLE e ({COLUMNS})")
        con.execute(f"INSERT INTO e VALUES {', '.join(['(?, ?, ?, ?, ?, ?)'] * len(rows))}", sum(rows, ()))
        plain = "* REPLACE (abs(quantity) AS quantity), line_id AS order_id, ordered_at::DATE AS ordered_on"
        con.execute(f"CREATE VIEW bought AS SELECT {plain} FROM e WHERE quantity > 0")
        con.execute(f"CREATE VIEW returned AS SELECT {plain} FROM e WHERE quantity < 0")
        link(con, "bought", returns="returned")
        return con.execute(f"SELECT {columns} FROM returns ORDER BY ALL").fetchall()


def by_hand(events: list[tuple]) -> list[tuple]:
    """The same with one stack a customer and product, event after event."""
    order = sorted(range(len(events)), key=lambda i: (events[i][2], events[i][3] < 0, i))
    stacks, found = defaultdict(list), []
    for i in order:
        customer, product, _, quantity, _ = events[i]
        stack, left = stacks[customer, product], -quantity
        if quantity > 0:
            stack.append([i, quantity])
            continue
        while stack and left > 0:
            taken = min(left, stack[-1][1])
            found.append((f"{i:03}", f"{stack[-1][0]:03}", float(taken)))
            left, stack[-1][1] = left - taken, stack[-1][1] - taken
            if stack[-1][1] == 0:
                stack.pop()
    return sorted(found)


EVENT = st.tuples(
    st.sampled_from(["a", "b"]),
    st.sampled_from(["p", "q", None]),
    st.integers(0, 12),
    st.integers(-6, 6).filter(bool),
    st.just(2.0),
)


@settings(deadline=None, max_examples=100)
@given(st.lists(EVENT, min_size=1, max_size=14))
def test_returns_undo_what_a_stack_would_undo(events):
    assert [row[:3] for row in linked(events)] == by_hand(events)


def test_a_return_is_split_over_the_purchases_it_undoes_nearest_first():
    events = [("a", "p", 0, 2, 1.0), ("a", "p", 5, 3, 1.0), ("a", "p", 9, -4, 1.0)]
    assert linked(events) == [("002", "000", 1.0, 1.0), ("002", "001", 3.0, 3.0)]


def test_a_purchase_after_the_return_is_not_what_it_undoes():
    assert linked([("a", "p", 5, -1, 1.0), ("a", "p", 9, 1, 1.0)]) == []


def test_a_purchase_and_its_return_may_share_a_bare_date():
    assert linked([("a", "p", 5, -1, 1.0), ("a", "p", 5, 1, 1.0)]) == [("000", "001", 1.0, 1.0)]


def test_the_money_given_back_is_the_returns_own_share():
    assert linked([("a", "p", 0, 4, 3.0), ("a", "p", 1, -2, 2.5)]) == [("001", "000", 2.0, 5.0)]


def test_money_given_back_is_told_in_full():
    assert linked([("a", "p", 0, 3, 3.0), ("a", "p", 1, -1, 2.255)]) == [("001", "000", 1.0, 2.255)]


def test_a_return_has_the_day_it_was_made_and_that_of_its_purchase():
    events = [("a", "p", 0, 1, 1.0), ("a", "p", 30, -1, 1.0)]
    found = linked(events, "purchased_at, purchased_on, returned_at, returned_on")
    bought, returned = (START + timedelta(hours=hour) for hour in (0, 30))
    assert found == [(bought, bought.date(), returned, returned.date())]


def test_two_products_of_one_customer_are_undone_each_by_itself():
    events = [("a", "p", 0, 2, 1.0), ("a", "q", 1, 1, 1.0), ("a", "q", 2, -1, 1.0), ("a", "p", 3, -2, 1.0)]
    assert [row[:3] for row in linked(events)] == [("002", "001", 1.0), ("003", "000", 2.0)]


def test_a_return_without_a_price_gives_back_what_was_paid():
    assert linked([("a", "p", 0, 4, 3.0), ("a", "p", 1, -2, None)]) == [("001", "000", 2.0, 6.0)]


@pytest.mark.parametrize("other", [("b", "p"), ("a", "q"), ("a", None)])
def test_only_the_same_customer_and_product_is_undone(other):
    assert linked([("a", "p", 0, 1, 1.0), (*other, 1, -1, 1.0)]) == []


def test_quantities_that_binary_fractions_cannot_hold_meet_exactly():
    events = [("a", "p", 0, 0.1, 1.0), ("a", "p", 1, 0.2, 1.0), ("a", "p", 2, -0.3, 1.0)]
    assert [row[:3] for row in linked(events)] == [("002", "000", 0.1), ("002", "001", 0.2)]
