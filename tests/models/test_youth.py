from datetime import timedelta

import pytest
from worlds.steady import CUTOFF, shop

from models.clock.windows import Window
from models.repurchase import Repurchase, RepurchaseConfig, levelled
from models.youth import GROWN, YOUNG, youth


@pytest.mark.parametrize(
    ("horizons", "share"), [(2, 1.0), (YOUNG, 1.0), ((YOUNG + GROWN) / 2, 0.5), (GROWN, 0.0), (9, 0.0)]
)
def test_youth_ends_evenly(horizons: float, share: float) -> None:
    moment = shop().warehouse.first_at + timedelta(days=horizons * 28)
    assert youth(shop(), moment, horizon_days=28) == pytest.approx(share)


def test_the_clock_of_a_young_shop_tells_as_many_returns_as_come() -> None:
    window = Window.of(shop(), CUTOFF, horizon_days=28, known_until=shop().last_midnight)
    chance = Repurchase.fit(shop(), CUTOFF, config=RepurchaseConfig()).chance.of_rows(window.rows)
    assert chance.sum() == pytest.approx(window.bought.sum(), rel=0.08)


def test_the_clock_of_a_grown_shop_keeps_what_was_learnt_to_the_bit() -> None:
    chance = Repurchase.fit(shop(), CUTOFF, config=RepurchaseConfig()).chance
    newest = Window.of(shop(), shop().past_cutoffs(CUTOFF, 14, n=1)[0], horizon_days=14, known_until=CUTOFF)
    assert levelled(chance, newest, shop=shop(), known_until=CUTOFF, horizon_days=14) is chance
