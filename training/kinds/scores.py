"""Evaluation of scores: each column with a truth, and its intervals if it has them."""

import logging
from collections.abc import Mapping
from typing import Any, TypeVar

import pandas as pd

from features.arrays.dtypes import Column, Doubles
from features.errors import ArtefactError
from models.kinds import ScoreModel
from models.segments import rfm
from training.measures.criteria import AMOUNT, EVENT, INSIDE, LABEL, PIT, Metric, fitting
from training.measures.holdout import Holdout
from training.measures.samples import Evaluation, Sample

log = logging.getLogger("recompra.training")
MIN_CUSTOMERS = 200
"""Minimum number of customers in a segment for calibration to be measured there."""
Predictions = TypeVar("Predictions", pd.DataFrame, "pd.Series[Any]")


def evaluate_scores(
    evaluation: Evaluation, model: ScoreModel, *, holdout: Holdout, predictions: pd.DataFrame, baselines: bool
) -> None:
    """Add the figures of every column with a truth, and with ``baselines`` theirs.

    Raises ``ArtefactError`` if a column, or a customer seen before the cutoff, is missing.
    """
    scores = predictions[predictions.index.isin(holdout.customers)].sort_index()
    _check(model, scores, holdout)
    for column, truth in model.truths.items():
        measure_scores(evaluation, model.name, truth_name=truth, scores=scores[column], holdout=holdout)
        _measure_segments(evaluation, model.name, truth_name=truth, holdout=holdout)
        bounds = [f"{column}_p10", f"{column}_p90"]
        if set(bounds) <= set(scores.columns):
            _measure_interval(
                evaluation, model.name, truth_name=truth, bounds=scores[bounds].dropna(), holdout=holdout
            )
            _measure_distribution(evaluation, model, truth_name=truth, holdout=holdout)
    if baselines:
        ids = scores.index.to_list()
        others = model.baselines(holdout.shop, model.trained_until, cutoff=holdout.cutoff, ids=ids).reindex(
            ids
        )
        for name in others.columns:
            column, _, label = name.rpartition(":")
            truth = model.truths.get(column) or next(iter(model.truths.values()))
            measure_scores(evaluation, label, truth_name=truth, scores=others[name], holdout=holdout)


def without_horizon(scores: pd.DataFrame, horizon_days: int) -> pd.DataFrame:
    """Return the columns without their ``_{horizon}d``: ``revenue_90d_p10`` -> ``revenue_p10``."""
    mark = f"_{horizon_days}d"
    return scores.rename(columns=lambda name: name.removesuffix(mark).replace(f"{mark}_", "_"))


def _check(model: ScoreModel, scores: pd.DataFrame, holdout: Holdout) -> None:
    missing = set(model.truths) - set(scores.columns)
    if missing:
        expected = f"{sorted(missing)[0]}_{holdout.horizon_days}d"
        message = f"{model.name} must predict a column {expected}, found {sorted(scores.columns)}"
        raise ArtefactError(message, "add it to what `predict` returns, or take it out of `truths`")
    if len(scores) < (n := len(holdout.customers)):
        message = f"{model.name} must predict all {n} customers, found {len(scores)}"
        raise ArtefactError(message, "give each customer a row, with NaN where nothing can be known")


def measure_scores(
    evaluation: Evaluation, method: str, *, truth_name: str, scores: "pd.Series[Any]", holdout: Holdout
) -> None:
    """Add the figures of one column of scores; which ones depends on the truth and the column's type.

    Measured on customers with a score and a known truth: each figure has their number, and missing truths are
    logged.
    """
    scores, truth = _with_truth(method, truth_name, predictions=scores.dropna(), holdout=holdout)
    if not len(truth):
        return
    column, metrics = _metrics_for(holdout.truths[truth_name], scores)
    samples = evaluation.samples.setdefault(method, {})
    for name, metric in metrics.items():
        samples[f"{name} {truth_name}"] = Sample(metric, scores.index, (truth, column))


def _with_truth(
    method: str, truth_name: str, *, predictions: Predictions, holdout: Holdout
) -> tuple[Predictions, Doubles]:
    """Return the predictions and truths of customers whose truth is known; log how many are not."""
    truth = holdout.truths[truth_name].reindex(predictions.index)
    known = truth.notna().to_numpy()
    if not known.all():
        message = "%s: %s is measured on %d of %d customers: of the others the truth is not known"
        log.warning(message, method, truth_name, known.sum(), len(known))
    return predictions[known], truth[known].to_numpy(float)


def _measure_segments(evaluation: Evaluation, method: str, *, truth_name: str, holdout: Holdout) -> None:
    """Add the calibration error within each RFM segment of the cutoff: ``ece lapsed of champions``."""
    whole = evaluation.samples.get(method, {}).get(f"ece {truth_name}")
    if whole is None:
        return
    segment = rfm(holdout.shop.customer_features(holdout.cutoff)).reindex(whole.customers)
    for name in sorted(segment.dropna().unique()):
        inside = (segment == name).to_numpy()
        if inside.sum() >= MIN_CUSTOMERS:
            parts = tuple(column[inside] for column in whole.columns)
            key = f"ece {truth_name} of {name}"
            evaluation.samples[method][key] = Sample(whole.metric, whole.customers[inside], parts)


def _measure_interval(
    evaluation: Evaluation, method: str, *, truth_name: str, bounds: pd.DataFrame, holdout: Holdout
) -> None:
    """Add the coverage of the interval from the 10th to the 90th percentile: 0.8 is right."""
    bounds, truth = _with_truth(method, truth_name, predictions=bounds, holdout=holdout)
    if len(truth):
        low, high = (bounds[name].to_numpy(float) for name in bounds)
        evaluation.samples[method][f"inside {truth_name}"] = Sample(INSIDE, bounds.index, (truth, low, high))


def _measure_distribution(
    evaluation: Evaluation, model: ScoreModel, *, truth_name: str, holdout: Holdout
) -> None:
    """Add the distance from uniform of where truths fall in the predicted distributions."""
    truth = holdout.truths[truth_name].dropna()
    if truth.empty or (places := model.places(holdout.shop, holdout.cutoff, truth=truth)) is None:
        return
    if len(places := places.dropna()):
        columns = tuple(places[name].to_numpy(float) for name in ("below", "at_or_below"))
        evaluation.samples[model.name][f"pit {truth_name}"] = Sample(PIT, places.index, columns)


def _metrics_for(truth: "pd.Series[Any]", scores: "pd.Series[Any]") -> tuple[Column, Mapping[str, Metric]]:
    """Return scores as numbers, and their metrics; a truth of 0 and 1 that is not boolean is an amount."""
    if not pd.api.types.is_numeric_dtype(scores):
        return pd.factorize(scores)[0], LABEL
    column = scores.to_numpy(float)
    return column, fitting(EVENT, column) if truth.dtype == bool else AMOUNT
