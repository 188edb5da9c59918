"""Each way an ingest can fail: an error that names file, column and remedy; a warehouse as it was."""

import hashlib
import json
import re
import subprocess
import sys
from pathlib import Path

import duckdb
import pytest

from features.adapters import names
from features.errors import ArtefactError, Busy, InputError, SettingsError
from features.ingest import ingest
from features.ingest.publish import workshop
from features.shop import Shop
from features.storage.warehouse import Warehouse

HEADING = b"customer_id,ordered_at,quantity,unit_price,currency\n"
GOOD = HEADING + b"a,2024-01-05,1,2,EUR\n"


def home_of(tmp_path: Path) -> Path:
    (tmp_path / "good.csv").write_bytes(GOOD)
    ingest(tmp_path / "good.csv", tmp_path / "home")
    return tmp_path / "home"


def snapshot(home: Path) -> dict[str, str]:
    files = sorted(file for file in home.rglob("*") if file.is_file())
    return {str(file): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


BROKEN = {
    "a line is too short": (b"b,2024-01-06\n", ["bad.csv", "Line: 2", "repair that line"]),
    "a line is too long": (b"b,2024-01-06,1,1,EUR,9\n", ["bad.csv", "Line: 2", "repair that line"]),
    "a quote is not closed": (b'"b,2024-01-06,1,1,EUR\n', ["bad.csv", "Line: 2", "repair that line"]),
    "it is not UTF-8": (b"b\xe9,2024-01-06,1,1,EUR\n", ["bad.csv", "utf-8", "save it as CSV in UTF-8"]),
    "it holds a heading alone": (b"", ["bad.csv holds no rows", "export it again"]),
    "a number column holds words": (
        b"b,2024-01-06,one,1,EUR\n",
        ["bad.csv", "'quantity'", "must be a number", '"one"', "map it"],
    ),
    "a time column holds numbers": (b"b,1704500000,1,1,EUR\n", ["bad.csv", "'ordered_at'", "a date or time"]),
    "a second currency comes": (
        b"b,2024-01-06,1,1,EUR\nb,2024-01-07,1,1,USD\n",
        ["'currency'", "USD: 1 row, such as bad.csv row 2", "convert"],
    ),
    "its currency is not the shop's": (b"b,2024-01-06,1,1,USD\n", ["the shop's is EUR", "USD: 1 row"]),
}
HEADINGS = {
    b"": ["bad.csv is empty", "export it again"],
    b"\n\n": ["bad.csv", "first line"],
    b"who,ordered_at\nb,2024-01-06\n": ["'customer_id'", "bad.csv", "['who', 'ordered_at']", "map it"],
    b"customer_id,ordered_at,ordered_at\nb,1,2\n": ["bad.csv", "repeated"],
    b"customer_id,ordered_at\rb,2024-01-06\r": ["bad.csv", "cannot be read as text", "save it as CSV"],
    "customer_id,ordered_at\n".encode("utf-16-le"): ["bad.csv", "cannot be read as text", "save it as CSV"],
}


def refusal(tmp_path: Path, content: bytes) -> str:
    home = home_of(tmp_path)
    before = snapshot(home)
    (tmp_path / "bad.csv").write_bytes(content)
    with pytest.raises(InputError) as error:
        ingest(tmp_path / "bad.csv", home)
    assert snapshot(home) == before
    return str(error.value)


@pytest.mark.parametrize("case", BROKEN)
def test_a_file_is_refused_in_words_and_nothing_changes_when(tmp_path, case):
    content, words = BROKEN[case]
    told = refusal(tmp_path, HEADING + content)
    assert [word for word in words if word not in told] == []


def test_what_a_refusal_proposes_reads_all_columns_of_the_table_it_refused(tmp_path):
    (tmp_path / "order_lines.csv").write_text("customer_id;dia;preco\na;31/01/2024 10:00;1.299,50\n")
    (tmp_path / "customers.csv").write_text("customer_id;email_consent;birthday\na;sim;31/01/1980\nb;não;\n")
    columns = {"order_lines": {"ordered_at": "dia", "unit_price": "preco"}, "customers": {}}
    for _ in columns:
        write_map(tmp_path, columns)
        with pytest.raises(InputError, match="such as") as refused:
            ingest(tmp_path, tmp_path / "home")
        table, proposed = re.search(r"\[tables\.(\w+)\..* such as (.*)$", str(refused.value)).groups()
        columns[table] |= re.findall(r'(\w+) = "([^"]*)"', proposed)
    write_map(tmp_path, columns)
    ingest(tmp_path, tmp_path / "home")
    shop = Shop(tmp_path / "home")
    assert shop.con.raw_sql("SELECT unit_price FROM order_lines").fetchall() == [(1299.5,)]
    assert shop.con.raw_sql("SELECT email_consent FROM customers ORDER BY 1").fetchall() == [
        (False,),
        (True,),
    ]


def write_map(folder, columns):
    maps = (
        f"[tables.{table}.columns]\n" + "".join(f'{name} = "{cell}"\n' for name, cell in of.items())
        for table, of in columns.items()
    )
    (folder / "recompra.toml").write_text("\n".join(maps))


@pytest.mark.parametrize("content", HEADINGS)
def test_a_file_with_a_useless_heading_is_refused_in_words(tmp_path, content):
    told = refusal(tmp_path, content)
    assert [word for word in HEADINGS[content] if word not in told] == []


def test_a_file_that_is_no_parquet_is_named(tmp_path):
    (tmp_path / "bad.parquet").write_text("this is no Parquet file")
    with pytest.raises(InputError, match=r"bad\.parquet.*is broken"):
        ingest(tmp_path / "bad.parquet", tmp_path / "home")


def test_a_parquet_column_of_the_wrong_type_is_named_with_its_type(tmp_path):
    sql = "SELECT 'a' AS customer_id, 20240105 AS ordered_at"
    duckdb.execute(f"COPY ({sql}) TO '{tmp_path}/lines.parquet'")
    with pytest.raises(InputError, match=r"lines\.parquet: column 'ordered_at' .* found INTEGER.*map it"):
        ingest(tmp_path / "lines.parquet", tmp_path / "home")


@pytest.mark.parametrize(
    ("sql", "kind"),
    [
        ("[1, 2]", r"INTEGER\[\]"),
        ("{'n': 1}", "STRUCT"),
        ("'a'::BLOB", "BLOB"),
        ("TIME '10:00'", "TIME"),
        ("INTERVAL 1 DAY", "INTERVAL"),
    ],
)
def test_a_parquet_column_of_what_no_column_of_ours_holds_is_named_with_its_type(tmp_path, sql, kind):
    sql = f"SELECT 'a' AS customer_id, TIMESTAMP '2024-01-05' AS ordered_at, {sql} AS quantity"
    duckdb.execute(f"COPY ({sql}) TO '{tmp_path}/lines.parquet'")
    with pytest.raises(InputError, match=rf"column 'quantity' .* found {kind}"):
        ingest(tmp_path / "lines.parquet", tmp_path / "home")


def test_a_file_that_cannot_hold_tables_is_refused(tmp_path):
    (tmp_path / "lines.xlsx").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"lines\.xlsx: neither Parquet nor CSV"):
        ingest(tmp_path / "lines.xlsx", tmp_path / "home")


