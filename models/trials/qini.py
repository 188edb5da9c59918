"""Qini and AUUC: how much more a ranking gains than a random one, averaged over all contact budgets.

Several definitions are in use; this is ours. The Qini curve (Radcliffe, 2007) at the first k customers of a
ranking is ``Q(k) = Yt(k) - Yc(k) Nt(k) / Nc(k)``: the outcomes of the contacted among them, minus those of
the held out scaled to the same number. A random ranking is the straight line to the curve's end, whose area
is subtracted, so that it scores 0 by construction; the remaining area is divided by that of the best possible
order (by ``y`` among the contacted, ``-y`` among the held out), so that 1 is perfect. Equal scores are one
step: the order of rows does not matter, and a constant score is exactly 0. Rows are weighted by the inverse
probability of having been treated as they were, so that a targeted campaign with known propensities is
comparable to a randomised one. scikit-uplift's ``qini_auc_score`` is the same if propensities are equal.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

from features.arrays.dtypes import Doubles, Rows
from models.trials.trial import Estimate, Trial

N_DRAWS = 400
"""Number of bootstrap draws per interval."""


def qini(trial: Trial, score: Doubles, *, weights: Doubles | None = None) -> float:
    """Return the Qini of a score (higher: contact first), shape (n,); NaN if outcomes do not vary.

    ``weights`` repeat rows, as a bootstrap does. Between -1 and 1.
    """
    weights = np.ones(len(trial)) if weights is None else weights
    return _ratio(_Ranked.of(score, trial).area(weights), _perfect(trial).area(weights))


def curve(trial: Trial, score: Doubles) -> tuple[Doubles, Doubles]:
    """Return share contacted (0 to 1) and outcomes gained per customer, for plots: shape (steps,)."""
    return _Ranked.of(score, trial).curve(np.ones(len(trial)), uplift=True)


def intervals(
    trial: Trial, scores: Mapping[str, Doubles], *, seed: int = 0, uplift: bool = False
) -> dict[str, Estimate]:
    """Return the Qini (or with ``uplift`` the AUUC) of each score, with its 95% bootstrap interval.

    The AUUC is the area under the uplift curve minus a random ranking's, in outcomes per customer: the gain
    of a score over a random one, averaged over all shares contacted. Customers are drawn with replacement,
    the same ones for every score.
    """
    ranked = {name: _Ranked.of(score, trial) for name, score in scores.items()}
    perfect = None if uplift else _perfect(trial)

    def figures(weights: Doubles) -> list[float]:
        best = 1.0 if perfect is None else perfect.area(weights)
        return [_ratio(one.area(weights, uplift=uplift), best) for one in ranked.values()]

    draws = np.array([figures(weights) for weights in trial.draws(N_DRAWS, seed)])
    values = dict(zip(ranked, figures(np.ones(len(trial))), strict=True))
    return {name: Estimate.of_draws(values[name], draws[:, at]) for at, name in enumerate(ranked)}


@dataclass(frozen=True)
class _Ranked:
    """A trial in the order of a score, best first: the part that does not change between bootstrap draws."""

    order: Rows
    ends: Rows
    """Last position of each group of equal scores."""
    treated: Doubles
    """Weight of each row among the contacted, in order; 0 for the held out."""
    control: Doubles
    outcome: Doubles

    @classmethod
    def of(cls, score: Doubles, trial: Trial) -> Self:
        order = np.argsort(-np.asarray(score, np.float64), kind="stable")
        ordered = np.asarray(score, np.float64)[order]
        ends = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        weight = trial.weight[order]
        treated = trial.treated[order]
        return cls(order, ends, weight * treated, weight * (1 - treated), trial.outcome[order])

    def curve(self, weights: Doubles, *, uplift: bool = False) -> tuple[Doubles, Doubles]:
        """Return shares of customers and the gain up to each, starting at (0, 0)."""
        drawn = weights[self.order]
        treated, control = drawn * self.treated, drawn * self.control
        n_treated, n_control = self._sums(treated), self._sums(control)
        y_treated, y_control = self._sums(treated * self.outcome), self._sums(control * self.outcome)
        share = self._sums(drawn)
        share = share / share[-1]
        if uplift:
            return share, share * (_over(y_treated, n_treated) - _over(y_control, n_control))
        return share, y_treated - _over(y_control * n_treated, n_control)

    def area(self, weights: Doubles, *, uplift: bool = False) -> float:
        """Return the area between the curve and the straight line to its end."""
        share, gained = self.curve(weights, uplift=uplift)
        return float(np.diff(share) @ (gained[1:] + gained[:-1]) / 2 - gained[-1] / 2)

    def _sums(self, column: Doubles) -> Doubles:
        return np.concatenate([[0.0], np.cumsum(column)[self.ends]])


def _perfect(trial: Trial) -> _Ranked:
    return _Ranked.of(trial.outcome * (2 * trial.treated - 1), trial)


def _over(part: Doubles, whole: Doubles) -> Doubles:
    out: Doubles = np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)
    return out


def _ratio(part: float, whole: float) -> float:
    return part / whole if whole > 0 else float("nan")
