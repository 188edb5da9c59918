"""One training: learn, measure beside the baselines, record, register, promote.

As of T every model learns from windows that closed before ``T - horizon`` and is measured on ``[T - horizon,
T)``. The version that was measured is the version that is registered.
"""

import json
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from features.customer import CUSTOMER_FEATURES
from features.errors import CannotLearn, RecompraError, SettingsError
from features.shop import Shop
from features.sketch import Sketch
from features.window import local_day, shift_days
from models.chance.horizon import sentence
from models.config import Config
from models.decisions.offer import ReadyLists
from models.kinds import ListModel, ScoreModel
from models.model import Model
from models.registry import MODELS, model_class
from training.evaluate import answers, evaluate
from training.measures.holdout import Holdout
from training.measures.samples import Evaluation
from training.plots import draw
from training.progress import Steps
from training.report import Report, Rival, Trained, judge
from training.tracking import Run, Tracking

STAGES = ("learning", "measuring", "recording", "registering")
N_HORIZONS = 3
"""Minimum history of a training, in horizons: one for features, one for labels, one to measure on."""


def train(
    home: Path,
    *,
    clock: Callable[[], datetime],
    as_of: datetime | None = None,
    only: Sequence[str] = (),
    steps: Steps | None = None,
) -> Report:
    """Train every model (or ``only`` some) as of a moment, by default the end of the last order's day.

    Raises ``SettingsError`` for an ``as_of`` outside the data. A model that cannot learn is left out with its
    reason. ``clock`` gives the time for the ledger.
    """
    names, steps = chosen_models(only), steps or Steps()
    shop = Shop(home)
    holdout = _holdout(shop, as_of)
    tracking = Tracking(home)
    steps.plan(f"{name}: {stage}" for name in names for stage in STAGES)
    with tracking.exclusive(now=clock()):
        training = Training(holdout, tracking, steps, clock)
        return Report(holdout, [training.one(name) for name in names])


def chosen_models(only: Sequence[str]) -> list[str]:
    """Return the models to train, in order: all, or those asked for; ``NotFound`` if unknown."""
    for name in only:
        model_class(name)
    return [name for name in MODELS if not only or name in only]


def configured(name: str, shop: Shop) -> Config:
    """Return a model's default config, with the shop's horizon."""
    kind: type[Config] = model_class(name).Config
    horizon = {"horizon_days": shop.settings.horizon_days}
    return kind(**{key: value for key, value in horizon.items() if key in kind.model_fields})


def _holdout(shop: Shop, as_of: datetime | None) -> Holdout:
    latest = shop.last_midnight
    as_of = as_of or latest
    holdout = Holdout(shop, shift_days(as_of, -shop.settings.horizon_days, timezone=shop.timezone))
    if as_of > latest or holdout.cutoff <= shop.warehouse.first_at:
        raise SettingsError(
            f"as-of {holdout.day(as_of)} leaves no {holdout.horizon_days} days to measure on: orders run "
            f"{holdout.orders_run}",
            _way_out(holdout, as_of, latest),
        )
    return holdout


def _way_out(holdout: Holdout, as_of: datetime, latest: datetime) -> str:
    """Return what to do if a moment leaves no horizon: another date, if one would do, or more orders."""
    shop = holdout.shop
    if as_of > latest:
        return f"take {holdout.day(latest)} or an earlier date, or ingest the orders since"
    longest = (as_of - shop.warehouse.first_at).days // N_HORIZONS
    shorter = f", or set a horizon_days of at most {longest} in recompra.toml" if longest > 0 else ""
    earliest = shift_days(shop.warehouse.first_at, shop.settings.horizon_days + 1, timezone=shop.timezone)
    if earliest > latest:
        return f"ingest a longer history{shorter}"
    return f"take a date from {holdout.day(earliest)} to {holdout.day(latest)}{shorter}"


