"""A refusal is never lost, whatever else its row says, and whatever later exports lack."""

from itertools import count
from pathlib import Path

import duckdb
import pytest

from features.ingest import ingest
from features.storage.contracts import CONSENTS

HEADING = "customer_id,email_consent,birthday"
OTHERS = "\n".join(f"other{n},true,1980-01-01" for n in range(40))
MANY = [f"customer_id,{name},birthday" for name in CONSENTS]


class Home:
    """A home and its customers, export by export."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.numbers = folder, count()

    def ingest(self, *rows: str, heading: str = HEADING, fresh: bool = False, toml: str = ""):
        source = self.folder / f"export{next(self.numbers)}"
        source.mkdir()
        (source / "order_lines.csv").write_text("customer_id,ordered_at\nann,2024-01-05\nben,2024-01-06\n")
        (source / "customers.csv").write_text("\n".join([heading, *rows, OTHERS]) + "\n")
        (source / "recompra.toml").write_text(toml)
        return ingest(source, self.folder / "home", fresh=fresh)

    def __call__(self, columns: str = "email_consent", who: str = "ann"):
        table = f"'{self.folder}/home/warehouse/customers.parquet'"
        found = duckdb.sql(f"SELECT {columns} FROM {table} WHERE customer_id = '{who}'").fetchall()
        return (found[0][0] if columns.count(",") == 0 else found[0]) if found else "no row"


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


@pytest.mark.parametrize("heading", MANY)
def test_a_refusal_beside_an_unreadable_birthday_of_a_later_export_counts(home: Home, heading: str) -> None:
    channel = heading.split(",")[1]
    home.ingest("ann,true,1980-05-04", heading=heading)
    report = home.ingest("ann,false,soon", heading=heading)
    assert (report.changed, str(home(f"{channel}, birthday"))) == (
        True,
        "(False, datetime.date(1980, 5, 4))",
    )
    assert report.tables["customers"].reasons == {"birthday is not a date such as 2026-03-29": 1}
    assert any("the newest row of 1 customer is in quarantine" in note for note in report.notes)


def test_a_second_ingest_of_a_refused_row_changes_nothing(home: Home) -> None:
    home.ingest("ann,true,")
    home.ingest("ann,false,soon")
    report = home.ingest("ann,false,soon")
    assert (report.changed, report.tables["customers"].kept, home()) == (False, 0, False)


@pytest.mark.parametrize(
    ("rows", "consent"),
    [
        (["ann,true,", "ann,false,soon"], False),
        (["ann,false,soon", "ann,true,"], True),
        (["ann,false,", "ann,true,soon"], True),
        (["ann,true,", "ann,perhaps,"], False),
        (["ann,true,", "ann,perhaps,soon"], False),
        (["ann,perhaps,", "ann,true,"], True),
        (["ann,true,", "ann,,soon"], False),
        (["ann,true,", "ann,,"], False),
        (["ann,,", "ann,,soon"], None),
        (["ann,false,soon"], False),
        (["ann,perhaps,"], False),
        (["ann,true,soon"], True),
        (["ann,,soon"], "no row"),
    ],
)
@pytest.mark.parametrize("fresh", [False, True])
def test_the_last_word_of_a_customer_counts_whatever_else_its_row_says(
    home: Home, rows: list[str], consent: bool | None, fresh: bool
) -> None:
    home.ingest("ben,true,")
    home.ingest(*rows, fresh=fresh)
    assert home() == consent


@pytest.mark.parametrize(
    ("rows", "consent"), [(["ann,true,", "ann,,"], False), (["ann,false,", "ann,,"], False)]
)
def test_an_empty_cell_of_a_later_export_withdraws_what_was_recorded(home: Home, rows, consent) -> None:
    for row in rows:
        home.ingest(row)
    assert home() == consent


def test_who_is_in_quarantine_alone_has_a_row_of_consents_and_none_of_the_rest(home: Home) -> None:
    report = home.ingest("ann,false,soon")
    assert home("email_consent, sms_consent, birthday") == (False, None, None)
    assert (report.tables["customers"].kept, report.tables["customers"].quarantined) == (40, 1)


def test_an_export_without_the_column_leaves_consents_as_they_were_and_says_so(home: Home) -> None:
    home.ingest("ann,false,", "ben,true,")
    report = home.ingest("ann,x,1980-05-04", heading="customer_id,region,birthday")
    assert [home(who=name) for name in ("ann", "ben")] == [False, True]
    assert home("region, birthday")[0] == "x"
    assert [note for note in report.notes if "no column email_consent" in note]


def test_a_customer_the_newest_export_lacks_keeps_their_consent(home: Home) -> None:
    home.ingest("ann,false,")
    home.ingest("ben,true,")
    assert home() is False


def test_a_row_the_shops_own_rule_leaves_out_says_nothing(home: Home) -> None:
    home.ingest("ann,true,1980-05-04")
    report = home.ingest("ann,false,1800-01-01", toml="[tables.customers]\nwhere = \"birthday > '1900'\"\n")
    assert home() is True and not any("consent" in note for note in report.notes)


@pytest.mark.parametrize("name", ["a" * 129, "bell\x07", ""])
def test_what_is_no_id_gets_no_row(home: Home, name: str) -> None:
    home.ingest(f"{name},false,soon")
    assert home("count(*)") == 0 and home(who=name) == "no row"


def test_consents_most_of_which_cannot_be_read_are_an_error_and_change_nothing(home: Home) -> None:
    home.ingest("ann,false,")
    with pytest.raises(Exception, match="email_consent.*must be true or false"):
        home.ingest(*(f"c{n},perhaps,soon" for n in range(10)))
    assert home() is False
