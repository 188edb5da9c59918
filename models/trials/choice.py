"""Which ranking to contact by, chosen out of fold, and whether it beats a random one at all.

A policy is chosen by its Qini out of fold. The winner's own figure would be biased upwards, so the choice is
evaluated too: for each fold it is repeated without that fold, by models that saw neither the fold nor the
customers they are compared on, and applied to the fold (nested cross-fitting; Varma & Simon, 2006).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import pandas as pd

from features.arrays.dtypes import Bools, Doubles, Longs
from models.trials.learners import LEARNERS, Fitted, LearnerConfig
from models.trials.qini import intervals, qini
from models.trials.trial import Estimate, Trial

RANDOM = "random"
REPEATED_UP_TO = 50_000
"""With more rows than this, folds are drawn only once: their noise is small, and the time is not."""
CHOSEN = "chosen"
NOTHING_FOUND = "no detectable effect"
NOBODY = "contact nobody"
"""The verdict if contacts do harm, also among those ranked first."""
FIRST = 0.2
"""Share of customers ranked first that must gain where contacts do harm on average."""
NO_RANKING = "no ranking can be learnt"
"""The policy if nothing is known of customers before the contact."""
Scores = dict[str, Doubles]


@dataclass(frozen=True)
class Choice:
    """The policies of one experiment, evaluated out of fold, and the one to use."""

    trial: Trial
    scores: pd.DataFrame
    """One column per policy (higher: contact first) and ``chosen``, one row per row of the trial; out of
    fold."""
    policies: dict[str, Estimate]
    """The Qini of each policy."""
    chosen: str
    """The policy of the highest Qini."""
    chosen_qini: Estimate
    """The Qini of the choice itself: what the winner can be expected to achieve on other customers."""

    @property
    def is_detectable(self) -> bool:
        """Whether choosing whom to contact beats contacting at random."""
        return self.chosen_qini.is_above_zero

    @property
    def among_first(self) -> Estimate:
        """The effect among those whom the choice ranks first, by scores from models that never saw them."""
        score = self.scores[CHOSEN]
        return self.trial.take((score >= score.quantile(1 - FIRST)).to_numpy()).effect

    @property
    def is_harmful(self) -> bool:
        """Whether contacts do harm on average, and nobody is known whom they do not."""
        gains = self.is_detectable and self.among_first.is_above_zero
        return self.trial.effect.is_below_zero and not gains

    @property
    def verdict(self) -> str:
        """What to do, in a few words."""
        if self.is_harmful:
            return NOBODY
        if self.is_detectable:
            return f"contact by {self.chosen}"
        return NOTHING_FOUND if self.is_learnt else NO_RANKING

    @property
    def is_learnt(self) -> bool:
        """Whether there was anything to distinguish customers by, so that rankings could be learnt."""
        return "response" in self.policies

    @property
    def fallback(self) -> str:
        """The ranking to use if nothing was detected: response, unless it is worse than random."""
        return "response" if self.is_learnt and not self.policies["response"].is_below_zero else RANDOM

    @property
    def ranking(self) -> str:
        """The ranking to use: the chosen one if it is detectably better than random, else the fallback."""
        return self.chosen if self.is_detectable else self.fallback

    @property
    def reason(self) -> str:
        """The verdict with its figures."""
        changed = f"the contact changes the outcome by {_span(self.trial.effect, '+.4f')} on average"
        parts = [f"{changed}, from {self.trial.base:.4f} without it"]
        if (few := self.trial.few_amounts) is not None:
            parts[0] += (
                f" (a group has only {few} amounts, so the interval is too narrow: a few large ones decide)"
            )
        if not self.is_learnt:
            return f"{parts[0]}; whom it changes more is unknown: nothing is known of customers before it"
        parts += [f"choosing whom to contact has a Qini of {_span(self.chosen_qini, '+.3f')} (random: 0)"]
        if not self.is_detectable and (self.trial.effect.is_above_zero or self.trial.effect.is_below_zero):
            parts[0] += " (that is detectable; whom it changes more is not)"
        if self.is_harmful and self.is_detectable:
            parts += [f"among the {FIRST:.0%} ranked first it is {_span(self.among_first, '+.4f')}"]
        elif not self.is_detectable and not self.is_harmful:
            parts += [f"so no ranking is known to beat a random one; the fallback is {self.fallback}"]
        worse = [name for name, figure in self.policies.items() if figure.is_below_zero]
        parts += [f"worse than random: {', '.join(worse)}"] if worse else []
        return "; ".join(parts)


def choose_policy(
    rows: Doubles, trial: Trial, *, config: LearnerConfig, given: Mapping[str, Doubles] | None = None
) -> Choice:
    """Fit every learner out of fold, evaluate each, and choose.

    ``rows`` has shape (n, columns), NaN where unknown; without columns nothing is fitted. ``given`` are
    scores known before the contact, such as ``risk``, that compete unchanged.
    """
    known = {**(given or {}), RANDOM: np.zeros(len(trial))}
    learners = tuple(LEARNERS) if rows.shape[1] else ()
    total = {name: np.zeros(len(trial)) for name in (*learners, CHOSEN)}
    n_repeats = config.n_repeats if len(trial) <= REPEATED_UP_TO else 1
    for repeat in range(n_repeats):
        fold = trial.folds(config.n_folds, config.seed + repeat)
        for name, score in _repeat(rows, trial, config=config, fold=fold, known=known).items():
            total[name] += score / n_repeats
    scores = {**{name: total[name] for name in learners}, **known}
    qinis = intervals(trial, {**scores, CHOSEN: total[CHOSEN]}, seed=config.seed)
    nested = qinis.pop(CHOSEN)
    best = max(qinis, key=lambda name: qinis[name].value)
    return Choice(trial, pd.DataFrame({**scores, CHOSEN: total[CHOSEN]}), qinis, best, nested)


def _repeat(rows: Doubles, trial: Trial, *, config: LearnerConfig, fold: Longs, known: Scores) -> Scores:
    """Return the out-of-fold score of every learner, and of the choice made without each fold."""
    n, folds = len(trial), range(config.n_folds)
    learners = tuple(LEARNERS) if rows.shape[1] else ()
    out = {name: np.zeros(n) for name in (*learners, CHOSEN)}
    inner = [{name: np.zeros(n) for name in learners} for _ in folds]
    for one, other in combinations(folds, 2):
        unseen = (fold == one) | (fold == other)
        scores = _scores(rows, trial, unseen=unseen, config=config)
        for left_out, at in ((one, other), (other, one)):
            for name, score in scores.items():
                inner[left_out][name][fold == at] = _ranks(score[fold[unseen] == at])
    for left_out in folds:
        here = fold == left_out
        for name, score in _scores(rows, trial, unseen=here, config=config).items():
            out[name][here] = score
        winner = _best({**inner[left_out], **known}, trial, ~here)
        out[CHOSEN][here] = _ranks((out if winner in learners else known)[winner][here])
    return out


def _scores(rows: Doubles, trial: Trial, *, unseen: Bools, config: LearnerConfig) -> Scores:
    """Return every learner's scores of the ``unseen`` rows, learnt from the others; empty without columns."""
    if not rows.shape[1]:
        return {}
    fitted = Fitted.fit(rows[~unseen], trial.take(~unseen), config=config)
    return {name: learner(fitted, rows[unseen]) for name, learner in LEARNERS.items()}


def _best(scores: Scores, trial: Trial, seen: Bools) -> str:
    part = trial.take(seen)
    qinis = {name: qini(part, score[seen]) for name, score in scores.items()}
    return max(qinis, key=qinis.__getitem__)


def _ranks(score: Doubles) -> Doubles:
    """Return each score's rank within its fold, 0 to 1, ties averaged: folds come from different models."""
    ordered = np.sort(score)
    low, high = (np.searchsorted(ordered, score, side=side) for side in ("left", "right"))
    return (low + high) / (2 * len(score))


def _span(estimate: Estimate, form: str) -> str:
    return f"{estimate.value:{form}} ({estimate.low:{form}} to {estimate.high:{form}})"
