"""The figures of scores: pure functions over arrays, one row per customer.

A metric takes ``(truth, score)`` and optional ``weights``, which a bootstrap over customers varies, so that
every metric has its interval in the same way. Tied scores are one group: the order of rows does not matter.
"""

from collections.abc import Callable

import numpy as np

from features.arrays.dtypes import Doubles, Longs
from models.trials.qini import qini as contact_qini
from models.trials.trial import Trial

Statistic = Callable[..., float]
N_BINS = 10
"""Bins of equal count in ``ece`` and ``decile_mape``, of equal width in ``pit_error``."""
TOP_SHARE = 0.1
"""Share of scores that ``lift`` looks at."""

# Scores of something that happens or does not: truth is 0 or 1.


def auc(truth: Doubles, score: Doubles, *, weights: Doubles | None = None) -> float:
    """Return the chance that a true row scores above a false one, ties counting half (Mann-Whitney)."""
    weights = _ones(truth, weights)
    true, false = _tied(score, weights * truth, weights * (1 - truth))
    return _ratio(float(true @ (np.cumsum(false) - false / 2)), float(true.sum() * false.sum()))


def average_precision(truth: Doubles, score: Doubles, *, weights: Doubles | None = None) -> float:
    """Return the area under the precision-recall steps, as scikit-learn defines it."""
    weights = _ones(truth, weights)
    true, everyone = (part[::-1] for part in _tied(score, weights * truth, weights))
    seen = np.cumsum(everyone)
    precision = np.divide(np.cumsum(true), seen, out=np.zeros_like(seen), where=seen > 0)
    return _ratio(float(precision @ true), float(true.sum()))


def brier(truth: Doubles, probability: Doubles, *, weights: Doubles | None = None) -> float:
    """Return the mean squared error of a probability."""
    return mean((probability - truth) ** 2, weights)


def log_loss(truth: Doubles, probability: Doubles, *, weights: Doubles | None = None) -> float:
    """Return the mean negative log of the probability given to the outcome, at least 1e-6."""
    right = np.where(truth > 0, probability, 1 - probability)
    return mean(-np.log(np.clip(right, 1e-6, 1)), weights)


def ece(truth: Doubles, probability: Doubles, *, weights: Doubles | None = None) -> float:
    """Return the expected calibration error over ten bins of equal count, ties staying together.

    Mean over bins, weighted by their size, of |mean probability - share true|.
    """
    weights = _ones(truth, weights)
    size, true, predicted = _tied(probability, weights, weights * truth, weights * probability)
    at = np.cumsum(size) - size / 2
    number = (N_BINS * at / size.sum()).astype(int)
    return float(np.abs(np.bincount(number, predicted - true)).sum() / size.sum())


def calibration_slope(truth: Doubles, probability: Doubles, *, weights: Doubles | None = None) -> float:
    """Return the slope of a logistic regression of the truth on the logit of its probability: 1 is right.

    Below 1 the probabilities are too extreme (Cox, 1958). NaN if truth or probability do not vary.
    """
    weights = _ones(truth, weights)
    clipped = np.clip(probability, 1e-6, 1 - 1e-6)
    design = np.column_stack([np.ones(len(truth)), np.log(clipped / (1 - clipped))])
    share = mean(truth, weights)
    if not 0 < share < 1 or np.ptp(design[:, 1]) < 1e-9:
        return float("nan")
    beta = np.array([0.0, 1.0])
    for _ in range(50):
        fitted = 1 / (1 + np.exp(-np.clip(design @ beta, -30, 30)))
        curvature = (design * (weights * fitted * (1 - fitted))[:, None]).T @ design
        step = np.linalg.lstsq(curvature, design.T @ (weights * (truth - fitted)), rcond=None)[0]
        beta = beta + step
        if np.abs(step).max() < 1e-8:
            break
    return float(beta[1])


def lift(truth: Doubles, score: Doubles, *, weights: Doubles | None = None) -> float:
    """Return the share of true rows in the top tenth of scores, over the share of true rows in all."""
    weights = _ones(truth, weights)
    size, true = (part[::-1] for part in _tied(score, weights, weights * truth))
    limit = TOP_SHARE * size.sum()
    taken = np.clip(limit - (np.cumsum(size) - size), 0, size)
    top = np.divide(true * taken, size, out=np.zeros_like(size), where=size > 0).sum()
    return _ratio(float(top / limit), float(true.sum() / size.sum()))


# Scores of an amount: money, or days with an order.


def normalised_gini(truth: Doubles, score: Doubles, *, weights: Doubles | None = None) -> float:
    """Return the Gini of the truth in the scores' order over that in its own order: 1 perfect, 0 chance.

    Gini as a covariance with the rank (Lerman & Yitzhaki, 1984), ties sharing their middle rank.
    """
    weights = _ones(truth, weights)
    return _ratio(
        _covariance(truth, _rank(score, weights), weights), _covariance(truth, _rank(truth, weights), weights)
    )


def spearman(truth: Doubles, score: Doubles, *, weights: Doubles | None = None) -> float:
    """Return the rank correlation, ties sharing their middle rank."""
    weights = _ones(truth, weights)
    ranks = _rank(truth, weights), _rank(score, weights)
    spread = np.sqrt(_covariance(ranks[0], ranks[0], weights) * _covariance(ranks[1], ranks[1], weights))
    return _ratio(_covariance(*ranks, weights), float(spread))


def bias(truth: Doubles, amount: Doubles, *, weights: Doubles | None = None) -> float:
    """Return the error of the predicted total as a share of the true one: +0.36 is 36% too much."""
    weights = _ones(truth, weights)
    return _ratio(float(weights @ amount), float(weights @ truth)) - 1.0


