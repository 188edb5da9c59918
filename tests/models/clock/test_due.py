"""Days that pairs are due: which are told, and how they are looked up."""

from types import SimpleNamespace
from typing import Any

import numpy as np

from models.clock.due import UNKNOWN_DAY, Due, due_day

DUE = Due(
    indptr=np.array([0, 2, 2, 3]),
    product=np.array([0, 3, 1], np.int32),
    day=np.array([10, 20, 30], np.int32),
    gap=np.array([1, 2, 3], np.float32),
)
"""The first customer's products 0 and 3, nothing of the second, the third's product 1."""


def test_no_day_further_ahead_than_the_history_goes_back_is_told() -> None:
    history: Any = SimpleNamespace(cutoff_day=100, day=np.array([90, 95]))
    rhythm: Any = SimpleNamespace(due_in=np.array([np.nan, 0.0, 3.7, 10.0, 10.5], np.float32))
    assert due_day(history, rhythm).tolist() == [UNKNOWN_DAY, 100, 103, 110, UNKNOWN_DAY]


def test_pairs_are_looked_up_among_known_and_unknown_customers() -> None:
    who = np.array([2, -1, 0], np.int32)
    customer, product = np.array([0, 1, 2, 2], np.int32), np.array([1, 1, 3, 2], np.int32)
    found = DUE.of_pairs(who, customer, product=product)
    assert found.day.tolist() == [30, UNKNOWN_DAY, 20, UNKNOWN_DAY]
    assert found.gap.tolist() == [3, 0, 2, 0]
    assert Due.none(3).of_pairs(who, customer, product=product).gap.tolist() == [0, 0, 0, 0]


def test_a_customers_dates_leave_out_what_is_asked_and_a_stranger_has_none() -> None:
    assert DUE.dates(0) == {0: "1970-01-11", 3: "1970-01-21"}
    assert DUE.dates(0, without={3}) == {0: "1970-01-11"}
    assert DUE.dates(1) == DUE.dates(-1) == {}
