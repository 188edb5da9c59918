import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds.bgnbd import order_lines, simulate
from worlds.orders import make_shop

from models.chance.curve import Curve, Rung
from models.customers.lens import CHANCE, COLUMNS, Lens
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
def lenses(features: pd.DataFrame) -> list[Lens]:
    first = Lens.fit(features, float(features["n_order_days"].sum()), 30)
    return [first, *(Lens.read(features, first.regularity, days) for days in (60, 90))]


def test_what_one_lens_read_tells_another_of_its_bgnbd_the_same(
    features: pd.DataFrame, lenses: list[Lens]
) -> None:
    features = features.assign(frequency=features["frequency"].mask(np.arange(len(features)) == 3))
    for lens in lenses[1:]:
        rows = lens.rows_of(lenses[0].reading(features))
        assert list(rows.columns) == COLUMNS and rows.notna().any(axis=None)
        pd.testing.assert_frame_equal(rows, lens.rows(features), check_exact=True)


def test_customers_are_read_once_for_all_horizons(
    features: pd.DataFrame, lenses: list[Lens], monkeypatch: pytest.MonkeyPatch
) -> None:
    read, waiting = [], Regularity.waiting
    monkeypatch.setattr(Regularity, "waiting", lambda *given: read.append(1) or waiting(*given))
    said = Curve(tuple(Rung(lens, Told()) for lens in lenses)).probabilities(features)  # type: ignore[arg-type]
    assert list(said.columns) == [30, 60, 90] and len(read) == 1


def test_a_lens_is_read_back_from_json(features: pd.DataFrame, lenses: list[Lens]) -> None:
    for lens in (lenses[0], Lens.read(features, None, 30)):
        back = Lens.of(json.loads(json.dumps(lens.facts(), allow_nan=False)))
        np.testing.assert_array_equal(back.stranger, lens.stranger)
        pd.testing.assert_frame_equal(back.rows(features), lens.rows(features), check_exact=True)
    assert back.kept == 1 and np.isnan(back.stranger).any()  # without BG/NBD nothing is foreseen


def test_a_stranger_is_read_as_who_bought_once_else_as_everybody(features: pd.DataFrame) -> None:
    again = features[features["frequency"] > 0]
    several, all_ = (
        dict(zip(COLUMNS, Lens.read(some, None, 30).stranger, strict=True)) for some in (again, features)
    )
    assert all_["frequency"] == 0 < several["frequency"] == again["frequency"].median()
