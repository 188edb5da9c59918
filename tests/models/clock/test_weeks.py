"""How unevenly a product sells, against the same in a loop over products."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.receipts import history_of

from models.clock.spells import Spells
from models.clock.weeks import N_WEEKS, Weeks

purchases = st.lists(
    st.tuples(st.integers(0, 3), st.integers(0, 3), st.integers(0, 150), st.integers(1, 3).map(float)),
    min_size=1,
    max_size=40,
    unique_by=lambda row: row[:3],
)


@given(purchases, st.sampled_from([7, 28, 90]))
@settings(max_examples=60, deadline=None)
def test_it_is_the_variance_of_whole_weeks_since_the_first_sale(rows: list, horizon_days: int) -> None:
    history = history_of(rows)
    spells = Spells.of(history)
    found = Weeks.of(history, spells, units=spells.quantity, horizon_days=horizon_days)
    for product in range(len(history.products)):
        sold = [(ago, units) for _, code, ago, units in rows if code == product]
        n = min(max((ago for ago, _ in sold), default=0) // 7, N_WEEKS)
        weeks = [sum(units for ago, units in sold if max(ago - 1, 0) // 7 == week) for week in range(n)]
        assert found.n[product] == n
        relative = np.var(weeks, ddof=1) / np.mean(weeks) ** 2 if n > 1 and sum(weeks) else 0.0
        assert found.spread[product] == pytest.approx(relative * 7 / horizon_days)
