"""Every model and its baselines on one holdout: full ranking, everyone seen before the cutoff.

The only place that dispatches on a model's kind; the measures of each kind are in ``training.kinds``.
"""

from collections.abc import Callable

import pandas as pd

from models.decisions.offer import ReadyLists
from models.kinds import DecisionModel, EffectModel, ListModel, PairModel, ScoreModel
from models.model import Model
from training.kinds.decisions import evaluate_decisions
from training.kinds.effects import evaluate_effects
from training.kinds.lists import DEPTHS, evaluate_lists
from training.kinds.pairs import evaluate_pairs
from training.kinds.scores import evaluate_scores, without_horizon
from training.measures.holdout import SEGMENTS, Holdout
from training.measures.samples import Evaluation


def answers(model: Model, holdout: Holdout, *, k: int = max(DEPTHS), everyone: bool = False) -> pd.DataFrame:
    """Return a model's predictions at the cutoff: recommendations, or scores by name without a horizon.

    Recommendations are of the customers measured, or with ``everyone`` of all customers of a large shop too.
    """
    match model:
        case ListModel():
            who = None if everyone else holdout.asked
            return model.recommend(holdout.state(model), who, k=k, lists=tuple(SEGMENTS))
        case ScoreModel():
            return without_horizon(model.predict(holdout.shop, holdout.cutoff), holdout.horizon_days)
        case _:
            return pd.DataFrame()


def evaluate(
    model: Model,
    holdout: Holdout,
    *,
    predictions: pd.DataFrame,
    baselines: bool = True,
    lists: Callable[[], ReadyLists] | None = None,
) -> Evaluation:
    """Measure what ``model`` predicted (see ``answers``), and with ``baselines`` its baselines.

    ``lists`` makes the ready lists that a model of decisions chooses from; without it, that is not measured.
    """
    evaluation = Evaluation(model.name, model.headline)
    baselines = baselines and bool(model.must_beat)
    match model:
        case ListModel():
            evaluate_lists(evaluation, model, holdout=holdout, predictions=predictions, baselines=baselines)
        case ScoreModel():
            evaluate_scores(evaluation, model, holdout=holdout, predictions=predictions, baselines=baselines)
        case PairModel():
            evaluate_pairs(evaluation, model, holdout=holdout, baselines=baselines)
        case EffectModel():
            evaluate_effects(evaluation, model, holdout=holdout)
        case DecisionModel() if lists is not None:
            evaluate_decisions(evaluation, model, holdout=holdout, lists=lists())
    return evaluation
