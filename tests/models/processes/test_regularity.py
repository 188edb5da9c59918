"""Gaps with a rhythm: a standing order is told its day, irregular customers what BG/NBD tells them."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.special import betaincc
from worlds.bgnbd import simulate

from models.processes.buy_till_you_die import BetaGeoNBD
from models.processes.regularity import SHAPES, Regularity, Waiting, beta_prime_above
from models.processes.rhythm import rhythm

CUTOFF_DAY = 275


def features(purchases: pd.DataFrame, cutoff_day: int = CUTOFF_DAY) -> pd.DataFrame:
    """Return what is read of customer features, from rows of customer and day."""
    seen = purchases[purchases["day"] < cutoff_day].sort_values(["customer", "day"])
    days = seen.groupby("customer")["day"].agg(["min", "max", "size"])
    gaps = seen.groupby("customer")["day"].diff().groupby(seen["customer"]).agg(["mean", "std"])
    return pd.DataFrame(
        {
            "frequency": days["size"] - 1,
            "recency_days": days["max"] - days["min"],
            "days_since_first_order": cutoff_day - days["min"],
            "gap_mean_days": gaps["mean"],
            "gap_std_days": gaps["std"],
        }
    )


def standing_orders(n_customers: int = 2000, every: int = 30, off: float = 0.0) -> pd.DataFrame:
    """Return purchases ``every`` so many days, ``off`` by a normal; after each one in twelve leaves."""
    rng = np.random.default_rng(0)
    n = rng.geometric(1 / 12, n_customers)
    rows = pd.DataFrame({"customer": np.repeat(np.arange(n_customers), n)})
    starts = np.repeat(rng.integers(0, 180, n_customers), n)
    nth = rows.groupby("customer").cumcount()
    return rows.assign(day=(starts + every * nth + rng.normal(0, off, len(rows)).round()).astype(int))


def fitted(rows: pd.DataFrame) -> tuple[BetaGeoNBD, Waiting]:
    bgnbd = BetaGeoNBD.fit(*rhythm(rows))
    return bgnbd, Regularity.fit(rows, bgnbd).waiting(rows)


@pytest.fixture(scope="module")
def irregular() -> pd.DataFrame:
    return simulate(n_customers=20_000)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("other", [2.0, 3.5, 20.0, 1000.0])
def test_the_approximation_is_near_the_incomplete_beta_function(shape: float, other: float) -> None:
    ratio = shape / other * np.exp(np.linspace(-12, 12, 500))
    found = beta_prime_above(ratio, np.full(500, shape), np.full(500, other))
    np.testing.assert_allclose(found, betaincc(shape, other, ratio / (1 + ratio)), atol=0.004)


def test_customers_of_shape_one_are_bgnbds(irregular: pd.DataFrame) -> None:
    rows = features(irregular)
    bgnbd = replace(BetaGeoNBD.fit(*rhythm(rows)), placed=1.2)
    for days in (1.0, 28.0, 365.0):
        chance = Waiting.of(rows, bgnbd).chance(np.full(len(rows), days))
        np.testing.assert_allclose(chance, bgnbd.purchase_probability(*rhythm(rows), days), rtol=1e-9)


def test_in_a_world_of_bgnbd_hardly_anybody_is_regular(irregular: pd.DataFrame) -> None:
    rows = features(irregular)
    bgnbd = BetaGeoNBD.fit(*rhythm(rows))
    shares = np.array(Regularity.fit(rows, bgnbd).shares)
    assert shares[SHAPES >= 4].sum() < 0.05


def test_half_of_those_who_are_told_a_day_have_ordered_by_then(irregular: pd.DataFrame) -> None:
    days = fitted(features(irregular))[1].days_until(0.5, 90)
    later = irregular[irregular["day"] >= CUTOFF_DAY].groupby("customer")["day"].min() - CUTOFF_DAY
    told = pd.Series(days, features(irregular).index).dropna()
    assert len(told) > 3000
    assert (later.reindex(told.index) < told).mean() == pytest.approx(0.5, abs=0.03)


def test_a_standing_order_is_told_its_day() -> None:
    purchases = standing_orders()
    rows = features(purchases)
    bgnbd, waiting = fitted(rows)
    came = purchases[purchases["day"] >= CUTOFF_DAY].groupby("customer")["day"].min() - CUTOFF_DAY
    seen = (rows["frequency"] >= 2) & rows.index.isin(came.index)
    miss = np.abs(waiting.days_until(0.5, 365) - came.reindex(rows.index))[seen]
    assert seen.sum() > 500
    assert np.nanmedian(miss) <= 1
    assert np.isnan(miss).mean() < 0.02
    alone = Waiting.of(rows, bgnbd).days_until(0.5, 365) - came.reindex(rows.index)
    assert np.nanmedian(np.abs(alone)[seen]) > 5  # as BG/NBD has it


def test_a_standing_order_that_stays_away_has_likely_left() -> None:
    rows = features(standing_orders())
    waiting = fitted(rows)[1]
    month = waiting.chance(np.full(len(rows), 31.0))
    late = rows["days_since_first_order"] - rows["recency_days"]
    regular = rows["frequency"] >= 4
    assert month[regular & (late < 28)].min() > 0.75
    assert month[regular & (late > 60)].max() < 0.5


def test_a_rhythm_is_learnt_of_each_customer_of_a_mixed_shop(irregular: pd.DataFrame) -> None:
    regular = standing_orders(400, off=3.0).assign(customer=lambda rows: rows["customer"] + 100_000)
    rows = features(pd.concat([irregular[irregular["customer"] < 4000], regular]))
    _, waiting = fitted(rows)
    often, is_regular = rows["frequency"] >= 5, rows.index >= 100_000
    assert np.median(waiting.shape[often & is_regular]) >= 16
    assert np.median(waiting.shape[often & ~is_regular]) <= 2


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_the_days_until_an_order_are_the_horizon_of_that_chance(share: float) -> None:
    rows = features(standing_orders(off=3.0))
    waiting = fitted(rows)[1]
    days = waiting.days_until(share, 365)
    known = ~np.isnan(days)
    assert known.any()
    assert (waiting.chance(np.nan_to_num(days))[known] >= share).all()
    assert (waiting.chance(np.maximum(np.nan_to_num(days) - 0.05, 0))[known] < share).all()
    assert (waiting.chance(np.full(len(rows), 365.0))[~known] < share).all()


def test_the_waiting_is_brought_halfway_to_a_chance_learnt_otherwise(irregular: pd.DataFrame) -> None:
    rows = features(irregular)
    waiting, month = fitted(rows)[1], np.full(len(rows), 28.0)
    own, other = waiting.chance(month), np.random.default_rng(0).random(len(rows)).clip(0.01, 0.99)
    told = waiting.agreeing(other, 28)
    halfway = 1 - np.exp(-np.sqrt(np.log(1 - other) * np.log(1 - own)))
    agrees = (halfway >= 0.5) == (other >= 0.5)
    assert agrees.any() and not agrees.all()
    np.testing.assert_allclose(told.chance(month), np.where(agrees, halfway, other), rtol=1e-6)
    assert (np.diff([told.chance(month * times) for times in (0.5, 1, 2, 20)], axis=0) >= 0).all()
    same = waiting.agreeing(own, 28)
    np.testing.assert_allclose(same.chance(month * 3), waiting.chance(month * 3), rtol=1e-6)


def test_the_middle_day_is_within_the_horizon_exactly_where_an_order_in_it_is_likely() -> None:
    rows = features(standing_orders(every=3))  # most have been silent for long: by the process they have left
    waiting, chance = fitted(rows)[1], np.linspace(0.05, 0.95, len(rows))
    known = waiting.chance(28.0) > 1e-15  # below, not even rounding tells it from 0
    assert known.mean() > 0.9 and (waiting.chance(28.0)[known] < 1e-9).any()
    days = waiting.agreeing(chance, 28).days_until(0.5, 365)
    within = np.nan_to_num(days, nan=np.inf) <= 28 + 365 / 2**14  # what bisection leaves
    assert within[known].tolist() == (chance >= 0.5)[known].tolist()


def test_who_came_once_waits_as_bgnbd_says(irregular: pd.DataFrame) -> None:
    rows = features(pd.concat([irregular.head(2000), standing_orders()]).drop_duplicates(["customer", "day"]))
    assert (fitted(rows)[1].shape[rows["frequency"] == 0] == 1).all()
