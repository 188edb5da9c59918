"""The one-part baseline of value, in a world of two kinds of customers."""

from datetime import UTC, datetime

import numpy as np
import pandas as pd
import pytest

from models.boosted_trees import TreesConfig
from models.customers.customer_panel import TrainingWindow
from models.customers.inputs import COLUMNS
from models.value.tweedie import tweedie_revenue

N = 2_000
QUICK = TreesConfig(n_leaves=2, learning_rate=0.2)


def window(revenue: np.ndarray, rows: pd.DataFrame) -> TrainingWindow:
    return TrainingWindow(datetime(2024, 6, 1, tzinfo=UTC), rows, (revenue > 0).astype(float), revenue)


def test_revenue_is_expected_in_money_though_some_returned_more_than_they_bought() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({name: rng.normal(size=N) for name in COLUMNS})
    rich = rows[COLUMNS[0]] > 0
    revenue = np.where(rng.random(N) < 0.5, 0.0, np.where(rich, 100.0, 10.0))
    revenue[rng.random(N) < 0.01] = -30.0
    expected = tweedie_revenue([window(revenue, rows)], rows, config=QUICK)
    assert expected[rich].mean() == pytest.approx(50, rel=0.2)
    assert expected[~rich].mean() == pytest.approx(5, rel=0.2)


def test_without_all_prices_no_revenue_is_expected() -> None:
    rows = pd.DataFrame({name: np.arange(N, dtype=float) for name in COLUMNS})
    revenue = np.where(np.arange(N) < 3, np.nan, np.arange(N))
    assert np.isnan(tweedie_revenue([window(revenue, rows)], rows, config=QUICK)).all()
