"""Texts that a spreadsheet would run are led by an apostrophe in CSV, and nowhere else."""

import csv
import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from serving.marketing.cells import FREE_TEXT, guarded
from serving.marketing.files import as_csv, as_ndjson

RUN = [
    "=1+1",
    "@sum(A1)",
    "+cmd|' /C calc'!A0",
    "-2+3+cmd",
    " =1",
    "\t=1",
    '=HYPERLINK("http://x")',
    "=",
    "+a@b",
]
LEFT = [
    "-10",
    "+5511",
    "+55 (11) 99999-0000",
    "007",
    "50%",
    "a/b",
    "João",
    "'",
    "1=1",
    "a@b",
    "",
    "-",
    "-1.5",
]


@pytest.mark.parametrize("text", RUN)
def test_what_a_spreadsheet_would_run_is_led_by_an_apostrophe(text: str) -> None:
    assert guarded(text) == "'" + text


@pytest.mark.parametrize("text", [*LEFT, None, 5, -1.5])
def test_ids_telephone_numbers_and_signed_numbers_stay_as_they_are(text: object) -> None:
    assert guarded(text) == text


def test_a_line_that_ends_within_a_name_does_not_end_the_row() -> None:
    for ends in ("\r", "\r\n", "\n"):
        text = as_csv(
            [{"product_id": "p", "product_name": f"two{ends}lines"}], ("product_id", "product_name")
        )
        assert list(csv.reader(io.StringIO(text.decode(), newline="")))[1] == ["p", "two\nlines"]


names = st.one_of(
    st.text(st.characters(exclude_characters="\r", exclude_categories=["Cs"])), st.sampled_from(RUN)
)


@given(st.lists(st.tuples(st.sampled_from(["=ours"]), names, st.floats(allow_nan=False)), min_size=1))
def test_only_words_that_are_not_ours_are_guarded_and_only_in_csv(rows: list[tuple[str, str, float]]) -> None:
    columns = ("segment", FREE_TEXT[0], "money")
    table = [dict(zip(columns, row, strict=True)) for row in rows]
    read = list(csv.reader(io.StringIO(as_csv(table, columns).decode(), newline="")))[1:]
    assert read == [[ours, guarded(name), str(money)] for ours, name, money in rows]
    assert [json.loads(line)[FREE_TEXT[0]] for line in as_ndjson(table).splitlines()] == [
        row[1] for row in rows
    ]
