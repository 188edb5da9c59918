"""The parts of an evaluation: samples, which give figures, their intervals and their differences."""

from dataclasses import dataclass, field
from functools import cached_property
from math import isfinite
from typing import Any

import numpy as np
import pandas as pd

from features.arrays.dtypes import Doubles
from training.measures.criteria import Metric
from training.measures.intervals import Drawn, Interval, drawn

KEYS = ["model", "method", "metric", "segment", "value", "low", "high", "n"]


@dataclass(frozen=True)
class Sample:
    """One method's result on one metric: columns of one row per customer, from which intervals are drawn."""

    metric: Metric
    customers: pd.Index
    columns: tuple[Doubles, ...]

    @property
    def value(self) -> float:
        """The figure."""
        return self.metric.statistic(*self.columns)

    @cached_property
    def interval(self) -> Interval:
        """The figure with its bootstrap interval."""
        return self.drawn.interval

    @cached_property
    def drawn(self) -> Drawn:
        """The figure and its replicates, drawn once for its interval and all comparisons."""
        return drawn(self.columns, self.metric.statistic)

    def better_than(self, other: "Sample") -> Interval:
        """Return how much this beats ``other`` (above 0: better), paired over the customers both have."""
        ours, theirs = self._paired(other)
        return ours.drawn.better_than(theirs.drawn, self.metric)

    def times(self, other: "Sample") -> Interval:
        """Return the ratio of this value to ``other``'s, paired over the customers both have."""
        ours, theirs = self._paired(other)
        return ours.drawn.times(theirs.drawn)

    def _paired(self, other: "Sample") -> tuple["Sample", "Sample"]:
        """Return both over their common customers, in one order."""
        if self.customers.equals(other.customers):
            return self, other
        both = self.customers.intersection(other.customers)
        return Sample(self.metric, both, self._of(both)), Sample(other.metric, both, other._of(both))

    def take(self, customers: pd.Index) -> "Sample":
        """Return the sample of those of ``customers`` who are in it."""
        both = self.customers[self.customers.isin(customers)]
        return Sample(self.metric, both, self._of(both))

    def _of(self, customers: pd.Index) -> tuple[Doubles, ...]:
        at = self.customers.get_indexer(customers)
        return tuple(column[at] for column in self.columns)


@dataclass
class Evaluation:
    """The figures of one model and its baselines: ``samples[method]["metric segment"]``."""

    model: str
    headline: tuple[str, ...]
    samples: dict[str, dict[str, Sample]] = field(default_factory=dict)
    plain: dict[str, dict[str, float]] = field(default_factory=dict)
    """Figures without an interval, such as coverage."""
    learnt: dict[str, Interval] = field(default_factory=dict)
    """The model's own figures from learning, which need no holdout."""
    curves: dict[str, dict[str, Doubles]] = field(default_factory=dict)
    """Mean recall of the first 1, 2, 3, ... positions: ``curves[segment][method]``."""

    @property
    def ours(self) -> dict[str, Sample]:
        """The model's own samples; its method has the model's name."""
        return self.samples.get(self.model, {})

    @property
    def decisive_key(self) -> str:
        """What decides a promotion: the first headline that could be measured; empty if none was."""
        return next((key for key in self.headline if key in self.ours), "")

    @property
    def decisive(self) -> Sample | None:
        """Our sample of it."""
        return self.ours.get(self.decisive_key)

    def best_baseline(self, key: str) -> tuple[str, Sample] | None:
        """Return the baseline that is best on ``"metric segment"`` and its sample; None if none has it."""
        others = {name: samples[key] for name, samples in self.samples.items() if key in samples}
        others.pop(self.model, None)
        good = {name: sample.metric.goodness(sample.value) for name, sample in others.items()}
        good = {name: value for name, value in good.items() if np.isfinite(value)}
        best = max(good, key=good.__getitem__, default=None)
        return None if best is None else (best, others[best])

    @property
    def compared(self) -> list[str]:
        """What is compared with every baseline: all figures for everyone; of lists those at depth 10."""
        whole = [key for key in self.ours if " of " not in key]
        return [key for key in whole if "@10 " in key] or whole

    def against(self, key: str) -> dict[str, dict[str, Interval]]:
        """Return, by baseline, how much better we are (``better_by``) and how many times it (``times``)."""
        ours = self.ours[key]
        theirs = {name: samples[key] for name, samples in self.samples.items() if key in samples}
        theirs.pop(self.model, None)
        return {
            name: {"better_by": ours.better_than(sample), "times": ours.times(sample)}
            for name, sample in theirs.items()
        }

    def table(self) -> pd.DataFrame:
        """Return one row per figure: model, method, metric, segment, value, low, high, n (customers)."""
        rows: list[tuple[object, ...]] = []
        for method, samples in self.samples.items():
            for key, sample in samples.items():
                measured = (*sample.interval, len(sample.customers))
                rows.append((self.model, method, *key.split(" ", 1), *measured))
        for method, figures in self.plain.items():
            for key, value in figures.items():
                rows.append((self.model, method, *key.split(" ", 1), value, np.nan, np.nan, 0))
        rows += [
            (self.model, self.model, *key.split(" ", 1), *found, 0) for key, found in self.learnt.items()
        ]
        return pd.DataFrame(rows, columns=KEYS)

    def facts(self) -> dict[str, Any]:
        """Return every figure as plain data, with comparisons to the best baseline and to each."""
        methods: dict[str, Any] = {}
        for row in self.table().itertuples():
            figure = {"value": row.value, "low": row.low, "high": row.high, "n": row.n}
            methods.setdefault(str(row.method), {}).setdefault(row.segment, {})[row.metric] = _known(figure)
        return {
            "headline": list(self.headline),
            "methods": methods,
            "against_best_baseline": {
                key: self._beside_best(key) for key in self.headline if key in self.ours
            },
            "against": {key: self._beside_all(key) for key in self.compared},
        }

    def _beside_best(self, key: str) -> dict[str, Any] | None:
        """Return how much better we are than the best baseline, paired by customer (above 0: better)."""
        best = self.best_baseline(key)
        if best is None:
            return None
        gain = self.ours[key].better_than(best[1])
        return {"baseline": best[0], "better_by": _known(gain._asdict())}

    def _beside_all(self, key: str) -> dict[str, Any]:
        return {
            name: {word: _known(interval._asdict()) for word, interval in intervals.items()}
            for name, intervals in self.against(key).items()
        }


def _known(figures: dict[str, Any]) -> dict[str, Any]:
    """Return figures as JSON values: None if not finite."""
    return {name: None if isinstance(x, float) and not isfinite(x) else x for name, x in figures.items()}