def test_a_source_that_does_not_exist_offers_the_demo(tmp_path):
    with pytest.raises(InputError, match="complete_journey"):
        ingest(tmp_path / "nowhere", tmp_path / "home")


def test_a_lone_file_does_not_stand_in_for_the_one_that_the_map_names(tmp_path):
    (tmp_path / "backup.csv").write_bytes(GOOD)
    (tmp_path / "recompra.toml").write_text('[tables.order_lines]\nfile = "export_*.csv"')
    with pytest.raises(InputError, match=r"order_lines missing .*backup\.csv"):
        ingest(tmp_path, tmp_path / "home")


def test_a_folder_without_order_lines_says_what_it_found(tmp_path):
    for name in ("more.csv", "transactions.csv"):
        (tmp_path / name).write_bytes(GOOD)
    with pytest.raises(InputError, match=r"order_lines missing .*transactions\.csv.*--adapter"):
        ingest(tmp_path, tmp_path / "home")


def test_columns_of_a_known_shop_bring_the_hint_to_use_its_adapter(tmp_path):
    (tmp_path / "t.csv").write_text("household_id,transaction_timestamp\n1,2024-01-05\n")
    with pytest.raises(InputError, match="use --adapter complete_journey"):
        ingest(tmp_path / "t.csv", tmp_path / "home")


