"""Rolling-origin backtest: several past cutoffs, one by one and pooled.

One cutoff is one draw of the season; a model that wins at one and loses at the next has not won. Cutoffs are
one horizon apart, so that no two windows share a day.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pandas as pd

from features.errors import RecompraError, SettingsError
from features.shop import Shop
from features.storage.files import replacing
from features.window import local_day, parse_cutoff, shift_days
from training.backtest import Backtest, backtest
from training.measures.samples import Evaluation, Sample
from training.progress import Steps

POOLED = "pooled"
T = TypeVar("T")


@dataclass(frozen=True)
class Rolling:
    """What was measured by the day of the cutoff, newest first, and why the rest was not."""

    measured: dict[date, list[Evaluation]]
    left_out: dict[date, str]
    not_learnt: dict[date, dict[str, str]]
    """Models that could not learn, with the reason."""

    def take(self, day: date, tested: Backtest) -> None:
        """Add what one backtest measured; its models and predictions, gigabytes in all, are let go."""
        self.measured[day] = tested.evaluations
        if tested.not_learnt:
            self.not_learnt[day] = tested.not_learnt
        if tested.why_not:
            self.left_out[day] = tested.why_not

    @cached_property
    def pooled(self) -> list[Evaluation]:
        """Each model's evaluation over the customers of all cutoffs together."""
        parts: dict[str, list[Evaluation]] = {}
        for evaluations in self.measured.values():
            for evaluation in evaluations:
                parts.setdefault(evaluation.model, []).append(evaluation)
        return [pool(part) for part in parts.values()]

    @property
    def evaluations(self) -> dict[str, list[Evaluation]]:
        """The evaluations by the day of their cutoff, and the pooled one under ``pooled``."""
        return _dated(self.measured) | {POOLED: self.pooled}

    def write(self, out: Path) -> None:
        """Write ``rolling.json``: every figure of every method, by cutoff and pooled."""
        figures: dict[str, Any] = {
            name: {each.model: each.facts() for each in evaluations}
            for name, evaluations in self.evaluations.items()
        }
        figures |= {"left_out": _dated(self.left_out), "not_learnt": _dated(self.not_learnt)}
        with replacing(out / "rolling.json") as path:
            path.write_text(json.dumps(figures, indent=1, allow_nan=False), encoding="utf-8")


def rolling(
    home: Path,
    out: Path,
    *,
    cutoff: str,
    horizon_days: int,
    n_cutoffs: int,
    only: Sequence[str] = (),
    k: int = 20,
    steps: Steps | None = None,
) -> Rolling:
    """Backtest at ``cutoff`` and at the ``n_cutoffs - 1`` before it, one horizon apart.

    The files of each are in ``out/<day>``, all figures together in ``out/rolling.json``. Cutoffs with too
    little before or after them are left out, with the reason; raises ``SettingsError`` if no files were
    written.
    """
    result = Rolling({}, {}, {})
    failed: list[RecompraError] = []
    shop = Shop(home)
    for moment in moments_before(shop, cutoff, horizon_days=horizon_days, n=n_cutoffs):
        day = local_day(moment, shop.timezone)
        asked: dict[str, Any] = {"cutoff": moment.isoformat(), "horizon_days": horizon_days, "only": only}
        try:
            result.take(day, backtest(home, out / day.isoformat(), k=k, steps=steps, **asked))
        except RecompraError as error:
            failed.append(error)
            result.left_out[day] = str(error)
    if not result.measured:
        raise SettingsError(f"no cutoff could be tested: {failed[0].message}", failed[0].hint)
    result.write(out)
    return result


def _dated(by_day: Mapping[date, T]) -> dict[str, T]:
    return {day.isoformat(): value for day, value in by_day.items()}


def moments_before(shop: Shop, cutoff: str, *, horizon_days: int, n: int) -> list[datetime]:
    """Return ``n`` cutoffs at the same hour of the shop's clock, newest first."""
    newest = parse_cutoff(cutoff, shop.timezone)
    return [shift_days(newest, -horizon_days * back, timezone=shop.timezone) for back in range(n)]


def pool(parts: Sequence[Evaluation]) -> Evaluation:
    """Return one evaluation over the rows of all; figures without rows (coverage) are averaged.

    A customer counts once per cutoff, and draws treat these as independent: intervals are a little too narrow
    if a customer's behaviour persists.
    """
    first = parts[0]
    methods = {name: None for part in parts for name in part.samples}
    pooled = Evaluation(first.model, first.headline)
    for method in methods:
        samples = [part.samples.get(method, {}) for part in parts]
        shared = [key for key in samples[0] if all(key in figures for figures in samples)]
        pooled.samples[method] = {key: _joined([figures[key] for figures in samples]) for key in shared}
        plain = [part.plain.get(method, {}) for part in parts]
        keys = [key for key in plain[0] if all(key in figures for figures in plain)]
        pooled.plain[method] = {key: float(np.mean([figures[key] for figures in plain])) for key in keys}
    return pooled


def _joined(samples: Sequence[Sample]) -> Sample:
    rows = [pd.Index([f"{at}/{name}" for name in sample.customers]) for at, sample in enumerate(samples)]
    columns = zip(*(sample.columns for sample in samples), strict=True)
    customers = rows[0].append(rows[1:])
    return Sample(samples[0].metric, customers, tuple(np.concatenate(column) for column in columns))
