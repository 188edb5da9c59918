from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit

from models.chance.purchase_chance import CHANCE, PurchaseChance


@pytest.mark.parametrize(("structure", "moved"), [(1.0, 0.0), (0.5, 0.5), (0.25, 0.75), (0.0, 1.0)])
def test_the_level_is_what_bgnbd_foresees_moved_by_a_part_of_what_it_missed(
    structure: float, moved: float
) -> None:
    raw: Any = SimpleNamespace(logit=lambda rows: np.linspace(-2, 1, len(rows)))
    newest: Any = SimpleNamespace(
        bought=np.repeat([1, 0], [1500, 3500]), rows=pd.DataFrame({CHANCE: np.full(5000, 0.2)})
    )
    today = pd.DataFrame({CHANCE: np.full(50, 0.1)})
    shift = PurchaseChance.level(raw, newest, today, structure)
    expected = expit(logit(0.1) + moved * (logit(0.3) - logit(0.2)))
    assert expit(raw.logit(today) + shift).mean() == pytest.approx(expected, rel=1e-3)
