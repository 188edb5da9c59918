"""Every model beside its baselines on one holdout: full ranking, everyone seen before the cutoff.

What differs between models is their kind (lists, scores, decisions) and the truths they name, not their name.
"""

import logging
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, TypeVar, cast

import numpy as np
import pandas as pd

from features.arrays.dtypes import Doubles
from features.errors import ArtefactError
from models.model import Model
from models.segments import rfm
from training.measures.evaluate_lists import DEPTHS, measure_lists
from training.measures.holdout import SEGMENTS, Holdout
from training.measures.metrics import AMOUNT, EVENT, INSIDE, JUDGES, LABEL, MEAN, PIT, QINI, Metric
from training.measures.samples import Evaluation, Sample

log = logging.getLogger("recompra.training")
FEWEST = 200
"""Calibration is measured in segments of so many customers or more: below, it is noise."""
Said = TypeVar("Said", pd.DataFrame, "pd.Series[Any]")
Lists = Mapping[str, Any]
"""Ready lists by name, as a decision needs them: see ``models.next_best_offer``."""


def answers(model: Any, holdout: Holdout, k: int = max(DEPTHS)) -> pd.DataFrame:
    """Return what a model says at the cutoff: recommendations, or scores by their names without a horizon."""
    if model.kind == "lists":
        return cast(pd.DataFrame, model.recommend(holdout.state(model), k=k, lists=tuple(SEGMENTS)))
    if model.kind == "scores":
        return without_horizon(model.predict(holdout.shop, holdout.cutoff), holdout.horizon_days)
    return pd.DataFrame()


def evaluate(
    model: Model,
    holdout: Holdout,
    said: pd.DataFrame,
    *,
    baselines: bool = True,
    lists: Callable[[], Lists] | None = None,
) -> Evaluation:
    """Measure what ``model`` said (see ``answers``), and with ``baselines`` what it must beat.

    ``lists`` makes the ready lists that a model of kind ``decisions`` chooses from.
    """
    evaluation = Evaluation(model.name, model.headline)
    baselines = baselines and bool(model.must_beat)
    if model.kind == "lists":
        _lists(model, holdout, evaluation, said, baselines)
    elif model.kind == "scores":
        _scores(model, holdout, evaluation, said, baselines)
    elif model.kind == "pairs":
        _pairs(model, holdout, evaluation, baselines)
    elif model.kind == "effects":
        _effects(model, holdout, evaluation)
    elif lists is not None:
        _decisions(model, holdout, evaluation, lists())
    return evaluation


def _lists(model: Any, holdout: Holdout, evaluation: Evaluation, said: pd.DataFrame, baselines: bool) -> None:
    measure_lists(evaluation, model.name, said, holdout)
    if not baselines:
        return
    if tell := getattr(model, "figures", None):
        customer, product = holdout.purchases["new"]
        names = holdout.customers[customer].tolist(), holdout.products[product].tolist()
        evaluation.plain[model.name] |= tell(holdout.state(model), *names)
    who = holdout.customers[holdout.measured].tolist()
    others = model.baselines(holdout.shop, model.trained_until, holdout.cutoff, max(DEPTHS), who)
    for name, frame in others.items():
        measure_lists(evaluation, name, frame, holdout)


def _scores(
    model: Any, holdout: Holdout, evaluation: Evaluation, said: pd.DataFrame, baselines: bool
) -> None:
    scores = said[said.index.isin(holdout.customers)].sort_index()
    missing = set(model.truths) - set(scores.columns)
    if missing:
        expected = f"{sorted(missing)[0]}_{holdout.horizon_days}d"
        raise ArtefactError(
            f"{model.name} was expected to tell {expected}, it tells {sorted(scores.columns)}"
        )
    if len(scores) < (n := len(holdout.customers)):
        told = f"{model.name} was expected to tell of all {n} customers, it tells of {len(scores)}"
        raise ArtefactError(told, "give everybody a row, with NaN where nothing can be known")
    for column, truth in model.truths.items():
        measure_scores(evaluation, model.name, truth, scores[column], holdout)
        _measure_segments(evaluation, model.name, truth, holdout)
        bounds = [f"{column}_p10", f"{column}_p90"]
        if set(bounds) <= set(scores.columns):
            _measure_interval(evaluation, model.name, truth, scores[bounds].dropna(), holdout)
            _measure_distribution(evaluation, model, truth, holdout)
    if baselines:
        ids = scores.index.to_list()
        others = model.baselines(holdout.shop, model.trained_until, holdout.cutoff, ids).reindex(ids)
        for name in others.columns:
            column, _, label = name.rpartition(":")
            truth = model.truths.get(column) or next(iter(model.truths.values()))
            measure_scores(evaluation, label, truth, others[name], holdout)


def measure_scores(
    evaluation: Evaluation, method: str, truth_name: str, scores: "pd.Series[Any]", holdout: Holdout
) -> None:
    """Add the figures of one column of scores; which ones depends on the truth and on the column's type.

    Measured are customers with a score and a known truth: each figure carries their number, and the log tells
    of truths that are missing.
    """
    scores, truth = _with_truth(method, truth_name, scores.dropna(), holdout)
    if not len(truth):
        return
    column, fitting = _metrics_for(truth, scores)
    samples = evaluation.samples.setdefault(method, {})
    for name, metric in fitting.items():
        samples[f"{name} {truth_name}"] = Sample(metric, scores.index, (truth, column))


