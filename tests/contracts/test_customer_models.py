"""What every model of customers promises; each is fitted once on a simulated BG/NBD shop."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds.bgnbd import order_lines, simulate
from worlds.orders import make_shop

from features.errors import ArtefactError, CannotLearn, InputError
from features.shop import Shop
from models.kinds import ScoreModel
from models.registry import MODELS, model_class
from training.measures import metrics

CUTOFF = datetime(2024, 11, 1, tzinfo=UTC)
END = datetime(2024, 11, 29, tzinfo=UTC)
NAMES = [name for name in MODELS if issubclass(model_class(name), ScoreModel)]


def small(name: str, n_trees: int = 40) -> Any:
    """Return a config that is quick to fit."""
    kind = model_class(name).Config
    quick = {"n_trees": n_trees, "n_windows": 4, "min_leaf_rows": 50}
    return kind(**{key: value for key, value in quick.items() if key in kind.model_fields})


def score(model: Any, features: pd.DataFrame) -> pd.DataFrame:
    """Return a model's answer about a frame of customer features."""
    return model.predict_from(features, CUTOFF)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    lines = order_lines(simulate(n_customers=1500, days=335, join_days=240, seed=1))
    return make_shop(tmp_path_factory.mktemp("bgnbd"), lines)


@pytest.fixture(scope="module")
def fitted(shop: Shop) -> Callable[[str], Any]:
    return cache(lambda name: model_class(name).fit(shop, CUTOFF, config=small(name)))


@pytest.fixture(scope="module")
def features(shop: Shop) -> pd.DataFrame:
    return shop.customer_features(CUTOFF)


@pytest.fixture(scope="module")
def truth(shop: Shop, features: pd.DataFrame) -> pd.DataFrame:
    return shop.labels(CUTOFF, 28, known_until=END).reindex(features.index).fillna(0.0)


@pytest.mark.parametrize("name", NAMES)
def test_everyone_seen_before_the_cutoff_has_one_row(
    name: str, fitted: Callable[[str], Any], shop: Shop, features: pd.DataFrame
) -> None:
    said = fitted(name).predict(shop, CUTOFF)
    assert said.index.equals(features.index)
    assert set(fitted(name).truths) <= {column.replace("_28d", "") for column in said.columns}


@pytest.mark.parametrize("name", NAMES)
def test_what_is_saved_is_what_is_loaded(
    name: str, fitted: Callable[[str], Any], features: pd.DataFrame, tmp_path: Path
) -> None:
    model = fitted(name)
    model.save(tmp_path)
    loaded = type(model).load(tmp_path)
    pd.testing.assert_frame_equal(score(loaded, features), score(model, features), check_exact=True)
    assert (loaded.config, loaded.trained_until) == (model.config, model.trained_until)


@pytest.mark.parametrize("name", NAMES)
def test_an_artefact_is_plain_text(name: str, fitted: Callable[[str], Any], tmp_path: Path) -> None:
    fitted(name).save(tmp_path)
    assert {path.suffix for path in tmp_path.iterdir()} <= {".json", ".txt"}
    assert json.loads((tmp_path / "model.json").read_text())["name"] == name


