"""The effect of a contact on each customer, learnt from one comparison, with an interval.

The ranking chosen out of fold is turned into an effect by the best linear predictor (Chernozhukov et al.,
2018): the transformed outcome is regressed on the ranking's out-of-fold score, so that a ranking which only
orders customers, or exaggerates, still gives an effect in the outcome's unit. If no ranking beats a random
one the slope is 0: everybody's effect is the average.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from features.arrays.dtypes import Doubles
from models.trials.choice import RANDOM, Choice, choose_policy
from models.trials.learners import LEARNERS, Fitted, LearnerConfig
from models.trials.trial import Trial, Z

COLUMNS = ("effect", "effect_low", "effect_high")


@dataclass(frozen=True)
class Line:
    """Effect as a linear function of a score: ``level + slope (score - centre)``."""

    centre: float
    level: float
    slope: float
    variance: tuple[float, float, float]
    """Of the level, of the slope, and their covariance; clustered by customer."""

    @classmethod
    def flat(cls, trial: Trial) -> Self:
        """Return the average effect for everybody."""
        effect = trial.effect
        return cls(0.0, effect.value, 0.0, (effect.error**2, 0.0, 0.0))

    @classmethod
    def fit(cls, trial: Trial, score: Doubles) -> Self:
        """Regress the transformed outcome on an out-of-fold score; flat unless the slope is positive."""
        target = (trial.outcome - trial.outcome.mean()) * (2 * trial.treated - 1) * trial.weight
        centre = float(score.mean())
        x = np.column_stack([np.ones(len(score)), score - centre])
        bread = np.linalg.pinv(x.T @ x)
        level, slope = bread @ x.T @ target
        if slope <= 0:
            return cls.flat(trial)
        off = x * (target - x @ (level, slope))[:, None]
        summed = np.column_stack([np.bincount(trial.group, column) for column in off.T])
        spread = bread @ summed.T @ summed @ bread
        return cls(
            centre,
            float(level),
            float(slope),
            (float(spread[0, 0]), float(spread[1, 1]), float(spread[0, 1])),
        )

    def at(self, score: Doubles) -> tuple[Doubles, Doubles]:
        """Return the effect at each score and its standard error."""
        away = score - self.centre
        level, slope, both = self.variance
        return self.level + self.slope * away, np.sqrt(
            np.maximum(level + away**2 * slope + 2 * away * both, 0.0)
        )


@dataclass(frozen=True)
class Effects:
    """The effect of one action."""

    fitted: Fitted
    line: Line
    ranking: str
    """The policy that ranks: the chosen one, or the fallback."""
    is_detectable: bool
    """Whether the ranking beats a random one; if not, everybody has the average effect."""
    base: float
    """Mean outcome of the control group."""
    facts: Mapping[str, Any]
    """The results of the comparison: effect, Qini of every policy, verdict, reason."""

    @classmethod
    def fit(cls, rows: Doubles, trial: Trial, *, config: LearnerConfig, given: Mapping[str, Doubles]) -> Self:
        """Choose the ranking out of fold, then learn it from all rows of shape (n, columns)."""
        choice = choose_policy(rows, trial, config=config, given=given)
        ranking = choice.ranking
        is_ranked = choice.is_detectable and ranking != RANDOM
        line = Line.fit(trial, choice.scores[ranking].to_numpy(float)) if is_ranked else Line.flat(trial)
        fitted = Fitted.fit(rows, trial, config=config)
        return cls(fitted, line, ranking, choice.is_detectable, trial.base, _facts(choice))

    def score(self, rows: Doubles, given: Mapping[str, Doubles]) -> Doubles:
        """Return the ranking's score, higher is contacted first; shape (n,)."""
        if self.ranking in LEARNERS:
            return LEARNERS[self.ranking](self.fitted, rows)
        return given.get(self.ranking, np.zeros(len(rows)))

    def effect(self, rows: Doubles, given: Mapping[str, Doubles]) -> pd.DataFrame:
        """Return ``effect``, ``effect_low`` and ``effect_high`` (95%) of each row."""
        value, error = self.line.at(self.score(rows, given))
        return pd.DataFrame(dict(zip(COLUMNS, (value, value - Z * error, value + Z * error), strict=True)))

    def save(self, folder: Path) -> dict[str, Any]:
        """Write the trees, and return the rest as plain data."""
        folder.mkdir(parents=True, exist_ok=True)
        self.fitted.save(folder)
        plain = {name: getattr(self, name) for name in ("ranking", "is_detectable", "base", "facts")}
        of_parts = {"is_binary": self.fitted.is_binary, "share": self.fitted.share}
        return plain | {"line": asdict(self.line), "parts": of_parts}

    @classmethod
    def load(cls, folder: Path, card: Mapping[str, Any]) -> Self:
        """Read back; raise ``ArtefactError`` without the trees, ``KeyError`` if the card is incomplete."""
        line = Line(**{**card["line"], "variance": tuple(card["line"]["variance"])})
        fitted = Fitted.load(folder, **card["parts"])
        return cls(fitted, line, card["ranking"], card["is_detectable"], card["base"], card["facts"])


def _facts(choice: Choice) -> dict[str, Any]:
    trial = choice.trial
    return {
        "n_treated": int(trial.treated.sum()),
        "n_control": int((1 - trial.treated).sum()),
        "effect": list(trial.effect),
        "qini": {name: list(qini) for name, qini in choice.policies.items()},
        "chosen": choice.chosen,
        "chosen_qini": list(choice.chosen_qini),
        "verdict": choice.verdict,
        "reason": choice.reason,
    }
