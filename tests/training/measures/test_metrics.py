"""Each metric beside a slow, obvious version of itself, or scikit-learn's."""

import math

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.linear_model import LogisticRegression

from training.measures import criteria, list_metrics, metrics


def ranking() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Lists of 5 of 30 products for 40 customers, and who bought what: the first one thing, the last none."""
    rng = np.random.default_rng(1)
    lists = np.array([rng.permutation(30)[:5] for _ in range(40)])
    lists[3, 2:] = -1
    bought = rng.random((40, 30)) < 0.15
    bought[:-1, 0], bought[0, 1:], bought[-1] = True, False, False
    lists[0] = [4, 3, 2, 1, 0]
    customer, product = np.nonzero(bought)
    return lists, bought, list_metrics.hit_matrix(lists, customer, product=product)


def slow_ndcg(shown: np.ndarray, bought: np.ndarray, k: int) -> float:
    gains = [1 / math.log2(rank + 2) for rank, p in enumerate(shown[:k]) if p >= 0 and bought[p]]
    return sum(gains) / sum(1 / math.log2(rank + 2) for rank in range(min(k, bought.sum())))


def slow_average_precision(shown: np.ndarray, bought: np.ndarray, k: int) -> float:
    hits = [p >= 0 and bought[p] for p in shown[:k]]
    return sum(sum(hits[: i + 1]) / (i + 1) for i in range(k) if hits[i]) / min(k, bought.sum())


def slow_recall(shown: np.ndarray, bought: np.ndarray, k: int) -> float:
    return len(set(shown[:k]) & set(np.flatnonzero(bought))) / bought.sum()


def slow_hit_rate(shown: np.ndarray, bought: np.ndarray, k: int) -> float:
    return float(any(p >= 0 and bought[p] for p in shown[:k]))


@pytest.mark.parametrize(
    ("fast", "slow"),
    [
        (list_metrics.ndcg, slow_ndcg),
        (list_metrics.hit_rate, slow_hit_rate),
        (list_metrics.average_precision_at, slow_average_precision),
        (list_metrics.recall, slow_recall),
    ],
)
@pytest.mark.parametrize("k", [1, 3, 5])
def test_a_list_metric_equals_its_slow_version(fast, slow, k) -> None:
    lists, bought, hits = ranking()
    wanted = [slow(shown, truth, k) for shown, truth in zip(lists[:-1], bought[:-1], strict=True)]
    np.testing.assert_allclose(fast(hits, bought.sum(axis=1), k=k)[:-1], wanted)


def test_a_customer_without_a_truth_has_no_figure() -> None:
    _, bought, hits = ranking()
    figures = [metric(hits, bought.sum(axis=1), k=5)[-1] for metric in list_metrics.RANKING.values()]
    assert np.isnan(figures).all()


def test_a_perfect_list_shorter_than_k_scores_one() -> None:
    hits = list_metrics.hit_matrix(np.array([[7, 4, 1, 2]]), np.array([0, 0]), product=np.array([7, 4]))
    for k in (4, 5):
        assert [metric(hits, np.array([2]), k=k)[0] for metric in list_metrics.RANKING.values()] == [
            1,
            1,
            1,
            1,
        ]


@pytest.mark.parametrize(
    ("shown", "customer", "bought"),
    [([1, -1], 1, 0), ([0, -1], 1, 1), ([-1, 0], 0, 1), ([-1, 0], 0, 2), ([0, -1], 0, 1)],
)
def test_a_hit_is_of_its_own_customer_whatever_codes_occur(shown: list, customer: int, bought: int) -> None:
    lists, owner, product = np.array(shown)[:, None], np.array([customer]), np.array([bought])
    assert not list_metrics.hit_matrix(lists, owner, product=product).any()
    assert not list_metrics.hit_values(lists, owner, product=product, value=np.ones(1)).any()


def test_nothing_recommended_is_no_hit_even_where_product_codes_start_at_zero() -> None:
    assert not list_metrics.hit_matrix(np.full((2, 3), -1), np.array([0, 1]), product=np.array([5, 0])).any()


@pytest.mark.parametrize("k", [1, 3, 5])
def test_ndcg_equals_that_of_scikit_learn(k) -> None:
    lists, bought, hits = ranking()
    rows = np.flatnonzero(bought.any(axis=1) & (lists >= 0).all(axis=1))
    scores = np.zeros(bought.shape)
    np.put_along_axis(scores, lists, np.arange(5, 0, -1.0) + np.zeros(lists.shape), axis=1)
    wanted = [sk.ndcg_score(bought[[row]], scores[[row]], k=k) for row in rows]
    np.testing.assert_allclose(list_metrics.ndcg(hits, bought.sum(axis=1), k=k)[rows], wanted)


def test_the_money_of_a_hit_is_that_of_its_pair() -> None:
    lists, bought, hits = ranking()
    prices = np.random.default_rng(6).gamma(2, 5, bought.shape)
    customer, product = np.nonzero(bought)
    order = np.random.default_rng(7).permutation(len(customer))
    customer, product = customer[order], product[order]
    found = list_metrics.hit_values(lists, customer, product=product, value=prices[customer, product])
    slow = [[prices[c, p] if p >= 0 and bought[c, p] else 0 for p in shown] for c, shown in enumerate(lists)]
    np.testing.assert_allclose(found, slow)


def test_money_is_captured_by_its_amount_not_by_its_buyers() -> None:
    assert metrics.captured(np.array([90.0, 0.0]), np.array([90.0, 10.0])) == pytest.approx(0.9)


def test_novelty_is_the_mean_surprise_of_what_is_shown() -> None:
    rarity = -np.log2(np.array([1.0, 0.5, 0.25, 0.125]))
    found = list_metrics.novelty(np.array([[0, 1], [3, 2], [3, -1], [-1, -1]]), rarity, k=2)
    np.testing.assert_allclose(found, [0.5, 2.5, 3.0, np.nan])
    assert np.isnan(list_metrics.novelty(np.full((1, 2), -1), np.zeros(0), k=2)).all()  # of an empty shop


def test_the_share_of_new_products_counts_only_what_is_shown() -> None:
    shown, before = np.array([[4, 5, -1], [6, 7, 8]]), np.array([[1, 0, 0], [0, 0, 0]], bool)
    np.testing.assert_allclose(list_metrics.share_new(shown, before, k=3), [0.5, 1.0])
    np.testing.assert_allclose(list_metrics.share_new(shown, before, k=1), [0.0, 1.0])


def test_coverage_counts_products_shown_to_anyone() -> None:
    shown = np.array([[1, 2], [2, -1], [0, 9]])
    assert list_metrics.coverage(shown, np.arange(10), k=1) == pytest.approx(0.3)


def test_coverage_is_of_the_catalogue_alone() -> None:
    assert list_metrics.coverage(np.array([[1, 2], [3, 4]]), np.array([4, 5]), k=2) == 0.5
    assert np.isnan(list_metrics.coverage(np.array([[1, 2], [3, 4]]), np.array([], int), k=2))


def events(n: int = 500, *, ties: bool = True) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(2)
    probability = rng.beta(1, 3, n)
    truth = (rng.random(n) < probability).astype(float)
    return truth, probability.round(1 if ties else 9)


@pytest.mark.parametrize("ties", [True, False])
def test_auc_average_precision_and_brier_equal_those_of_scikit_learn(ties) -> None:
    truth, score = events(ties=ties)
    assert metrics.auc(truth, score) == pytest.approx(sk.roc_auc_score(truth, score))
    assert metrics.average_precision(truth, score) == pytest.approx(sk.average_precision_score(truth, score))
    assert metrics.brier(truth, score) == pytest.approx(sk.brier_score_loss(truth, score))


def test_calibration_slope_equals_a_logistic_regression_on_the_logit() -> None:
    truth, score = events(ties=False)
    logit = np.log(score / (1 - score))[:, None]
    oracle = LogisticRegression(C=1e12, tol=1e-9).fit(logit, truth).coef_[0, 0]
    assert metrics.calibration_slope(truth, score) == pytest.approx(oracle, rel=1e-4)


def test_ece_of_equal_bins_is_the_mean_gap_between_said_and_seen() -> None:
    truth, score = events(ties=False)
    order = np.argsort(score)
    gaps = [abs(score[part].mean() - truth[part].mean()) for part in np.array_split(order, 10)]
    assert metrics.ece(truth, score) == pytest.approx(np.mean(gaps))


@pytest.mark.parametrize("digits", [1, 2])
def test_of_tied_scores_all_are_in_the_tenth_of_their_middle(digits: int) -> None:
    truth, score = events(ties=False)
    said = score.round(digits)
    twice_middle = np.array([(said < one).sum() + (said <= one).sum() for one in said])
    tenths = [np.flatnonzero(10 * twice_middle // 1000 == number) for number in range(10)]
    came = [truth[rows].sum() for rows in tenths]
    missed = [abs((said - truth)[rows].sum()) for rows in tenths]
    assert metrics.ece(truth, said) == pytest.approx(sum(missed) / 500)
    slow = np.mean([miss / n for miss, n in zip(missed, came, strict=True) if n])
    assert metrics.decile_mape(truth, said) == pytest.approx(slow)
    assert metrics.decile_mape(truth / 100, said / 100) == pytest.approx(slow)  # in another currency


def test_one_constant_right_probability_is_calibrated_and_ranks_nothing() -> None:
    truth, _ = events()
    constant = np.full(len(truth), truth.mean())
    assert metrics.ece(truth, constant) == pytest.approx(0)
    assert (metrics.auc(truth, constant), metrics.lift(truth, constant)) == (0.5, pytest.approx(1))
    assert np.isnan(metrics.calibration_slope(truth, constant))


def test_the_decile_error_is_the_mean_over_tenths_of_what_the_total_misses() -> None:
    rng = np.random.default_rng(0)
    came, said = rng.exponential(10, 1000), rng.permutation(1000) / 50.0
    tenths = np.array_split(np.argsort(said, kind="stable"), 10)
    slow = [abs(said[rows].sum() - came[rows].sum()) / came[rows].sum() for rows in tenths]
    assert metrics.decile_mape(came, said) == pytest.approx(np.mean(slow))
    assert metrics.decile_mape(came, came) == 0
    assert np.isnan(metrics.decile_mape(np.zeros(5), np.ones(5)))


def test_lift_of_the_top_decile() -> None:
    truth, score = events(ties=False)
    top = np.argsort(-score)[:50]
    assert metrics.lift(truth, score) == pytest.approx(truth[top].mean() / truth.mean())


def test_gini_equals_the_area_between_the_lorenz_curves() -> None:
    rng = np.random.default_rng(3)
    truth, score = rng.gamma(0.5, 10, 300), rng.random(300)

    def area(by: np.ndarray) -> float:
        curve = np.cumsum(truth[np.argsort(by)]) / truth.sum()
        return float((np.arange(1, 301) / 300 - curve).sum())

    assert metrics.normalised_gini(truth, score) == pytest.approx(area(score) / area(truth))
    assert metrics.normalised_gini(truth, truth**2) == pytest.approx(1)


def test_spearman_equals_scipys() -> None:
    from scipy.stats import spearmanr

    truth, score = events()
    assert metrics.spearman(truth, score) == pytest.approx(spearmanr(truth, score).statistic)


def test_bias_is_the_excess_of_the_total() -> None:
    assert metrics.bias(np.array([100.0, 0.0]), np.array([68.0, 68.0])) == pytest.approx(0.36)


def test_groups_explain_all_of_what_they_define() -> None:
    truth = np.array([1.0, 1.0, 5.0, 5.0])
    assert metrics.explained(truth, np.array([0, 0, 1, 1])) == pytest.approx(1)
    assert metrics.explained(truth, np.array([0, 1, 0, 1])) == pytest.approx(0)
    assert metrics.explained(truth, np.array([0, 3, 5, 6])) == pytest.approx(1)


@pytest.mark.parametrize("name", [*criteria.EVENT, *criteria.AMOUNT])
def test_a_whole_weight_is_the_same_as_a_repeated_row(name) -> None:
    truth, score = events(120)
    times = np.random.default_rng(4).integers(0, 3, 120)
    statistic = (criteria.EVENT | criteria.AMOUNT)[name].statistic
    repeated = statistic(np.repeat(truth, times), np.repeat(score, times))
    assert statistic(truth, score, weights=times.astype(float)) == pytest.approx(repeated)


@pytest.mark.parametrize("name", [*criteria.EVENT, *criteria.AMOUNT])
def test_a_row_of_no_weight_is_the_same_as_none_even_at_an_end(name) -> None:
    truth, score = events(120, ties=False)
    statistic = (criteria.EVENT | criteria.AMOUNT)[name].statistic
    more, weights = (np.append(truth, [1, 0]), np.append(score, [0, 1])), np.append(np.ones(120), [0, 0])
    assert statistic(*more, weights=weights) == pytest.approx(statistic(truth, score))


def test_a_group_of_no_weight_explains_nothing() -> None:
    truth, weights = np.array([1.0, 2.0, 5.0, 6.0, 9.0]), np.array([1.0, 1.0, 1.0, 1.0, 0.0])
    found = metrics.explained(truth, np.array([0, 0, 1, 1, 2]), weights=weights)
    assert found == pytest.approx(metrics.explained(truth[:4], np.array([0, 0, 1, 1])))


@pytest.mark.parametrize("name", [*criteria.EVENT, *criteria.AMOUNT])
def test_the_order_of_rows_changes_nothing(name) -> None:
    truth, score = events(200)
    shuffled = np.random.default_rng(5).permutation(200)
    statistic = (criteria.EVENT | criteria.AMOUNT)[name].statistic
    assert statistic(truth[shuffled], score[shuffled]) == pytest.approx(statistic(truth, score))


@pytest.mark.parametrize("truth", [0.0, 1.0])
def test_where_nobody_does_it_or_everybody_there_is_no_ranking(truth: float) -> None:
    same, score = np.full(10, truth), np.linspace(0, 1, 10)
    assert np.isnan([metrics.auc(same, score), metrics.calibration_slope(same, score)]).all()


def test_where_nobody_does_it_there_is_nothing_to_lift() -> None:
    nobody, score = np.zeros(10), np.linspace(0, 1, 10)
    assert np.isnan(metrics.lift(nobody, score))


def test_log_loss_equals_that_of_scikit_learn() -> None:
    truth, score = events(ties=False)
    assert metrics.log_loss(truth, score) == pytest.approx(sk.log_loss(truth, score))


def test_an_interval_pays_for_its_width_and_ten_times_for_what_it_misses() -> None:
    truth, low, high = np.array([5.0, 1.0, 4.0]), np.array([4.0, 2.0, 0.0]), np.array([6.0, 3.0, 3.0])
    assert metrics.interval_score(truth, low, high) == pytest.approx((2 + 1 + 3 + 10 + 10) / 10)


def test_inside_an_interval_are_its_bounds_and_what_lies_between() -> None:
    truth, low, high = np.array([1.0, 2.0, 3.0, 0.0, 4.0]), np.full(5, 1.0), np.full(5, 3.0)
    assert metrics.inside(truth, low, high) == 0.6


def test_wape_is_the_sum_of_misses_over_the_sum_of_what_came() -> None:
    assert metrics.wape(np.array([4.0, 0, 6]), np.array([5.0, 1, 4])) == pytest.approx(0.4)


def test_the_mean_absolute_error_is_the_mean_distance() -> None:
    assert metrics.mean_absolute_error(np.array([4.0, 0, 6]), np.array([5.0, 1, 4])) == pytest.approx(4 / 3)


@pytest.mark.parametrize(
    ("metric", "best"),
    [(criteria.AMOUNT["bias"], 0.0), (criteria.INSIDE, 0.8), (criteria.EVENT["calibration_slope"], 1.0)],
)
def test_what_is_best_at_a_value_is_worse_on_either_side(metric: criteria.Metric, best: float) -> None:
    assert metric.goodness(best) > metric.goodness(best + 0.1) == pytest.approx(metric.goodness(best - 0.1))


def test_distributions_that_are_right_have_a_flat_histogram() -> None:
    rank = (np.arange(1000) + 0.5) / 1000
    assert metrics.pit_error(rank, rank) == pytest.approx(0.0, abs=1e-9)


def test_a_probable_zero_is_spread_over_its_own_probability() -> None:
    none, some = np.arange(1000) < 700, (np.arange(1000) + 0.5) / 1000
    low, high = np.where(none, 0.0, some), np.where(none, 0.7, some)
    assert metrics.pit_error(low, high) == pytest.approx(0.0, abs=1e-9)


def test_distributions_that_are_too_narrow_are_told_by_the_histogram() -> None:
    ends = np.repeat([0.0, 1.0], 500)
    assert metrics.pit_error(ends, ends) == pytest.approx(1.6)
    assert metrics.pit_error(np.full(9, 0.55), np.full(9, 0.55)) == pytest.approx(1.8)
