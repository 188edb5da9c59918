"""A horizon of which no window has closed: churn and value carried from a shorter one, and consistent."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds.bgnbd import order_lines, simulate
from worlds.orders import make_shop

from features.errors import CannotLearn
from features.shop import Shop
from models.churn import Churn, ChurnConfig
from models.customers.consistent import consistent
from models.ltv import Ltv, LtvConfig
from training.measures import metrics

CUTOFF = datetime(2024, 10, 27, tzinfo=UTC)
"""After 300 days: of 180 days no window has closed; 100 are learnt."""
END = datetime(2025, 4, 25, tzinfo=UTC)
QUICK = {"n_trees": 20, "n_windows": 3, "min_leaf_rows": 50}
KINDS: tuple[tuple[Any, Any], ...] = ((Churn, ChurnConfig(**QUICK)), (Ltv, LtvConfig(**QUICK)))
PURCHASES = simulate(n_customers=900, days=500, join_days=240, seed=7)


def fits(shop: Shop, horizon: int) -> list[Any]:
    return [
        kind.fit(shop, CUTOFF, config=config.model_copy(update={"horizon_days": horizon}))
        for kind, config in KINDS
    ]


def ask(model: Any, shop: Shop) -> pd.DataFrame:
    said: pd.DataFrame = model.predict(shop, CUTOFF)
    return said


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("young"), order_lines(PURCHASES))


@pytest.fixture(scope="module")
def models(shop: Shop) -> list[Any]:
    return fits(shop, 180)


@pytest.fixture(scope="module")
def said(shop: Shop, models: list[Any]) -> pd.DataFrame:
    return consistent(pd.concat([ask(model, shop) for model in models], axis=1))


@pytest.fixture(scope="module")
def truth(shop: Shop, said: pd.DataFrame) -> pd.DataFrame:
    return shop.labels(CUTOFF, 180, known_until=END).reindex(said.index).fillna(0.0)


def test_everyone_is_told_of_the_horizon_asked_for_and_of_those_that_are_learnt(said: pd.DataFrame) -> None:
    churn = [name for name in said if name.startswith("churn_")]
    assert churn == [f"churn_probability_{days}d" for days in (180, 30, 60, 90)]
    money = ["expected_orders", "expected_revenue", "expected_revenue", "expected_margin"]
    assert said[[*churn, *(f"{name}_180d" for name in money)]].notna().all(axis=None)


def test_each_says_that_it_is_carried_and_from_what(models: list[Any]) -> None:
    notes = [note for model in models for note in model.notes()]
    said = [(note["model"], note["code"]) for note in notes]
    assert said == [(model, code) for model in ("churn", "ltv") for code in ("carried", "season")]
    assert {(note["horizon_days"], note["learnt_days"], note["learnt_from"]) for note in notes} == {
        (180, 100, "2024-12-27")
    }


def test_staying_away_longer_is_never_likelier(said: pd.DataFrame) -> None:
    rows = said[[f"churn_probability_{days}d" for days in (30, 60, 90, 180)]].to_numpy()
    assert (np.diff(rows, axis=1) <= 0).all()


def test_no_fewer_orders_are_expected_than_the_chance_of_one(said: pd.DataFrame) -> None:
    assert (said["expected_orders_180d"] >= 1 - said["churn_probability_180d"]).all()


def test_the_models_agree_on_that_before_anyone_sees_to_it(shop: Shop, models: list[Any]) -> None:
    churn, value = (ask(model, shop) for model in models)
    short = value["expected_orders_180d"] - (1 - churn["churn_probability_180d"])
    assert (short > -0.01).all()


def test_a_longer_horizon_brings_no_less(shop: Shop, said: pd.DataFrame) -> None:
    shorter = ask(fits(shop, 160)[1], shop)
    for name in ("expected_orders", "expected_revenue", "expected_margin"):
        assert (shorter[f"{name}_160d"] <= said[f"{name}_180d"] + 1e-9).all()


def test_revenue_lies_in_its_interval(said: pd.DataFrame) -> None:
    low, middle, high = (said[f"expected_revenue_180d{end}"] for end in ("_p10", "", "_p90"))
    assert ((low >= 0) & (low <= middle) & (middle <= high)).all()


def test_totals_and_intervals_agree_with_a_known_world(said: pd.DataFrame, truth: pd.DataFrame) -> None:
    revenue = truth["revenue"]
    assert said["expected_orders_180d"].sum() == pytest.approx(truth["n_order_days"].sum(), rel=0.15)
    assert said["expected_revenue_180d"].sum() == pytest.approx(revenue.sum(), rel=0.2)
    inside = said["expected_revenue_180d_p10"].le(revenue) & revenue.le(said["expected_revenue_180d_p90"])
    assert inside.mean() == pytest.approx(0.8, abs=0.07)


def test_chances_agree_with_a_known_world_better_than_any_base_rate(
    said: pd.DataFrame, truth: pd.DataFrame
) -> None:
    lapsed = (truth["n_order_days"] == 0).to_numpy(float)
    chance = said["churn_probability_180d"].to_numpy(float)
    assert metrics.ece(lapsed, chance) < 0.07
    assert np.mean((chance - lapsed) ** 2) < 0.9 * lapsed.var()


def test_what_is_saved_is_what_is_loaded(shop: Shop, models: list[Any], tmp_path: Path) -> None:
    for model in models:
        model.save(tmp_path / model.name)
        loaded = type(model).load(tmp_path / model.name)
        pd.testing.assert_frame_equal(ask(loaded, shop), ask(model, shop), check_exact=True)
        assert loaded.notes() == model.notes()


def test_reasons_are_told(shop: Shop, models: list[Any]) -> None:
    assert models[0].explain(shop, CUTOFF)["churn_reason_1"].notna().mean() > 0.9


def test_one_row_equals_its_batch_row(shop: Shop, models: list[Any], said: pd.DataFrame) -> None:
    some = [said.index[7], said.index[-1]]
    for model in models:
        alone = model.predict(shop, CUTOFF, ids=some[:1])
        pd.testing.assert_frame_equal(alone, ask(model, shop).loc[some[:1]], check_exact=True)


def test_nothing_at_or_after_the_cutoff_is_learnt_from(shop: Shop, models: list[Any], tmp_path: Path) -> None:
    lines = order_lines(PURCHASES)
    later = lines["ordered_at"] >= CUTOFF.replace(tzinfo=None)
    lines.loc[later, "unit_price"] *= 1000
    corrupted = make_shop(tmp_path, lines.drop(index=lines[later].index[::2]))
    for again, model in zip(fits(corrupted, 180), models, strict=True):
        pd.testing.assert_frame_equal(ask(again, shop), ask(model, shop), check_exact=True)


def test_baselines_are_carried_too(shop: Shop, models: list[Any], said: pd.DataFrame) -> None:
    for model in models:
        found = model.baselines(shop, CUTOFF, cutoff=CUTOFF, ids=list(said.index))
        assert set(model.must_beat) <= set(found.columns)
        assert found.notna().all(axis=None)


def test_one_who_brought_everything_back_is_told_like_any_other(tmp_path: Path) -> None:
    kept = pd.DataFrame({"customer_id": ["undecided"], "ordered_at": [pd.Timestamp("2024-06-01 12:00")]})
    kept = kept.assign(quantity=1.0, unit_price=10.0)
    back = kept.assign(quantity=-1.0, ordered_at=pd.Timestamp("2024-06-05 12:00"))
    lines = pd.concat([order_lines(PURCHASES[PURCHASES["customer"] < 200]), kept, back]).assign(
        product_id="p"
    )
    shop = make_shop(tmp_path, lines)
    churn, value = (ask(model, shop).loc["undecided"] for model in fits(shop, 180))
    assert 0 < churn["churn_probability_180d"] < 1
    assert value["expected_orders_180d"] >= 1 - churn["churn_probability_180d"] - 0.01


def test_where_nobody_came_back_there_is_nothing_to_carry_by(tmp_path: Path) -> None:
    once = order_lines(PURCHASES).sort_values("ordered_at").drop_duplicates("customer_id")
    shop = make_shop(tmp_path, once)
    for kind, config in KINDS:
        with pytest.raises(
            CannotLearn, match="nobody came back, so .* be extrapolated.*100 days are possible; 180 from"
        ):
            kind.fit(shop, CUTOFF, config=config.model_copy(update={"horizon_days": 180}))