def test_an_unusable_file_says_why_no_line_could_be_used(tmp_path):
    (tmp_path / "t.csv").write_text("customer_id,ordered_at,quantity\na,2024-01-05,0\n")
    with pytest.raises(InputError, match=r"no order line can be used \(quantity is 0: 1\)"):
        ingest(tmp_path / "t.csv", tmp_path / "home")


@pytest.mark.parametrize(
    ("toml", "words"),
    [
        ("timezone = 'Europe/Lissabon'", "unknown time zone 'Europe/Lissabon'"),
        ("[tables.orders]\nfile = 'x.csv'", "unknown table 'orders'"),
        ("[columns]\ncustomer = 'who'", "unknown column 'customer'"),
        ("[columns", "not valid TOML"),
    ],
)
def test_settings_that_make_no_sense_are_named(tmp_path, toml, words):
    (tmp_path / "order_lines.csv").write_bytes(GOOD)
    (tmp_path / "recompra.toml").write_text(toml)
    with pytest.raises(SettingsError, match=words):
        ingest(tmp_path, tmp_path / "home")


def test_a_map_to_a_column_that_is_not_there_names_both(tmp_path):
    (tmp_path / "order_lines.csv").write_bytes(GOOD)
    (tmp_path / "recompra.toml").write_text("[columns]\ncustomer_id = 'buyer_id'")
    with pytest.raises(
        InputError, match=r"'customer_id', mapped to 'buyer_id', missing .*found \['customer_id'"
    ):
        ingest(tmp_path, tmp_path / "home")


def test_an_unknown_adapter_lists_those_that_are_there(tmp_path):
    (tmp_path / "t.csv").write_bytes(GOOD)
    with pytest.raises(SettingsError, match=", ".join(names())):
        ingest(tmp_path / "t.csv", tmp_path / "home", adapter="shopware")


def test_a_warehouse_cannot_change_its_time_zone(tmp_path):
    home = home_of(tmp_path)
    (tmp_path / "recompra.toml").write_text("timezone = 'Asia/Tokyo'")
    with pytest.raises(SettingsError, match="made with timezone 'UTC', this source says 'Asia/Tokyo'"):
        ingest(tmp_path / "good.csv", home)


@pytest.mark.parametrize("toml", ["[columns]\nquantity = '2'", "timestamps = 'Asia/Tokyo'"])
def test_a_file_read_before_cannot_be_read_again_with_another_map(tmp_path, toml):
    home = home_of(tmp_path)
    (tmp_path / "recompra.toml").write_text(toml)
    with pytest.raises(
        InputError, match=r"good\.csv is in the warehouse already, read with another column map"
    ):
        ingest(tmp_path / "good.csv", home)


def test_a_warehouse_whose_card_is_broken_is_named_and_can_be_made_anew(tmp_path):
    home = home_of(tmp_path)
    (home / "warehouse" / "shop.json").write_text("{")
    with pytest.raises(ArtefactError, match=r"shop\.json of the warehouse cannot be read .*--fresh"):
        ingest(tmp_path / "good.csv", home)
    assert ingest(tmp_path / "good.csv", home, fresh=True).facts["n_lines"] == 1


