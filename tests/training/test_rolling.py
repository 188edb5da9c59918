import json
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds import fakes
from worlds.orders import make_home

from features.errors import SettingsError
from training.backtest import backtest
from training.measures.criteria import MEAN
from training.measures.samples import Evaluation, Sample
from training.report import method_tables
from training.rolling import POOLED, Rolling, pool, rolling

pytestmark = pytest.mark.usefixtures("fake_models")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("shop"), fakes.lines_with_leavers())


@pytest.fixture(scope="module")
def rolled(home: Path, fake_models: None, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Rolling]:
    out = tmp_path_factory.mktemp("rolled")
    return out, rolling(home, out, cutoff="2024-06-01", horizon_days=28, n_cutoffs=3)


def test_cutoffs_lie_one_horizon_apart_and_no_window_shares_a_day(rolled) -> None:
    assert list(rolled[1].measured) == [date(2024, 6, 1), date(2024, 5, 4), date(2024, 4, 6)]


def test_each_cutoff_says_what_a_backtest_of_its_own_says(rolled, home: Path, tmp_path: Path) -> None:
    backtest(home, tmp_path, cutoff="2024-05-04", horizon_days=28)
    alone = pd.read_parquet(tmp_path / "customers.parquet")
    pd.testing.assert_frame_equal(pd.read_parquet(rolled[0] / "2024-05-04" / "customers.parquet"), alone)


def test_every_cutoff_keeps_the_hour_that_was_asked_for(home: Path, tmp_path: Path) -> None:
    rolling(home, tmp_path, cutoff="2024-06-01 12:00", horizon_days=28, n_cutoffs=2, only=["churn"])
    said = [json.loads(path.read_text())["cutoff"] for path in sorted(tmp_path.glob("*/metrics.json"))]
    assert said == ["2024-05-04T12:00:00+00:00", "2024-06-01T12:00:00+00:00"]


def test_the_file_holds_every_cutoff_and_all_together(rolled) -> None:
    said = json.loads((rolled[0] / "rolling.json").read_text(encoding="utf-8"))
    assert set(said) == {"2024-06-01", "2024-05-04", "2024-04-06", POOLED, "left_out", "not_learnt"}
    assert set(said[POOLED]) == set(said["2024-06-01"])


def test_every_method_is_printed_beside_ours_by_cutoff_and_pooled(rolled) -> None:
    for evaluations in rolled[1].evaluations.values():
        for evaluation in evaluations:
            for board in method_tables(evaluation, "when"):
                methods = [*board.columns[0].cells]
                assert methods[0] == evaluation.model and {*methods} == {*evaluation.samples}


def test_pooling_is_over_the_rows_of_all() -> None:
    parts = [Evaluation("m", ("mean x",), {"m": {"mean x": sample(*values)}}) for values in ((1, 2), (6,))]
    found = pool(parts).ours["mean x"]
    assert found.value == 3.0
    assert len(found.customers) == len(set(found.customers)) == 3


def sample(*values: float) -> Sample:
    return Sample(MEAN, pd.Index([f"c{k}" for k in range(len(values))]), (np.array(values, float),))


def test_a_cutoff_before_the_first_order_is_left_out_with_its_reason(home: Path, tmp_path: Path) -> None:
    found = rolling(home, tmp_path, cutoff="2024-03-01", horizon_days=28, n_cutoffs=4)
    assert found.left_out and all("outside the orders" in why for why in found.left_out.values())


def test_no_cutoff_at_all_is_an_error_in_words(home: Path, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no cutoff could be tested"):
        rolling(home, tmp_path, cutoff="2020-01-01", horizon_days=28, n_cutoffs=2)


def test_a_window_that_is_not_over_is_left_out_with_its_reason(home: Path, tmp_path: Path) -> None:
    found = rolling(home, tmp_path, cutoff="2024-07-10", horizon_days=28, n_cutoffs=2)
    newest, before = found.measured
    assert (found.measured[newest], [*found.left_out]) == ([], [newest])
    assert "the horizon ends on 2024-08-07" in found.left_out[newest] and found.measured[before]
    assert (tmp_path / newest.isoformat() / "customers.parquet").exists()
    said = json.loads((tmp_path / "rolling.json").read_text(encoding="utf-8"))
    assert said["left_out"] == {newest.isoformat(): found.left_out[newest]}


def test_models_that_could_not_learn_are_named_with_the_reason(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fakes.FakeChurn, "fit", classmethod(fakes.cannot_learn))
    found = rolling(home, tmp_path, cutoff="2024-06-01", horizon_days=28, n_cutoffs=2)
    reason = {"churn": "churn has too little to learn from. Hint: wait"}
    assert found.not_learnt == {date(2024, 6, 1): reason, date(2024, 5, 4): reason}
    said = json.loads((tmp_path / "rolling.json").read_text(encoding="utf-8"))
    assert said["not_learnt"] == {"2024-06-01": reason, "2024-05-04": reason}
