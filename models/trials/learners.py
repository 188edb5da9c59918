"""Rankings of customers for a contact: learners of its effect, and the response model they must beat."""

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
    """How effects are learnt: by few and small trees, since an effect is a small part of an outcome."""

    n_trees: int = Field(default=100, ge=1)
    """Trees per model."""
    n_leaves: int = Field(default=4, ge=2)
    """Leaves per tree."""
    learning_rate: float = Field(default=0.05, gt=0, le=1)
    """Shrinkage: the share of each tree's output that is added."""
    n_folds: int = Field(default=5, ge=3)
    """Number of folds: each customer is scored by models that never saw them."""
    n_repeats: int = Field(default=3, ge=1)
    """Number of times folds are redrawn; the mean score has less noise."""


@dataclass(frozen=True)
class Fitted:
    """Models fitted once and shared by the learners; each predicts from rows of shape (n, columns)."""

    treated: Trees
    """The outcome if contacted, learnt from the contacted."""
    control: Trees
    """The outcome if not, learnt from the control group."""
    both: Trees
    """The outcome by contact: rows are extended by their products with it."""
    gained: Trees
    """What the contacted had above their expected outcome without contact."""
    missed: Trees
    """What the control group would have had above their actual outcome."""
    turned: Trees
    """The transformed outcome, whose mean is the effect."""
    is_binary: bool
    share: float
    """Share of training rows that were contacted."""

    @classmethod
    def fit(cls, rows: Doubles, trial: Trial, *, config: TreesConfig) -> Self:
        """Learn from rows of shape (n, columns), NaN where unknown."""
        y, t, weight = trial.outcome, trial.treated, trial.weight
        objective = "binary" if trial.is_binary else "regression"

        def grow(kind: str, x: Doubles, *, target: Doubles, weigh: Doubles) -> Trees:
            return Trees.fit(kind, x, target=target, config=config, weight=weigh / weigh.mean())

        ones, zeros = t == 1, t == 0
        treated = grow(objective, rows[ones], target=y[ones], weigh=weight[ones])
        control = grow(objective, rows[zeros], target=y[zeros], weigh=weight[zeros])
        gained = y[ones] - _predicted(control, rows[ones], is_binary=trial.is_binary)
        missed = _predicted(treated, rows[zeros], is_binary=trial.is_binary) - y[zeros]
        centred = (y - y.mean()) * (2 * t - 1) * weight
        return cls(
            treated=treated,
            control=control,
            both=grow(objective, _crossed(rows, t), target=y, weigh=weight),
            gained=grow("regression", rows[ones], target=gained, weigh=weight[ones]),
            missed=grow("regression", rows[zeros], target=missed, weigh=weight[zeros]),
            turned=grow("regression", rows, target=centred, weigh=np.ones(len(y))),
            is_binary=trial.is_binary,
            share=float(t.mean()),
        )

    def outcome(self, trees: Trees, rows: Doubles) -> Doubles:
        """Return the expected outcome: a chance, or an amount."""
        return _predicted(trees, rows, is_binary=self.is_binary)

    def save(self, folder: Path) -> None:
        """Write each part's trees."""
        for name in TREES:
            getattr(self, name).save(folder / f"{name}.txt")

    @classmethod
    def load(cls, folder: Path, *, is_binary: bool, share: float) -> Self:
        """Read back what ``save`` wrote; raise ``ArtefactError`` if a part is missing."""
        trees = {name: Trees.load(folder / f"{name}.txt") for name in TREES}
        return cls(**trees, is_binary=is_binary, share=share)


TREES = ("treated", "control", "both", "gained", "missed", "turned")


def s_learner(fitted: Fitted, rows: Doubles) -> Doubles:
    """Return the effect by one model, evaluated with and without contact."""
    one, zero = (_crossed(rows, np.full(len(rows), flag)) for flag in (1.0, 0.0))
    return fitted.outcome(fitted.both, one) - fitted.outcome(fitted.both, zero)


def t_learner(fitted: Fitted, rows: Doubles) -> Doubles:
    """Return the effect by two models, one per group."""
    return fitted.outcome(fitted.treated, rows) - fitted.outcome(fitted.control, rows)


def x_learner(fitted: Fitted, rows: Doubles) -> Doubles:
    """Return the effect learnt from each group's imputed effects (Künzel et al., 2019)."""
    return fitted.share * fitted.missed.raw(rows) + (1 - fitted.share) * fitted.gained.raw(rows)


def class_transformation(fitted: Fitted, rows: Doubles) -> Doubles:
    """Return the effect as the mean of one transformed outcome (Jaskowski & Jaroszewicz, 2012).

    As a regression (Athey & Imbens, 2016), so that amounts and unequal propensities are handled too.
    """
    return fitted.turned.raw(rows)


def response(fitted: Fitted, rows: Doubles) -> Doubles:
    """Return the expected outcome if contacted: likely buyers first, moved by a contact or not."""
    return fitted.outcome(fitted.treated, rows)


Learner = Callable[[Fitted, Doubles], Doubles]
LEARNERS: dict[str, Learner] = {
    learner.__name__: learner for learner in (s_learner, t_learner, x_learner, class_transformation, response)
}
"""All learnt rankings by name; higher is contacted first."""


def _crossed(rows: Doubles, treated: Doubles) -> Doubles:
    """Return rows, contact, and their products, so that trees with few columns can find who responds."""
    return np.column_stack([rows, treated, rows * treated[:, None]])


def _predicted(trees: Trees, rows: Doubles, *, is_binary: bool) -> Doubles:
    raw = trees.raw(rows)
    return np.asarray(expit(raw) if is_binary else raw, np.float64)
