"""Customers taken out of a warehouse: as if they had never been ingested, in every version, for good."""

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow.parquet as pq
import pytest
from worlds.orders import contacts, order_lines, products

from features.errors import InputError
from features.ingest import erasure, ingest
from features.ingest.erasure import erase
from features.ingest.refused import whose
from features.storage.warehouse import Warehouse

WHO, DIGEST = "c03", "3f9a"


def forgotten(ids: Sequence[str]) -> Mapping[str, str]:
    return {name: DIGEST for name in ids if name == WHO}


def tables() -> dict[str, pd.DataFrame]:
    lines = order_lines(12)
    deliveries = lines[["order_id"]].drop_duplicates().assign(status="delivered")
    wrong = lines[lines["customer_id"].isin([WHO, "c04"])].head(4).assign(ordered_at=pd.NaT)
    people = pd.DataFrame({"customer_id": sorted(lines["customer_id"].unique()), "region": "south"})
    asked = people.assign(answered_at=pd.Timestamp("2024-04-01"), score=9)[
        ["customer_id", "answered_at", "score"]
    ]
    return {
        "order_lines": pd.concat([lines, wrong, lines.head(1)], ignore_index=True),
        "products": products(),
        "customers": people,
        "contacts": contacts(lines),
        "deliveries": deliveries,
        "surveys": asked,
    }


def shop_of(folder: Path, found: dict[str, pd.DataFrame]) -> Path:
    folder.mkdir(parents=True)
    (folder / "recompra.toml").write_text('currency = "EUR"\n')
    for name, table in found.items():
        table.to_parquet(folder / f"{name}.parquet")
    return folder


def without(found: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame]:
    orders = found["order_lines"].loc[lambda d: d["customer_id"] == WHO, "order_id"]
    left = {n: t[t["customer_id"] != WHO] if "customer_id" in t else t for n, t in found.items()}
    left["deliveries"] = left["deliveries"].loc[lambda d: ~d["order_id"].isin(orders)]
    return left


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return shop_of(tmp_path_factory.mktemp("shop") / "source", tables())


@pytest.fixture(scope="module")
def made(source: Path) -> Path:
    home = source.parent / "home"
    ingest(source, home)
    return home


@pytest.fixture
def home(made: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(made, tmp_path / "home", symlinks=True))


def held(folder: Path) -> dict[str, int]:
    """Look through every cell of every file, not by any knowledge of ours."""
    found = {}
    for file in folder.rglob("*.parquet"):
        cells = pq.read_table(file).to_pandas().astype(str)
        n = int(cells.apply(lambda column: column.str.contains(rf"\b{WHO}\b")).any(axis=1).sum())
        if n:
            found[file.relative_to(folder).as_posix()] = n
    return found


def test_erasing_is_as_if_they_had_never_been_ingested(home: Path, tmp_path: Path) -> None:
    erase(home, forgotten)
    ingest(shop_of(tmp_path / "other", without(tables())), tmp_path / "never")
    ours, never = Warehouse(home), Warehouse(tmp_path / "never")
    assert (ours.fingerprint, ours.facts) == (never.fingerprint, never.facts)
    files = sorted(file.relative_to(ours.folder) for file in ours.folder.rglob("*.parquet"))
    assert files == sorted(file.relative_to(never.folder) for file in never.folder.rglob("*.parquet"))
    for file in files:
        left, right = (pq.read_table(place / file).to_pandas() for place in (ours.folder, never.folder))
        numbered = ["row_number", "__row"]  # of the rows in the file they came in
        left, right = (table.drop(columns=numbered, errors="ignore") for table in (left, right))
        pd.testing.assert_frame_equal(left, right)


def test_nothing_is_left_in_any_version_and_it_says_what_it_took(home: Path) -> None:
    before = (home / "warehouse").resolve()
    assert set(held(before)) >= {"orders.parquet", "days.parquet", "customers.parquet", "quarantine.parquet"}
    done = erase(home, forgotten)
    assert (done.ids, done.n_older_rows) == ({WHO: DIGEST}, 0)
    assert {
        "order_lines",
        "orders",
        "days",
        "customers",
        "contacts",
        "surveys",
        "deliveries",
        "quarantine",
    } <= set(done.rows)
    assert (home / "warehouse").resolve() != before
    assert before.is_dir() and held(home) == {}


