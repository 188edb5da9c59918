import numpy as np
import pytest
from scipy.special import expit
from threadpoolctl import threadpool_limits

from training.measures.criteria import CAPTURED, EVENT, MEAN
from training.measures.intervals import drawn
from training.measures.metrics import auc, decile_mape, ece, mean, spearman


def test_the_interval_of_a_mean_is_about_two_standard_errors_wide() -> None:
    values = np.random.default_rng(0).normal(3, 1, 1000)
    found = drawn((values,), mean, seed=1).interval
    assert found.value == pytest.approx(values.mean())
    assert found.high - found.low == pytest.approx(2 * 1.96 * values.std() / 1000**0.5, rel=0.1)


def test_the_same_seed_gives_the_same_interval() -> None:
    values = np.arange(50.0)
    one, same, other = (drawn((values,), mean, seed=seed).interval for seed in (7, 7, 8))
    assert one == same != other


def test_many_rows_give_the_same_draws_on_any_number_of_cores() -> None:
    truth, score = np.random.default_rng(0).lognormal(3, 1, (2, 30_000))
    found = []
    for cores in (1, 2):
        with threadpool_limits(cores):
            found.append(drawn((truth, score), spearman, n_draws=5).draws)
    np.testing.assert_array_equal(*found)


def test_the_interval_of_an_auc_draws_customers() -> None:
    truth = np.repeat([0.0, 1.0], 50)
    score = truth + np.random.default_rng(0).normal(0, 1, 100)
    found = drawn((truth, score), auc, n_draws=50).interval
    assert found.low < found.value < found.high


@pytest.mark.parametrize("seed", range(5))
def test_an_interval_holds_its_figure_also_where_drawing_makes_it_larger(seed) -> None:
    chance = np.random.default_rng(seed).uniform(0.1, 0.9, 100)
    truth = np.zeros(100)
    for part in np.array_split(np.argsort(chance), 10):  # as right in every tenth as counts can be
        truth[part[: round(chance[part].sum())]] = 1.0
    found = drawn((truth, chance), ece).interval
    assert found.low <= found.value <= found.high


def test_draws_of_an_error_lie_around_it_also_where_some_have_none() -> None:
    one_buyer, said = np.repeat([1.0, 0.0], [1, 29]), np.linspace(0.1, 0.2, 30)
    found = drawn((one_buyer, said), decile_mape)
    known = found.draws[np.isfinite(found.draws)]
    assert 200 < len(known) < len(found.draws)  # two draws of three hold the buyer
    assert known.mean() == pytest.approx(found.value)


def test_an_error_of_nothing_has_no_interval() -> None:
    assert np.isnan(drawn((np.zeros(30), np.linspace(0, 1, 30)), decile_mape).interval).all()


def test_drawing_equals_a_slow_bootstrap_of_rows() -> None:
    rng = np.random.default_rng(3)
    truth, score = (rng.random(60) < 0.4).astype(float), rng.random(60).round(1)
    draws = np.random.default_rng(5)
    rows = [draws.integers(0, 60, 60) for _ in range(30)]
    slow = np.quantile([auc(truth[row], score[row]) for row in rows], [0.025, 0.975])
    found = drawn((truth, score), auc, seed=5, n_draws=30).interval
    assert [found.low, found.high] == pytest.approx(slow)


def test_the_interval_of_a_calibration_error_mostly_holds_the_true_one() -> None:
    logits = np.random.default_rng(0).normal(-1.5, 1, (40, 2000))
    said, true = expit(logits), expit(logits + 0.2)
    came = (np.random.default_rng(1).random(true.shape) < true).astype(float)
    error = float((true - said).mean())
    held = [drawn(pair, ece, n_draws=100).interval for pair in zip(came, said, strict=True)]
    assert sum(low <= error <= high for _, low, high in held) >= 34


def test_a_method_against_itself_differs_by_nothing() -> None:
    truth = np.repeat([0.0, 1.0], 50)
    sample = drawn((truth, np.random.default_rng(0).random(100)), auc)
    assert sample.better_than(sample, EVENT["auc"]) == (0, 0, 0)


def test_a_difference_counts_upwards_also_where_lower_is_better() -> None:
    truth = np.repeat([0.0, 1.0], 50)
    brier = EVENT["brier"]
    sure, unsure = (
        drawn((truth, said), brier.statistic) for said in (np.where(truth > 0, 0.8, 0.2), np.full(100, 0.5))
    )
    assert sure.better_than(unsure, brier).low > 0


def test_pairing_finds_a_small_steady_gain_in_noisy_figures() -> None:
    noisy = np.random.default_rng(0).normal(0, 10, 200)
    found = drawn((noisy + 0.1,), mean).better_than(drawn((noisy,), mean), MEAN)
    assert found.value == pytest.approx(0.1)
    assert found.low == pytest.approx(0.1) == found.high


def test_no_customers_give_no_figure() -> None:
    assert np.isnan(drawn((np.empty(0),), mean).interval).all()


@pytest.mark.parametrize("metric", [MEAN, CAPTURED])
def test_the_quick_way_for_sums_equals_a_slow_bootstrap_of_rows(metric) -> None:
    rng = np.random.default_rng(4)
    columns = tuple(rng.gamma(1, 2, 70) for _ in range(2 if metric is CAPTURED else 1))
    draws = np.random.default_rng(5)
    rows = [draws.integers(0, 70, 70) for _ in range(30)]
    slow = np.quantile(
        [metric.statistic(*(column[row] for column in columns)) for row in rows], [0.025, 0.975]
    )
    found = drawn(columns, metric.statistic, seed=5, n_draws=30).interval
    assert [found.low, found.high] == pytest.approx(slow)


def test_twice_as_good_for_everyone_is_twice_as_good_without_doubt() -> None:
    values = np.random.default_rng(0).gamma(1, 1, 300)
    assert drawn((2 * values,), mean).times(drawn((values,), mean)) == pytest.approx((2, 2, 2))


def test_a_ratio_is_drawn_for_both_at_once() -> None:
    rng = np.random.default_rng(1)
    ours, theirs = rng.gamma(1, 1, 80), rng.gamma(1, 1, 80)
    draws = np.random.default_rng(5)
    rows = [draws.integers(0, 80, 80) for _ in range(50)]
    slow = np.quantile([ours[row].mean() / theirs[row].mean() for row in rows], [0.025, 0.975])
    both = (drawn((values,), mean, seed=5, n_draws=50) for values in (ours, theirs))
    found = next(both).times(next(both))
    assert [found.value, found.low, found.high] == pytest.approx([ours.mean() / theirs.mean(), *slow])


def test_nothing_to_divide_by_gives_no_ratio() -> None:
    assert np.isnan(drawn((np.ones(5),), mean).times(drawn((np.zeros(5),), mean))).all()


def test_many_rows_are_drawn_less_often_and_as_truly() -> None:
    values = np.random.default_rng(0).normal(3, 1, 60_000)
    found = drawn((values,), mean)
    assert len(found.draws) < len(drawn((values[:50_000],), mean).draws)
    assert found.interval.high - found.interval.low == pytest.approx(2 * 1.96 / 60_000**0.5, rel=0.2)
