import numpy as np
import pandas as pd
import pytest

from models.customers.inputs import CHANCE
from models.customers.log_linear import LogLinear

NAMES = ("frequency", CHANCE)


@pytest.mark.parametrize("spread", [0.0, 1e-6, 1e-3])
def test_what_hardly_varied_where_one_learnt_decides_nothing_where_it_does(spread: float) -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"frequency": rng.poisson(3, 60), CHANCE: 0.82 + spread * rng.normal(size=60)})
    fitted = LogLinear.fit(NAMES, rows, truth=(rng.random(60) < 0.8).astype(float), ridge=10.0)
    others = pd.DataFrame({"frequency": [3.0, 3.0], CHANCE: [0.82, 0.13]})
    usual, other = fitted.score(others)
    assert other == pytest.approx(usual, abs=0.2)


def test_no_log_however_far_decides_alone() -> None:
    rng = np.random.default_rng(0)
    rows = pd.DataFrame({"frequency": 3.0 + rng.random(200), CHANCE: 0.5})
    fitted = LogLinear.fit(NAMES, rows, truth=(rows["frequency"] > 3.5).to_numpy(float), ridge=1.0)
    far = rows.head(2).assign(frequency=[40.0, 4000.0])
    assert np.ptp(fitted.score(far)) == 0.0


@pytest.mark.parametrize(("name", "neutral"), [("overdue_ratio", 1.0), (CHANCE, 0.5), ("frequency", 0.0)])
def test_what_is_unknown_counts_as_neither_here_nor_there(name: str, neutral: float) -> None:
    weighed = LogLinear((name,), (0.3,), (1.0,), (2.0,), -1.0)
    unknown, known = (weighed.score(pd.DataFrame({name: [value]})) for value in (np.nan, neutral))
    np.testing.assert_array_equal(unknown, known)
