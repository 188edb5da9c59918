"""A shop whose orders often come back whole: what is expected are orders as placed."""

import numpy as np
import pandas as pd
import pytest
from worlds.orders import make_shop

from features.shop import Shop
from features.window import parse_cutoff, shift_days
from models.churn import Churn
from models.customers.inputs import fit_rhythm
from models.ltv import Ltv

CUTOFF = parse_cutoff("2024-01-01", "UTC")
RETURNED = 0.4


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Make 500 customers who order at their own pace for 400 days, and bring back two orders in five."""
    rng, home = np.random.default_rng(0), tmp_path_factory.mktemp("returned")
    pace = rng.gamma(2.0, 15.0, 500)
    gaps = rng.exponential(pace[:, None], (500, 200)) + 1
    days = np.cumsum(gaps, axis=1) + rng.uniform(0, 60, (500, 1))
    who, nth = np.nonzero(days < 400)
    placed = pd.DataFrame({"customer_id": [f"c{code:03d}" for code in who], "quantity": 1.0})
    placed["order_id"] = [f"o{code}-{at}" for code, at in zip(who, nth, strict=True)]
    placed["ordered_at"] = pd.Timestamp("2023-01-01") + pd.to_timedelta(days[who, nth], unit="D").floor("s")
    placed["unit_price"] = np.exp(rng.normal(3, 0.3, len(placed))).round(2)
    placed["product_id"] = [f"p{code}" for code in rng.integers(0, 20, len(placed))]
    back = placed[rng.random(len(placed)) < RETURNED].assign(quantity=-1.0)
    back["ordered_at"] += pd.Timedelta(days=5)
    return make_shop(home, pd.concat([placed, back], ignore_index=True))


def test_days_placed_are_counted_whatever_came_back(shop: Shop) -> None:
    kept = shop.customer_features(CUTOFF)["n_order_days"].sum()
    rhythm = fit_rhythm(shop.customer_features(CUTOFF), shop.n_days_placed(CUTOFF))
    assert rhythm is not None
    assert rhythm.bgnbd.placed == shop.n_days_placed(CUTOFF) / kept
    assert rhythm.bgnbd.placed == pytest.approx(1 / (1 - RETURNED), rel=0.05)


def test_orders_and_churn_are_those_of_orders_as_placed_and_revenue_is_net(shop: Shop) -> None:
    labels = shop.labels(CUTOFF, 30, known_until=shift_days(CUTOFF, 30, timezone="UTC"))
    came = labels["n_order_days"]
    said = Ltv.fit(shop, CUTOFF, config=Ltv.Config(horizon_days=30)).predict(shop, CUTOFF)
    lapsed = Churn.fit(shop, CUTOFF, config=Churn.Config(horizon_days=30)).predict(shop, CUTOFF)
    seen = said.index
    assert said["expected_orders_30d"].sum() == pytest.approx(came.sum(), rel=0.08)
    assert said["expected_revenue_30d"].sum() == pytest.approx(labels["revenue"].sum(), rel=0.12)
    assert lapsed["churn_probability_30d"].mean() == pytest.approx(1 - seen.isin(came.index).mean(), abs=0.04)


def test_each_opinion_of_revenue_knows_who_keeps_nothing(shop: Shop) -> None:
    came = shop.labels(CUTOFF, 30, known_until=shift_days(CUTOFF, 30, timezone="UTC"))["revenue"].sum()
    model = Ltv.fit(shop, CUTOFF, config=Ltv.Config(horizon_days=30))
    learnt, structure, _ = model.view.forecasts(model.parts, shop.customer_features(CUTOFF))
    assert learnt.figures.revenue.sum() == pytest.approx(came, rel=0.1)
    assert structure.revenue.sum() == pytest.approx(came, rel=0.15)
