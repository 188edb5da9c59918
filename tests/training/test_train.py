import shutil
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from worlds import fakes
from worlds.orders import make_home, make_shop

from features.errors import NotFound, SettingsError
from features.shop import Shop
from features.sketch import Sketch
from features.window import parse_cutoff
from training.report import Report, Trained
from training.tracking import Tracking
from training.train import _holdout, chosen_models, list_makers, train

NOW = datetime(2024, 8, 1, tzinfo=UTC)
pytestmark = pytest.mark.usefixtures("fake_models")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("shop"), fakes.lines_with_leavers())


def again(home: Path, days: int = 1, **options: Any) -> Report:
    return train(home, clock=lambda: NOW + timedelta(days=days), **options)


def churn(report: Report) -> Trained:
    return next(trained for trained in report.models if trained.name == "churn")


@pytest.fixture(scope="module")
def first(home: Path, fake_models: None) -> Report:
    return train(home, clock=lambda: NOW)


def test_as_of_is_the_end_of_the_last_day_and_the_holdout_its_last_horizon(first) -> None:
    assert (first.holdout.cutoff, first.holdout.end) == (
        parse_cutoff("2024-06-21"),
        parse_cutoff("2024-07-19"),
    )


def test_the_first_versions_are_registered_and_promoted(first, home) -> None:
    assert [(trained.name, trained.version, trained.promoted) for trained in first.models] == [
        ("cross_sell", 1, True),
        ("churn", 1, True),
    ]
    assert {entry.name for entry in Tracking(home).ledger.history()} == {"cross_sell", "churn"}


def test_the_registered_artefact_is_the_model_that_was_measured(first, home, tmp_path) -> None:
    tracking = Tracking(home)
    model = fakes.FakeChurn.load(tracking.fetch(tracking.champion("churn"), tmp_path))
    assert model.trained_until == first.holdout.cutoff
    assert model.config.horizon_days == 28


def test_figures_and_pictures_are_in_the_run(first, home) -> None:
    tracking = Tracking(home)
    version = tracking.champion("churn")
    logged = tracking.metrics(version)
    ours = churn(first).evaluation.ours["auc lapsed"]
    assert logged["lapsed/auc"] == pytest.approx(ours.value)
    assert logged["lapsed/auc.low"] <= logged["lapsed/auc"] <= logged["lapsed/auc.high"]
    assert "coin/lapsed/auc" in logged
    folder = tracking.fetch(version, home).parent
    assert {path.name for path in (folder / "plots").iterdir()} >= {"gain_lapsed.png", "importance.png"}
    assert set(pd.read_csv(folder / "metrics.csv")["method"]) == {"churn", "coin"}


def test_the_same_data_and_seed_give_the_same_figures(first, home) -> None:
    second = again(home, only=("churn",))
    pd.testing.assert_frame_equal(churn(first).evaluation.table(), churn(second).evaluation.table())
    assert churn(second).verdict.startswith("not worse than the champion v")
    assert "flattered" not in churn(second).verdict


def test_a_worse_challenger_is_registered_and_not_promoted(first, home, monkeypatch) -> None:
    before = Tracking(home).champion("churn")
    noisy = fakes.FakeConfig(noise=1.0, horizon_days=28)
    monkeypatch.setattr("training.train.configured", lambda *_: noisy)
    worse = churn(again(home, 2, only=("churn",)))
    assert (worse.promoted, "worse than the champion" in worse.verdict) == (False, True)
    assert worse.serves
    assert Tracking(home).champion("churn") == before
    assert Tracking(home).challenger("churn").version == worse.version


def test_a_first_version_that_is_held_back_leaves_no_champion_and_says_so(first, home, tmp_path, monkeypatch):
    shutil.copytree(home / "warehouse", tmp_path / "warehouse")
    monkeypatch.setattr("training.train.judge", lambda *_: (False, "first version, worse than coin"))
    held_back = churn(again(tmp_path, only=("churn",)))
    assert Tracking(tmp_path).champion("churn") is None
    assert "`recompra models promote churn 1`" in str(held_back)


def test_a_champion_that_learnt_later_is_compared_and_said_to_be_flattered(first, home) -> None:
    earlier = again(home, 3, only=("churn",), as_of=first.holdout.end - timedelta(days=30))
    assert "(flattered: it learnt up to" in churn(earlier).verdict


