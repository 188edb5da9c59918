"""Columns of every kind, as they are read back."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from features.window import day_number
from serving.scoring.columns import Columns

FRAME = pd.DataFrame(
    {
        "segment": pd.Series(["loyal", None, "None"], dtype="str"),
        "chance": [0.12345678, np.nan, 1.0],
        "next_order_at": pd.to_datetime(["2024-06-30 23:30:00.00", None, "2024-07-01 00:00:00.25"]),
        "seen_at": pd.to_datetime(["2024-07-01 01:30", None, None]).tz_localize("Europe/Berlin"),
        "n_orders": [3, 1, 2],
    }
)
ROWS = [
    ("loyal", 0.123457, "2024-06-30T23:30:00+00:00", "2024-06-30T23:30:00+00:00", 3.0),
    (None, None, None, None, 1.0),
    ("None", 1.0, "2024-07-01T00:00:00.250000+00:00", None, 2.0),
]


@pytest.fixture(params=["made", "mapped"])
def columns(request: pytest.FixtureRequest, tmp_path: Path) -> Columns:
    made = Columns.of(FRAME)
    made.save(tmp_path)
    return made if request.param == "made" else Columns.load(tmp_path)


def test_rows_are_what_was_put_in_with_times_in_utc_and_none_for_the_unknown(columns: Columns) -> None:
    assert [tuple(row.values()) for row in columns.rows(slice(None))] == ROWS
    assert [tuple(columns.row(at).values()) for at in range(4)] == [*ROWS, ()]
    assert list(columns.row(0)) == list(FRAME)


def test_a_column_is_of_its_own_kind(columns: Columns) -> None:
    np.testing.assert_allclose(columns.number("n_orders"), [3, 1, 2])
    assert [columns.words["segment"][code] for code in columns.text("segment") if code >= 0] == [
        "loyal",
        "None",
    ]
    for read in (columns.number, columns.text):
        with pytest.raises(KeyError):
            read("seen_at")
    assert columns.day_numbers("n_orders", "UTC") is None


def test_a_moment_is_on_the_day_of_the_shop(columns: Columns) -> None:
    day = day_number(pd.Timestamp("2024-06-30").date())
    for zone, first, last in (
        ("UTC", day, day + 1),
        ("America/Sao_Paulo", day, day),
        ("Asia/Tokyo", day + 1, day + 1),
    ):
        np.testing.assert_array_equal(columns.day_numbers("next_order_at", zone), [first, np.nan, last])


def test_who_has_no_word_is_among_none_of_them(columns: Columns) -> None:
    assert columns.among("segment", ["None", "never heard"]).tolist() == [False, False, True]


def test_pages_that_were_let_go_are_read_again(columns: Columns) -> None:
    columns.release_pages()
    assert tuple(columns.row(0).values()) == ROWS[0]


def test_without_columns_there_is_a_row_for_each_customer_all_the_same() -> None:
    nothing = Columns.of(pd.DataFrame(index=["ann", "bob", "cem"]))
    assert [*nothing.rows(slice(1, None))] == [{}, {}]
    assert nothing.row(0) == nothing.row(9) == {}
