from pathlib import Path

import pandas as pd
import pytest
from worlds import orders

from features.window import parse_cutoff

EARLY, LATE = ([parse_cutoff(day)] for day in ("2024-04-01", "2024-05-01"))


def test_panels_are_kept_while_they_are_small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shop = orders.make_shop(tmp_path)
    first = shop.panel(EARLY)
    shop.panel(LATE)
    assert shop.panel(EARLY) is first
    monkeypatch.setattr("features.shop.PANEL_CELLS", 0)
    shop.panel(LATE)
    again = shop.panel(EARLY)
    assert again is not first
    pd.testing.assert_frame_equal(again, first)