def test_what_older_versions_hold_of_them_goes_too(home: Path, tmp_path: Path) -> None:
    more = order_lines(12, days=230).assign(customer_id="c07")
    ingest(shop_of(tmp_path / "more", {"order_lines": more}), home)
    assert len(list(home.glob("warehouse-[0-9]"))) == 2
    assert erase(home, forgotten).n_older_rows > 0
    assert held(home) == {}


def test_months_without_them_stay_the_files_they_are(home: Path) -> None:
    def of_month(month: str) -> os.stat_result:
        return next((home / "warehouse").resolve().glob(f"order_lines/month={month}/*")).stat()

    def only_early(ids: Sequence[str]) -> Mapping[str, str]:
        return {name: "d" for name in ids if name == "early"}

    lines = pd.DataFrame(
        {
            "customer_id": ["early"],
            "ordered_at": [pd.Timestamp("2023-01-05")],
            "order_id": ["x"],
            "product_id": ["p00"],
            "quantity": [1.0],
            "unit_price": [1.0],
        }
    )
    ingest(shop_of(home.parent / "early", {"order_lines": lines}), home)
    before = of_month("2024-02")
    erase(home, only_early)
    assert of_month("2024-02").st_ino == before.st_ino
    assert not list(home.glob("warehouse-*/order_lines/month=2023-01/*"))


def test_the_same_export_does_not_bring_them_back(home: Path, source: Path) -> None:
    erase(home, forgotten)
    after = Warehouse(home).fingerprint
    assert ingest(source, home, forgotten=forgotten).fingerprint == after
    report = ingest(source, home, fresh=True, forgotten=forgotten)
    assert report.fingerprint == after
    lines = report.tables["order_lines"]
    assert lines.erased > 0
    named = sum(counts.erased for name, counts in report.tables.items() if name != "deliveries")
    assert report.erased == {DIGEST: named}
    assert lines.rows == lines.kept + lines.returns + lines.quarantined + lines.already_here + lines.erased
    assert held((home / "warehouse").resolve()) == {}
    assert WHO not in json.dumps(report.model_dump())


def test_a_delivery_of_an_order_that_was_not_theirs_alone_stays(tmp_path: Path) -> None:
    when = pd.Timestamp("2024-01-01 10:00")
    bought = pd.DataFrame(
        {
            "customer_id": [WHO, "c04", WHO, WHO, None],
            "order_id": ["shared", "shared", "own", "till", "till"],
        }
    )
    sent = pd.DataFrame({"order_id": ["shared", "own", "till"], "status": "delivered"})
    shop = shop_of(tmp_path / "shop", {"order_lines": bought.assign(ordered_at=when), "deliveries": sent})
    home = tmp_path / "home"
    ingest(shop, home)
    erase(home, forgotten)
    for _ in range(2):
        left = pq.read_table(home / "warehouse" / "deliveries.parquet").to_pandas()
        assert sorted(left["order_id"]) == ["shared", "till"]
        ingest(shop, home, fresh=True, forgotten=forgotten)


def test_a_delivery_of_an_erased_order_stays_out_if_it_comes_later_and_alone(
    home: Path, tmp_path: Path
) -> None:
    lines = tables()["order_lines"]
    theirs = set(lines.loc[lines["customer_id"] == WHO, "order_id"])
    erase(home, forgotten)
    late = pd.DataFrame({"order_id": sorted(lines["order_id"].unique()), "status": "returned"})
    report = ingest(shop_of(tmp_path / "late", {"deliveries": late}), home, forgotten=forgotten)
    assert report.tables["deliveries"].erased == len(theirs)
    left = pq.read_table(home / "warehouse" / "deliveries.parquet").to_pandas()
    assert set(left["order_id"]) == set(lines["order_id"]) - theirs
    assert (left["status"] == "returned").all()


