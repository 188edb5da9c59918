from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.orders import make_shop

from features.shop import Shop
from models.chance.horizon import Horizon
from models.chance.season import NOW, weeks_ahead, year_ago
from models.churn import Churn, ChurnConfig
from models.ltv import Ltv, LtvConfig

CUTOFF = datetime(2025, 12, 1, tzinfo=UTC)
CONFIG = ChurnConfig(n_trees=20, n_windows=4, min_leaf_rows=20, curve_days=())
LTV = LtvConfig(n_trees=20, n_windows=4, min_leaf_rows=20, horizon_days=28)


def lines(first: str = "2024-03-01") -> pd.DataFrame:
    """Return a shop whose customers order three times as often in December as in any other month."""
    rng = np.random.default_rng(0)
    days = pd.date_range(first, "2025-12-31")
    daily = np.where(days.month == 12, 0.03, 0.01)
    customer, day = np.nonzero(rng.random((400, len(days))) < daily)
    frame = {"customer_id": [f"c{k}" for k in customer], "ordered_at": days[day], "unit_price": 10.0}
    return pd.DataFrame(frame).assign(quantity=1.0)


def winter_lines() -> pd.DataFrame:
    """Return a shop that sells from November to March alone."""
    rng = np.random.default_rng(1)
    days = pd.date_range("2023-11-01", "2025-12-31")
    customer, day = np.nonzero(
        rng.random((300, len(days))) < np.where(days.month.isin([11, 12, 1, 2, 3]), 0.02, 0)
    )
    frame = {"customer_id": [f"c{k}" for k in customer], "ordered_at": days[day], "unit_price": 10.0}
    return pd.DataFrame(frame).assign(quantity=1.0)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    return make_shop(tmp_path_factory.mktemp("season"), lines())


def miss(shop: Shop, cutoff: datetime) -> float:
    """Return how much more likely than true an order within 28 days was said to be."""
    said = 1 - Churn.fit(shop, cutoff, config=CONFIG).predict(shop, cutoff)["churn_probability_28d"]
    truth = shop.labels(cutoff, 28, known_until=datetime(2026, 1, 1, tzinfo=UTC)).reindex(said.index)
    return float(said.mean() - truth["n_order_days"].notna().mean())


def test_a_second_december_is_foreseen(shop: Shop) -> None:
    assert miss(shop, CUTOFF) == pytest.approx(0, abs=0.07)


def test_an_ordinary_month_is_foreseen_as_one(shop: Shop) -> None:
    assert miss(shop, datetime(2025, 9, 1, tzinfo=UTC)) == pytest.approx(0, abs=0.05)


def test_a_first_december_is_a_surprise(tmp_path: Path) -> None:
    shop = make_shop(tmp_path, lines("2025-03-01"))
    assert year_ago(shop, CUTOFF, horizon_days=28) is None
    assert miss(shop, CUTOFF) < -0.2


@pytest.mark.parametrize("figure", ["orders", "revenue"])
def test_a_second_december_is_in_orders_and_money(shop: Shop, figure: str) -> None:
    said = Ltv.fit(shop, CUTOFF, config=LTV).predict(shop, CUTOFF)[f"expected_{figure}_28d"].sum()
    came = shop.labels(CUTOFF, 28, known_until=datetime(2026, 1, 1, tzinfo=UTC))
    truth = came["n_order_days" if figure == "orders" else "revenue"].sum()
    assert said / truth == pytest.approx(
        1, abs=0.33
    )  # .58 without; today's rates know a December, then's none


def test_the_window_of_last_year_starts_on_the_same_weekday(shop: Shop) -> None:
    then = year_ago(shop, CUTOFF, horizon_days=28)
    assert then is not None
    assert (CUTOFF - then.cutoff).days == 364


@pytest.mark.parametrize("horizon_days", [180, 365])
def test_a_horizon_beyond_last_years_history_or_a_year_has_no_season(shop: Shop, horizon_days: int) -> None:
    assert year_ago(shop, CUTOFF, horizon_days=horizon_days) is None


@pytest.mark.parametrize(
    ("known_until", "told"), [(CUTOFF, False), (datetime(2025, 12, 2, tzinfo=UTC), True)]
)
def test_a_shops_first_quarter_is_no_season(tmp_path: Path, known_until: datetime, told: bool) -> None:
    then = year_ago(
        make_shop(tmp_path, lines("2024-08-07")), known_until, horizon_days=28
    )  # 364 + 28 + 90 days before
    assert (then is not None) == told


def test_a_shop_of_winters_sells_again_after_a_summer_without_an_order(tmp_path: Path) -> None:
    opening = datetime(2025, 11, 1, tzinfo=UTC)
    shop = make_shop(tmp_path, winter_lines())
    said = Ltv.fit(shop, opening, config=LTV.model_copy(update={"n_windows": 8})).predict(shop, opening)
    came = shop.labels(opening, 28, known_until=datetime(2026, 1, 1, tzinfo=UTC))
    for figure, truth in (("orders", "n_order_days"), ("revenue", "revenue")):
        assert said[f"expected_{figure}_28d"].sum() / came[truth].sum() == pytest.approx(1, abs=0.5)


