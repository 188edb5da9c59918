"""What a first export is told: the line of recompra.toml that reads it, the adapter that fits, oddities."""

import tomllib

import pytest

from features.errors import InputError
from features.ingest import ingest
from features.shop import Shop

SHOPIFY = "Name,Email,Phone,Created at,Cancelled at,Financial Status,Currency,Source,Subtotal,Refunded Amount"
WOOCOMMERCE = (
    "order_id,date,status,order_currency,customer_id,billing_email,item_product_id,item_name,item_sku"
)


def refusal(folder, home) -> str:
    with pytest.raises(InputError, match="such as") as refused:
        ingest(folder, home)
    return refused.value.hint.partition("such as ")[2]


@pytest.mark.parametrize(
    ("column", "cells", "read"),
    [
        ("ordered_at", ["31.01.2024 10:00", "1.2.2024 9:05"], "2024-01-31 10:00:00"),
        ("ordered_at", ["31/01/24", "01/02/24"], "2024-01-31 00:00:00"),
        ("ordered_at", ["01/31/2024 3:15 PM", "02/01/2024 9:05 AM"], "2024-01-31 15:15:00"),
        ("ordered_at", ["45322.427083", "45323.5"], "2024-01-31 10:15:00"),
        ("ordered_at", ["1706696100", "1706796100"], "2024-01-31 10:15:00"),
        ("unit_price", ["€ 1.299,50", "€ 2,00"], "1299.5"),
        ("unit_price", ["1 299,50", "2,00"], "1299.5"),
        ("unit_price", ["$1,299.50", "$2.00"], "1299.5"),
    ],
)
def test_a_refusal_proposes_what_reads_this_very_column(tmp_path, column, cells, read):
    other = {"ordered_at": "2024-02-01"} if column != "ordered_at" else {}
    rows = [";".join(["a", cell, *other.values()]) for cell in cells]
    (tmp_path / "order_lines.csv").write_text(
        "\n".join([";".join(["customer_id", "So & so", *other]), *rows])
    )
    toml = tmp_path / "recompra.toml"
    toml.write_text(f"[columns]\n{column} = 'So & so'\n")
    toml.write_text(f"[columns]\n{refusal(tmp_path, tmp_path / 'home')}\n")
    ingest(tmp_path, tmp_path / "home")
    sql = f"SELECT CAST({column} AS VARCHAR) FROM order_lines ORDER BY 1{' DESC' * (column == 'unit_price')}"
    found = [str(cell) for (cell,) in Shop(tmp_path / "home").con.raw_sql(sql).fetchall()]
    assert read in found, (tomllib.loads(toml.read_text()), found)


@pytest.mark.parametrize(
    ("cells", "proposed"),
    [
        (["S", "N", "S "], "lower(trim(ok)) IN ("),
        (["Sí", "no"], "lower(trim(ok)) IN ("),
        (["aceito", "recusado"], "ok = 'its word for yes'"),
    ],
)
def test_a_flag_is_proposed_to_be_read_by_words_that_it_holds(tmp_path, cells, proposed):
    (tmp_path / "order_lines.csv").write_text("customer_id,ordered_at\n0,2024-02-01\n")
    rows = [f"{at},{cell}" for at, cell in enumerate(cells)]
    (tmp_path / "customers.csv").write_text("\n".join(["customer_id,ok", *rows]))
    toml = tmp_path / "recompra.toml"
    toml.write_text("[tables.customers.columns]\nemail_consent = 'ok'\n")
    line = refusal(tmp_path, tmp_path / "home")
    assert proposed in line
    toml.write_text(f"[tables.customers.columns]\n{line}\n")
    ingest(tmp_path, tmp_path / "home")
    found = Shop(tmp_path / "home").con.raw_sql("SELECT count_if(email_consent) FROM customers").fetchone()
    assert found == (sum(cell.startswith("S") for cell in cells),)


@pytest.mark.parametrize(
    ("heading", "adapter"),
    [
        (f"{SHOPIFY},Lineitem sku,Lineitem name,Lineitem price,Lineitem quantity", "shopify"),
        (
            f"{WOOCOMMERCE},item_quantity,item_refunded_qty,item_subtotal,item_total,item_refunded",
            "woocommerce",
        ),
        ("customer_id,date,quantity,amount_usd", "cdnow"),
    ],
)
def test_of_the_adapters_that_fit_the_one_that_reads_most_is_proposed(tmp_path, heading, adapter):
    (tmp_path / "t.csv").write_text(f"{heading}\n{'1,' * heading.count(',')}1\n")
    with pytest.raises(InputError, match=f"use --adapter {adapter}"):
        ingest(tmp_path / "t.csv", tmp_path / "home")


@pytest.mark.parametrize(
    ("cells", "is_odd"),
    [(["1.475", "12.000", "7"], True), (["1.475", "0.250", "7"], False), (["7", "8", "9"], False)],
)
def test_dots_that_may_part_thousands_are_told(tmp_path, cells, is_odd):
    rows = [f"a{at},2024-01-01,{cell}" for at, cell in enumerate(cells)]
    (tmp_path / "order_lines.csv").write_text("\n".join(["customer_id,ordered_at,quantity", *rows]))
    notes = ingest(tmp_path, tmp_path / "home").notes
    assert any("replace(quantity, '.', '')" in note for note in notes) == is_odd


@pytest.mark.parametrize(
    ("end", "timezone", "is_odd"),
    [
        (" -0500", "UTC", True),
        ("+05:30", "UTC", True),
        (" -0500", "America/New_York", False),
        ("+00:00", "UTC", False),
        ("Z", "UTC", False),
        ("", "UTC", False),
    ],
)
def test_times_of_another_clock_than_the_shops_are_told(tmp_path, end, timezone, is_odd):
    rows = [f"c{day},2024-01-0{day} 23:30:00{end}" for day in range(1, 8)]
    (tmp_path / "order_lines.csv").write_text("\n".join(["customer_id,ordered_at", *rows]))
    (tmp_path / "recompra.toml").write_text(f'timezone = "{timezone}"')
    notes = ingest(tmp_path, tmp_path / "home").notes
    assert any(f"most times have the offset {end.strip()}, " in note for note in notes) == is_odd


def test_ids_that_differ_by_capital_letters_alone_are_noted(tmp_path):
    rows = ["a@x,2024-01-01,p", "A@X,2024-01-02,P", "b@x,2024-01-03,p"]
    (tmp_path / "order_lines.csv").write_text("\n".join(["customer_id,ordered_at,product_id", *rows]))
    notes = ingest(tmp_path, tmp_path / "home").notes
    assert [note.split(" differ")[0] for note in notes if " differ" in note] == [
        "customer_id: 1",
        "product_id: 1",
    ]


def test_columns_without_a_name_are_left_out(tmp_path):
    (tmp_path / "order_lines.csv").write_text("customer_id;ordered_at;;\na;2024-01-01;;x\n")
    assert ingest(tmp_path, tmp_path / "home").tables["order_lines"].kept == 1
