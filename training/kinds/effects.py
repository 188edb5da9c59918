"""Evaluation of effects: each policy's ranking of contacts that no model learnt from."""

from datetime import timedelta

import pandas as pd

from models.kinds import EffectModel
from training.measures.criteria import QINI
from training.measures.holdout import Holdout
from training.measures.intervals import Interval
from training.measures.samples import Evaluation, Sample


def evaluate_effects(evaluation: Evaluation, model: EffectModel, *, holdout: Holdout) -> None:
    """Add the Qini of each policy on contacts whose horizon closed in the holdout, and what learning found.

    The action with most contacts is reported as ``contacted``, the others by name.
    """
    evaluation.learnt = {key: Interval(*found) for key, found in model.learnt().items()}
    since = holdout.cutoff - timedelta(days=model.horizon_days)
    for at, (action, (trial, scores)) in enumerate(
        model.measure(holdout.shop, since, known_until=holdout.end).items()
    ):
        rows = pd.Index([f"{action}-{row}" for row in range(len(trial))])
        for policy, score in scores.items():
            columns = (trial.outcome, trial.treated, trial.propensity, score)
            sample = Sample(QINI, rows, columns)
            evaluation.samples.setdefault(policy, {})[f"qini {action if at else 'contacted'}"] = sample
