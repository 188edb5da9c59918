from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.errors import ArtefactError
from features.sketch import DRIFTED, MOVED, Sketch


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
    assert psi(drawn(5000, 1), drawn(5000, 2, unknown=0.35)) > MOVED


def test_psi_is_its_formula_by_hand() -> None:
    sketch = Sketch.of(pd.DataFrame({"x": [0.0, 0.0, 1.0, 1.0]}))
    assert sketch.edges["x"] == (0.0, 1.0)
    assert sketch.counts["x"] == (2, 2, 0, 0)
    p, q = np.array([0.5, 0.5, 1e-4, 1e-4]), np.array([0.25, 0.75, 1e-4, 1e-4])
    assert sketch.psi("x", [1, 3, 0, 0]) == pytest.approx(((q - p) * np.log(q / p)).sum())


@given(st.lists(st.one_of(st.none(), st.floats(-1e6, 1e6)), min_size=1, max_size=50))
def test_every_value_is_in_one_bin_and_the_same_values_are_no_drift(values: list[float | None]) -> None:
    frame = pd.DataFrame({"x": np.array(values, np.float64)})
    sketch = Sketch.of(frame)
    assert sum(sketch.counts["x"]) == len(values)
    assert psi(frame, frame) == 0.0


def test_a_sketch_reads_back_what_it_wrote(tmp_path: Path) -> None:
    sketch = Sketch.of(drawn(100, 1))
    sketch.save(tmp_path)
    assert Sketch.load(tmp_path) == sketch
    (tmp_path / "sketch.json").write_text("[]")
    with pytest.raises(ArtefactError, match="train again"):
        Sketch.load(tmp_path)
