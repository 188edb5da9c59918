"""Which metrics apply to which predictions, and which of two figures is better."""

from collections.abc import Callable, Mapping
from typing import NamedTuple

from features.arrays.dtypes import Doubles
from training.measures.metrics import (
    Statistic,
    auc,
    average_precision,
    bias,
    brier,
    calibration_slope,
    captured,
    decile_mape,
    ece,
    explained,
    inside,
    interval_score,
    lift,
    log_loss,
    mean,
    mean_absolute_error,
    normalised_gini,
    pit_error,
    qini,
    spearman,
    wape,
)


class Metric(NamedTuple):
    """A statistic with its direction: ``goodness`` maps a value to "higher is better"."""

    statistic: Statistic
    goodness: Callable[[float], float] = float
    needs_probability: bool = False


def _low(value: float) -> float:
    return -value


def _near_zero(value: float) -> float:
    return -abs(value)


def _near_80_percent(value: float) -> float:
    return -abs(value - 0.8)


def _near_one(value: float) -> float:
    return -abs(value - 1)


EVENT = {
    "auc": Metric(auc),
    "average_precision": Metric(average_precision),
    "lift@10%": Metric(lift),
    "brier": Metric(brier, _low, needs_probability=True),
    "log_loss": Metric(log_loss, _low, needs_probability=True),
    "ece": Metric(ece, _low, needs_probability=True),
    "calibration_slope": Metric(calibration_slope, _near_one, needs_probability=True),
}
AMOUNT = {
    "gini": Metric(normalised_gini),
    "spearman": Metric(spearman),
    "decile_mape": Metric(decile_mape, _low),
    "bias": Metric(bias, _near_zero),
    "mae": Metric(mean_absolute_error, _low),
}
TOTAL = {"wape": Metric(wape, _low), "bias": Metric(bias, _near_zero)}
INSIDE = Metric(inside, _near_80_percent)
INTERVAL = {"inside": INSIDE, "interval_score": Metric(interval_score, _low)}
PIT = Metric(pit_error, _low)
LABEL = {"explained": Metric(explained)}
MEAN = Metric(mean)
QINI = Metric(qini)
CAPTURED = Metric(captured)


def fitting(metrics: Mapping[str, Metric], predicted: Doubles) -> dict[str, Metric]:
    """Return the metrics that apply: those of probabilities only if all predictions lie in [0, 1]."""
    likely = bool(((predicted >= 0) & (predicted <= 1)).all())
    return {name: metric for name, metric in metrics.items() if likely or not metric.needs_probability}
