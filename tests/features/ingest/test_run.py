"""One ingest, row by row: what is kept, what is quarantined, and when a second one changes nothing."""

import hashlib
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.ingest import ingest, render
from features.ingest.rows import FUTURE
from features.storage.warehouse import Warehouse

HEADING = "customer_id,order_id,product_id,ordered_at,quantity,unit_price"
TABLES = (
    "order_lines/*/*",
    "orders",
    "days",
    "returns",
    "return_lines",
    "quarantine",
    "products",
    "contacts",
)


def shop(folder: Path, lines: str, heading: str = HEADING, toml: str = "") -> Path:
    folder.mkdir(exist_ok=True)
    (folder / "order_lines.csv").write_text(f"{heading}\n{lines}\n", encoding="utf-8")
    (folder / "recompra.toml").write_text(toml, encoding="utf-8")
    return folder


def rows(home: Path, sql: str, table: str = "order_lines/*/*") -> list[tuple]:
    return duckdb.sql(f"SELECT {sql} FROM '{home}/warehouse/{table}.parquet' ORDER BY ALL").fetchall()


def snapshot(home: Path) -> dict[str, str]:
    files = sorted(file for file in home.rglob("*") if file.is_file())
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


def all_tables(home: Path) -> dict[str, list[tuple]]:
    leave_out = "* EXCLUDE (source, {row})"
    columns = {
        "quarantine": leave_out.format(row="row_number"),
        "return_lines": leave_out.format(row="__row"),
    }
    return {name: rows(home, columns.get(name, "*"), name) for name in TABLES}


def test_a_line_of_a_customer_and_a_time_is_all_it_takes(tmp_path):
    report = ingest(shop(tmp_path / "s", "a,2024-01-05\nb,2024-01-06", "customer_id,ordered_at"), tmp_path)
    assert rows(tmp_path, "customer_id, order_id, quantity, revenue, product_id") == [
        ("a", "a@2024-01-05T00:00:00", 1.0, None, None),
        ("b", "b@2024-01-06T00:00:00", 1.0, None, None),
    ]
    assert (report.facts["has_money"], report.facts["has_products"], report.facts["has_time_of_day"]) == (
        False,
    ) * 3


def test_revenue_is_quantity_times_price_less_discount(tmp_path):
    ingest(shop(tmp_path / "s", "a,1,p,2024-01-05,3,2.50,0.5", HEADING + ",discount"), tmp_path)
    assert rows(tmp_path, "revenue, discount") == [(7.0, 0.5)]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("a,1,p,,1,1", "ordered_at is missing"),
        (
            "a,1,p,soon,1,1",
            "ordered_at is not a date or time such as 2026-03-29 23:30:00 (with or without an offset)",
        ),
        ("a,1,p,0001-01-01,1,1", "ordered_at is out of range (years 1970 to 2100)"),
        ("a,1,p,2999-05-01T10:00:00Z,1,1", "ordered_at is out of range (years 1970 to 2100)"),
        ("a,1,p,2024-01-05,0,1", "quantity is 0"),
        ("a,1,p,2024-01-05,many,1", "quantity is not a number"),
        ("a,1,p,2024-01-05,nan,1", "quantity is not a number"),
        ("a,1,p,2024-01-05,1e12,1", "quantity is out of range (-1,000,000,000 to 1,000,000,000)"),
        ("a,1,p,2024-01-05,1,-5", "unit_price is negative"),
        ("a,1,p,2024-01-05,1,0", "free line: nothing was paid"),
        ("a,1,p,2024-01-05,-1,1", "return of nothing bought before"),
        (",1,p,2024-01-05,-1,1", "return without a customer"),
        ("b,2,p,2024-01-05,1,1", "exact duplicate of another line of its order"),
        ("a" * 129 + ",1,p,2024-01-05,1,1", "customer_id is longer than 128 characters"),
        ("a,1\t2,p,2024-01-05,1,1", "order_id contains a control character"),
    ],
)
def test_a_line_that_cannot_be_used_is_quarantined_with_its_reason(tmp_path, line, reason):
    source = shop(tmp_path / "s", f"b,2,p,2024-01-05,1,1\nc,3,p,2024-01-05,1,1\n{line}")
    report = ingest(source, tmp_path)
    assert report.tables["order_lines"].reasons == {reason: 1}
    assert rows(tmp_path, '"table", source, row_number, reason', "quarantine") == [
        ("order_lines", "order_lines.csv", 3, reason)
    ]
    assert json.loads(rows(tmp_path, "row", "quarantine")[0][0])["product_id"] == "p"


