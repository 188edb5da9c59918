from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.customers.lens import ORDERS
from models.processes.gamma_gamma import GammaGamma
from models.value.value_parts import Level, Parts

N = 40


def window(days: float, revenue: float) -> Any:
    """Return a closed window in which customers bought so much more than BG/NBD foresaw, and paid."""
    rows = pd.DataFrame({ORDERS: np.full(N, 0.5), "frequency": 2.0, "monetary_value": 10.0})
    worth = GammaGamma(6.0, 4.0, 15.0).expected_value(rows["frequency"], rows["monetary_value"])
    return SimpleNamespace(
        rows=rows, n_order_days=np.full(N, 0.5 * np.exp(days)), revenue=0.5 * worth * np.exp(revenue)
    )


def test_totals_leave_out_what_the_structure_missed_in_every_window() -> None:
    parts: Any = SimpleNamespace(gamma_gamma=GammaGamma(6.0, 4.0, 15.0))
    parts.structure = lambda rows, kept: Parts.structure(parts, rows, kept)
    windows = [window(-0.2 - 0.01 * k, -0.4 - 0.01 * k) for k in range(8)]
    assert Parts.missed(parts, windows, 1.0) == pytest.approx((-0.2, -0.4))
    assert Parts.missed(parts, [*windows, window(0.1, 0.1)], 1.0) == (0.0, 0.0)
    nobody = window(-0.2, -0.4)
    nobody.n_order_days, nobody.revenue = np.zeros(N), np.zeros(N)
    assert Parts.missed(parts, [*windows, nobody], 1.0) == pytest.approx((-0.2, -0.4))


def test_a_miss_moves_both_opinions_to_one_total() -> None:
    two_part, structure = np.full(N, 2.0), np.full(N, 8.0)
    for missed in (0.0, -0.5):
        level = Level.of(two_part, structure, 0.5, missed=missed)
        total = np.sqrt(2.0 * 8.0 * np.exp(missed))
        np.testing.assert_allclose(level.blend(two_part, structure, 0.1), total)
