"""Which lines are one and the same: by all that they say, over files and ingests."""

from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import duckdb
import pytest

from features.ingest import ingest
from features.ingest.rows import AHEAD

HEADING = "customer_id,order_id,product_id,ordered_at,quantity,unit_price,discount,channel"
LINE = "a,1,p,2024-01-05,2,3,1,web"


def shop(folder: Path, **tables: str) -> Path:
    """Write tables as CSV; ``order_lines_b`` is a second file of the order lines."""
    for name, text in tables.items():
        place = folder / name[: len("order_lines")] if name.startswith("order_lines") else folder
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.csv").write_text(text + "\n", encoding="utf-8")
    return folder


def rows(home: Path, columns: str, table: str) -> list[tuple]:
    return duckdb.sql(f"SELECT {columns} FROM '{home}/warehouse/{table}.parquet' ORDER BY ALL").fetchall()


def lines(*texts: str, heading: str = HEADING) -> str:
    return "\n".join([heading, *texts])


@pytest.mark.parametrize(
    "other",
    [
        "a,1,q,2024-01-05,2,3,1,web",
        "a,1,p,2024-01-06,2,3,1,web",
        "a,1,p,2024-01-05,1,3,1,web",
        "a,1,p,2024-01-05,2,4,1,web",
        "a,1,p,2024-01-05,2,3,0,web",
        "a,1,p,2024-01-05,2,3,1,app",
    ],
)
def test_lines_of_an_order_that_differ_in_anything_are_two(tmp_path, other):
    report = ingest(shop(tmp_path / "s", order_lines=lines(LINE, other)), tmp_path / "home")
    assert (report.tables["order_lines"].kept, report.quarantine) == (2, {})


def test_ids_that_read_alike_in_a_row_are_of_different_lines(tmp_path):
    texts = "1,12,p,2024-01-05,2,3,1,web", "11,2,p,2024-01-05,2,3,1,web"
    assert ingest(shop(tmp_path / "s", order_lines=lines(*texts)), tmp_path).tables["order_lines"].kept == 2


def test_equal_lines_of_known_quantities_are_two_purchases_where_no_order_is_named(tmp_path):
    text = lines(*["a,p,2024-01-05,1,3"] * 2, heading="customer_id,product_id,ordered_at,quantity,unit_price")
    assert ingest(shop(tmp_path / "s", order_lines=text), tmp_path / "home").facts["revenue"] == 6


def test_a_return_that_comes_again_in_another_file_gives_the_money_back_once(tmp_path):
    back = "a,2,p,2024-01-07,-1,3,0,web"
    ingest(shop(tmp_path / "one", order_lines=lines(LINE, back)), tmp_path / "home")
    report = ingest(shop(tmp_path / "two", order_lines=lines(back, "")), tmp_path / "home")
    assert (report.changed, report.tables["order_lines"].already_here) == (False, 1)
    assert rows(tmp_path / "home", "quantity, revenue", "returns") == [(1.0, 3.0)]


def test_a_return_that_two_files_of_one_folder_hold_is_one(tmp_path):
    back = "a,2,p,2024-01-07,-1,3,0,web"
    source = shop(
        tmp_path / "s", order_lines_a=lines(LINE, back), order_lines_b=lines(back, "z,9,p,2024-01-08,1,3,0,")
    )
    counts = ingest(source, tmp_path / "home").tables["order_lines"]
    assert (counts.kept, counts.returns, counts.already_here) == (2, 1, 1)
    assert rows(tmp_path / "home", "sum(quantity)", "returns") == [(1.0,)]


def test_a_refused_row_is_in_quarantine_as_often_as_one_file_holds_it(tmp_path):
    once, twice = [LINE] * 3 + ["a,1,p,never,2,3,1,web"], [LINE] * 3 + ["a,1,p,never,2,3,1,web"] * 2
    both = shop(tmp_path / "s", order_lines_a=lines(*once), order_lines_b=lines(*once[::-1]))
    for source, n in ((both, 1), (shop(tmp_path / "t", order_lines=lines(*twice)), 2)):
        ingest(source, tmp_path / "home")
        reasons = [reason for (reason,) in rows(tmp_path / "home", "reason", "quarantine")]
        assert [reason.split()[0] for reason in reasons] == ["exact"] * 2 + ["ordered_at"] * n


def test_of_a_product_that_two_files_name_the_later_file_is_used(tmp_path):
    source = shop(tmp_path / "s", order_lines=lines(LINE))
    shop(source / "products", a="product_id,name\np,old\n", b="product_id,name\np,new\n")
    ingest(source, tmp_path / "home")
    assert rows(tmp_path / "home", "name", "products") == [("new",)]


def test_contacts_keep_their_ids_and_those_without_one_differ_in_anything(tmp_path):
    sent = (
        "customer_id,sent_at,contact_id,action",
        "a,2024-01-01,7,mail",
        "a,2024-01-01,,mail",
        "a,2024-01-01,,call",
    )
    ingest(shop(tmp_path / "s", order_lines=lines(LINE), contacts="\n".join(sent)), tmp_path / "home")
    found = rows(tmp_path / "home", "action, contact_id", "contacts")
    assert [action for action, _ in found] == ["call", "mail", "mail"]
    assert ("mail", "7") in found


def test_a_line_a_day_ahead_of_the_clock_is_kept_whatever_zone_the_clock_is_in(tmp_path):
    now = datetime(2024, 1, 5, 0, tzinfo=UTC)
    texts = [
        LINE,
        f"a,2,p,{now + AHEAD:%F %T},2,3,1,web",
        f"a,3,p,{now + AHEAD + timedelta(seconds=1):%F %T},2,3,1,",
    ]
    source = shop(tmp_path / "s", order_lines=lines(*texts, "a,4,p,2024-01-01,2,3,1,web"))
    for hours in (-11, 0, 14):
        clock = now.astimezone(timezone(timedelta(hours=hours)))
        report = ingest(source, tmp_path / f"home{hours}", now=clock)
        assert (report.tables["order_lines"].kept, report.facts["last_at"]) == (
            3,
            "2024-01-06T00:00:00+00:00",
        )
