"""What turns forecasts into figures, at the levels of later weeks and read back from JSON."""

import json
from dataclasses import replace

import numpy as np
import pytest

from models.value.interval import Interval
from models.value.reconciliation import Reconciliation
from models.value.value_parts import Level

MADE = Reconciliation(Level(1.0, 2.0), Level(3.0, 4.0), Interval(0.5), 0.3, 28.0, "UTC")
SEASONAL = ((14.0, Level(2.0, 3.0), Level(5.0, 8.0)), (28.0, Level(4.0, 5.0), Level(1.0, 1.0)))


def test_levels_of_orders_and_of_money_are_interpolated_each_by_themselves() -> None:
    seasonal = replace(MADE, later=SEASONAL)
    after = {days: seasonal.after(days) for days in (0, 7, 14, 60)}
    assert [each.days for each in after.values()] == [Level(1, 2), Level(1.5, 2.5), Level(2, 3), Level(4, 5)]
    assert [each.revenue for each in after.values()] == [Level(3, 4), Level(4, 6), Level(5, 8), Level(1, 1)]


def test_without_a_season_the_levels_stay() -> None:
    assert MADE.after(100.0) == MADE


@pytest.mark.parametrize("gap", [28.0, float("nan")])
def test_what_json_keeps_of_it_is_read_back(gap: float) -> None:
    kept = json.loads(json.dumps(replace(MADE, shop_gap_days=gap, later=SEASONAL).facts(), allow_nan=False))
    found = Reconciliation.of_facts(kept)
    assert (found.days, found.revenue, found.later) == (MADE.days, MADE.revenue, SEASONAL)
    np.testing.assert_equal(found.shop_gap_days, gap)
