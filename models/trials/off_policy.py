"""What another policy would have earned, estimated from the logged decisions of the policy followed.

Each logged decision is weighted by the ratio of the other policy's probability of it to the logged one. Three
estimates, each with a 95% interval over customers:

- IPS: the mean of reward times weight; unbiased, and wide where weights are large;
- SNIPS: divided by the mean weight; a little biased, usually narrower (Swaminathan & Joachims, 2015);
- DR: an outcome model's expectation, corrected by the weighted errors it made (Dudík et al., 2014), the model
  cross-fitted, so that no decision is judged by a model that saw it.

All three need the true probabilities with which decisions were taken, and cannot say anything about what was
never tried.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import ArrayLike

from features.arrays.dtypes import Doubles, Longs, Rows
from features.errors import CannotLearn, InputError
from models.boosted_trees import Trees, TreesConfig
from models.trials.trial import Estimate

MAX_WEIGHT_ERRORS = 5.0
"""Maximum standard errors by which the mean weight may differ from 1; beyond, the log does not cover the
policy."""
MAX_UNCOVERED = 0.01
"""Maximum share of decisions in which a policy may do what had no chance of being done; beyond, it is
refused."""
N_FOLDS = 5
"""Folds of customers, each predicted from the others, in ``cross_fitted``."""
Fit = Callable[[Doubles, Doubles], Callable[[Doubles], Doubles]]
"""Learns from rows (n, columns) and rewards (n,), and returns a function that predicts rewards of rows."""


@dataclass(frozen=True)
class Log:
    """Decisions as they were taken, one per row; each array has shape (n,)."""

    action: Longs
    """Code of the action taken, from 0."""
    propensity: Doubles
    """The probability with which the policy took that very action, above 0."""
    reward: Doubles
    group: Rows
    """Number of the customer, from 0: all decisions of a customer have the same."""
    n_actions: int

    def __len__(self) -> int:
        return len(self.action)

    @classmethod
    def of(
        cls,
        action: ArrayLike,
        propensity: ArrayLike,
        *,
        reward: ArrayLike,
        n_actions: int,
        customer: ArrayLike | None = None,
    ) -> Self:
        """Validate and build; raise ``InputError`` for impossible propensities, rewards or codes."""
        a, p, r = np.asarray(action, np.int64), np.asarray(propensity, float), np.asarray(reward, float)
        if not ((p > 0) & (p <= 1)).all():
            raise InputError(
                f"{(~((p > 0) & (p <= 1))).sum()} decisions have no propensity above 0 and at most 1",
                "log the chance with which each was taken; what was certain has 1",
            )
        if not np.isfinite(r).all():
            raise InputError("a reward is missing", "give 0 where nothing was earned")
        if len(a) and not (a.min() >= 0 and a.max() < n_actions):
            raise InputError(
                f"every action's code must be from 0 to {n_actions - 1}, found {a.min()} to {a.max()}",
                "number the actions from 0, and give their number as n_actions",
            )
        group = np.arange(len(a)) if customer is None else np.unique(customer, return_inverse=True)[1]
        return cls(a, p, r, group, n_actions)


@dataclass(frozen=True)
class Value:
    """A policy's expected reward per decision."""

    ips: Estimate
    snips: Estimate
    dr: Estimate | None
    """None without an outcome model."""
    n_effective: float
    """Effective number of decisions, given the weights (Kish)."""

    def facts(self) -> Mapping[str, object]:
        """Return plain data."""
        estimates = {"ips": self.ips, "snips": self.snips, "dr": self.dr}
        return {name: None if one is None else one._asdict() for name, one in estimates.items()} | {
            "n_effective": self.n_effective
        }


def value(log: Log, policy: Doubles, *, expected: Doubles | None = None) -> Value:
    """Return what ``policy`` would have earned per decision.

    ``policy`` holds its probabilities of every action in every logged case, shape (n, n_actions), rows
    summing to 1. ``expected`` are cross-fitted rewards of the same shape (see ``cross_fitted``), for the
    doubly robust estimate. Raises ``CannotLearn`` if the log does not cover the policy.
    """
    weight = weights(log, policy)
    _check_cover(log, weight)
    ips = mean(weight * log.reward, log.group)
    snips = float(weight @ log.reward / weight.sum())
    off = weight * (log.reward - snips) / weight.mean()
    robust = None if expected is None else _doubly_robust(log, policy, weight=weight, expected=expected)
    return Value(
        ips=ips,
        snips=Estimate.of(snips, _error(off, log.group)),
        dr=None if robust is None else mean(robust, log.group),
        n_effective=float(weight.sum() ** 2 / (weight**2).sum()),
    )


