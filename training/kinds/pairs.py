"""Evaluation of predictions for pairs and products, on the rows that the model hands over."""

from collections.abc import Mapping

import pandas as pd

from models.kinds import PairModel
from training.measures.criteria import EVENT, INTERVAL, MEAN, TOTAL, Metric, fitting
from training.measures.holdout import Holdout
from training.measures.samples import Evaluation, Sample

CRITERIA: Mapping[str, Mapping[str, Metric]] = {"event": EVENT, "total": TOTAL, "inside": INTERVAL}
"""The metrics of each value of ``judged``; for any other name, the mean."""


def evaluate_pairs(evaluation: Evaluation, model: PairModel, holdout: Holdout, *, baselines: bool) -> None:
    """Add every figure of the model's predictions, and with ``baselines`` of theirs."""
    for found in model.measure(holdout.shop, holdout.cutoff, holdout.end):
        if not len(found.rows) or not (baselines or found.method == model.name):
            continue
        samples, rows = evaluation.samples.setdefault(found.method, {}), pd.Index(found.rows)
        metrics = CRITERIA.get(found.judged, {found.judged: MEAN})
        for name, metric in fitting(metrics, found.columns[-1]).items():
            samples[f"{name} {found.segment}"] = Sample(metric, rows, found.columns)