NOON = datetime(2024, 6, 1, 12, tzinfo=UTC)


def test_a_line_of_the_future_is_quarantined_and_ends_no_history(tmp_path):
    lines = "a,1,x,2024-01-05,1,2\na,2,x,2024-06-02 11:59,1,2\nb,3,x,2052-01-05,1,2\nb,4,x,2052-01-05,-1,2"
    report = ingest(shop(tmp_path / "s", lines), tmp_path, now=NOON)
    assert report.facts["last_at"].startswith("2024-06-02")
    assert rows(tmp_path, "reason, row_number", "quarantine") == [(FUTURE, 3), (FUTURE, 4)]


def test_a_line_that_no_longer_lies_in_the_future_is_taken_from_the_same_file(tmp_path):
    source = shop(tmp_path / "s", "a,1,x,2024-01-05,1,2\na,2,x,2024-06-02,1,2\nb,3,x,2024-06-04,1,2")
    ingest(source, tmp_path, now=NOON)
    before = snapshot(tmp_path)
    assert not ingest(source, tmp_path, now=NOON).changed
    assert snapshot(tmp_path) == before
    later = ingest(source, tmp_path, now=NOON + timedelta(days=2)).tables["order_lines"]
    assert (later.rows, later.kept, later.already_here) == (3, 1, 2)
    assert rows(tmp_path, "*", "quarantine") == []
    assert not ingest(source, tmp_path, now=NOON + timedelta(days=2)).changed


def test_where_most_lines_lie_in_the_future_the_clock_is_doubted_not_they(tmp_path):
    report = ingest(shop(tmp_path / "s", "a,1,x,2052-01-05,1,2\nb,2,x,2052-01-06,1,2"), tmp_path, now=NOON)
    assert report.tables["order_lines"].kept == 2
    assert report.notes == ["order_lines: 2 of 2 lie after this computer's clock (2024-06-01); all are kept"]


def test_every_row_is_kept_a_return_or_quarantined(tmp_path):
    lines = "a,1,p,2024-01-05,2,1\na,2,p,2024-01-06,-1,1\na,3,q,2024-01-07,0,1\n"
    lines += ",4,p,2024-01-07,1,1\na,1,p,2024-01-05,2,1"
    counts = ingest(shop(tmp_path / "s", lines), tmp_path).tables["order_lines"]
    assert (counts.rows, counts.kept, counts.returns, counts.quarantined, counts.already_here) == (
        5,
        2,
        1,
        2,
        0,
    )


def test_a_cell_of_blanks_is_an_empty_one(tmp_path):
    lines = "a,  ,p,2024-01-05, ,2\n  ,1,p,2024-01-06,1,  \nb,2,p,  ,1,1"
    counts = ingest(shop(tmp_path / "s", lines), tmp_path).tables["order_lines"]
    assert counts.reasons == {"ordered_at is missing": 1}
    assert rows(tmp_path, "customer_id, order_id, quantity, revenue") == [
        ("a", "a@2024-01-05T00:00:00", 1.0, 2.0),
        (None, "1", 1.0, None),
    ]


def test_a_line_without_a_customer_is_kept_but_makes_no_order(tmp_path):
    ingest(shop(tmp_path / "s", ",1,p,2024-01-05,1,1\na,2,p,2024-01-05,1,1"), tmp_path)
    assert rows(tmp_path, "customer_id") == [("a",), (None,)]
    assert rows(tmp_path, "customer_id", "orders") == [("a",)]


@pytest.mark.parametrize("cell", ["13085", "13085.0", " 13085 "])
def test_a_customer_id_that_came_as_a_float_is_the_integer_it_was(tmp_path, cell):
    ingest(shop(tmp_path / "s", f"{cell},1,p,2024-01-05,1,1"), tmp_path)
    assert rows(tmp_path, "customer_id") == [("13085",)]


