"""The whole way in a shop of a year that asks for 180 days: ingest, train, score, answer, and why."""

import io
import sys
from contextlib import redirect_stdout
from datetime import UTC, datetime
from pathlib import Path

import pytest
from worlds.bgnbd import order_lines, simulate

import recompra
from features.ingest import ingest
from serving.api_crm import CustomerRequest, ScoresRequest
from serving.marketing.customer import profile
from serving.marketing.scores import ScoresQuery
from serving.online.view import View
from serving.scoring.folder import load
from serving.state import Pointer, State
from serving.store import Store
from training.train import train

DAYS = 366


def run(home: Path, *words: str) -> str:
    """Run one command of the CLI; return what it printed."""
    with pytest.MonkeyPatch.context() as patch, redirect_stdout(io.StringIO()) as printed:
        patch.setenv("RECOMPRA_HOME", str(home))
        patch.setattr(sys, "argv", ["recompra", *words])
        with pytest.raises(SystemExit) as ended:
            recompra.main()
    assert not ended.value.code, printed.getvalue()
    return " ".join(printed.getvalue().split())


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("young")
    source = place / "source"
    source.mkdir()
    lines = order_lines(simulate(n_customers=500, days=DAYS, join_days=150, seed=11))
    lines.to_parquet(source / "order_lines.parquet")
    text = 'currency = "BRL"\nhorizon_days = 180\n[lists]\nlocale = "pt"\n'
    (source / "recompra.toml").write_text(text)
    ingest(str(source), place / "home")
    return place / "home"


@pytest.fixture(scope="module")
def trained(home: Path) -> str:
    return run(home, "train", "--only", "churn", "--only", "ltv")


@pytest.fixture(scope="module")
def scored(home: Path, trained: str) -> str:
    return run(home, "score")


@pytest.fixture(scope="module")
def state(home: Path, scored: str) -> State:
    snapshot = load(home / "lists" / Pointer.read(home).stamp)
    return State.of(snapshot, View(Store.open(home), snapshot.as_of))


def test_training_measures_what_it_carries_and_says_that_it_does(trained: str) -> None:
    assert "Measured on the 180 days from 2024-07-05" in trained
    for model in ("churn", "ltv"):
        assert f"{model}: no window of 180 days has closed yet. Learnt from windows of 62 days" in trained
        assert f"{model}: v1 is champion" in trained


def test_the_scoring_says_so_on_the_terminal_in_the_shops_language(scored: str) -> None:
    assert (
        "churn: ainda não se completou nenhuma janela de 180 dias. Aprendido em janelas de 62 dias" in scored
    )
    assert "ltv: ainda não se completou nenhuma janela de 180 dias" in scored


def test_every_customer_has_scores_of_the_horizon(state: State, home: Path) -> None:
    page = ScoresQuery.of(state, ScoresRequest(limit=None), home=home).page()
    assert page.n_found == len(state.snapshot.customers) > 400
    for row in page.scores:
        assert row["expected_orders_180d"] >= 1 - row["churn_probability_180d"] - 1e-6
        assert 0 <= row["expected_revenue_180d_p10"] <= row["expected_revenue_180d"]


def test_scores_come_with_the_reason_not_to_take_them_as_calibrated(state: State, home: Path) -> None:
    page = ScoresQuery.of(state, ScoresRequest(limit=1), home=home).page()
    assert [(note["code"], note["model"]) for note in page.notes] == [
        ("carried", "churn"),
        ("season", "churn"),
        ("carried", "ltv"),
        ("season", "ltv"),
    ]
    assert all(note["learnt_from"] == "2024-12-27" for note in page.notes)
    customer = profile(state, CustomerRequest(customer_id="c00003", locale="en"))
    assert "not calibrated" in customer.notes[0]["text"]


def test_a_shop_too_young_is_told_which_horizon_is_possible_and_from_when_on_this_one(home: Path) -> None:
    early = datetime(2024, 9, 1, tzinfo=UTC)  # 64 days of orders before the 180 that are measured
    report = train(home, clock=lambda: early, as_of=early, only=["churn", "ltv"])
    for reason in report.left_out.values():
        assert "a horizon of 180 days needs 180 days of orders, not 64" in reason
        assert "the longest horizon possible now is 64 days; 180 from 2024-06-29 on" in reason
    assert set(report.left_out) == {"churn", "ltv"}
