"""Levels, by arithmetic done by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.special import expit, logit

from models.customers.calibration import Miss, expected_miss, logit_shift, middle_total, moved, share_of


@given(arrays(float, st.integers(1, 30), elements=st.floats(-5, 5)), st.floats(0.02, 0.98))
def test_shifted_scores_have_the_mean_asked_for(scores: np.ndarray, share: float) -> None:
    within = min(max(share, 0.5 / len(scores)), 1 - 0.5 / len(scores))
    assert expit(scores + logit_shift(scores, share)).mean() == pytest.approx(within, abs=1e-6)


@pytest.mark.parametrize(("share", "reached"), [(0.0, 0.05), (1.0, 0.95)])
def test_a_share_of_none_or_all_is_half_a_customer_away_from_it(share: float, reached: float) -> None:
    assert expit(logit_shift(np.zeros(10), share)) == pytest.approx(reached)


@pytest.mark.parametrize(("score", "shift"), [(30.0, -12.0), (-30.0, 12.0)])
def test_no_logit_is_moved_beyond_all_sense(score: float, shift: float) -> None:
    assert logit_shift(np.full(10, score), 0.5) == shift


def test_nobody_needs_no_shift() -> None:
    assert logit_shift(np.zeros(0), 0.5) == 0.0


def test_a_miss_of_a_share_is_in_logits_and_as_uncertain_as_a_count() -> None:
    happened = np.resize([1.0, 0.0, 0.0, 0.0], 9999)
    assert share_of(happened) == pytest.approx(0.25, abs=1e-4)
    assert share_of(np.zeros(9)) == 0.05
    miss = Miss.of_share(0.5, happened)
    assert miss == pytest.approx((-np.log(3), 1 / (9999 * 0.25 * 0.75)), rel=1e-3)
    assert moved(0.5, miss.size) == pytest.approx(0.25, abs=1e-4)
    assert moved(1.0, -np.log(3)) == pytest.approx(expit(logit(1 - 1e-6) - np.log(3)))


def test_a_miss_of_a_total_is_in_logs() -> None:
    assert Miss.of_total(4.0, np.array([0.0, 8.0])) == pytest.approx((np.log(2), 2 * 16 / 64))
    assert Miss.of_total(4.0, np.array([1.0, -3.0])) == (-np.inf, np.inf)  # more came back than was paid
    assert Miss.of_total(0.25, np.ones(1)).size == pytest.approx(np.log(4))
    for nothing in (0.0, np.nan):
        assert np.isnan(Miss.of_total(nothing, np.ones(2)).size)


@pytest.mark.parametrize(("weight", "total"), [(0.0, 2.0), (0.25, 4.0), (1.0, 32.0)])
def test_a_total_between_two_lies_between_them_in_logs(weight: float, total: float) -> None:
    assert middle_total(2.0, 32.0, weight=weight) == pytest.approx(total)
    assert (middle_total(2.0, 0.0, weight=weight), middle_total(0.0, 2.0, weight=weight)) == (2.0, 0.0)


def carried(foreseen: float, then: float, seen: float, weight: float) -> float:
    """Return ``foreseen``, moved by what was seen beyond ``then`` in one past window of very many."""
    bought = np.repeat([1.0, 0.0], [round(seen * 10**6), round((1 - seen) * 10**6)])
    return moved(foreseen, expected_miss([Miss.of_share(then, bought)], weight))


def test_a_forecast_that_was_right_then_is_left_as_it_is() -> None:
    assert carried(0.2, 0.4, 0.4, 0.7) == pytest.approx(0.2, rel=1e-5)


@pytest.mark.parametrize("odds", [0.5, 1.0, 3.0])
def test_a_bias_that_does_not_change_cancels(odds: float) -> None:
    def biased(share: float) -> float:
        return odds * share / (1 - share + odds * share)

    assert carried(biased(0.2), biased(0.35), 0.35, 1.0) == pytest.approx(0.2, rel=1e-5)
    assert carried(biased(0.2), biased(0.35), 0.35, 0.0) == pytest.approx(biased(0.2))
