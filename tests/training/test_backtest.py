import json
from datetime import datetime
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq
import pytest
from worlds import fakes
from worlds.orders import make_home

from features.errors import SettingsError
from features.shop import Shop
from training.backtest import backtest, check_apart, throw_away_home

CUTOFF = "2024-06-01"
pytestmark = pytest.mark.usefixtures("fake_models")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_home(tmp_path_factory.mktemp("shop"), fakes.lines_with_leavers())


def run(home: Path, out: Path, **options: Any) -> tuple[pd.DataFrame, pd.DataFrame, dict[str, Any]]:
    backtest(home, out, **{"cutoff": CUTOFF, "horizon_days": 28} | options)
    recommended, customers = (
        pd.read_parquet(out / f"{name}.parquet") for name in ("recommendations", "customers")
    )
    return recommended, customers, json.loads((out / "metrics.json").read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def found(
    home: Path, fake_models: None, tmp_path_factory: pytest.TempPathFactory
) -> tuple[Path, Any, Any, Any]:
    """One whole backtest: its folder, recommendations, customers and metrics."""
    out = tmp_path_factory.mktemp("out")
    return out, *run(home, out)


def without(tmp_path: Path, *columns: str) -> Path:
    """Ingest a shop that lacks some columns and has no returns."""
    lines = fakes.lines_with_leavers()
    return make_home(tmp_path / "bare", lines[lines["quantity"] > 0].drop(columns=list(columns)))


def test_the_files_have_exactly_the_columns_that_other_programs_read(found) -> None:
    out = found[0]
    lists, customers = (
        pq.read_schema(out / name) for name in ("recommendations.parquet", "customers.parquet")
    )
    assert lists.names == ["customer_id", "list", "rank", "product_id", "score", "source"]
    assert customers.names == [
        "customer_id",
        "churn_probability",
        "expected_orders",
        "expected_revenue",
        "expected_revenue_p10",
        "expected_revenue_p90",
        "next_order_at",
        "segment",
    ]
    assert sorted(path.name for path in out.iterdir()) == [
        "customers.parquet",
        "metrics.json",
        "recommendations.parquet",
    ]


def test_every_customer_seen_before_the_cutoff_has_scores_and_lists(found) -> None:
    _, recommended, customers, metrics = found
    assert customers["customer_id"].is_unique
    assert set(recommended["customer_id"]) == set(customers["customer_id"])
    assert len(customers) == metrics["n_customers"] == 60
    assert customers["churn_probability"].between(0, 1).all()


def test_lists_are_k_deep_ranked_from_one_and_unique(home, tmp_path) -> None:
    recommended, _, _ = run(home, tmp_path, k=3, only=("cross_sell",), cutoff="2024-07-01")
    by_list = recommended.groupby(["customer_id", "list"])
    assert set(recommended["list"]) == {"for_you", "new_for_you", "buy_again"}
    assert (
        by_list["rank"].apply(list) == by_list["rank"].apply(lambda ranks: list(range(1, len(ranks) + 1)))
    ).all()
    assert (by_list.size()["c00"]["for_you"], by_list.size().max()) == (3, 3)
    assert not recommended.duplicated(["customer_id", "list", "product_id"]).any()


def test_metrics_hold_models_baselines_and_intervals(found) -> None:
    metrics = found[3]
    ours = metrics["models"]["cross_sell"]["methods"]["cross_sell"]["all"]["ndcg@10"]
    assert ours["low"] <= ours["value"] <= ours["high"]
    assert set(metrics["models"]["churn"]["methods"]) == {"churn", "coin"}
    assert metrics["models"]["churn"]["against_best_baseline"]["auc lapsed"]["baseline"] == "coin"
    assert metrics["measured"] is True


def test_what_happens_at_or_after_the_cutoff_changes_no_byte_of_the_predictions(found, tmp_path) -> None:
    lines = fakes.lines_with_leavers()
    after = lines["ordered_at"] >= CUTOFF
    corrupt = lines.assign(
        product_id=lines["product_id"].where(~after, "p00"),
        unit_price=lines["unit_price"].where(~after, 999.0),
    )
    other = make_home(tmp_path / "corrupt", corrupt)
    run(other, tmp_path / "two")
    for name in ("recommendations.parquet", "customers.parquet"):
        assert (found[0] / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_horizon_beyond_the_data_is_predicted_and_said_not_to_be_measurable(home, tmp_path) -> None:
    _, customers, metrics = run(home, tmp_path, cutoff="2024-07-01")
    assert customers["churn_probability"].notna().all()
    assert (metrics["measured"], metrics["models"]) == (False, {})
    assert (
        metrics["why_not"]
        == "not measurable: the horizon ends on 2024-07-29, the last order is of 2024-07-18"
    )


def test_a_shop_without_products_has_scores_no_lists_and_the_reason(tmp_path) -> None:
    recommended, customers, metrics = run(without(tmp_path, "product_id"), tmp_path)
    assert (len(recommended), len(customers)) == (0, 60)
    reason = "cross_sell needs product_id in order_lines, found none. Hint: map it"
    assert metrics["not_learnt"] == {"cross_sell": reason}


def test_order_lines_of_two_columns_are_enough(tmp_path) -> None:
    bare = without(tmp_path, "product_id", "order_id", "quantity", "unit_price", "discount")
    assert len(run(bare, tmp_path, horizon_days=1)[1]) == 60


def test_a_model_that_cannot_learn_leaves_its_column_null(home, tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(fakes.FakeChurn, "fit", classmethod(fakes.cannot_learn))
    _, customers, metrics = run(home, tmp_path)
    assert customers["churn_probability"].isna().all()
    assert metrics["not_learnt"] == {"churn": "churn has too little to learn from. Hint: wait"}


def test_the_next_order_is_written_in_utc_and_unknown_ones_stay_unknown(home, tmp_path, monkeypatch) -> None:
    def predict(self: fakes.FakeChurn, shop: Shop, cutoff: datetime) -> pd.DataFrame:
        ids = shop.customer_features(cutoff).index
        moments = pd.Series(pd.Timestamp("2024-06-05T01:00:00+09:00"), index=ids)
        return pd.DataFrame({"churn_probability_28d": 0.5, "next_order_at": moments.where(ids != "c00")})

    monkeypatch.setattr(fakes.FakeChurn, "predict", predict)
    customers = run(home, tmp_path, only=("churn",))[1].set_index("customer_id")["next_order_at"]
    assert pd.isna(customers["c00"])
    assert customers["c01"] == pd.Timestamp("2024-06-04T16:00:00Z")


def test_only_one_model_leaves_the_other_file_empty_of_figures(home, tmp_path) -> None:
    recommended, customers, metrics = run(home, tmp_path, only=("churn",))
    assert len(recommended) == 0
    assert customers["churn_probability"].notna().all()
    assert set(metrics["models"]) == {"churn"}


def test_the_shop_s_own_folder_is_not_written_into(tmp_path) -> None:
    with pytest.raises(SettingsError, match="shop's own folder.*name another"):
        check_apart(f"{tmp_path}/../{tmp_path.name}", tmp_path)
    check_apart(str(tmp_path), tmp_path / "result")
    check_apart("complete_journey", Path("complete_journey"))


def test_a_second_backtest_replaces_the_files_of_the_first(home, tmp_path) -> None:
    late = {"only": ("cross_sell",), "cutoff": "2024-07-01"}
    first = run(home, tmp_path, k=3, **late)[0]
    assert len(run(home, tmp_path, k=2, **late)[0]) < len(first)


def test_a_future_that_is_held_back_changes_no_byte_of_the_predictions(found, tmp_path) -> None:
    lines = fakes.lines_with_leavers()
    lines = lines[lines["ordered_at"] < "2024-05-27"]
    quiet = make_home(tmp_path / "quiet", pd.concat([lines, one_line("late", "2024-06-01")]))
    past = make_home(tmp_path / "past", lines)
    run(quiet, tmp_path / "one")
    *_, metrics = run(past, tmp_path / "two")
    assert metrics["why_not"].endswith("the last order is of 2024-05-26")
    for name in ("recommendations.parquet", "customers.parquet"):
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def one_line(customer: str, day: str, quantity: float = 1.0) -> pd.DataFrame:
    line = fakes.lines_with_leavers().head(1)
    return line.assign(customer_id=customer, order_id=day, ordered_at=pd.Timestamp(day), quantity=quantity)


@pytest.mark.parametrize("cutoff", ["2020-01-01", "2025-07-21", "2031-01-01"])
def test_a_cutoff_outside_the_data_is_one_clear_error(home, tmp_path, cutoff) -> None:
    with pytest.raises(SettingsError, match="lies outside the orders, which run from 2024-01-0"):
        run(home, tmp_path / "out", cutoff=cutoff)
    assert not (tmp_path / "out").exists()


def test_a_backtest_that_fails_leaves_no_folder_behind(home, tmp_path, monkeypatch) -> None:
    def broken(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr("training.backtest.Backtest.learn", broken)
    (tmp_path / "there").mkdir()
    for out in (tmp_path / "there", tmp_path / "deep" / "out"):
        with pytest.raises(MemoryError):
            backtest(home, out, cutoff=CUTOFF, horizon_days=28)
    assert [path.name for path in tmp_path.iterdir()] == ["there"]


def test_a_place_that_cannot_be_written_to_is_told_before_the_learning(home, tmp_path, monkeypatch) -> None:
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setattr("training.backtest.Backtest.learn", lambda *_: pytest.fail("it learnt"))
    with pytest.raises(NotADirectoryError):
        backtest(home, tmp_path / "file" / "out", cutoff=CUTOFF, horizon_days=28)


def test_days_in_messages_are_the_shops(tmp_path) -> None:
    east = make_home(tmp_path / "east", fakes.lines_with_leavers(), timezone="Asia/Tokyo")
    with pytest.raises(SettingsError, match="the cutoff 2031-01-01 lies outside"):
        run(east, tmp_path / "out", cutoff="2031-01-01")


@pytest.mark.parametrize("horizon_days", [0, -1, 100_000])
def test_an_impossible_horizon_is_one_clear_error(home, tmp_path, horizon_days) -> None:
    with pytest.raises(SettingsError, match="horizon_days"):
        run(home, tmp_path, horizon_days=horizon_days)


def test_a_throw_away_home_is_gone_afterwards(home) -> None:
    with throw_away_home(home.parent / "source") as temporary:
        assert (temporary / "warehouse").exists()
    assert not temporary.exists()