def test_ids_of_every_parquet_type_become_strings(tmp_path):
    ids = "7.0::DOUBLE AS customer_id, 8::TINYINT AS order_id, 9.00::DECIMAL(9, 2) AS product_id"
    duckdb.execute(
        f"COPY (SELECT {ids}, DATE '2024-01-05' AS ordered_at) TO '{tmp_path}/order_lines.parquet'"
    )
    ingest(tmp_path / "order_lines.parquet", tmp_path / "home")
    assert rows(tmp_path / "home", "customer_id, order_id, product_id") == [("7", "8", "9")]


def test_leading_zeros_of_an_id_stay(tmp_path):
    ingest(shop(tmp_path / "s", "007,1,p,2024-01-05,1,1"), tmp_path)
    assert rows(tmp_path, "customer_id") == [("007",)]


@pytest.mark.parametrize(
    "heading", ["customer_id,order_id,product_id,ordered_at", "customer_id,order_id,quantity,ordered_at"]
)
def test_equal_lines_of_an_order_are_pieces_where_nothing_says_how_many_or_of_what(tmp_path, heading):
    source = shop(tmp_path / "s", "\n".join(["a,1,3,2024-01-05"] * 5), heading)
    assert ingest(source, tmp_path / "home").tables["order_lines"].kept == 5
    assert ingest(source, tmp_path / "home").changed is False


def test_another_table_read_from_the_order_lines_file_does_not_make_their_duplicates_pieces(tmp_path):
    toml = '[columns]\nproduct_id = "sku"\n[tables.contacts]\nfile = "order_lines.csv"\n'
    toml += '[tables.contacts.columns]\nsent_at = "ordered_at"'
    heading = HEADING.replace("product_id", "sku")
    source = shop(tmp_path / "s", "\n".join(["a,1,p,2024-01-05,1,1"] * 3), heading, toml)
    assert ingest(source, tmp_path / "home").tables["order_lines"].kept == 1


def test_floats_are_ids_of_whole_numbers_unless_the_file_holds_whole_numbers_too(tmp_path):
    heading = "customer_id,ordered_at"
    source = shop(tmp_path / "s", "7.0,2024-01-05\n,2024-01-05\n-8.0,2024-01-05\n1.50,2024-01-05", heading)
    ingest(source, tmp_path / "floats")
    assert rows(tmp_path / "floats", "customer_id") == [("-8",), ("1.50",), ("7",), (None,)]
    ingest(shop(tmp_path / "s", "7.0,2024-01-05\n7,2024-01-05", heading), tmp_path / "texts")
    assert rows(tmp_path / "texts", "customer_id") == [("7",), ("7.0",)]


def test_a_table_and_a_part_of_the_order_lines_without_rows_are_left_out_in_words(tmp_path):
    parts = shop(tmp_path / "s", "a,1,p,2024-01-05,1,1", toml='[tables.order_lines]\nfile = "o*.csv"')
    (parts / "order_lines_b.csv").write_text(f"{HEADING}\n")
    (parts / "order_lines_c.csv").write_bytes(b"")
    (parts / "products.csv").write_bytes(b"")
    (parts / "customers.csv").write_text("customer_id,email_consent\n")
    notes = " ".join(ingest(parts, tmp_path / "home").notes)
    for told in ("order_lines_b.csv holds no rows", "order_lines_c.csv is empty", "products.csv is empty"):
        assert told in notes


def test_a_second_ingest_of_the_same_file_changes_no_byte(tmp_path):
    source = shop(tmp_path / "s", "a,1,p,2024-01-05,1,1\na,1,p,2024-01-05,0,1\na,2,p,2024-02-05,-1,1")
    first = ingest(source, tmp_path / "home")
    before = snapshot(tmp_path / "home")
    second = ingest(source, tmp_path / "home")
    assert snapshot(tmp_path / "home") == before
    assert (second.changed, second.fingerprint) == (False, first.fingerprint)
    assert (second.tables["order_lines"].rows, second.tables["order_lines"].already_here) == (3, 3)
    told = [str(render(report).caption) for report in (first, second)]
    assert [word in text for text in told for word in ("written", "unchanged")] == [True, False, False, True]