def test_a_champion_whose_artefact_is_gone_is_replaced_and_said_so(first, home) -> None:
    tracking = Tracking(home)
    shutil.rmtree(tracking.fetch(tracking.champion("churn"), home))
    next_one = churn(again(home, 5, only=("churn",)))
    assert next_one.promoted
    assert "the artefact of churn v" in next_one.verdict


def test_a_model_that_cannot_learn_is_left_out_with_its_reason(first, home, monkeypatch) -> None:
    before = Tracking(home).versions("cross_sell")
    monkeypatch.setattr(fakes.FakeLists, "fit", classmethod(fakes.cannot_learn))
    report = again(home, only=("cross_sell",))
    assert report.left_out == {"cross_sell": "cross_sell has too little to learn from. Hint: wait"}
    assert Tracking(home).versions("cross_sell") == before


def test_an_error_in_the_middle_leaves_the_champion_and_registers_nothing(first, home, monkeypatch) -> None:
    before = Tracking(home).versions("churn")
    monkeypatch.setattr("training.train.draw", lambda *_, **__: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        again(home, 4, only=("churn",))
    assert Tracking(home).versions("churn") == before


@pytest.mark.parametrize("as_of", ["2023-12-01", "2024-01-20", "2030-01-01"])
def test_a_date_outside_the_data_is_one_clear_error(home, as_of) -> None:
    with pytest.raises(SettingsError, match="leaves no 28 days to measure on: orders run from 2024-01-"):
        again(home, as_of=parse_cutoff(as_of))


def test_a_date_too_early_is_told_the_first_that_will_do(home) -> None:
    with pytest.raises(SettingsError, match="take a date from 2024-02-01 to 2024-07-19") as error:
        again(home, as_of=parse_cutoff("2024-01-20"))
    first = error.value.hint.split(" ")[4]
    assert _holdout(Shop(home), parse_cutoff(first)).cutoff > Shop(home).warehouse.first_at


def test_a_holdout_that_begins_with_the_first_order_has_nothing_before_it(tmp_path) -> None:
    days = pd.to_datetime(["2024-01-01", "2024-03-01"])
    shop = make_shop(tmp_path, pd.DataFrame({"customer_id": "a", "ordered_at": days}))
    with pytest.raises(SettingsError, match="take a date from 2024-01-30"):
        _holdout(shop, parse_cutoff("2024-01-29"))
    assert _holdout(shop, parse_cutoff("2024-01-30")).cutoff == parse_cutoff("2024-01-02")


def test_drift_is_measured_from_the_customers_of_the_cutoff(first, home) -> None:
    tracking = Tracking(home)
    sketch = Sketch.load(tracking.fetch(tracking.versions("churn")[0], home))
    now = Sketch.of(Shop(home).customer_features(first.holdout.cutoff))
    assert sketch.at == first.holdout.cutoff.isoformat()
    assert {name: sum(counts) for name, counts in sketch.counts.items()} == {
        name: sum(counts) for name, counts in now.counts.items()
    }
    assert (sketch.edges, sketch.counts) == (now.edges, now.counts)


def test_offers_are_chosen_from_lists_that_earned_it_before_the_fallbacks(monkeypatch) -> None:
    both = {"popular": "models.popular:Popular", "cross_sell": "worlds.fakes:FakeLists"}
    monkeypatch.setattr("training.train.MODELS", both)
    monkeypatch.setattr("models.registry.MODELS", both)
    assert list_makers() == ["cross_sell", "popular"]


def test_a_date_after_the_last_order_is_told_the_latest_there_is(home) -> None:
    with pytest.raises(SettingsError, match="take 2024-07-19 or an earlier date, or ingest the orders since"):
        again(home, as_of=parse_cutoff("2024-07-20"))


def test_a_shop_younger_than_the_horizon_is_told_which_one_is_possible(home) -> None:
    with pytest.raises(SettingsError, match="horizon_days of at most 5 in recompra.toml"):
        again(home, as_of=parse_cutoff("2024-01-20"))


def test_an_unknown_model_is_named_with_those_there_are(home) -> None:
    with pytest.raises(NotFound, match="the models are cross_sell, churn"):
        again(home, only=("horoscope",))


def test_several_models_are_asked_for_by_name_and_learnt_each_once() -> None:
    assert chosen_models(("churn", "cross_sell", "churn")) == ["cross_sell", "churn"]