def test_a_setting_that_an_earlier_version_stored_and_nobody_knows_is_left_out_and_told(tmp_path):
    home = home_of(tmp_path)
    card = home / "warehouse" / "shop.json"
    stored = json.loads(card.read_text())
    stored["settings"] |= {"loud": True, "lists": stored["settings"]["lists"] | {"glow": 2}}
    card.write_text(json.dumps(stored))
    assert Warehouse(home).settings.horizon_days == 90
    told = "unknown settings of the warehouse are left out: lists.glow, loud"
    assert any(note.startswith(told) for note in ingest(tmp_path / "good.csv", home).notes)
    assert "loud" not in (home / "warehouse" / "shop.json").read_text()
    assert not ingest(tmp_path / "good.csv", home).changed
    (tmp_path / "recompra.toml").write_text("loud = true")
    with pytest.raises(SettingsError, match=r"recompra.toml: loud: .*the keys are"):
        ingest(tmp_path / "good.csv", home)


def test_a_stored_setting_that_can_be_no_more_says_how_to_store_another(tmp_path):
    home = home_of(tmp_path)
    card = home / "warehouse" / "shop.json"
    card.write_text(card.read_text().replace('"horizon_days": 90', '"horizon_days": 9000'))
    with pytest.raises(SettingsError, match=r"stored in the warehouse: horizon_days: .*--fresh"):
        Warehouse(home)


def test_two_ingests_at_once_are_refused(tmp_path):
    home = home_of(tmp_path)
    with workshop(home), pytest.raises(Busy, match="another ingest"):
        ingest(tmp_path / "good.csv", home)


LIMITED = """
import resource, sys
from features.errors import InputError
from features.ingest import ingest
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
try:
    ingest(sys.argv[1], sys.argv[2])
except InputError as error:
    print(error)
"""


def test_a_disk_that_fills_up_in_the_middle_leaves_the_warehouse_as_it_was(tmp_path):
    home = home_of(tmp_path)
    before = snapshot(home)
    moment = "TIMESTAMP '2024-01-01' + INTERVAL (i) MINUTE AS ordered_at"
    sql = f"SELECT md5(i::VARCHAR) AS customer_id, {moment} FROM range(50000) t(i)"
    duckdb.execute(f"COPY ({sql}) TO '{tmp_path}/much.parquet'")
    command = [sys.executable, "-c", LIMITED, str(tmp_path / "much.parquet"), str(home)]
    told = subprocess.run(
        command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[3]
    ).stdout
    assert "is full" in told
    assert "free some space" in told
    assert snapshot(home) == before
    assert not list(home.glob("*.part"))


def test_what_a_killed_ingest_left_behind_is_cleared_away(tmp_path):
    home = home_of(tmp_path)
    (home / "warehouse-7.part").mkdir()
    (tmp_path / "more.csv").write_bytes(HEADING + b"b,2024-01-06,1,2,eur\n")
    assert ingest(tmp_path / "more.csv", home).changed
    assert not (home / "warehouse-7.part").exists()


def test_a_folder_whose_name_looks_like_a_pattern_is_read(tmp_path):
    folder = tmp_path / "shop [1] 'a*b'"
    folder.mkdir()
    (folder / "order_lines.csv").write_bytes(GOOD)
    assert ingest(folder, folder / "home").changed
    assert not ingest(folder, folder / "home").changed


def test_a_home_that_duckdb_cannot_read_is_refused_in_words(tmp_path):
    (tmp_path / "good.csv").write_bytes(GOOD)
    with pytest.raises(SettingsError, match="takes the backslash in .* for a slash. Hint: rename the folder"):
        ingest(tmp_path / "good.csv", tmp_path / "back\\slash")
    assert not list((tmp_path / "back\\slash").glob("warehouse*/*"))