def said_to_truth(shop: Shop, learnt: datetime, model: str) -> float:
    """Return expected over actual buyers (churn) or revenue (ltv) of December, learnt until a day before."""
    came = shop.labels(CUTOFF, 28, known_until=datetime(2026, 1, 1, tzinfo=UTC))
    if model == "churn":
        said = 1 - Churn.fit(shop, learnt, config=CONFIG).predict(shop, CUTOFF)["churn_probability_28d"]
        return float(said.sum() / (came["n_order_days"] > 0).sum())
    said = Ltv.fit(shop, learnt, config=LTV).predict(shop, CUTOFF)["expected_revenue_28d"]
    return float(said.sum() / came["revenue"].sum())


@pytest.mark.parametrize("model", ["churn", "ltv"])
def test_a_second_december_is_foreseen_by_what_was_learnt_a_horizon_before(shop: Shop, model: str) -> None:
    before = datetime(2025, 11, 3, tzinfo=UTC)
    assert said_to_truth(shop, before, model) == pytest.approx(1, abs=0.33)  # about half without


def test_what_was_learnt_for_december_is_not_said_of_january(shop: Shop) -> None:
    churn = Churn.fit(shop, CUTOFF, config=CONFIG)
    december, january = (
        1 - churn.predict_from(shop.customer_features(CUTOFF), moment)["churn_probability_28d"].mean()
        for moment in (CUTOFF, datetime(2025, 12, 29, tzinfo=UTC))
    )
    assert january < december - 0.15


def test_a_shop_without_a_last_year_has_one_level(tmp_path: Path) -> None:
    shop = make_shop(tmp_path, lines("2025-03-01"))
    assert weeks_ahead(shop, CUTOFF, config=CONFIG.model_copy(update={"horizon_days": 28})) == [NOW]
    features, ltv = shop.customer_features(CUTOFF), Ltv.fit(shop, CUTOFF, config=LTV)
    now, later = (ltv.predict_from(features, CUTOFF + timedelta(days=days)) for days in (0, 28))
    pd.testing.assert_series_equal(now["expected_revenue_28d"], later["expected_revenue_28d"])


def test_a_large_shop_has_the_same_moments_of_evenly_drawn_customers(shop: Shop) -> None:
    whole = weeks_ahead(shop, CUTOFF, config=CONFIG.model_copy(update={"horizon_days": 28}))
    asked = {"horizon_days": 28, "max_rows": 100 * len(whole)}
    some = weeks_ahead(shop, CUTOFF, config=CONFIG.model_copy(update=asked))
    assert [weeks.days for weeks in some] == [weeks.days for weeks in whole] == [*range(0, 85, 14)]
    every_fourth = shop.customers_seen(CUTOFF)[::4]
    for few, every in zip(some, whole, strict=True):
        assert few.last_year is not None and every.last_year is not None
        names = every.last_year.rows.index.intersection(every_fourth)
        assert few.last_year.rows.index.tolist() == names.tolist()


def test_of_a_long_horizon_only_weeks_that_have_closed_a_year_later_are_learnt(tmp_path: Path) -> None:
    long = CONFIG.model_copy(update={"horizon_days": 180})
    weeks = weeks_ahead(make_shop(tmp_path, lines("2023-06-01")), CUTOFF, config=long)
    assert [each.days for each in weeks] == [0, 42, 84, 126, 168]  # 184 days before today they had begun
    assert all(each.last_year for each in weeks)


def test_levels_of_later_weeks_are_saved(shop: Shop, tmp_path: Path) -> None:
    for model, kind in (
        (Churn.fit(shop, CUTOFF, config=CONFIG), Churn),
        (Ltv.fit(shop, CUTOFF, config=LTV), Ltv),
    ):
        model.save(tmp_path / model.name)
        moment, features = CUTOFF + timedelta(days=21), shop.customer_features(CUTOFF)
        said = kind.load(tmp_path / model.name).predict_from(features, moment)
        pd.testing.assert_frame_equal(said, model.predict_from(features, moment))


def test_a_season_is_missed_only_until_the_day_from_which_it_is_known(shop: Shop) -> None:
    horizon = Horizon.of(shop, datetime(2025, 6, 1, tzinfo=UTC), horizon_days=28)
    assert horizon.season_from is not None
    days = [None, horizon.season_from - timedelta(days=1), horizon.season_from]
    assert [len(horizon.notes("ltv", day)) for day in days] == [1, 1, 0]


def test_a_version_of_one_level_still_says_that_it_knows_no_season(shop: Shop) -> None:
    known_until = datetime(2025, 6, 1, tzinfo=UTC)  # its last year was the shop's first weeks
    churn, ltv = Churn.fit(shop, known_until, config=CONFIG), Ltv.fit(shop, known_until, config=LTV)
    assert [model.notes(date(2025, 7, 1)) for model in (churn, ltv)] == [[], []]
    churn.chance = replace(churn.chance, later=())
    ltv.reconciliation = replace(ltv.reconciliation, later=())
    assert [len(model.notes(date(2025, 7, 1))) for model in (churn, ltv)] == [1, 1]
