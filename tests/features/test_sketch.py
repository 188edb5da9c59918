from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import ArtefactError
from features.sketch import DRIFTED, Sketch


def drawn(n: int, seed: int, shift: float = 0.0, unknown: float = 0.1) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    values = rng.gamma(2, 3, n) + shift
    return pd.DataFrame({"x": np.where(rng.random(n) < unknown, np.nan, values)})


def psi(then: pd.DataFrame, now: pd.DataFrame) -> float:
    sketch = Sketch.of(then)
    return sketch.psi("x", sketch.count("x", now["x"].to_numpy()))


def test_other_customers_of_the_same_kind_are_no_drift() -> None:
    assert psi(drawn(5000, 1), drawn(5000, 2)) < 0.02


def test_a_shift_and_a_loss_of_values_are_drift() -> None:
    assert psi(drawn(5000, 1), drawn(5000, 2, shift=2.0)) > DRIFTED
    assert psi(drawn(5000, 1), drawn(5000, 2, unknown=0.35)) > 0.1


def test_psi_is_its_formula_by_hand() -> None:
    sketch = Sketch.of(pd.DataFrame({"x": [0.0, 0.0, 1.0, 1.0]}))
    assert sketch.edges["x"] == (0.0, 1.0)
    assert sketch.counts["x"] == (2, 2, 0, 0)
    p, q = np.array([0.5, 0.5, 0.125, 0.125]), np.array([0.25, 0.75, 0.125, 0.125])  # empty: half a row
    assert sketch.psi("x", [1, 3, 0, 0]) == pytest.approx(((q - p) * np.log(q / p)).sum())


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=50))
def test_every_value_is_in_one_bin_and_the_same_values_are_no_drift(values: list[float | None]) -> None:
    frame = pd.DataFrame({"x": np.array(values, np.float64)})
    sketch = Sketch.of(frame)
    assert sum(sketch.counts["x"]) == len(values)
    assert psi(frame, frame) == 0.0


def test_a_sketch_reads_back_what_it_wrote(tmp_path: Path) -> None:
    sketch = Sketch.moving([drawn(100, 2), drawn(100, 1)], at=START, days=STEP)
    sketch.save(tmp_path)
    assert Sketch.load(tmp_path) == sketch
    (tmp_path / "sketch.json").write_text("[]")
    with pytest.raises(ArtefactError, match="train again"):
        Sketch.load(tmp_path)


START = datetime(2026, 3, 1, tzinfo=UTC)
STEP = 28.0


def known(days: float, *, silent: float = 0.0) -> pd.DataFrame:
    """Customers of a shop after ``days``: each grows older; who still buys does so every 60 days or so."""
    rng = np.random.default_rng(5)
    age, waiting = rng.uniform(0, 60, 3000), rng.exponential(60, 3000)
    return pd.DataFrame({"age": age + days, "days_since_last_order": waiting + silent, "total": age + days})


def drifted(now: pd.DataFrame, days: float) -> set[str]:
    sketch = Sketch.moving([known(0), known(STEP), known(2 * STEP)], at=START, days=STEP)
    told = sketch.by(START + timedelta(days))
    return {
        name for name in now if told.drift(str(name), told.count(str(name), now[name].to_numpy())) >= DRIFTED
    }


def test_what_grows_by_itself_is_no_drift_a_horizon_later_nor_three() -> None:
    assert (
        Sketch.of(known(2 * STEP)).psi(
            "age", Sketch.of(known(2 * STEP)).count("age", known(3 * STEP)["age"].to_numpy())
        )
        > DRIFTED
    )
    assert drifted(known(3 * STEP), STEP) == set()
    assert drifted(known(5 * STEP), 3 * STEP) == set()


def test_orders_that_stop_are_drift_whatever_is_usual() -> None:
    assert drifted(known(3 * STEP, silent=STEP), STEP) == {"days_since_last_order"}


def test_in_a_shop_of_thirty_customers_chance_is_no_drift() -> None:
    then, now = drawn(30, 1), drawn(30, 2)
    sketch = Sketch.of(then)
    assert sketch.drift("x", sketch.count("x", now["x"].to_numpy())) < DRIFTED < psi(then, now)
