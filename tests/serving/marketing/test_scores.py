"""Pulls of scores: pages of one scoring, filters, streams, tags; and the files they are sent as."""

import csv
import gzip
import io
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError
from starlette.responses import Response, StreamingResponse
from worlds.snapshot import AS_OF, NOW, SCORES, make_home, make_snapshot

from features.errors import Gone, NotFound
from serving.api_crm import ScoresPage, ScoresRequest
from serving.marketing import scores
from serving.marketing.files import Accepted, as_csv, as_ndjson, packed, rows_answer
from serving.marketing.scores import ScoresQuery
from serving.online import refreshed
from serving.online.view import View
from serving.persons import rights
from serving.persons.marks import ErasedCustomers
from serving.scoring.columns import Columns
from serving.scoring.folder import write
from serving.state import State
from serving.store import Store


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("home")
    make_home(place)
    return place


@pytest.fixture
def state(home: Path, tmp_path: Path) -> Iterator[State]:
    store = Store.open(tmp_path)
    opened = State.of(make_snapshot(), View(store, AS_OF))
    yield opened
    opened.view.close()
    store.close()


def page(state: State, home: Path, **asked: Any) -> ScoresPage:
    return ScoresQuery.of(state, ScoresRequest(**asked), home=home).page()


def walk(state: State, home: Path, **asked: Any) -> list[dict[str, Any]]:
    rows, cursor = [], None
    while True:
        found = page(state, home, cursor=cursor, **asked)
        rows += found.scores
        if (cursor := found.next_cursor) is None:
            return rows


def sent(answer: Response) -> bytes:
    assert isinstance(answer, StreamingResponse)
    import asyncio

    async def read() -> bytes:
        return b"".join([bytes(part) async for part in answer.body_iterator])  # type: ignore[arg-type]

    return asyncio.run(read())


def newer_than(state: State) -> State:
    return replace(state, snapshot=replace(make_snapshot(seed=9), stamp="20260302T0000-0002"))


def test_pages_hold_every_customer_once_in_order(state: State, home: Path) -> None:
    seen = [row["customer_id"] for row in walk(state, home, limit=7)]
    assert seen == state.snapshot.customers.all_names()


def test_pages_stay_on_their_scoring_while_a_newer_one_lands(state: State, home: Path) -> None:
    whole = page(state, home, limit=100)
    first = page(state, home, limit=15)
    rest = page(newer_than(state), home, limit=15, cursor=first.next_cursor)
    assert first.scores + rest.scores == whole.scores
    assert (rest.as_of, rest.models) == (first.as_of, first.models)
    assert page(newer_than(state), home, limit=100).scores != whole.scores


@pytest.mark.parametrize("cursor", ["x", "1:x", "../../etc:1", "a/b:1", ":", "20260301T0000-0001:-1", "é:1"])
def test_a_made_up_cursor_is_refused(cursor: str) -> None:
    with pytest.raises(ValidationError, match="cursor"):
        ScoresRequest(cursor=cursor)


def test_a_cursor_of_a_scoring_that_is_gone_says_what_to_do(state: State, home: Path) -> None:
    with pytest.raises(Gone, match=r"20250101T0000-0001.*no longer kept.*start again"):
        page(state, home, cursor="20250101T0000-0001:5")


@settings(max_examples=40)
@given(
    low=st.floats(0, 1),
    high=st.floats(0, 1),
    value=st.floats(0, 90),
    n=st.integers(0, 9),
)
def test_filters_let_through_whom_they_say_and_nobody_else(
    home: Path, low: float, high: float, value: float, n: int
) -> None:
    made = make_snapshot()
    state = State(made, _Nobody(), np.zeros(0), np.zeros(0, bool), ErasedCustomers(made.customers, None))  # type: ignore[arg-type]
    asked = {"min_churn_probability": low, "max_churn_probability": high, "min_expected_margin": value}
    found = walk(state, home, limit=3, segments=["loyal"], min_n_orders=n, **asked)
    risk, margin = (made.scores.number(name) for name in SCORES)
    orders = made.features.number("n_orders")
    wanted = [
        name
        for code, name in enumerate(made.customers.all_names())
        if low <= risk[code] <= high and margin[code] >= value and code % 3 == 0 and orders[code] >= n
    ]
    assert [row["customer_id"] for row in found] == wanted
    assert page(state, home, segments=["loyal"], min_n_orders=n, **asked).n_found == len(wanted)