def _with_truth(method: str, truth_name: str, said: Said, holdout: Holdout) -> tuple[Said, Doubles]:
    """Return the rows of customers whose truth is known, and their truths; log of how many it is not."""
    truth = holdout.truths[truth_name].reindex(said.index)
    known = truth.notna().to_numpy()
    if not known.all():
        told = "%s: %s is measured on %d of %d customers: of the others the truth is not known"
        log.warning(told, method, truth_name, known.sum(), len(known))
    return said[known], truth[known].to_numpy(float)


def _measure_segments(evaluation: Evaluation, method: str, truth_name: str, holdout: Holdout) -> None:
    """Add the calibration error within each RFM segment of the cutoff: ``ece lapsed of champions``."""
    whole = evaluation.samples.get(method, {}).get(f"ece {truth_name}")
    if whole is None:
        return
    segment = rfm(holdout.shop.customer_features(holdout.cutoff)).reindex(whole.customers)
    for name in sorted(segment.dropna().unique()):
        inside = (segment == name).to_numpy()
        if inside.sum() >= FEWEST:
            parts = tuple(column[inside] for column in whole.columns)
            key = f"ece {truth_name} of {name}"
            evaluation.samples[method][key] = Sample(whole.metric, whole.customers[inside], parts)


def _measure_interval(
    evaluation: Evaluation, method: str, truth_name: str, bounds: pd.DataFrame, holdout: Holdout
) -> None:
    """Add how often the truth lies between the 10th and the 90th percentile that were said: 0.8 is right."""
    bounds, truth = _with_truth(method, truth_name, bounds, holdout)
    if len(truth):
        low, high = (bounds[name].to_numpy(float) for name in bounds)
        evaluation.samples[method][f"inside {truth_name}"] = Sample(INSIDE, bounds.index, (truth, low, high))


def _measure_distribution(evaluation: Evaluation, model: Any, truth_name: str, holdout: Holdout) -> None:
    """Add how far from flat the histogram is of where truths fall in what was foreseen of each customer."""
    truth, places_of = holdout.truths[truth_name].dropna(), getattr(model, "places", None)
    if places_of is None or truth.empty:
        return
    places = places_of(holdout.shop, holdout.cutoff, truth).dropna()
    if len(places):
        columns = tuple(places[name].to_numpy(float) for name in ("below", "at_or_below"))
        evaluation.samples[model.name][f"pit {truth_name}"] = Sample(PIT, places.index, columns)


def _metrics_for(truth: Doubles, scores: "pd.Series[Any]") -> tuple[Any, Mapping[str, Metric]]:
    if not pd.api.types.is_numeric_dtype(scores):
        return pd.factorize(scores, sort=True)[0], LABEL
    column = scores.to_numpy(float)
    if not np.isin(truth, (0, 1)).all():
        return column, AMOUNT
    likely = bool(((column >= 0) & (column <= 1)).all())
    return column, {name: metric for name, metric in EVENT.items() if likely or not metric.needs_probability}


def _pairs(model: Any, holdout: Holdout, evaluation: Evaluation, baselines: bool) -> None:
    """Judge what a model says of customers with products, and of products, by rows that it hands over."""
    for found in model.measure(holdout.shop, holdout.cutoff, holdout.end):
        if not len(found.rows) or not (baselines or found.method == model.name):
            continue
        samples, rows = evaluation.samples.setdefault(found.method, {}), pd.Index(found.rows)
        said = found.columns[-1]
        likely = bool(((said >= 0) & (said <= 1)).all())
        for name, metric in JUDGES.get(found.judged, {found.judged: MEAN}).items():
            if likely or not metric.needs_probability:
                samples[f"{name} {found.segment}"] = Sample(metric, rows, found.columns)


def _effects(model: Any, holdout: Holdout, evaluation: Evaluation) -> None:
    """Add the Qini of each policy on contacts whose horizon closed in the holdout: no model learnt from them.

    The action of most contacts is measured as ``contacted``, the others by their names.
    """
    since = holdout.cutoff - timedelta(days=model.horizon_days)
    for at, (action, (trial, scores)) in enumerate(model.measure(holdout.shop, since, holdout.end).items()):
        rows = pd.Index([f"{action}-{row}" for row in range(len(trial))])
        for policy, score in scores.items():
            columns = (trial.outcome, trial.treated, trial.propensity, score)
            sample = Sample(QINI, rows, columns)
            evaluation.samples.setdefault(policy, {})[f"qini {action if at else 'contacted'}"] = sample


def _decisions(model: Any, holdout: Holdout, evaluation: Evaluation, lists: Lists) -> None:
    """Add each policy's payoff per customer: what was bought, under the *assumed* effect of an offer."""
    summary, payoffs = model.evaluate(holdout.shop, holdout.cutoff, holdout.end, lists)
    for policy in payoffs.columns:
        sample = Sample(MEAN, payoffs.index, (payoffs[policy].to_numpy(float),))
        evaluation.samples[policy] = {"payoff assumed": sample}
        figures = summary.loc[policy].drop("payoff").astype(float).to_dict()
        evaluation.plain[policy] = {f"{name} assumed": value for name, value in figures.items()}


def without_horizon(scores: pd.DataFrame, horizon_days: int) -> pd.DataFrame:
    """Return the columns without their ``_{horizon}d``: ``revenue_90d_p10`` -> ``revenue_p10``."""
    mark = f"_{horizon_days}d"
    return scores.rename(columns=lambda name: name.removesuffix(mark).replace(f"{mark}_", "_"))
