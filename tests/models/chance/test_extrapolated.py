"""A long horizon of which hardly a window has closed: half of it is learnt too, and extrapolated."""

from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit
from worlds.bgnbd import order_lines, simulate
from worlds.orders import make_shop

from features.shop import Shop
from models.chance.curve import HorizonModel, _can_be_halved
from models.chance.purchase_chance import Extrapolated
from models.churn import Churn, ChurnConfig
from models.customers.customer_panel import everyone
from models.customers.inputs import CHANCE, COLUMNS

CUTOFF = datetime(2024, 7, 5, tzinfo=UTC)
CONFIG = ChurnConfig(horizon_days=90, curve_days=(30, 90), n_trees=40, min_leaf_rows=20)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Return a shop of half a year: of 90 days one window has closed, of 30 days eight."""
    lines = order_lines(simulate(n_customers=600, days=190, join_days=120, seed=5))
    return make_shop(tmp_path_factory.mktemp("nearer"), lines)


@pytest.fixture(scope="module")
def churn(shop: Shop) -> Churn:
    return Churn.fit(shop, CUTOFF, config=CONFIG)


@pytest.fixture(scope="module")
def features(shop: Shop) -> pd.DataFrame:
    return everyone(shop, CUTOFF)


def extrapolated(model: HorizonModel) -> Extrapolated:
    assert model.chance.extrapolated is not None
    return model.chance.extrapolated


def test_half_the_horizon_is_asked_only_where_hardly_a_window_has_closed(churn: Churn) -> None:
    asked = {model.horizon_days: model.chance.extrapolated is not None for model in churn.curve.models}
    assert asked == {30: False, 90: True}
    assert extrapolated(churn.curve.model(90)).inputs.horizon_days == 45


@pytest.mark.parametrize(
    ("windows", "days", "foreseen", "halved"),
    [
        (2, 14, [0.1, 0.2], True),
        (3, 14, [0.1, 0.2], False),  # windows enough
        (2, 13, [0.1, 0.2], False),  # too short
        (2, 14, [0.1, np.nan], False),  # no rhythm then
        (2, 14, None, False),  # nor now
    ],
)
def test_few_windows_of_a_long_horizon_are_helped_by_its_half(
    windows: int, days: int, foreseen: list[float] | None, halved: bool
) -> None:
    inputs: Any = SimpleNamespace(horizon_days=days, bgnbd=foreseen)
    closed: Any = [SimpleNamespace(rows=pd.DataFrame({CHANCE: foreseen or [0.1]}))] * windows
    assert _can_be_halved(inputs, closed, CONFIG) == halved
    assert not _can_be_halved(inputs, closed, CONFIG.model_copy(update={"n_windows": windows}))


def test_a_chance_is_the_mean_of_two_logits_at_its_level(churn: Churn, features: pd.DataFrame) -> None:
    near, far = (churn.curve.model(days) for days in (30, 90))
    soon, late = (model.inputs.rows(features) for model in (near, far))
    trees = near.chance.trees.raw(soon[COLUMNS].to_numpy(float))
    half = extrapolated(far).logit(late)
    for chance, rows, other in ((near.chance, soon, trees), (far.chance, late, half)):
        both = (chance.linear.score(rows) + other) / 2
        np.testing.assert_allclose(chance.logit(rows), both + chance.shift)


def test_what_is_extrapolated_to_the_part_itself_stays(churn: Churn, features: pd.DataFrame) -> None:
    half = extrapolated(churn.curve.model(90))
    rows = half.inputs.rows(features)
    np.testing.assert_allclose(half.logit(rows), half.chance.logit(rows), rtol=1e-9)


def test_the_whole_is_likelier_than_its_half_and_never_twice_as_likely(
    churn: Churn, features: pd.DataFrame
) -> None:
    whole = churn.curve.model(90)
    half = extrapolated(whole)
    over_whole = expit(half.logit(whole.inputs.rows(features)))
    part = half.chance.probability(half.inputs.rows(features))
    assert (over_whole > part).all()
    assert (over_whole < 2 * part + 1e-9).all()


def test_what_the_half_learnt_is_kept(tmp_path: Path, churn: Churn, features: pd.DataFrame) -> None:
    churn.save(tmp_path)
    again = Churn.load(tmp_path)
    pd.testing.assert_frame_equal(
        again.predict_from(features, CUTOFF), churn.predict_from(features, CUTOFF), check_exact=True
    )
    pd.testing.assert_frame_equal(again.explain_from(features), churn.explain_from(features))


def test_reasons_add_up_to_the_logit_but_for_that_of_a_typical_customer(
    churn: Churn, features: pd.DataFrame
) -> None:
    model = churn.curve.model(30)
    rows = model.inputs.rows(features)
    typical = model.chance.logit(rows) - model.chance.contributions(rows).sum(axis=1)
    assert np.ptp(typical) < 1e-6


def test_where_the_half_is_asked_the_reasons_are_those_of_half_and_whole(
    churn: Churn, features: pd.DataFrame
) -> None:
    whole = churn.curve.model(90)
    half, rows = extrapolated(whole), whole.inputs.rows(features)
    both = (whole.chance.linear.score(rows) + half.chance.logit(half.inputs.rows(rows))) / 2
    assert np.ptp(both - whole.chance.contributions(rows).sum(axis=1)) < 1e-6


def test_one_row_says_what_it_says_among_all(churn: Churn, features: pd.DataFrame) -> None:
    alone = churn.predict_from(features.iloc[[7]], CUTOFF)
    pd.testing.assert_frame_equal(alone, churn.predict_from(features, CUTOFF).iloc[[7]], check_exact=True)


def test_without_a_rhythm_to_stretch_by_the_trees_speak(tmp_path: Path) -> None:
    lines: Any = order_lines(simulate(n_customers=300, days=190, join_days=120, seed=5))
    first = lines.sort_values("ordered_at").drop_duplicates("customer_id")
    churn = Churn.fit(make_shop(tmp_path, first), CUTOFF, config=CONFIG)
    assert all(model.chance.extrapolated is None for model in churn.curve.models)