@dataclass
class Training:
    """One training in progress: the state that its models share."""

    holdout: Holdout
    tracking: Tracking
    steps: Steps
    clock: Callable[[], datetime]
    predictions: dict[str, pd.DataFrame] = field(default_factory=dict)
    """The predictions of each model of this training at the cutoff."""
    notes: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Caveats on each model's answers."""

    def one(self, name: str) -> Trained:
        """Learn, measure, record and register one model."""
        try:
            with self.tracking.run(name, self._tags) as run:
                evaluation = self._learnt(name, run)
        except CannotLearn as error:
            self.steps.skip(f"{name}: {stage}" for stage in STAGES)
            return Trained(name, str(error))
        with self.steps.step(f"{name}: registering"):
            trained = self._registered(name, run.run_id, evaluation)
        self.holdout.forget()
        return trained

    def _registered(self, name: str, run_id: str, evaluation: Evaluation) -> Trained:
        promoted, verdict = judge(evaluation, rival := self._champion(name))
        version = self.tracking.register(name, run_id).version
        if promoted:
            self.tracking.promote(name, version, now=self.clock(), reason=verdict)
        notes = self.notes.get(name, ())
        return Trained(
            name, verdict, version, promoted, evaluation, notes, serves=promoted or rival is not None
        )

    def _learnt(self, name: str, run: Run) -> Evaluation:
        shop, cutoff = self.holdout.shop, self.holdout.cutoff
        with self.steps.step(f"{name}: learning"):
            model = model_class(name).fit(shop, cutoff, config=configured(name, shop))
            day = local_day(self.holdout.end, shop.timezone)
            self.notes[name] = tuple(sentence(note) for note in model.notes(day))
        with self.steps.step(f"{name}: measuring"):
            self.predictions[name] = answers(model, self.holdout)
            evaluation = evaluate(model, self.holdout, predictions=self.predictions[name], lists=self._lists)
        with self.steps.step(f"{name}: recording"):
            self._record(run, model, evaluation)
        return evaluation

    @cached_property
    def _tags(self) -> dict[str, str]:
        warehouse = self.holdout.shop.warehouse
        return {
            "recompra.shop": warehouse.settings.name,
            "recompra.data": warehouse.fingerprint,
            "recompra.features.customer": CUSTOMER_FEATURES.fingerprint,
            "recompra.cutoff": self.holdout.cutoff.isoformat(),
            "recompra.as_of": self.holdout.end.isoformat(),
        }

    def _record(self, run: Run, model: Model, evaluation: Evaluation) -> None:
        config = model.config.model_dump(mode="json")
        run.params({f"config.{key}": value for key, value in config.items()})
        run.params({"horizon_days": self.holdout.horizon_days, "config": json.dumps(config, sort_keys=True)})
        figures = evaluation.table()
        run.metrics(dict(_flat(figures, model.name)))
        with tempfile.TemporaryDirectory() as temporary:
            folder = Path(temporary)
            model.save(folder / "model")
            if isinstance(model, ScoreModel):  # who the customers were, to measure drift from them
                self._sketch.save(folder / "model")
            figures.to_csv(folder / "metrics.csv", index=False)
            draw(evaluation, folder / "plots", importance=model.importance())
            run.files(folder)

    @cached_property
    def _sketch(self) -> Sketch:
        """Sketch the customers of the cutoff, and their usual movement over the two horizons before it."""
        shop, cutoff, days = self.holdout.shop, self.holdout.cutoff, self.holdout.horizon_days
        moments = [shift_days(cutoff, -days * k, timezone=shop.timezone) for k in (2, 1, 0)]
        # not through the shop, which would cache all of them in memory
        frames = (CUSTOMER_FEATURES.compute(shop.con, at, timezone=shop.timezone) for at in moments)
        return Sketch.moving(frames, at=cutoff, days=days)

    def _champion(self, name: str) -> Rival | None:
        """Measure the champion's artefact on the same holdout; with a note if that is not possible."""
        version = self.tracking.champion(name)
        if version is None:
            return None
        with tempfile.TemporaryDirectory() as temporary:
            try:
                model = model_class(name).load(self.tracking.fetch(version, Path(temporary)))
                predictions = answers(model, self.holdout)
                measured = evaluate(
                    model, self.holdout, predictions=predictions, baselines=False, lists=self._lists
                )
            except RecompraError as error:
                return Rival(version, None, f" ({error.message})")
        late = model.trained_until > self.holdout.cutoff
        note = f" (flattered: it learnt up to {self.holdout.day(model.trained_until)})" if late else ""
        return Rival(version, measured, note)

    def _lists(self) -> ReadyLists:
        """Return the lists that offers are chosen from: of the model just trained, else of the champion."""
        name = list_makers()[0]
        if name not in self.predictions:
            version = self.tracking.champion(name)
            if version is None:
                raise CannotLearn(
                    f"offers are chosen from the lists of {name}, and no version of it is in service",
                    f"train {name} too; if it could not learn, its own message says why",
                )
            with tempfile.TemporaryDirectory() as temporary:
                model = model_class(name).load(self.tracking.fetch(version, Path(temporary)))
                self.predictions[name] = answers(model, self.holdout)
        return self.holdout.ready(self.predictions[name])


def list_makers() -> list[str]:
    """Return the models that make lists, those with baselines first; the others are their fallback."""
    makers = [name for name in MODELS if issubclass(model_class(name), ListModel)]
    return sorted(makers, key=lambda name: not model_class(name).must_beat)


def _flat(table: Any, model: str) -> Iterator[tuple[str, float]]:
    """Yield figures by their names in MLflow: ours ``segment/metric``, a baseline's prefixed by its name."""
    for row in table.itertuples():
        whose = "" if row.method == model else f"{row.method}/"
        base = f"{whose}{row.segment}/{row.metric}"
        yield base, row.value
        yield f"{base}.low", row.low
        yield f"{base}.high", row.high