def test_of_whom_nothing_but_unusable_rows_is_known_those_are_erased(tmp_path: Path) -> None:
    bought = pd.DataFrame({"customer_id": ["c04", WHO], "ordered_at": [pd.Timestamp("2024-01-01"), pd.NaT]})
    ingest(shop_of(tmp_path / "shop", {"order_lines": bought}), tmp_path / "home")
    done = erase(tmp_path / "home", forgotten)
    assert (done.ids, done.rows) == ({WHO: DIGEST}, {"quarantine": 1})
    assert held(tmp_path / "home") == {}


def test_an_export_under_names_of_its_own_is_searched_by_those(tmp_path: Path) -> None:
    folder = tmp_path / "csv"
    folder.mkdir()
    (folder / "recompra.toml").write_text(
        '[tables.order_lines]\ncolumns = { customer_id = "buyer", ordered_at = "at" }\n'
    )
    (folder / "order_lines.csv").write_text(
        "buyer,at,quantity\n3,2024-01-01,1\n3,never,1\n 3.0,never,1\n4,never,3\n"
        "5,2024-01-02,3\n6,2024-01-02,3\n7,2024-01-02,3\n"
    )
    ingest(folder, tmp_path / "home")
    done = erase(tmp_path / "home", lambda ids: {name: "d" for name in ids if name == "3"})
    assert (done.rows["order_lines"], done.rows["quarantine"]) == (1, 2)
    rows = pq.read_table(tmp_path / "home" / "warehouse" / "quarantine.parquet").to_pylist()
    assert [json.loads(row["row"])["buyer"] for row in rows] == ["4"]


def test_who_is_not_there_changes_nothing(home: Path) -> None:
    before = (home / "warehouse").resolve()
    assert erase(home, lambda _: {}).rows == {}
    assert (home / "warehouse").resolve() == before
    assert erase(home.parent / "empty", forgotten).ids == {}


def test_the_last_customer_cannot_be_taken_out_of_a_warehouse(home: Path) -> None:
    before = (home / "warehouse").resolve()
    with pytest.raises(InputError, match="remove the whole home"):
        erase(home, lambda ids: dict.fromkeys(ids, "d"))
    assert (home / "warehouse").resolve() == before


def test_an_export_of_none_but_the_forgotten_is_refused_for_that(made: Path, source: Path, tmp_path) -> None:
    with pytest.raises(InputError, match=r"\(of customers who asked to be forgotten: \d+.* Hint: "):
        ingest(source, tmp_path, fresh=True, forgotten=lambda ids: dict.fromkeys(ids, "d"))


def test_each_erasure_is_recorded_with_what_it_took(home: Path) -> None:
    def n_lines(who: str) -> int:
        files = f"{home}/warehouse/order_lines/*/*.parquet"
        return duckdb.sql(f"SELECT count(*) FROM '{files}' WHERE customer_id = '{who}'").fetchall()[0][0]

    wanted = [(n_lines(WHO), Warehouse(home).fingerprint)]
    erase(home, forgotten)
    wanted.append((n_lines("c04"), Warehouse(home).fingerprint))
    erase(home, lambda ids: {name: "d" for name in ids if name == "c04"})
    times = erasure.earlier_erasures((home / "warehouse").resolve())["times"]
    assert [(took["rows"]["order_lines"], took["fingerprint_before"]) for took in times] == wanted


def test_of_the_forgotten_a_new_home_never_holds_anything(source: Path, tmp_path: Path) -> None:
    gone = {WHO: DIGEST, "c04": "77"}
    report = ingest(
        source, tmp_path, forgotten=lambda ids: {name: gone[name] for name in ids if name in gone}
    )
    lines = tables()["order_lines"]
    theirs = lines["customer_id"].isin(list(gone))
    assert report.tables["order_lines"].erased == theirs.sum()
    left = pq.read_table(tmp_path / "warehouse" / "deliveries.parquet").to_pandas()["order_id"]
    assert set(left) == set(lines.loc[~theirs, "order_id"])