@pytest.mark.parametrize("name", NAMES)
def test_an_artefact_of_other_features_is_refused(
    name: str, fitted: Callable[[str], Any], tmp_path: Path
) -> None:
    model = fitted(name)
    model.save(tmp_path)
    card = json.loads((tmp_path / "model.json").read_text())
    (tmp_path / "model.json").write_text(json.dumps(card | {"customer_features": "0ld0ld00"}))
    with pytest.raises(ArtefactError, match="was trained on customer features 0ld0ld00"):
        type(model).load(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_an_artefact_with_a_part_missing_is_refused(
    name: str, fitted: Callable[[str], Any], tmp_path: Path
) -> None:
    model = fitted(name)
    model.save(tmp_path)
    card = json.loads((tmp_path / "model.json").read_text())
    kept = {"config", "name", "customer_features", "trained_until"}
    (tmp_path / "model.json").write_text(json.dumps({key: card[key] for key in kept}))
    with pytest.raises(ArtefactError, match="model.json is incomplete .no '"):
        type(model).load(tmp_path)


@pytest.mark.parametrize("name", NAMES)
def test_the_same_seed_gives_the_same_answer_with_any_number_of_threads(
    name: str, shop: Shop, features: pd.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = model_class(name).fit(shop, CUTOFF, config=small(name, n_trees=5))
    monkeypatch.setattr("features.hardware.ONE_THREAD_CELLS", 0)
    monkeypatch.setenv("RECOMPRA_THREADS", "2")
    two = model_class(name).fit(shop, CUTOFF, config=small(name, n_trees=5))
    pd.testing.assert_frame_equal(score(one, features), score(two, features), check_exact=True)


@pytest.mark.parametrize("name", NAMES)
def test_one_row_equals_its_batch_row(
    name: str, fitted: Callable[[str], Any], features: pd.DataFrame
) -> None:
    batch = score(fitted(name), features)
    for place in (0, 77, len(features) - 1):
        alone = score(fitted(name), features.iloc[[place]])
        pd.testing.assert_frame_equal(alone, batch.iloc[[place]], check_exact=True)


@pytest.mark.parametrize("name", NAMES)
def test_the_order_of_columns_and_rows_does_not_matter(
    name: str, fitted: Callable[[str], Any], features: pd.DataFrame
) -> None:
    turned = score(fitted(name), features.iloc[::-1, ::-1])
    expected = score(fitted(name), features)
    pd.testing.assert_frame_equal(turned.iloc[::-1], expected, check_exact=True)


@pytest.mark.parametrize("name", NAMES)
def test_a_frame_without_a_feature_is_refused_by_its_name(
    name: str, fitted: Callable[[str], Any], features: pd.DataFrame
) -> None:
    with pytest.raises(InputError, match="'n_order_days' is missing"):
        score(fitted(name), features.drop(columns="n_order_days"))


@pytest.mark.parametrize("name", NAMES)
def test_nobody_asked_for_is_an_empty_answer(
    name: str, fitted: Callable[[str], Any], shop: Shop, features: pd.DataFrame
) -> None:
    nobody = fitted(name).predict(shop, CUTOFF, ids=["nobody", "c99999"])
    assert nobody.empty
    expected = score(fitted(name), features)
    pd.testing.assert_series_equal(nobody.dtypes, expected.dtypes)


@pytest.mark.parametrize("name", NAMES)
def test_those_asked_for_are_answered_as_in_the_batch(
    name: str, fitted: Callable[[str], Any], shop: Shop
) -> None:
    asked = fitted(name).predict(shop, CUTOFF, ids=["c00007", "nobody", "c00003"])
    batch = fitted(name).predict(shop, CUTOFF).loc[["c00003", "c00007"]]
    pd.testing.assert_frame_equal(asked, batch, check_exact=True)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_at_or_after_known_until_is_learnt_from(
    name: str, fitted: Callable[[str], Any], features: pd.DataFrame, tmp_path: Path
) -> None:
    purchases = simulate(n_customers=1500, days=335, join_days=240, seed=1)
    lines = order_lines(purchases)
    later = lines["ordered_at"] >= CUTOFF.replace(tzinfo=None)
    lines.loc[later, "unit_price"] *= 1000
    corrupted = make_shop(tmp_path, lines.drop(index=lines[later].index[::2]))
    again = model_class(name).fit(corrupted, CUTOFF, config=small(name))
    pd.testing.assert_frame_equal(score(again, features), score(fitted(name), features), check_exact=True)


@pytest.mark.parametrize("name", ["churn", "ltv"])
def test_a_history_shorter_than_the_horizon_says_which_one_is_possible(name: str, shop: Shop) -> None:
    with pytest.raises(CannotLearn, match="the longest horizon possible now is"):
        model_class(name).fit(shop, datetime(2024, 2, 1, tzinfo=UTC), config=small(name))


def test_churn_beats_recency_and_logistic_regression_in_a_known_world(
    fitted: Callable[[str], Any], shop: Shop, features: pd.DataFrame, truth: pd.DataFrame
) -> None:
    lapsed = (truth["n_order_days"] == 0).to_numpy(float)
    baselines = fitted("churn").baselines(shop, CUTOFF, cutoff=CUTOFF, ids=list(features.index))
    assert set(baselines.columns) == set(fitted("churn").must_beat)
    ours = metrics.auc(lapsed, score(fitted("churn"), features)["churn_probability_28d"].to_numpy())
    auc = {name: metrics.auc(lapsed, column.to_numpy(float)) for name, column in baselines.items()}
    assert ours > auc["recency"]
    assert ours > auc["logistic_regression"] - 0.005
    assert ours > auc["bgnbd"] - 0.01  # this world's own law


def test_churn_is_a_probability_in_a_known_world(
    fitted: Callable[[str], Any], features: pd.DataFrame, truth: pd.DataFrame
) -> None:
    lapsed = (truth["n_order_days"] == 0).to_numpy(float)
    said = score(fitted("churn"), features)["churn_probability_28d"].to_numpy()
    assert metrics.ece(lapsed, said) < 0.04


def test_ltv_beats_past_spend_in_a_known_world(
    fitted: Callable[[str], Any], shop: Shop, features: pd.DataFrame, truth: pd.DataFrame
) -> None:
    revenue = truth["revenue"].to_numpy(float)
    baselines = fitted("ltv").baselines(shop, CUTOFF, cutoff=CUTOFF, ids=list(features.index))
    assert set(fitted("ltv").must_beat) <= set(baselines.columns)
    said = score(fitted("ltv"), features)["expected_revenue_28d"].to_numpy()
    assert metrics.normalised_gini(revenue, said) > metrics.normalised_gini(
        revenue, baselines["past_spend"].to_numpy()
    )


def test_ltv_totals_agree_with_a_known_world(
    fitted: Callable[[str], Any], features: pd.DataFrame, truth: pd.DataFrame
) -> None:
    said = score(fitted("ltv"), features)
    assert said["expected_orders_28d"].sum() == pytest.approx(truth["n_order_days"].sum(), rel=0.12)
    assert said["expected_revenue_28d"].sum() == pytest.approx(truth["revenue"].sum(), rel=0.15)


def test_segments_tell_customers_apart_in_a_known_world(
    fitted: Callable[[str], Any], features: pd.DataFrame, truth: pd.DataFrame
) -> None:
    label = pd.factorize(score(fitted("segments"), features)["segment"])[0]
    assert metrics.explained(truth["n_order_days"].to_numpy(float), label) > 0.1
    assert not np.isin("", score(fitted("segments"), features)["persona"])