def weights(log: Log, policy: Doubles) -> Doubles:
    """Return the ratio of the policy's probability of each logged action to the logged one, shape (n,).

    ``policy``: its probabilities of every action, shape (n, n_actions); ``InputError`` if they are not
    probabilities.
    """
    if policy.shape != (len(log), log.n_actions):
        raise InputError(
            f"expected chances of shape {(len(log), log.n_actions)}, found {policy.shape}",
            "give a row for each decision, with a chance for each action",
        )
    if not np.allclose(policy.sum(axis=1), 1) or (policy < 0).any():
        raise InputError(
            "a policy's chances must be 0 or more and sum to 1 in every row, found others",
            "doing nothing is an action too: give it the rest of each row",
        )
    return np.asarray(policy[np.arange(len(log)), log.action] / log.propensity)


def cross_fitted(log: Log, rows: Doubles, *, fit: Fit) -> Doubles:
    """Return the expected reward of every action in every case, shape (n, n_actions).

    Each is learnt, action by action, from the customers of other folds; actions hardly tried there get the
    mean reward of all.
    """
    n_groups = int(log.group.max(initial=-1)) + 1
    fold = np.random.default_rng(0).permutation(n_groups)[log.group] % N_FOLDS
    expected = np.empty((len(log), log.n_actions))
    for out in range(N_FOLDS):
        here, seen = fold == out, fold != out
        for action in range(log.n_actions):
            tried = seen & (log.action == action)
            if tried.sum() <= rows.shape[1] + 1:
                expected[here, action] = log.reward[seen].mean()
            else:
                expected[here, action] = fit(rows[tried], log.reward[tried])(rows[here])
    return expected


def by_trees(config: TreesConfig) -> Fit:
    """Return a function that learns rewards by boosted trees."""

    def fit(rows: Doubles, reward: Doubles) -> Callable[[Doubles], Doubles]:
        return Trees.fit("regression", rows, target=reward, config=config).raw

    return fit


def _doubly_robust(log: Log, policy: Doubles, *, weight: Doubles, expected: Doubles) -> Doubles:
    predicted = expected[np.arange(len(log)), log.action]
    return np.asarray((policy * expected).sum(axis=1) + weight * (log.reward - predicted))


def mean(values: Doubles, group: Rows) -> Estimate:
    """Return the mean of values, shape (n,), and its interval; rows of one ``group`` are not independent."""
    average = float(values.mean())
    return Estimate.of(average, _error(values - average, group))


def _error(off: Doubles, group: Rows) -> float:
    """Return the standard error of a mean from each row's deviation, clustered by customer."""
    return float(np.sqrt((np.bincount(group, off) ** 2).sum())) / len(off)


def _check_cover(log: Log, weight: Doubles) -> None:
    """Refuse a policy that does what was never tried.

    Where a decision was certain no other action had a chance; elsewhere the weights must average 1.
    """
    average = float(weight.mean()) if len(log) else 0.0
    if average <= 0:
        raise CannotLearn(
            "the policy never takes the action that was taken, so the log says nothing about it",
            "try actions at random: set `exploration` in [contact_policy] of recompra.toml",
        )
    lost = float(np.where(log.propensity < 1, 0.0, 1 - weight).mean())
    if lost > MAX_UNCOVERED:
        raise CannotLearn(
            f"the log does not cover the policy: in {lost:.0%} of decisions it takes "
            "an action that had no chance",
            "let it do nothing where its action is not permitted, or set `exploration` in [contact_policy]",
        )
    error = _error(weight - average, log.group)
    if abs(average - 1) > MAX_WEIGHT_ERRORS * error + 1e-9:
        raise CannotLearn(
            f"the log does not cover the policy: its weights average {average:.2f}, not 1",
            "check the propensities, and that its actions were tried on the customers it chooses them for",
        )