def test_nobodys_lines_stay_where_somebodys_go(tmp_path: Path) -> None:
    lines = order_lines(4).assign(customer_id=lambda d: d["customer_id"].where(d["customer_id"] != "c02"))
    lines = lines[lines["quantity"] > 0]
    home = tmp_path / "home"
    ingest(shop_of(tmp_path / "shop", {"order_lines": lines}), home)
    erase(home, forgotten)
    assert Warehouse(home).facts.n_lines_without_customer == lines["customer_id"].isna().sum() > 0


@pytest.mark.parametrize(
    ("row", "ids"),
    [
        ('{"customer_id": " c03 ", "note": "z"}', ["c03"]),
        ('{"who": "3.0", "n": null, "note": "z"}', ["3", "z"]),
    ],
)
def test_a_row_whose_id_is_not_stored_is_of_whom_its_column_names_or_of_any_value(made, row, ids) -> None:
    sql = f"SELECT {whose((made / 'warehouse').resolve())}"
    sql += ' FROM (SELECT $table AS "table", $row AS row, $id AS customer_id)'
    for table, customer_id, found in (
        ("surveys", None, ids),
        ("surveys", "7.0", ["7.0", "7"]),
        ("products", None, []),
    ):
        given = {"table": table, "row": row, "id": customer_id}
        assert duckdb.execute(sql, given).fetchall() == [(found,)]


def by_address(folder: Path) -> Path:
    """Write a shop whose ids are an expression: rows in quarantine name their customer as the export does."""
    folder.mkdir()
    (folder / "recompra.toml").write_text(
        "[tables.order_lines.columns]\ncustomer_id = 'lower(\"E-mail\")'\nordered_at = 'at'\n"
        "[tables.products.columns]\nproduct_id = 'sku'\n"
    )
    (folder / "order_lines.csv").write_text(
        "E-mail,at,quantity\nAnn@X.com,2024-01-01,1\nAnn@X.com,2024-01-02,0\nANN@X.com,never,1\n"
        "17,2024-01-01,1\n17,never,1\nben@x.com,2024-01-01,1\nben@x.com,2024-01-02,0\nben@x.com,never,17\n"
        "cat@x.com,2024-01-05,1\n"
    )
    (folder / "products.csv").write_text("sku,list_price\n17,much\nq,1\nr,2\n")
    return folder


def refused_of(home: Path) -> list[tuple[str, str]]:
    table = f"'{home}/warehouse/quarantine.parquet'"
    rows = duckdb.sql(f"SELECT row, reason FROM {table} ORDER BY row_number").fetchall()
    return [(json.loads(row).get("E-mail", "a product"), reason.split(" ")[0]) for row, reason in rows]


@pytest.mark.parametrize(("who", "n"), [("ann@x.com", 2), ("17", 1)])
def test_a_row_in_quarantine_goes_with_the_customer_whom_ingest_read_in_it(tmp_path, who, n) -> None:
    home = tmp_path / "home"
    ingest(by_address(tmp_path / "s"), home)
    before = refused_of(home)
    assert erase(home, lambda ids: {name: "d" for name in ids if name == who}).rows["quarantine"] == n
    assert refused_of(home) == [row for row in before if row[0].lower() != who]


def test_rows_an_older_warehouse_keeps_in_quarantine_stay_beside_new_ones(tmp_path: Path) -> None:
    home, source = tmp_path / "home", by_address(tmp_path / "s")
    ingest(source, home)
    file = home / "warehouse" / "quarantine.parquet"
    pq.write_table(pq.read_table(file).drop_columns(["customer_id"]), file)
    (source / "order_lines_2.csv").write_text(
        "E-mail,at,quantity\ndan@x.com,never,1\ncat@x.com,2024-02-01,1\n"
    )
    before = refused_of(home)
    ingest(source / "order_lines_2.csv", home, settings=source / "recompra.toml")
    assert sorted(refused_of(home)) == sorted([*before, ("dan@x.com", "ordered_at")])
    assert pq.read_table(file)["customer_id"].to_pylist().count("dan@x.com") == 1


def test_every_warehouse_has_a_salt_of_its_own() -> None:
    assert erasure.earlier_erasures(None)["salt"] != erasure.earlier_erasures(None)["salt"]
