"""CDNOW 39 + 39 weeks as a shop of 39 weeks asked for 39: what is carried is BG/NBD's expectation.

The sample's transactions are those that ``lifetimes`` ships (2,357 customers), and the package is the oracle:
its conditional expectation over the holdout is 1,653 repeat purchases, as in Fader, Hardie and Lee (2005);
1,882 were made.
"""

import warnings
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.orders import make_shop

from features.arrays.dtypes import Doubles
from features.shop import Shop
from models.ltv import Ltv, LtvConfig
from models.processes.rhythm import rhythm

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # lifetimes is of 2020: its imports warn about names that numpy renamed
    import lifetimes

CUTOFF = datetime(1997, 10, 1, tzinfo=UTC)
DAYS = 273
SAMPLE = Path(lifetimes.__file__).parent / "datasets" / "CDNOW_sample.txt"
NAMES = ["master", "customer_id", "ordered_at", "quantity", "revenue"]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    rows = pd.read_csv(SAMPLE, sep=r"\s+", names=NAMES, dtype=str)
    rows["ordered_at"] = pd.to_datetime(rows["ordered_at"], format="%Y%m%d")
    price = (rows["revenue"].astype(float).replace(0.0, np.nan) / rows["quantity"].astype(float)).round(4)
    lines = rows[["customer_id", "ordered_at"]].assign(
        order_id=[f"o{row}" for row in range(len(rows))],
        quantity=rows["quantity"].astype(float),
        unit_price=price,
    )
    return make_shop(tmp_path_factory.mktemp("cdnow"), lines)


@pytest.fixture(scope="module")
def model(shop: Shop) -> Ltv:
    return Ltv.fit(shop, CUTOFF, config=LtvConfig(horizon_days=DAYS, n_trees=40))


def test_what_is_carried_by_is_the_expectation_of_lifetimes(shop: Shop, model: Ltv) -> None:
    features = shop.customer_features(CUTOFF)
    columns = rhythm(features)
    oracle = lifetimes.BetaGeoFitter()
    fitted = model.view.part.bgnbd
    assert fitted is not None
    oracle.params_ = pd.Series({name: getattr(fitted, name) for name in ("r", "alpha", "a", "b")})
    theirs = oracle.conditional_expected_number_of_purchases_up_to_time(DAYS, *columns)
    ours = model.view.whole.rows(features)["bgnbd_orders"]
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


def test_the_expectation_over_the_holdout_is_that_of_lifetimes_and_of_the_paper(
    shop: Shop, model: Ltv
) -> None:
    x, t_x, T = rhythm(shop.customer_features(CUTOFF))
    assert len(x) == 2357

    def theirs(T: Doubles) -> float:
        oracle = lifetimes.BetaGeoFitter().fit(x, t_x, T)
        return float(oracle.conditional_expected_number_of_purchases_up_to_time(DAYS, x, t_x, T).sum())

    ours = model.baselines(shop, CUTOFF, cutoff=CUTOFF, ids=list(shop.customers_seen(CUTOFF)))
    assert ours["expected_orders:bgnbd_gamma_gamma"].sum() == pytest.approx(theirs(T), rel=1e-3)
    assert theirs(T - 1) == pytest.approx(1653.4, abs=0.5)  # the paper counts to the last day, not to its end


def test_no_order_days_are_told_but_by_that_proportion(shop: Shop, model: Ltv) -> None:
    features = shop.customer_features(CUTOFF)
    part, whole = model.view.part.rows(features), model.view.whole.rows(features)
    learnt = model.parts.two_part(part).figures
    told = model.view.forecasts(model.parts, features)[0].figures
    expected = whole["bgnbd_orders"] / part["bgnbd_orders"]
    np.testing.assert_allclose(told.days / learnt.days, expected, rtol=1e-9)
    np.testing.assert_allclose(told.revenue / learnt.revenue, expected, rtol=1e-9)


def test_the_holdout_is_told_of_as_carried_from_a_third(shop: Shop, model: Ltv) -> None:
    note, season = model.notes()
    assert (note["code"], season["code"], season["season_from"]) == ("carried", "season", "1999-06-30")
    assert (note["horizon_days"], note["learnt_days"], note["learnt_from"]) == (DAYS, 91, "1998-07-01")
    said = model.predict(shop, CUTOFF)[f"expected_orders_{DAYS}d"].sum()
    assert said == pytest.approx(1882, rel=0.2)