def test_the_same_lines_in_another_file_change_no_byte(tmp_path):
    lines = ["a,1,p,2024-01-05,1,1", "b,2,p,2024-01-06,1,1", "b,2,p,2024-01-07,0,1"]
    ingest(shop(tmp_path / "one", "\n".join(lines)), tmp_path / "home")
    before = snapshot(tmp_path / "home")
    report = ingest(shop(tmp_path / "two", "\n".join(lines[::-1])), tmp_path / "home")
    assert (report.changed, snapshot(tmp_path / "home")) == (False, before)
    counts = report.tables["order_lines"]
    assert (counts.rows, counts.kept, counts.already_here) == (3, 0, 2)
    assert (counts.quarantined, counts.reasons) == (1, {"quantity is 0": 1})


def test_a_later_file_appends_and_leaves_other_months_untouched(tmp_path):
    first = ingest(shop(tmp_path / "one", "a,1,p,2024-01-05,1,1\na,2,p,2024-02-05,1,1"), tmp_path / "home")
    january = tmp_path / "home/warehouse/order_lines/month=2024-01/lines.parquet"
    inode = january.stat().st_ino
    report = ingest(shop(tmp_path / "two", "a,2,p,2024-02-05,1,1\na,3,p,2024-02-06,1,1"), tmp_path / "home")
    assert (report.tables["order_lines"].kept, report.tables["order_lines"].already_here) == (1, 1)
    assert [order for (order,) in rows(tmp_path / "home", "order_id")] == ["1", "2", "3"]
    assert january.stat().st_ino == inode
    assert report.fingerprint != first.fingerprint


def test_equal_lines_without_an_order_id_are_different_purchases(tmp_path):
    lines = "a,2024-01-05,1,3\na,2024-01-05,1,3\nb,2024-01-05,1,3"
    source = shop(tmp_path / "s", lines, "customer_id,ordered_at,quantity,unit_price")
    assert ingest(source, tmp_path / "home").tables["order_lines"].kept == 3
    copy = shop(tmp_path / "t", lines + "\n", "customer_id,ordered_at,quantity,unit_price")
    assert not ingest(copy, tmp_path / "home").changed


def test_files_of_one_folder_that_overlap_count_a_line_once(tmp_path):
    inner = tmp_path / "s" / "order_lines"
    inner.mkdir(parents=True)
    for name, days in (("jan.csv", (1, 2, 2)), ("feb.csv", (2, 2, 3))):
        text = "\n".join(f"a,2024-01-{day:02}" for day in days)
        (inner / name).write_text(f"customer_id,ordered_at\n{text}\n", encoding="utf-8")
    counts = ingest(tmp_path / "s", tmp_path / "home").tables["order_lines"]
    assert (counts.rows, counts.kept, counts.already_here, counts.quarantined) == (6, 4, 2, 0)


LINE = st.tuples(
    st.sampled_from(["a", "b", ""]),
    st.sampled_from(["1", "2"]),
    st.sampled_from(["p", "q"]),
    st.integers(1, 60),
    st.sampled_from([-2, -1, 0, 1, 1, 2, 3]),
    st.sampled_from(["1.5", "0", "0.1"]),
)


