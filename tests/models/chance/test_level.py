from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from models.chance.purchase_chance import CHANCE, PurchaseChance
from models.customers.calibration import common


@pytest.mark.parametrize(("structure", "moved"), [(1.0, 0.0), (0.5, 0.5), (0.25, 0.75), (0.0, 1.0)])
def test_the_level_is_what_bgnbd_foresees_moved_by_a_part_of_what_it_missed(
    structure: float, moved: float
) -> None:
    raw: Any = SimpleNamespace(logit=lambda rows: np.linspace(-2, 1, len(rows)))
    newest: Any = SimpleNamespace(
        bought=np.repeat([1, 0], [1500, 3500]), rows=pd.DataFrame({CHANCE: np.full(5000, 0.2)})
    )
    today = pd.DataFrame({CHANCE: np.full(50, 0.1)})
    shift = PurchaseChance.level(raw, [newest], today, structure)
    expected = expit(logit(0.1) + moved * (logit(0.3) - logit(0.2)))
    assert expit(raw.logit(today) + shift).mean() == pytest.approx(expected, rel=1e-3)


def window(foreseen: float, seen: float, n: int = 5000) -> Any:
    """Return a closed window of customers of one chance."""
    n_bought = round(seen * n)
    return SimpleNamespace(
        bought=np.repeat([1, 0], [n_bought, n - n_bought]), rows=pd.DataFrame({CHANCE: np.full(n, foreseen)})
    )


@pytest.mark.parametrize("structure", [1.0, 0.5])
def test_what_every_window_missed_is_taken_in_full_and_the_rest_of_the_newest_in_part(
    structure: float,
) -> None:
    raw: Any = SimpleNamespace(logit=lambda rows: np.linspace(-2, 1, len(rows)))
    today = pd.DataFrame({CHANCE: np.full(50, 0.3)})
    least, newest = (logit(seen) - logit(0.4) for seen in (0.3, 0.2))
    windows = [window(0.4, 0.2), *[window(0.4, 0.25)] * 4, window(0.4, 0.3)]
    shift = PurchaseChance.level(raw, windows, today, structure)
    expected = expit(logit(0.3) + least + (1 - structure) * (newest - least))
    assert expit(raw.logit(today) + shift).mean() == pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize(
    ("missed", "expected"),
    [
        ([0.3, 0.2, 0.4, 0.3, 0.2, 0.5], 0.2),
        ([-0.3, -0.2, -0.4, -np.inf, -0.2, -0.5, -0.6], -0.2),
        ([0.3, 0.2, 0.4, 0.3, -0.01, 0.5], 0.0),
        ([0.3, 0.2, 0.4, 0.3, 0.2], 0.0),  # too few windows
        ([0.3, 0.2, 0.4, 0.3, 0.2, np.nan], 0.0),
    ],
)
def test_what_windows_missed_alike_is_the_least_of_it(missed: list[float], expected: float) -> None:
    assert common(np.array(missed)) == expected
