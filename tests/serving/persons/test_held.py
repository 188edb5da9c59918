"""All that a scoring holds on one person, beside the arrays it stands in."""

import json
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.orders import make_home as make_warehouse
from worlds.orders import order_lines
from worlds.snapshot import GAIN, make_home, make_snapshot, with_known

from models.policy.actions import EVENTS
from serving.persons.erasure import as_text, erase
from serving.persons.held import export
from serving.scoring.snapshot import Snapshot

WHO = "c000003"
NOW = datetime(2024, 6, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def scored(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Snapshot]:
    home = make_warehouse(tmp_path_factory.mktemp("held"), order_lines(6).assign(customer_id=WHO))
    made = with_known(make_snapshot())
    assert made.known is not None
    made.ready["for_you"].product[3, -2:] = -1  # a short list
    learnt = {"win_back": np.arange(20) / 100}
    return home, make_home(home, replace(made, known=replace(made.known, learnt=learnt)))


def test_an_export_tells_where_a_customer_stands_as_json_does(scored: tuple[Path, Snapshot]) -> None:
    home, snapshot = scored
    held = export(home, WHO)["scoring"]
    json.dumps(held, allow_nan=False)
    since = dict(zip(EVENTS, held["standing"]["since"], strict=True))
    assert since == {"first_order": 3, "last_order": 3, "delivery": 3, "birthday": None}
    assert held["standing"]["n_orders"] == 1 and held["standing"]["held_out"] is False
    assert held["learnt_effects"] == {"win_back": 0.03}
    table = snapshot.retention
    assert table is not None
    mine = table.number("customer") == 3
    assert held["retention"][GAIN] == table.number(GAIN)[mine][0]
    shown = snapshot.ready["for_you"].product[3]
    assert held["lists"]["for_you"] == snapshot.catalogue.products.names(shown[:-2])


def test_an_export_holds_the_rows_of_every_table_as_ingest_reads_them(tmp_path: Path) -> None:
    lines = order_lines(2).assign(customer_id=lambda d: d["customer_id"].replace("c00", "7"))
    mine = lines[lines["customer_id"] == "7"]
    wrong = mine.head(2).assign(customer_id=[" 7 ", "7.0"], ordered_at=pd.NaT)
    sent = lines[["order_id"]].drop_duplicates().assign(status="delivered")
    home = make_warehouse(tmp_path, pd.concat([lines, wrong], ignore_index=True), deliveries=sent)
    held = export(home, " 7\u3000")["warehouse"]
    assert {row["customer_id"] for row in held["order_lines"]} == {"7"}
    assert len(held["return_lines"]) == (mine["quantity"] < 0).sum() > 0
    assert {row["order_id"] for row in held["deliveries"]} == set(mine["order_id"])
    reasons = [row["reason"] for row in held["quarantine"]]
    assert reasons.count("ordered_at is missing") == 2


def test_of_a_number_that_other_rows_hold_too_nobody_elses_row_is_told_or_taken(tmp_path: Path) -> None:
    lines = order_lines(3).assign(customer_id=lambda d: d["customer_id"].replace("c00", "17"))
    theirs = lines[lines["customer_id"] == "c01"].head(2)
    wrong = theirs.assign(product_id=["17", "p01"], quantity=[0, 17], unit_price=[1, -1])
    mine = lines[lines["customer_id"] == "17"].head(1).assign(quantity=0)
    catalogue = pd.DataFrame({"product_id": ["17", "p01", "p02"], "list_price": [-1, 2, 3]})
    home = make_warehouse(tmp_path, pd.concat([lines, wrong, mine], ignore_index=True), products=catalogue)
    refused = export(home, "17")["warehouse"]["quarantine"]
    assert [(row["customer_id"], row["reason"]) for row in refused] == [("17", "quantity is 0")]
    made = erase(home, "17", now=NOW)
    assert made.clean, as_text(made)
    assert made.files.warehouse["quarantine"] == 1
    assert len(export(home, "c01")["warehouse"]["quarantine"]) == 2