@settings(max_examples=8, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(lines=st.lists(LINE, min_size=2, max_size=12), cut=st.integers(1, 60))
def test_appending_piece_by_piece_gives_the_same_tables_as_all_at_once(tmp_path_factory, lines, cut):
    folder = tmp_path_factory.mktemp("w")
    sure = ("z", "0", "p", cut, 1, "1")
    texts = [
        [
            f"{c},{o},{p},2024-{1 + d // 30:02}-{1 + d % 28:02} 0{d % 9}:00,{q},{u}"
            for c, o, p, d, q, u in part
        ]
        for part in ([x for x in lines if x[3] < cut] + [sure], [x for x in lines if x[3] >= cut] + [sure])
    ]
    ingest(shop(folder / "late", "\n".join(texts[1])), folder / "pieces")
    pieces = ingest(shop(folder / "early", "\n".join(texts[0])), folder / "pieces")
    whole = ingest(shop(folder / "all", "\n".join(texts[0] + texts[1][:-1])), folder / "whole")
    assert all_tables(folder / "pieces") == all_tables(folder / "whole")
    assert pieces.fingerprint == whole.fingerprint


def test_a_return_that_found_nothing_is_linked_once_its_purchase_arrives(tmp_path):
    ingest(shop(tmp_path / "one", "a,1,p,2024-02-05,1,1\na,2,q,2024-02-06,-1,4"), tmp_path / "home")
    assert len(rows(tmp_path / "home", "*", "quarantine")) == 1
    ingest(shop(tmp_path / "two", "a,0,q,2024-01-05,1,4"), tmp_path / "home")
    assert rows(tmp_path / "home", "order_id, quantity, revenue", "returns") == [("0", 1.0, 4.0)]
    assert rows(tmp_path / "home", "*", "quarantine") == []


def test_a_later_products_file_replaces_rows_by_their_id(tmp_path):
    source = shop(tmp_path / "s", "a,1,p,2024-01-05,1,1")
    (source / "products.csv").write_text("product_id,name,stock\np,old,1\nq,other,2\n", encoding="utf-8")
    ingest(source, tmp_path / "home")
    (source / "products.csv").write_text("product_id,name,stock\np,new,0\nq,other,2\n", encoding="utf-8")
    report = ingest(source / "products.csv", tmp_path / "home")
    assert rows(tmp_path / "home", "product_id, name, stock", "products") == [
        ("p", "new", 0.0),
        ("q", "other", 2.0),
    ]
    counts = report.tables["products"]
    assert (report.changed, counts.kept, counts.already_here) == (True, 1, 1)


def test_in_a_warehouse_of_before_a_column_was_known_it_is_empty(tmp_path):
    source = shop(tmp_path / "s", "a,1,p,2024-01-05,1,1")
    (source / "products.csv").write_text("product_id,name\np,old\n", encoding="utf-8")
    ingest(source, tmp_path / "home")
    file = tmp_path / "home" / "warehouse" / "products.parquet"
    duckdb.sql(f"COPY (SELECT * EXCLUDE (brand) FROM '{file}') TO '{tmp_path}/narrow.parquet'")
    (tmp_path / "narrow.parquet").replace(file)
    found = Warehouse(tmp_path / "home").connect().raw_sql("SELECT name, brand FROM products")
    assert found.fetchall() == [("old", None)]
    (source / "products.csv").write_text("product_id,name,brand\nq,new,x\n", encoding="utf-8")
    ingest(source, tmp_path / "home")
    assert rows(tmp_path / "home", "name, brand", "products") == [("new", "x"), ("old", None)]


def test_a_product_said_twice_keeps_its_last_row_and_quarantines_the_other(tmp_path):
    source = shop(tmp_path / "s", "a,1,p,2024-01-05,1,1")
    (source / "products.csv").write_text("product_id,name\np,first\np,last\n,none\n", encoding="utf-8")
    report = ingest(source, tmp_path / "home")
    assert rows(tmp_path / "home", "name", "products") == [("last",)]
    assert report.tables["products"].reasons == {
        "product_id is missing": 1,
        "product_id is repeated: a later row is used": 1,
    }


def test_of_several_files_the_row_of_the_highest_number_is_used(tmp_path):
    toml = '[tables.products]\nfile = "products*.csv"\n'
    source = shop(tmp_path / "s", "a,1,p,2024-01-05,1,1", toml=toml)
    for name, said in {"products-2": "old", "products-10": "new", "products-9": "middle"}.items():
        (source / f"{name}.csv").write_text(f"product_id,name\np,{said}\n", encoding="utf-8")
    ingest(source, tmp_path / "home")
    assert rows(tmp_path / "home", "name", "products") == [("new",)]


def test_every_table_exists_with_its_columns_even_when_the_shop_has_none(tmp_path):
    ingest(shop(tmp_path / "s", "a,1,p,2024-01-05,1,1"), tmp_path)
    for table in ("products", "customers", "contacts", "deliveries", "surveys", "returns", "quarantine"):
        assert rows(tmp_path, "*", table) == []


def test_contacts_without_an_id_get_one_and_are_treated_unless_said_otherwise(tmp_path):
    source = shop(tmp_path / "s", "a,1,p,2024-01-05,1,1")
    (source / "contacts.csv").write_text(
        "customer_id,sent_at,treated\na,2024-01-01,\na,2024-01-02,no\n", encoding="utf-8"
    )
    ingest(source, tmp_path / "home")
    contacts = rows(tmp_path / "home", "sent_at, treated, length(contact_id)", "contacts")
    assert [(treated, length) for _, treated, length in contacts] == [(True, 16), (False, 16)]


def test_one_line_that_comes_otherwise_is_told_as_one(tmp_path):
    source = shop(tmp_path / "s", "a,1,p,2024-01-05,1,9", HEADING)
    ingest(source, tmp_path / "h")
    (note,) = ingest(shop(source, "a,1,p,2024-01-05,1,5", HEADING), tmp_path / "h").notes
    assert "1 line differs from one ingested before" in note and note.endswith("replaces it")


def test_a_line_that_comes_otherwise_than_before_or_is_left_out_now_is_told(tmp_path):
    toml = '[tables.order_lines]\nwhere = "status = \'paid\'"\nquery = "FROM order_lines"'
    first = "a,1,p,2024-01-05,1,9,paid\na,1,q,2024-01-05,1,9,paid\nb,2,p,2024-01-06,1,9,paid"
    later = first.replace("1,9,paid", "1,5,paid", 1).replace("06,1,9,paid", "06,1,9,void")
    source = shop(tmp_path / "s", first, f"{HEADING},status", toml)
    assert not ingest(source, tmp_path / "h").notes
    (note,) = ingest(shop(source, later, f"{HEADING},status", toml), tmp_path / "h").notes
    assert (
        "2 lines differ from those ingested before (same order, product and moment), or are left out now"
        in note
    )
    assert "--fresh" in note
    assert not ingest(shop(source, later, f"{HEADING},status", toml), tmp_path / "h", fresh=True).notes


def test_fresh_forgets_what_was_there(tmp_path):
    ingest(shop(tmp_path / "one", "a,1,p,2024-01-05,1,1"), tmp_path / "home")
    ingest(shop(tmp_path / "two", "b,1,p,2024-01-05,1,1"), tmp_path / "home", fresh=True)
    assert rows(tmp_path / "home", "customer_id") == [("b",)]


def test_products_that_nobody_can_be_shown_are_counted_aloud(tmp_path):
    folder = shop(tmp_path / "s", "a,1,p,2024-01-05,1,1")
    (folder / "products.csv").write_text("product_id,launched_on\np,\nnew,2024-02-01\nidle,\nold,\n")
    report = ingest(folder, tmp_path / "home")
    assert [note for note in report.notes if note.startswith("products: 2 were never ordered")]
    assert "shown to nobody" in str(render(report).caption)


def test_a_name_under_lists_that_is_of_nothing_is_told(tmp_path):
    lists = '[lists]\nhidden = ["p", "q", "a > b"]\nreturns = { r = true, a = true }\n'
    pinned = '[lists.pinned]\nforyou = ["p"]\npopular = ["p", "q"]\n'
    boosted = '[lists.boosted]\np = 2\na = 2\n"a > c" = 2\nx = 2\n'
    folder = shop(tmp_path / "s", "a,1,p,2024-01-05,1,1", toml=lists + pinned + boosted)
    (folder / "products.csv").write_text("product_id,category\np,a > b\n")
    first, *others = ingest(folder, tmp_path / "home").notes
    assert first.startswith("[lists.pinned] 'foryou' is not a list; the lists are for_you, ")
    assert others == [
        "[lists.pinned]: no product is called q",
        "[lists.boosted]: no product or category is called a > c, x",
        "[lists.hidden]: no product or category is called q",
        "[lists.returns]: no product or category is called r",
    ]


def test_what_order_lines_do_without_is_told(tmp_path):
    products, money = ingest(shop(tmp_path / "s", "a,2024-01-05", "customer_id,ordered_at"), tmp_path).notes
    assert "no product_id: there are no lists" in products
    assert "no unit_price: orders and units are counted" in money


def test_lines_without_a_price_beside_others_are_told(tmp_path):
    some = ingest(shop(tmp_path / "s", "a,1,p,2024-01-05,1,1\nb,2,p,2024-01-05,1,"), tmp_path / "home")
    assert some.notes[0].startswith("order_lines: 1 of 2 lines have no unit_price: they count as orders")
    none = ingest(shop(tmp_path / "t", "a,1,p,2024-01-05,1,\nb,2,p,2024-01-05,1,"), tmp_path / "free")
    assert [note[:27] for note in none.notes] == ["order_lines: no unit_price:"]


def test_the_column_map_takes_names_and_expressions(tmp_path):
    toml = "[tables.order_lines]\nwhere = \"status <> 'void'\"\nwhere_reason = 'void'\n"
    toml += "[tables.order_lines.columns]\n"
    toml += "customer_id = 'Buyer'\nordered_at = \"strptime(day, '%d.%m.%Y')\"\n"
    toml += "unit_price = \"replace(price, ',', '.')\"\n"
    lines = 'a,05.01.2024,"1,5",paid\nb,06.01.2024,"2,5",void'
    report = ingest(shop(tmp_path / "s", lines, "buyer,day,price,status", toml), tmp_path / "home")
    assert rows(tmp_path / "home", "customer_id, ordered_on::VARCHAR, revenue") == [("a", "2024-01-05", 1.5)]
    assert report.tables["order_lines"].reasons == {"void": 1}


def test_a_folder_of_one_file_is_that_file(tmp_path):
    (shop(tmp_path / "shop", "a,1,p,2024-01-05,1,2") / "order_lines.csv").rename(tmp_path / "shop/export.csv")
    ingest(tmp_path / "shop", tmp_path / "home")
    assert rows(tmp_path / "home", "customer_id, product_id") == [("a", "p")]


@pytest.mark.parametrize("name", ["orders", "days", "lines", "returns", "products", "judged", "rejected"])
def test_a_file_that_is_asked_by_a_query_may_be_called_as_a_table_of_ours(tmp_path, name):
    toml = f'[tables.order_lines]\nfile = "{name}.csv"\n[tables.products]\nfile = "{name}.csv"\n'
    toml += f'query = "SELECT DISTINCT product_id, 1 AS __row FROM {name}"'
    source = shop(tmp_path / "s", "a,1,p,2024-01-05,1,2", toml=toml)
    (source / "order_lines.csv").rename(source / f"{name}.csv")
    ingest(source, tmp_path / "home")
    assert rows(tmp_path / "home", "product_id", "products") == [("p",)]
    assert rows(tmp_path / "home", "customer_id, revenue", "orders") == [("a", 2.0)]


def test_the_report_is_in_the_warehouse_and_can_be_drawn(tmp_path):
    report = ingest(shop(tmp_path / "s", "a,1,p,2024-01-05,1,1\na,1,p,2024-01-05,0,1"), tmp_path / "home")
    written = json.loads((tmp_path / "home/warehouse/quality.json").read_text())
    assert written["quarantine"] == {"order_lines": {"quantity is 0": 1}}
    assert render(report).row_count == 2


def test_only_the_last_two_versions_are_kept(tmp_path):
    for day in range(1, 5):
        ingest(shop(tmp_path / "s", f"a,{day},p,2024-01-0{day},1,1"), tmp_path / "home")
    assert sorted(path.name for path in (tmp_path / "home").glob("warehouse-*")) == [
        "warehouse-3",
        "warehouse-4",
    ]
    assert (tmp_path / "home/warehouse").resolve().name == "warehouse-4"


def test_a_version_that_is_read_stays_however_many_follow(tmp_path):
    home = tmp_path / "home"
    ingest(shop(tmp_path / "s", "a,0,p,2024-01-01,1,1"), home)
    reader = Warehouse(home)
    for day in range(2, 6):
        ingest(shop(tmp_path / "s", f"a,{day},p,2024-01-0{day},1,1"), home)
    assert reader.connect().raw_sql("SELECT count(*) FROM order_lines").fetchall() == [(1,)]
    del reader
    ingest(shop(tmp_path / "s", "a,6,p,2024-01-06,1,1"), home)
    assert sorted(path.name for path in home.glob("warehouse-*")) == ["warehouse-5", "warehouse-6"]
