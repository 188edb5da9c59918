from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pytest

from models.chance.season import Weeks
from models.customers.inputs import COLUMNS, ORDERS
from models.processes.gamma_gamma import GammaGamma
from models.value.value_parts import Level, Misses, Parts

N = 40


def window(days: float, revenue: float) -> Any:
    """Return a closed window in which customers bought so much more than BG/NBD foresaw, and paid."""
    rows = pd.DataFrame({ORDERS: np.full(N, 0.5), "frequency": 2.0, "monetary_value": 10.0})
    worth = GammaGamma(6.0, 4.0, 15.0).expected_value(rows["frequency"], rows["monetary_value"])
    return SimpleNamespace(
        rows=rows, n_order_days=np.full(N, 0.5 * np.exp(days)), revenue=0.5 * worth * np.exp(revenue)
    )


@pytest.fixture
def parts() -> Any:
    fitted: Any = SimpleNamespace(gamma_gamma=GammaGamma(6.0, 4.0, 15.0))
    fitted.structure = lambda rows, kept: Parts.structure(fitted, rows, kept)
    fitted._missed = lambda window, kept: Parts._missed(fitted, window, kept)
    return fitted


def test_totals_leave_out_what_the_structure_missed_in_every_window(parts: Any) -> None:
    def sizes(past: list[Any]) -> tuple[float, float]:
        days, revenue = Parts.misses(parts, past, 1.0, last_year=None)
        assert (days.seasonal_share, revenue.seasonal_share) == (0.0, 0.0)
        return days.size, revenue.size

    windows = [window(-0.2 - 0.01 * k, -0.4 - 0.01 * k) for k in range(8)]
    assert sizes(windows) == pytest.approx((-0.2, -0.4))
    assert sizes([*windows, window(0.1, 0.1)]) == (0.0, 0.0)
    nobody = window(-0.2, -0.4)
    nobody.n_order_days, nobody.revenue = np.zeros(N), np.zeros(N)
    assert sizes([*windows, nobody]) == pytest.approx((-0.2, -0.4))
    assert sizes([nobody, *windows]) == pytest.approx((-0.2, -0.4))


@pytest.mark.parametrize("newest_first", [1, -1])
def test_last_years_season_is_in_the_totals_of_the_structure(parts: Any, newest_first: int) -> None:
    windows = [window(-0.2 - 0.01 * k, -0.4 - 0.01 * k) for k in range(8)][::newest_first]
    days, revenue = Parts.misses(parts, windows, 1.0, last_year=window(0.5, 0.9))  # customers alike: no noise
    noise = 4 * 0.05**2
    seasonal_share = 1 - noise / 0.7**2, 1 - noise / 1.3**2
    assert (days.seasonal_share, revenue.seasonal_share) == pytest.approx(seasonal_share)
    sizes = -0.2 + seasonal_share[0] * 0.7, -0.4 + seasonal_share[1] * 1.3
    assert (days.size, revenue.size) == pytest.approx(sizes)
    nobody = window(0.0, 0.0)
    nobody.n_order_days, nobody.revenue = np.zeros(N), np.zeros(N)
    days, revenue = Parts.misses(parts, windows, 1.0, last_year=nobody)
    assert (*days, *revenue) == pytest.approx((-0.2, 0.0, -0.4, 0.0))


def test_a_miss_moves_both_opinions_to_one_total() -> None:
    two_part, structure = np.full(N, 2.0), np.full(N, 8.0)
    for size in (0.0, -0.5):
        level = Level.of(two_part, structure, lean=0.5, missed=Misses(size, 0.0))
        total = np.sqrt(2.0 * 8.0 * np.exp(size))
        np.testing.assert_allclose(level.blend(two_part, structure, share=0.1), total)