class _Nobody:
    salt, erased = b"", frozenset[bytes]()
    seen = {"refreshed": 0}


def test_a_filter_of_what_no_model_gives_says_what_there_is(state: State, home: Path) -> None:
    with pytest.raises(NotFound, match=r"'persona'.*churn_probability_28d"):
        page(state, home, personas=["regulars"])


def test_an_erased_customer_is_in_no_page_and_in_no_stream(state: State, home: Path) -> None:
    before = ScoresQuery.of(state, ScoresRequest(limit=None, format="csv"), home=home)
    rights.forget(state.view.store, "c000003", now=NOW)
    state.view.sync()
    after = ScoresQuery.of(state, ScoresRequest(limit=None, format="csv"), home=home)
    assert b"c000003" not in sent(after.file().answer("csv", Accepted()))
    assert before.tag != after.tag
    assert "c000003" not in [row["customer_id"] for row in page(state, home).scores]


def test_who_was_refreshed_has_their_newest_row_in_pages_and_streams(state: State, home: Path) -> None:
    before, own = page(state, home).scores, state.snapshot
    newest = {"customer_id": "c000003", "stamp": own.stamp, "as_of": NOW, "events_seq": 1, "features": {}}
    refreshed.keep(state.view.store, [newest | {"scores": {SCORES[0]: 0.125}}])
    state.view.sync()
    after = page(state, home).scores
    moved = dict.fromkeys(before[3]) | {"customer_id": "c000003", SCORES[0]: 0.125}
    assert after[3] == moved | {"as_of": NOW.isoformat()}
    assert after[:3] + after[4:] == before[:3] + before[4:]
    query = ScoresQuery.of(state, ScoresRequest(format="ndjson"), home=home)
    text = sent(query.file().answer("ndjson", Accepted())).decode()
    assert [json.loads(line) for line in text.splitlines()] == after


