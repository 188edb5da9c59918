"""Segments and personas by what they are called; what every customer model promises is in tests/contracts."""

from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.bgnbd import order_lines, simulate
from worlds.orders import make_shop

from features.customer import CUSTOMER_FEATURES
from features.errors import CannotLearn
from features.shop import Shop
from models.customers.personas import EVERYONE, TRAITS, Personas, names_of
from models.customers.rfm_grid import GRID
from models.segments import Segments, SegmentsConfig

CUTOFF = datetime(2024, 7, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    lines = order_lines(simulate(n_customers=600, days=182, join_days=150))
    return make_shop(tmp_path_factory.mktemp("segments"), lines)


@pytest.fixture(scope="module")
def model(shop: Shop) -> Segments:
    return Segments.fit(shop, CUTOFF, config=SegmentsConfig())


def customer(**known: float) -> pd.DataFrame:
    """Return one customer's features, zero where not said."""
    return pd.DataFrame([dict.fromkeys(CUSTOMER_FEATURES.names, 0.0) | known], index=["c"])


@pytest.mark.parametrize(
    ("days", "orders", "revenue", "segment"),
    [
        (1, 50, 9999, "champions"),
        (1, 1, 1, "new"),
        (180, 50, 9999, "cannot lose"),
        (180, 1, 1, "lost"),
    ],
)
def test_the_corners_of_the_grid_have_their_usual_names(
    model: Segments, days: float, orders: float, revenue: float, segment: str
) -> None:
    who = customer(days_since_last_order=days, n_order_days=orders, revenue=revenue)
    assert model.predict_from(who, CUTOFF)["segment"].item() == segment


def test_every_customer_has_a_segment_of_the_grid(model: Segments, shop: Shop) -> None:
    names = {name for row in GRID for name in row}
    assert set(model.predict(shop, CUTOFF)["segment"]) <= names
    assert {"champions", "loyal", "at risk", "hibernating", "promising", "needs attention"} < names


def test_one_who_brought_everything_back_is_lost(model: Segments) -> None:
    nothing = pd.DataFrame(np.nan, index=["c"], columns=CUSTOMER_FEATURES.names)
    assert model.predict_from(nothing, CUTOFF)["segment"].item() == "lost"


def test_a_shop_without_prices_is_told_apart_by_its_orders(tmp_path: Path) -> None:
    lines = order_lines(simulate(n_customers=200, days=182, join_days=150))
    shop = make_shop(tmp_path, lines[["customer_id", "ordered_at"]])
    segments = Segments.fit(shop, CUTOFF, config=SegmentsConfig()).predict(shop, CUTOFF)["segment"]
    assert segments.nunique() > 5


def test_three_to_six_personas_are_found_where_customers_differ(model: Segments, shop: Shop) -> None:
    personas = model.predict(shop, CUTOFF)["persona"]
    assert 3 <= personas.nunique() <= 6
    assert set(personas) == set(model.personas.names)


def test_clear_groups_are_each_a_persona() -> None:
    rng = np.random.default_rng(0)
    kinds = {"days_since_last_order": (2, 300, 40), "n_order_days": (60, 1, 8), "order_day_rate": (9, 0.1, 1)}
    group = np.repeat([0, 1, 2], 100)
    features = pd.DataFrame({name: np.array(kinds.get(name, (1, 1, 1)), float)[group] for name in TRAITS})
    features[list(kinds)] *= rng.lognormal(0, 0.05, (300, 3))
    found = Personas.fit(features, fewest=3, most=6, sample=1000, seed=0)
    assert len(set(zip(found.assign(features), group, strict=True))) == len(found.names) == 3


def test_one_with_nothing_left_is_as_quiet_as_can_be() -> None:
    away = np.r_[np.arange(1.0, 51.0), np.arange(1.0, 51.0) + 400]
    frame = pd.DataFrame(0.0, index=range(100), columns=list(TRAITS)).assign(days_since_last_order=away)
    found = Personas.fit(frame, fewest=2, most=2, sample=100, seed=0)
    nothing = pd.DataFrame(np.nan, index=[0], columns=list(TRAITS))
    assert found.assign(nothing)[0] == found.assign(frame)[-1] != found.assign(frame)[0]


def test_customers_all_alike_are_one_persona() -> None:
    features = pd.DataFrame(1.0, index=range(50), columns=list(TRAITS))
    assert Personas.fit(features, fewest=3, most=6, sample=1000, seed=0).names == (EVERYONE,)


def test_personas_are_named_by_what_sets_them_apart() -> None:
    centres = np.zeros((2, len(TRAITS)))
    centres[0, :2], centres[1, :2] = (-2, 1.5), (1, -3)
    assert names_of(centres) == ["recent frequent customers", "quiet occasional customers"]


def test_two_personas_are_never_called_alike() -> None:
    names = names_of(np.tile(np.linspace(2, 1, len(TRAITS)), (6, 1)))
    assert len(set(names)) == 6


def test_too_few_customers_make_no_segments(tmp_path: Path) -> None:
    lines = order_lines(simulate(n_customers=2, days=100, join_days=50))
    with pytest.raises(CannotLearn, match="at least 3 customers, found 2"):
        Segments.fit(make_shop(tmp_path, lines), CUTOFF, config=SegmentsConfig())
