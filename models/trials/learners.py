"""Ways to rank customers for a contact: learners of its effect, and the response model they must beat."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import numpy as np
from pydantic import Field
from scipy.special import expit

from features.arrays.dtypes import Doubles
from models.boosted_trees import Trees, TreesConfig
from models.trials.trial import Trial


class LearnerConfig(TreesConfig):
    """How effects are learnt: few and small trees, since an effect is a small part of what is seen."""

    n_trees: int = Field(default=100, ge=1)
    """Trees a model."""
    n_leaves: int = Field(default=4, ge=2)
    """Leaves a tree."""
    learning_rate: float = Field(default=0.05, gt=0, le=1)
    """Share of each tree that is added."""
    n_folds: int = Field(default=5, ge=3)
    """Folds: each customer is scored by models that never saw them."""
    n_repeats: int = Field(default=3, ge=1)
    """Times the folds are drawn anew; the mean score has less noise."""


@dataclass(frozen=True)
class Fitted:
    """What is fitted once and shared by the learners; each predicts, from rows of shape (n, columns)."""

    treated: Trees
    """The outcome if contacted, learnt from the contacted."""
    control: Trees
    """The outcome if not, learnt from the held out."""
    both: Trees
    """The outcome, contacted or not: its rows are crossed with that."""
    gained: Trees
    """What the contacted had above what they would have had."""
    missed: Trees
    """What the held out would have had above what they had."""
    turned: Trees
    """The transformed outcome, whose mean is the effect."""
    is_binary: bool
    share: float
    """Share contacted of those learnt from."""

    @classmethod
    def fit(cls, rows: Doubles, trial: Trial, config: TreesConfig) -> Self:
        """Learn from rows of shape (n, columns), NaN where unknown."""
        y, t, weight = trial.outcome, trial.treated, trial.weight
        objective = "binary" if trial.is_binary else "regression"

        def grow(kind: str, x: Doubles, target: Doubles, weigh: Doubles) -> Trees:
            return Trees.fit(kind, x, target, config, weigh / weigh.mean())

        ones, zeros = t == 1, t == 0
        treated = grow(objective, rows[ones], y[ones], weight[ones])
        control = grow(objective, rows[zeros], y[zeros], weight[zeros])
        gained = y[ones] - _said(control, rows[ones], is_binary=trial.is_binary)
        missed = _said(treated, rows[zeros], is_binary=trial.is_binary) - y[zeros]
        centred = (y - y.mean()) * (2 * t - 1) * weight
        return cls(
            treated=treated,
            control=control,
            both=grow(objective, _crossed(rows, t), y, weight),
            gained=grow("regression", rows[ones], gained, weight[ones]),
            missed=grow("regression", rows[zeros], missed, weight[zeros]),
            turned=grow("regression", rows, centred, np.ones(len(y))),
            is_binary=trial.is_binary,
            share=float(t.mean()),
        )

    def outcome(self, trees: Trees, rows: Doubles) -> Doubles:
        """Return the outcome expected: a chance, or an amount."""
        return _said(trees, rows, is_binary=self.is_binary)

    def save(self, folder: Path) -> None:
        """Write each part's trees."""
        for name in TREES:
            getattr(self, name).save(folder / f"{name}.txt")

    @classmethod
    def load(cls, folder: Path, *, is_binary: bool, share: float) -> Self:
        """Read back what ``save`` wrote; raise ``ArtefactError`` where a part is missing."""
        trees = {name: Trees.load(folder / f"{name}.txt") for name in TREES}
        return cls(**trees, is_binary=is_binary, share=share)


TREES = ("treated", "control", "both", "gained", "missed", "turned")


def s_learner(fitted: Fitted, rows: Doubles) -> Doubles:
    """Return the effect by one model that is asked twice: contacted, and not."""
    one, zero = (_crossed(rows, np.full(len(rows), flag)) for flag in (1.0, 0.0))
    return fitted.outcome(fitted.both, one) - fitted.outcome(fitted.both, zero)


def t_learner(fitted: Fitted, rows: Doubles) -> Doubles:
    """Return the effect by two models, one a group."""
    return fitted.outcome(fitted.treated, rows) - fitted.outcome(fitted.control, rows)


def x_learner(fitted: Fitted, rows: Doubles) -> Doubles:
    """Return the effect learnt from each group's imputed effects (Künzel et al., 2019)."""
    return fitted.share * fitted.missed.raw(rows) + (1 - fitted.share) * fitted.gained.raw(rows)


def class_transformation(fitted: Fitted, rows: Doubles) -> Doubles:
    """Return the effect as the mean of one transformed outcome (Jaskowski & Jaroszewicz, 2012).

    As a regression (Athey & Imbens, 2016), so that amounts and unequal propensities are served too.
    """
    return fitted.turned.raw(rows)


def response(fitted: Fitted, rows: Doubles) -> Doubles:
    """Return the outcome expected if contacted: likely buyers first, whether or not a contact moves them."""
    return fitted.outcome(fitted.treated, rows)


Learner = Callable[[Fitted, Doubles], Doubles]
LEARNERS: dict[str, Learner] = {
    learner.__name__: learner for learner in (s_learner, t_learner, x_learner, class_transformation, response)
}
"""Every way to rank that is learnt, by its name; higher is contacted first."""


def _crossed(rows: Doubles, treated: Doubles) -> Doubles:
    """Return rows, contact, and their products: a tree that sees few columns can still tell who is moved."""
    return np.column_stack([rows, treated, rows * treated[:, None]])


def _said(trees: Trees, rows: Doubles, *, is_binary: bool) -> Doubles:
    raw = trees.raw(rows)
    return np.asarray(expit(raw) if is_binary else raw, np.float64)