@pytest.mark.parametrize(("seasonal_share", "total"), [(0.0, 4.0), (0.5, 8 * 0.25**0.25), (1.0, 8.0)])
def test_amounts_that_know_no_season_are_asked_the_less_the_more_last_year_tells(
    seasonal_share: float, total: float
) -> None:
    two_part, structure = np.full(N, 2.0), np.full(N, 8.0)
    level = Level.of(two_part, structure, lean=0.5, missed=Misses(0.0, seasonal_share))
    np.testing.assert_allclose(level.blend(two_part, structure, share=0.1), total)


def test_the_share_of_a_blend_is_the_structures() -> None:
    blended = Level(1.0, 1.0).blend(np.array([1.0, 8.0]), np.array([3.0, 4.0]), share=0.25)
    np.testing.assert_allclose(blended, [1.5, 7.0])


def test_a_level_of_later_weeks_is_of_the_chance_there_is_then(parts: Any) -> None:
    def chance(days: float) -> Any:
        return SimpleNamespace(probability=lambda rows: np.full(len(rows), 0.1 + days / 100), after=chance)

    spend: Any = SimpleNamespace(paying=1.0, mean_factor=1.0)
    spend.days = spend.typical_money = lambda rows: np.ones(len(rows))
    closed = window(0.0, 0.0)
    inputs: Any = SimpleNamespace(rows=lambda features: features, kept=1.0)
    config: Any = SimpleNamespace(structure=1.0)
    ahead = [Weeks(0, None), Weeks(30, None)]
    learnt = Parts(chance(0), spend, parts.gamma_gamma)
    now, later = learnt.levels([closed], closed.rows, inputs=inputs, config=config, ahead=ahead)
    assert (now[0], later[0]) == (0, 30)
    assert now[1].two_part == pytest.approx(4 * later[1].two_part)  # of four times the chance


def test_a_whale_moves_no_one_elses_total() -> None:
    two_part, structure = np.full(200, 2.0), np.full(200, 8.0)
    structure[0] = 1e6
    assert Level.of(two_part, structure, lean=0.5, missed=Misses()) == Level(2.0, 0.5)


@pytest.mark.parametrize("structure", [np.full(N, np.nan), np.zeros(N), np.zeros(0)])
def test_without_a_structure_the_other_opinion_is_taken_as_it_is(structure: np.ndarray) -> None:
    two_part = np.linspace(1.0, 2.0, len(structure))
    level = Level.of(two_part, structure, lean=0.5, missed=Misses())
    np.testing.assert_array_equal(level.blend(two_part, structure, share=0.3), two_part)


def test_each_opinion_is_a_product_of_what_it_is_made_of() -> None:
    tree: Any = SimpleNamespace(raw=lambda values: np.zeros(len(values)))
    chance: Any = SimpleNamespace(probability=lambda rows: np.full(len(rows), 0.6), trees=tree)
    spend: Any = SimpleNamespace(paying=0.8, mean_factor=1.5, amount=SimpleNamespace(trees=tree))
    spend.days, spend.typical_money = (
        lambda rows, each=each: np.full(len(rows), each) for each in (2.0, 20.0)
    )
    rows = pd.DataFrame(0.5, index=["a"], columns=[*COLUMNS])
    found = Parts(chance, spend, None).two_part(rows)
    said = found.chance, found.paid, found.typical, found.figures.days, found.figures.revenue
    assert np.concatenate(said) == pytest.approx([0.6, 0.48, 20.0, 1.2, 0.48 * 30])
    alone = Parts(chance, spend, None).trees_alone(rows)
    assert np.concatenate([alone.days, alone.revenue]) == pytest.approx([1.0, 0.5 * 0.8 * 1.5])
    spend.amount = None
    priceless = Parts(chance, spend, None)
    assert np.isnan([priceless.trees_alone(rows).revenue, priceless.structure(rows, 1.0).revenue]).all()
    priced = Parts(chance, spend, GammaGamma(6.0, 4.0, 15.0)).structure(rows, 0.5)
    worth = GammaGamma(6.0, 4.0, 15.0).expected_value(rows["frequency"], rows["monetary_value"])
    assert (priced.days[0], priced.revenue[0]) == pytest.approx((0.5, 0.25 * worth[0]))