def wape(truth: Doubles, amount: Doubles, *, weights: Doubles | None = None) -> float:
    """Return the sum of absolute errors over the sum of the truth."""
    weights = _ones(truth, weights)
    return _ratio(float(weights @ np.abs(amount - truth)), float(weights @ truth))


def mean_absolute_error(truth: Doubles, amount: Doubles, *, weights: Doubles | None = None) -> float:
    """Return the mean absolute error. No headline: if few buy, "always zero" is hard to beat."""
    return mean(np.abs(amount - truth), weights)


def inside(truth: Doubles, low: Doubles, high: Doubles, *, weights: Doubles | None = None) -> float:
    """Return the share of rows whose truth lies in ``[low, high]``."""
    return mean(((truth >= low) & (truth <= high)).astype(float), weights)


def interval_score(truth: Doubles, low: Doubles, high: Doubles, *, weights: Doubles | None = None) -> float:
    """Return the score of 80% intervals, as a share of the truth: 0 is right, and width is penalised.

    Their width, plus 2 / 0.2 times each miss beyond a bound (Winkler, 1972; Gneiting and Raftery, 2007, eq.
    43).
    """
    weights = _ones(truth, weights)
    cost = high - low + 10 * (np.maximum(low - truth, 0) + np.maximum(truth - high, 0))
    return _ratio(float(weights @ cost), float(weights @ truth))


def pit_error(low: Doubles, high: Doubles, *, weights: Doubles | None = None) -> float:
    """Return how far predicted distributions are from calibrated at every level: 0 is right, 2 at most.

    ``low`` and ``high`` are the predicted shares below the truth, and at or below it; they differ if the
    truth is a value with a probability of its own, such as 0. The distance of the mean histogram of the
    probability integral transform (Czado, Gneiting and Held, 2009) from the uniform one of calibrated
    distributions.
    """
    weights = _ones(low, weights)
    edges = np.linspace(0, 1, N_BINS + 1)
    below = np.clip((edges[:, None] - low) / np.maximum(high - low, 1e-12), 0, 1)
    below[-1] = 1.0  # a truth above everything predicted belongs to the last bin
    mass = below @ weights / weights.sum()
    return float(np.abs(np.diff(mass) - 1 / N_BINS).sum())


def decile_mape(truth: Doubles, score: Doubles, *, weights: Doubles | None = None) -> float:
    """Return the error of predicted against actual amounts, averaged over tenths by score.

    As a share of the actual amount; a tenth without any is left out. Ties stay together. Source: Wang, Liu
    and Miao (2019).
    """
    weights = _ones(truth, weights)
    size, actual, predicted = _tied(score, weights, weights * truth, weights * score)
    at = np.cumsum(size) - size / 2
    tenth = (N_BINS * at / size.sum()).astype(int)
    total, missed = (np.bincount(tenth, column, minlength=N_BINS) for column in (actual, predicted - actual))
    known = total > 0
    return float(np.mean(np.abs(missed[known]) / total[known])) if known.any() else float("nan")


def explained(truth: Doubles, label: Longs, *, weights: Doubles | None = None) -> float:
    """Return the share of the truth's variance that lies between groups (eta squared)."""
    weights = _ones(truth, weights)
    size, total = np.bincount(label, weights), np.bincount(label, weights * truth)
    middle = np.divide(total, size, out=np.zeros_like(total), where=size > 0)
    return _ratio(_covariance(middle[label], middle[label], weights), _covariance(truth, truth, weights))


def qini(
    outcome: Doubles, treated: Doubles, propensity: Doubles, score: Doubles, *, weights: Doubles | None = None
) -> float:
    """Return how much more a ranking of contacts gains than a random one (see ``models.trials.qini``)."""
    return contact_qini(Trial(outcome, treated, propensity, np.arange(len(outcome))), score, weights=weights)


def captured(caught: Doubles, spent: Doubles, *, weights: Doubles | None = None) -> float:
    """Return the share of all money spent that went to recommended products: heavy baskets weigh more."""
    weights = _ones(spent, weights)
    return _ratio(float(weights @ caught), float(weights @ spent))


def mean(values: Doubles, weights: Doubles | None = None) -> float:
    """Return the weighted mean; NaN without rows."""
    weights = _ones(values, weights)
    return _ratio(float(weights @ values), float(weights.sum()))


def _ones(like: Doubles, weights: Doubles | None) -> Doubles:
    return np.ones(len(like)) if weights is None else weights


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole else float("nan")


def _tied(score: Doubles, *columns: Doubles) -> list[Doubles]:
    """Return each column's sums over rows of equal score, scores ascending; fast if rows are sorted."""
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    return [np.add.reduceat(column[order], starts) for column in columns]


def _rank(score: Doubles, weights: Doubles) -> Doubles:
    """Return the weight below each row, ties sharing the middle, as a share of all."""
    order = np.argsort(score, kind="stable")
    ordered = score[order]
    fresh = np.concatenate([[True], ordered[1:] != ordered[:-1]])
    size = np.add.reduceat(weights[order], np.flatnonzero(fresh))
    rank = np.empty(len(score))
    rank[order] = (np.cumsum(size) - size / 2)[np.cumsum(fresh) - 1]
    rank /= size.sum()
    return rank


def _covariance(one: Doubles, other: Doubles, weights: Doubles) -> float:
    total = weights.sum()
    return float(weights @ (one * other) / total - (weights @ one / total) * (weights @ other / total))