def test_every_row_of_this_scoring_is_used_and_none_of_another(
    state: State, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(refreshed, "AT_ONCE", 2)  # customers per query
    before, whose = page(state, home).scores, [1, 3, 4, 7, 9]
    row = {"as_of": NOW, "events_seq": 1, "features": {}, "scores": {SCORES[0]: 0.125}}
    stamps = [state.snapshot.stamp] * 4 + ["20250101T0000-0001"]
    names = [f"c{number:06d}" for number in whose]
    found = [row | {"customer_id": name, "stamp": stamp} for name, stamp in zip(names, stamps, strict=True)]
    refreshed.keep(state.view.store, found)
    state.view.sync()
    changed = [at for at, now in enumerate(page(state, home).scores) if now != before[at]]
    assert changed == whose[:4]


def test_a_page_has_an_end_and_a_file_has_everybody(
    state: State, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "MAX_ROWS", 7)
    assert len(page(state, home, limit=None).scores) == 7
    assert (
        sum(map(len, ScoresQuery.of(state, ScoresRequest(format="csv", limit=None), home=home).blocks()))
        == 20
    )


def test_who_is_erased_while_a_stream_is_sent_is_not_in_the_rest_of_it(
    state: State, home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "BLOCK", 3)
    blocks = ScoresQuery.of(state, ScoresRequest(format="csv"), home=home).blocks()
    assert len(next(blocks)) == 3
    rights.forget(state.view.store, "c000007", now=NOW)
    state.view.sync()
    rest = {row[0] for block in blocks for row in block}
    assert "c000008" in rest and "c000007" not in rest


def test_the_counts_of_a_page_are_those_of_the_rows_a_walk_brings(state: State, home: Path) -> None:
    asked = {"max_churn_probability": 0.5}
    for name in {row["customer_id"] for row in walk(state, home, limit=5, **asked)} & {"c000003", "c000004"}:
        rights.forget(state.view.store, name, now=NOW)
    rights.forget(state.view.store, "c000005", now=NOW)
    state.view.sync()
    found = page(state, home, limit=5, **asked)
    assert found.n_found == len(walk(state, home, limit=5, **asked))
    assert found.n_customers == len(walk(state, home, limit=7)) < len(state.snapshot.customers)


@pytest.mark.parametrize("kind", ["csv", "ndjson"])
def test_a_stream_holds_what_the_pages_hold(
    state: State, home: Path, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(scores, "BLOCK", 3)
    whole = page(state, home, limit=100).scores
    query = ScoresQuery.of(state, ScoresRequest(limit=None, format=kind), home=home)  # type: ignore[arg-type]
    text = sent(query.file().answer(kind, Accepted())).decode()
    if kind == "ndjson":
        assert [json.loads(line) for line in text.splitlines()] == whole
    else:
        read = list(csv.DictReader(io.StringIO(text)))
        assert read == [{k: "" if v is None else str(v) for k, v in row.items()} for row in whole]
    assert query.next_cursor is None


def test_a_walk_keeps_nothing_of_its_file_in_memory(home: Path) -> None:
    table = Columns.load(next((home / "lists").iterdir()) / "scores")
    before = table.shown(slice(None))
    table.release_pages()
    assert table.shown(slice(None)) == before
    made_up = make_snapshot().scores
    made_up.release_pages()
    assert made_up.row(0)


def test_a_file_of_a_page_names_the_next_one(state: State, home: Path) -> None:
    query = ScoresQuery.of(state, ScoresRequest(limit=3, format="csv"), home=home)
    assert query.file().headers["x-next-cursor"] == "20260301T0000-0001:3"
    assert sent(query.file().answer("csv", Accepted())).count(b"\n") == 4


def test_money_comes_with_its_currency(state: State, home: Path) -> None:
    file = ScoresQuery.of(state, ScoresRequest(limit=3, format="csv"), home=home).file()
    assert page(state, home).currency == file.answer("csv", Accepted()).headers["x-currency"] == "EUR"


def test_a_currency_that_no_header_can_hold_stops_no_file(state: State, home: Path) -> None:
    in_signs = replace(state, snapshot=replace(state.snapshot, currency="€"))
    answer = ScoresQuery.of(in_signs, ScoresRequest(format="csv"), home=home).file().answer("csv", Accepted())
    assert "x-currency" not in answer.headers
    assert page(in_signs, home).currency == "€"


def test_who_has_a_file_already_is_told_so_and_gets_it_anew_once_it_changes(state: State, home: Path) -> None:
    query = ScoresQuery.of(state, ScoresRequest(limit=3, format="csv"), home=home)
    first = query.file().answer("csv", Accepted())
    again = query.file().answer("csv", Accepted.of({"if-none-match": first.headers["etag"]}))
    assert (again.status_code, again.body) == (304, b"")
    assert again.headers["etag"] == first.headers["etag"]
    others = [ScoresRequest(limit=4, format="csv"), ScoresRequest(limit=3, format="csv", min_n_orders=2)]
    tags = {ScoresQuery.of(state, asked, home=home).tag for asked in others}
    tags.add(ScoresQuery.of(newer_than(state), ScoresRequest(limit=3, format="csv"), home=home).tag)
    assert len(tags | {query.tag}) == 4


def test_a_stream_is_packed_for_who_takes_it(state: State, home: Path) -> None:
    file = ScoresQuery.of(state, ScoresRequest(limit=None, format="ndjson"), home=home).file
    plain, small = (
        file().answer("ndjson", Accepted()),
        file().answer("ndjson", Accepted.of({"accept-encoding": "br, gzip"})),
    )
    assert small.headers["content-encoding"] == "gzip"
    assert gzip.decompress(sent(small)) == sent(plain)


@pytest.mark.parametrize(
    ("header", "takes"),
    [
        ("", False),
        ("gzip;q=0", False),
        ("gzip;q=0, *", False),  # what is named counts before the star
        ("GZIP", True),
        ("*", True),
        ("gzip;q=0.5", True),
        ("br", False),
    ],
)
def test_only_who_takes_gzip_gets_it(header: str, takes: bool) -> None:
    assert Accepted.of({"accept-encoding": header}).gzip is takes


@pytest.mark.parametrize(
    ("header", "kind"),
    [
        ("", "json"),
        ("*/*", "json"),
        ("text/html, */*;q=0.8", "json"),
        ("Text/CSV", "csv"),
        ("application/json, text/csv", "json"),
        ("text/csv;q=0.9, application/x-ndjson", "ndjson"),
        ("text/csv;q=0", "json"),
        ("text/csv;q=many", "csv"),
        ("image/png", "json"),
        ("text/*", "csv"),
        ("application/*", "json"),
        ("application/json;q=0, */*", "ndjson"),
        ("application/*;q=0, */*;q=0.1", "csv"),
        ("application/*;q=0.2, application/x-ndjson;q=0.1, text/csv;q=0.1", "json"),
    ],
)
def test_a_client_gets_the_kind_of_file_it_likes_best(header: str, kind: str) -> None:
    assert Accepted.of({"accept": header}).kind == kind


@given(st.lists(st.binary()))
def test_what_is_packed_is_the_same(parts: list[bytes]) -> None:
    assert gzip.decompress(b"".join(packed(parts))) == b"".join(parts)


def test_rows_that_are_all_here_become_files_too() -> None:
    rows = [{"customer_id": "a", "n": None}, {"customer_id": 'b,"', "n": 2.5}]
    assert as_csv(rows, ["customer_id", "n"]) == b'customer_id,n\na,\n"b,""",2.5\n'
    assert [json.loads(line) for line in as_ndjson(rows).splitlines()] == rows
    assert as_csv([], ["customer_id", "n"]) == b"customer_id,n\n"


def test_an_older_scoring_is_mapped_once_a_walk(state: State, home: Path) -> None:
    scores._read.cache_clear()
    walk(newer_than(state), home, limit=3)
    cursor = page(state, home, limit=3).next_cursor
    for _ in range(3):
        cursor = page(newer_than(state), home, limit=3, cursor=cursor).next_cursor
    assert scores._read.cache_info().misses == 1


def test_a_broken_older_scoring_is_gone(state: State, tmp_path: Path) -> None:
    write(tmp_path / "lists" / state.snapshot.stamp, state.snapshot)
    (tmp_path / "lists" / state.snapshot.stamp / "customers.npy").unlink()
    with pytest.raises(Gone):
        page(newer_than(state), tmp_path, cursor=f"{state.snapshot.stamp}:3")


def carried(state: State) -> State:
    """Return a scoring whose churn is carried from a shorter horizon."""
    note = {"code": "carried", "model": "churn", "horizon_days": 28, "learnt_days": 20}
    note |= {"learnt_from": "2026-04-01"}
    return replace(state, snapshot=replace(state.snapshot, notes=(note,)))


def test_what_is_not_calibrated_says_so(state: State, home: Path) -> None:
    (note,) = page(carried(state), home).notes
    assert (note["code"], note["model"], note["learnt_days"]) == ("carried", "churn", 20)
    assert "extrapolated to 28 by BG/NBD for each customer: not calibrated" in note["text"]
    assert page(state, home).notes == []


def test_it_says_so_in_the_shops_language(state: State, home: Path) -> None:
    young = carried(state)
    in_portuguese = replace(young, snapshot=replace(young.snapshot, locale="pt"))
    assert "não calibrado" in page(in_portuguese, home).notes[0]["text"]


def test_a_file_says_so_in_a_header(state: State, home: Path) -> None:
    def headers(of: State) -> Any:
        return (
            ScoresQuery.of(of, ScoresRequest(format="csv"), home=home)
            .file()
            .answer("csv", Accepted())
            .headers
        )

    assert headers(carried(state))["x-notes"] == "carried:churn"
    assert "x-notes" not in headers(state)
    targets = rows_answer(
        [], ("customer_id",), kind="csv", asked=Accepted(), notes="carried:churn, carried:ltv"
    )
    assert targets.headers["x-notes"] == "carried:churn, carried:ltv"


def test_a_walk_on_an_older_scoring_reads_its_notes(state: State, home: Path) -> None:
    older = replace(carried(state).snapshot, stamp="20260228T0000-0007")
    write(home / "lists" / older.stamp, older)
    found = page(state, home, cursor=f"{older.stamp}:0")
    assert [note["code"] for note in found.notes] == ["carried"]
