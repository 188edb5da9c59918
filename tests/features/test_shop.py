from pathlib import Path

import pandas as pd
import pytest
from worlds import orders

from features.hardware import spill_folder
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


def test_a_query_spills_to_the_systems_folder_of_temporary_files(tmp_path: Path) -> None:
    con = orders.make_shop(tmp_path).con
    row = con.raw_sql("SELECT current_setting('temp_directory'), current_setting('memory_limit')").fetchone()
    assert Path(row[0]) == spill_folder()
    assert row[1].endswith("iB")


def test_however_many_customers_are_asked_for_a_query_names_few(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """370,000 names in one query took 4 GB and half a minute."""
    shop = orders.make_shop(tmp_path)
    panel = shop.panel([*EARLY, *LATE])
    asked = [*shop.customers_seen(LATE[0])[::2], *(f"nobody-{number}" for number in range(5_000))]
    alone = shop.customer_features(LATE[0], asked[:500])
    lengths: list[int] = []
    send = shop.con.raw_sql
    monkeypatch.setattr(
        shop.con, "raw_sql", lambda sql, **values: lengths.append(len(sql)) or send(sql, **values)
    )
    pd.testing.assert_frame_equal(shop.customer_features(LATE[0], asked), alone)
    some = panel[panel.index.get_level_values("customer_id").isin(asked)]
    pd.testing.assert_frame_equal(shop.panel([*EARLY, *LATE], tuple(asked)), some)
    assert 0 < shop.n_days_placed(LATE[0], tuple(asked)) < shop.n_days_placed(LATE[0])
    assert 0 < max(lengths) < 50_000
