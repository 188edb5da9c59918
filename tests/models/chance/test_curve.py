from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn.isotonic import isotonic_regression
from worlds.bgnbd import order_lines, simulate
from worlds.orders import make_shop

from models.chance.curve import rising
from models.churn import Churn, ChurnConfig

CUTOFF = datetime(2024, 11, 1, tzinfo=UTC)
CONFIG = ChurnConfig(n_trees=20, n_windows=2, min_leaf_rows=20)


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory) -> dict[int, pd.DataFrame]:
    """Return what two trainings of one shop say, by their horizon."""
    lines = order_lines(simulate(n_customers=600, days=305, join_days=200, seed=3))
    shop = make_shop(tmp_path_factory.mktemp("curve"), lines)
    fits = {
        days: Churn.fit(shop, CUTOFF, config=CONFIG.model_copy(update={"horizon_days": days}))
        for days in (30, 90)
    }
    return {days: model.predict(shop, CUTOFF) for days, model in fits.items()}


def test_the_shops_own_horizon_comes_first(said: dict[int, pd.DataFrame]) -> None:
    assert said[90].columns[0] == "churn_probability_90d"
    assert set(said[90].columns) == {f"churn_probability_{days}d" for days in (30, 60, 90)}


def test_staying_away_longer_is_never_likelier(said: dict[int, pd.DataFrame]) -> None:
    rows = said[90][[f"churn_probability_{days}d" for days in (30, 60, 90)]].to_numpy()
    assert (np.diff(rows, axis=1) <= 0).all()


def test_trainings_of_two_horizons_say_the_same_of_both(said: dict[int, pd.DataFrame]) -> None:
    pd.testing.assert_frame_equal(said[30][said[90].columns], said[90], check_exact=True)


def test_a_horizon_too_long_for_the_history_is_left_out(tmp_path: Path) -> None:
    shop = make_shop(tmp_path, order_lines(simulate(n_customers=200, days=150, join_days=60)))
    said = Churn.fit(shop, datetime(2024, 5, 30, tzinfo=UTC), config=CONFIG).predict(
        shop, datetime(2024, 5, 30, tzinfo=UTC)
    )
    assert list(said.columns) == ["churn_probability_28d", "churn_probability_60d"]


@given(arrays(float, (3, 5), elements=st.floats(0, 1)))
def test_contradictions_are_solved_as_isotonic_regression_does(said: np.ndarray) -> None:
    expected = np.array([isotonic_regression(row) for row in said])
    np.testing.assert_allclose(rising(said), expected, atol=1e-12)
    assert (np.diff(rising(said), axis=1) >= 0).all()
