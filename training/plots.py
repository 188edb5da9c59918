"""Plots of an evaluation, as files: calibration, gain, recall by k, importance."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from features.arrays.dtypes import Doubles
from training.measures.samples import Evaluation, Sample

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw(evaluation: Evaluation, folder: Path, *, importance: Mapping[str, float]) -> list[Path]:
    """Write every plot that applies to the evaluation into ``folder``; return their paths."""
    folder.mkdir(parents=True, exist_ok=True)
    figures = {f"recall_by_k_{segment}": recall_by_k(curves) for segment, curves in evaluation.curves.items()}
    for truth in _truths(evaluation, "brier") + _truths(evaluation, "mae"):
        figures[f"gain_{truth}"] = gain(_of_methods(evaluation, truth), evaluation.model)
        ours = _of_methods(evaluation, truth)[evaluation.model]
        figures[f"calibration_{truth}"] = calibration(*ours)
    if importance:
        figures["importance"] = bars(importance)
    paths = [folder / f"{name}.png" for name in figures]
    for path, figure in zip(paths, figures.values(), strict=True):
        figure.savefig(path, dpi=100)
    return paths


def _truths(evaluation: Evaluation, metric: str) -> list[str]:
    return [key.split(" ")[1] for key in evaluation.ours if key.startswith(f"{metric} ")]


def _of_methods(evaluation: Evaluation, truth: str) -> dict[str, tuple[Doubles, Doubles]]:
    """Return truth and score of every method that scored ``truth``."""
    columns: dict[str, tuple[Doubles, Doubles]] = {}
    for method, samples in evaluation.samples.items():
        sample: Sample | None = next((s for key, s in samples.items() if key.endswith(f" {truth}")), None)
        if sample is not None:
            columns[method] = (sample.columns[0], sample.columns[1])
    return columns


def calibration(truth: Doubles, predicted: Doubles, *, bins: int = 10) -> "Figure":
    """Plot predictions against outcomes, in bins of equal count; on the diagonal they are calibrated."""
    parts = np.array_split(np.argsort(predicted, kind="stable"), min(bins, len(predicted)))
    points = np.array([(predicted[part].mean(), truth[part].mean()) for part in parts])
    figure, axes = _axes("predicted (mean of the bin)", "actual (mean of the bin)")
    edge = float(points.max(initial=0.0)) * 1.05
    axes.plot([0, edge], [0, edge], color="grey", linewidth=1, linestyle="--")
    axes.plot(points[:, 0], points[:, 1], marker="o")
    return figure


def gain(methods: Mapping[str, tuple[Doubles, Doubles]], ours: str) -> "Figure":
    """Plot the share of the truth that lies within the first x% of customers, best scores first."""
    figure, axes = _axes("share of customers, best scores first", "share of the truth reached")
    axes.plot([0, 1], [0, 1], color="grey", linewidth=1, linestyle="--")
    for method, (truth, score) in methods.items():
        reached = np.cumsum(truth[np.argsort(-score, kind="stable")]) / max(truth.sum(), 1e-12)
        share = np.arange(1, len(truth) + 1) / len(truth)
        axes.plot(share, reached, label=method, linewidth=2 if method == ours else 1)
    axes.legend()
    return figure


def recall_by_k(methods: Mapping[str, Doubles]) -> "Figure":
    """Plot the mean recall of the first k positions, k from 1."""
    figure, axes = _axes("k", "recall of the first k")
    for method, curve in methods.items():
        axes.plot(np.arange(1, len(curve) + 1), curve, marker=".", label=method)
    axes.legend()
    return figure


def bars(weights: Mapping[str, float], n: int = 25) -> "Figure":
    """Plot the ``n`` largest weights, the largest on top."""
    top = sorted(weights.items(), key=lambda item: item[1])[-n:]
    figure, axes = _axes("weight", "", height=1 + 0.25 * len(top))
    axes.barh([name for name, _ in top], [value for _, value in top])
    return figure


def _axes(x: str, y: str, height: float = 4.5) -> tuple["Figure", Any]:
    """Return a figure outside matplotlib's global state."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.5, height), layout="constrained")
    axes = figure.subplots()
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    return figure, axes
