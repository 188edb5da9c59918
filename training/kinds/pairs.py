"""Evaluation of predictions for pairs and products, on the rows that the model hands over."""

from collections.abc import Mapping

import pandas as pd

from models.kinds import PairModel
from training.measures.criteria import EVENT, INTERVAL, MEAN, TOTAL, Metric, fitting
from training.measures.holdout import Holdout
from training.measures.samples import Evaluation, Sample

CRITERIA: Mapping[str, Mapping[str, Metric]] = {"event": EVENT, "total": TOTAL, "inside": INTERVAL}
"""The metrics of each value of ``judged``; for any other name, the mean."""


def evaluate_pairs(evaluation: Evaluation, model: PairModel, *, holdout: Holdout, baselines: bool) -> None:
    """Add every figure of the model's predictions, and with ``baselines`` of theirs."""
    for measured in model.measure(holdout.shop, holdout.cutoff, end=holdout.end):
        if not len(measured.rows) or not (baselines or measured.method == model.name):
            continue
        samples, rows = evaluation.samples.setdefault(measured.method, {}), pd.Index(measured.rows)
        metrics = CRITERIA.get(measured.judged, {measured.judged: MEAN})
        for name, metric in fitting(metrics, measured.columns[-1]).items():
            samples[f"{name} {measured.segment}"] = Sample(metric, rows, measured.columns)
