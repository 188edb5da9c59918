"""Evaluation of decisions: each policy's payoff, with actual purchases in place of the chances."""

from models.decisions.offer import ReadyLists
from models.kinds import DecisionModel
from training.measures.criteria import MEAN
from training.measures.holdout import Holdout
from training.measures.samples import Evaluation, Sample


def evaluate_decisions(
    evaluation: Evaluation, model: DecisionModel, *, holdout: Holdout, lists: ReadyLists
) -> None:
    """Add each policy's payoff per customer, under the *assumed* effect of an offer."""
    summary, payoffs = model.evaluate(
        holdout.shop, holdout.cutoff, known_until=holdout.end, lists=lists, codes=holdout.decided
    )
    for policy in payoffs.columns:
        sample = Sample(MEAN, payoffs.index, (payoffs[policy].to_numpy(float),))
        evaluation.samples[policy] = {"payoff assumed": sample}
        figures = summary.loc[policy].drop("payoff").astype(float).to_dict()
        evaluation.plain[policy] = {f"{name} assumed": value for name, value in figures.items()}
