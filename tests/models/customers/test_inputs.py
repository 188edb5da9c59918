import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds.bgnbd import order_lines, simulate
from worlds.orders import make_shop

from models.chance.curve import Curve, HorizonModel
from models.customers.inputs import CHANCE, COLUMNS, Inputs
from models.processes.regularity import Regularity


class Told:
    """A chance that tells what BG/NBD foresees."""

    def probability(self, rows: pd.DataFrame) -> Any:
        return rows[CHANCE].to_numpy(float)


@pytest.fixture(scope="module")
def features(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    shop = make_shop(tmp_path_factory.mktemp("lens"), order_lines(simulate(n_customers=200, days=190)))
    return shop.customer_features(shop.last_midnight)


@pytest.fixture(scope="module")
def several(features: pd.DataFrame) -> list[Inputs]:
    first = Inputs.fit(features, float(features["n_order_days"].sum()), horizon_days=30)
    return [first, *(Inputs.read(features, first.regularity, horizon_days=days) for days in (60, 90))]


def test_what_one_lens_read_tells_another_of_its_bgnbd_the_same(
    features: pd.DataFrame, several: list[Inputs]
) -> None:
    features = features.assign(frequency=features["frequency"].mask(np.arange(len(features)) == 3))
    for inputs in several[1:]:
        rows = inputs.rows_of(several[0].prepare(features))
        assert list(rows.columns) == COLUMNS and rows.notna().any(axis=None)
        pd.testing.assert_frame_equal(rows, inputs.rows(features), check_exact=True)


def test_customers_are_read_once_for_all_horizons(
    features: pd.DataFrame, several: list[Inputs], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, waiting = [], Regularity.waiting
    monkeypatch.setattr(Regularity, "waiting", lambda *given: read.append(1) or waiting(*given))
    said = Curve(tuple(HorizonModel(inputs, Told()) for inputs in several)).probabilities(features)  # type: ignore[arg-type]
    assert list(said.columns) == [30, 60, 90] and len(read) == 1


def test_a_lens_is_read_back_from_json(features: pd.DataFrame, several: list[Inputs]) -> None:
    for inputs in (several[0], Inputs.read(features, None, horizon_days=30)):
        back = Inputs.of(json.loads(json.dumps(inputs.facts(), allow_nan=False)))
        np.testing.assert_array_equal(back.typical, inputs.typical)
        pd.testing.assert_frame_equal(back.rows(features), inputs.rows(features), check_exact=True)
    assert back.kept == 1 and np.isnan(back.typical).any()  # without BG/NBD nothing is foreseen


def test_a_stranger_is_read_as_who_bought_once_else_as_everybody(features: pd.DataFrame) -> None:
    again = features[features["frequency"] > 0]
    several, all_ = (
        dict(zip(COLUMNS, Inputs.read(some, None, horizon_days=30).typical, strict=True))
        for some in (again, features)
    )
    assert all_["frequency"] == 0 < several["frequency"] == again["frequency"].median()


def test_of_those_who_brought_everything_back_a_typical_one_time_buyer_is_read(
    features: pd.DataFrame, several: list[Inputs]
) -> None:
    gone = features.iloc[[4]] * np.nan
    rows = several[0].rows(pd.concat([features.head(2), gone]))
    np.testing.assert_array_equal(rows.iloc[2], several[0].typical)
    once = several[0].rows(features[features["frequency"] == 0])
    np.testing.assert_allclose(several[0].typical, once.median())


def test_the_share_of_days_kept_is_of_those_placed_and_never_above_one(features: pd.DataFrame) -> None:
    n_days = float(features["n_order_days"].sum())
    kept = [Inputs.fit(features, times * n_days, horizon_days=30).kept for times in (2.0, 1.0, 0.5)]
    assert kept == pytest.approx([0.5, 1.0, 1.0])
