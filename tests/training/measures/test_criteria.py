"""Of two predictions every criterion takes the better one for better: it decides what is promoted."""

import numpy as np
import pytest

from training.measures.criteria import AMOUNT, EVENT, INTERVAL, PIT, TOTAL, Metric, fitting

RNG = np.random.default_rng(0)
CHANCE = RNG.uniform(0.1, 0.9, 4000)
CAME = (RNG.random(4000) < CHANCE).astype(float)
SPENT = RNG.gamma(2.0, 20.0, 4000)


@pytest.mark.parametrize("name", EVENT)
def test_a_right_chance_is_better_than_its_opposite(name: str) -> None:
    right, wrong = (
        EVENT[name].goodness(EVENT[name].statistic(CAME, chance)) for chance in (CHANCE, 1 - CHANCE)
    )
    assert right > wrong


@pytest.mark.parametrize(("name", "metric"), [*AMOUNT.items(), *TOTAL.items()])
def test_a_right_amount_is_better_than_too_much_or_too_little_for_the_wrong_ones(
    name: str, metric: Metric
) -> None:
    wrong = SPENT.max() - SPENT
    goods = [metric.goodness(metric.statistic(SPENT, said)) for said in (SPENT, 3 * wrong, 0.1 * wrong)]
    assert goods[0] > max(goods[1:])


@pytest.mark.parametrize("metric", INTERVAL.values())
def test_an_interval_of_four_in_five_is_better_than_of_nearly_all_or_few(metric: Metric) -> None:
    ends = [np.quantile(SPENT, [(1 - held) / 2, (1 + held) / 2]) for held in (0.8, 0.999, 0.2)]
    goods = [metric.goodness(metric.statistic(SPENT, *(np.full(4000, end) for end in two))) for two in ends]
    assert goods[0] > max(goods[1:])


def test_truths_that_fall_everywhere_are_better_foreseen_than_those_that_all_fall_high() -> None:
    even, high = np.linspace(0.001, 0.999, 4000), np.full(4000, 0.95)
    goods = [PIT.goodness(PIT.statistic(place, place)) for place in (even, high)]
    assert goods[0] > goods[1]


def test_what_is_no_probability_is_not_asked_to_be_calibrated() -> None:
    assert set(fitting(EVENT, CHANCE)) == set(EVENT)
    assert set(fitting(EVENT, 2 * CHANCE)) == {"auc", "average_precision", "lift@10%"}


def test_timid_chances_are_worse_than_right_ones_as_bold_ones_are() -> None:
    slope = EVENT["calibration_slope"]
    timid, bold = 0.5 + (CHANCE - 0.5) / 3, np.clip(0.5 + (CHANCE - 0.5) * 1.2, 0.01, 0.99)
    right, *wrong = (slope.goodness(slope.statistic(CAME, said)) for said in (CHANCE, timid, bold))
    assert right > max(wrong)
