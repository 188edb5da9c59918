"""Predictions as of a past day: learn before the cutoff, predict the horizon, measure, write.

The three files have fixed formats, so that any program can read them: ``recommendations.parquet``,
``customers.parquet``, ``metrics.json``. Nothing at or after the cutoff reaches a model; it is only read to
measure.
"""

import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd

from features.errors import CannotLearn, SettingsError
from features.settings import Settings
from features.shop import Shop
from features.storage.files import created, replacing
from features.window import parse_cutoff
from models.chance.horizon import with_texts
from models.customers.consistent import consistent
from models.decisions.offer import ReadyLists
from models.kinds import ListModel, ScoreModel
from models.model import Model
from models.registry import model_class
from training.evaluate import answers, evaluate
from training.kinds.lists import DEPTHS
from training.measures.holdout import SEGMENTS, Holdout
from training.measures.samples import Evaluation
from training.progress import Steps
from training.report import Figure, figures
from training.train import chosen_models, configured, list_makers

MOMENT = "timestamp[us, tz=UTC]"
RECOMMENDATIONS = {
    "customer_id": "string",
    "list": "string",
    "rank": "int32",
    "product_id": "string",
    "score": "double",
    "source": "string",
}
CUSTOMERS = {
    "customer_id": "string",
    "churn_probability": "double",
    "expected_orders": "double",
    "expected_revenue": "double",
    "expected_revenue_p10": "double",
    "expected_revenue_p90": "double",
    "next_order_at": MOMENT,
    "segment": "string",
}
"""The same in every shop and version: further columns of a model are measured, but not written."""
STAGES = ("learning", "measuring")
SILENCE = timedelta(days=366)
"""Maximum time from the last order to a cutoff: the future may be held back, or trade may be slow."""


@dataclass
class Backtest:
    """The results of a backtest; ``write`` makes its three files."""

    holdout: Holdout
    k: int
    models: list[Model] = field(default_factory=list)
    predictions: dict[str, pd.DataFrame] = field(default_factory=dict)
    evaluations: list[Evaluation] = field(default_factory=list)
    not_learnt: dict[str, str] = field(default_factory=dict)

    def learn(self, name: str, steps: Steps) -> None:
        """Learn one model and predict for every customer; measure it if the horizon is in the shop."""
        shop, holdout = self.holdout.shop, self.holdout
        try:
            with steps.step(f"{name}: learning"):
                model = model_class(name).fit(shop, holdout.cutoff, config=configured(name, shop))
            with steps.step(f"{name}: measuring"):
                self.predictions[name] = answers(model, holdout, k=max(self.k, *DEPTHS), everyone=True)
                if holdout.is_closed:
                    self.evaluations.append(
                        evaluate(model, holdout, predictions=self.predictions[name], lists=self._lists)
                    )
        except CannotLearn as error:
            steps.skip(f"{name}: {stage}" for stage in STAGES)
            self.not_learnt[name] = str(error)
        else:
            self.models.append(model)
        holdout.forget()

    def _lists(self) -> ReadyLists:
        name = list_makers()[0]
        if name not in self.predictions:
            raise CannotLearn(
                f"offers are chosen from the lists of {name}, which did not learn or was not asked for",
                f"add {name}; if it could not learn, its own message says why",
            )
        return self.holdout.ready(self.predictions[name])

    def recommendations(self) -> pd.DataFrame:
        """Return every customer's lists: of the best list model, else of the fallback, else best sellers."""
        models = {model.name: model for model in self.models if isinstance(model, ListModel)}
        makers = [models[name] for name in list_makers() if name in models]
        parts, missing = [pd.DataFrame(columns=list(RECOMMENDATIONS))], self.holdout.customers
        for maker in makers:
            frame = self.predictions[maker.name]
            parts.append(frame[(frame["rank"] <= self.k) & frame["customer_id"].isin(missing)])
            missing = missing.difference(pd.Index(parts[-1]["customer_id"], dtype="str"))
        if makers and len(missing):
            state = self.holdout.state(makers[-1])
            parts.append(makers[-1].recommend(state, list(missing), k=self.k, lists=tuple(SEGMENTS)))
        frame = pd.concat(parts[1:] or parts, ignore_index=True)
        place = frame["list"].map({name: number for number, name in enumerate(SEGMENTS)})
        return frame.assign(place=place).sort_values(["customer_id", "place", "rank"], ignore_index=True)

    def customers(self) -> pd.DataFrame:
        """Return every customer's scores; the columns of models that could not be learnt are null."""
        frame = pd.DataFrame(index=self.holdout.customers)
        for model in self.models:
            if isinstance(model, ScoreModel):
                scores = self.predictions[model.name].reindex(self.holdout.customers)
                frame = frame.assign(**{name: scores[name] for name in scores.columns if name in CUSTOMERS})
        return consistent(frame, self.holdout.horizon_days).reset_index()

    @property
    def notes(self) -> list[dict[str, Any]]:
        """Return caveats on the scores: see ``models.chance.horizon``."""
        return with_texts(note for model in self.models for note in model.notes())

    def metrics(self) -> dict[str, Any]:
        """Return the figures by model and baseline, and which models could not be learnt."""
        holdout = self.holdout
        return {
            "shop": holdout.shop.settings.name,
            "cutoff": holdout.cutoff.isoformat(),
            "horizon_days": holdout.horizon_days,
            "end": holdout.end.isoformat(),
            "n_customers": len(holdout.customers),
            "k": self.k,
            "measured": holdout.is_closed,
            "why_not": self.why_not,
            "models": {evaluation.model: evaluation.facts() for evaluation in self.evaluations},
            "not_learnt": self.not_learnt,
            "notes": self.notes,
        }

    @property
    def why_not(self) -> str:
        """Why nothing was measured; empty if it was."""
        if self.holdout.is_closed:
            return ""
        end, last = self.holdout.day(self.holdout.end), self.holdout.shop.warehouse.last_at
        return f"not measurable: the horizon ends on {end}, the last order is of {self.holdout.day(last)}"

    def figures(self) -> list[Figure]:
        """Return the headline figures of every model."""
        return [figure for evaluation in self.evaluations for figure in figures(evaluation)]

    def write(self, out: Path) -> None:
        """Write the three files into ``out``, each atomically."""
        with replacing(out / "recommendations.parquet") as path:
            _parquet(self.recommendations(), RECOMMENDATIONS, path)
        with replacing(out / "customers.parquet") as path:
            _parquet(self.customers(), CUSTOMERS, path)
        with replacing(out / "metrics.json") as path:
            path.write_text(json.dumps(self.metrics(), indent=1, allow_nan=False), encoding="utf-8")


def backtest(
    home: Path,
    out: Path,
    *,
    cutoff: str,
    horizon_days: int,
    only: Sequence[str] = (),
    k: int = 20,
    steps: Steps | None = None,
) -> Backtest:
    """Backtest the shop of ``home`` and write the files into ``out``.

    ``cutoff`` is a date (the shop's midnight) or a time. Raises ``SettingsError`` if it is before the first
    order, or a year after the last.
    """
    names, steps = with_fallback(chosen_models(only)), steps or Steps()
    result = Backtest(_holdout(Shop(home), cutoff, horizon_days), k)
    steps.plan([f"{name}: {stage}" for name in names for stage in STAGES] + ["writing"])
    with created(out):  # a folder that cannot be written to is reported before learning
        for name in names:
            result.learn(name, steps)
        with steps.step("writing"):
            result.write(out)
    return result


def with_fallback(names: list[str]) -> list[str]:
    """Add the fallback list models (those without baselines) if any list model is asked for."""
    makers = list_makers()
    fallback = [name for name in makers if not model_class(name).must_beat and name not in names]
    return names + fallback if set(names) & set(makers) else names


def check_apart(source: str, out: Path) -> None:
    """Raise ``SettingsError`` if the output would overwrite the shop's own files."""
    if Path(source).is_dir() and Path(source).resolve() == out.resolve():
        message = f"--out is the shop's own folder, {out}, where customers.parquet is a table of the shop"
        raise SettingsError(message, "name another folder")


@contextmanager
def throw_away_home(
    source: str | Path,
    adapter: str | None = None,
    *,
    settings: Path | None = None,
    now: datetime | None = None,
) -> Iterator[Path]:
    """Ingest a shop into a temporary home, deleted afterwards."""
    from features.ingest import ingest
    from models.policy.actions import check_actions

    with tempfile.TemporaryDirectory(prefix="recompra-") as folder:
        ingest(source, Path(folder), adapter=adapter, settings=settings, now=now, check=check_actions)
        yield Path(folder)


def _holdout(shop: Shop, text: str, horizon_days: int) -> Holdout:
    values = shop.settings.model_dump() | {"horizon_days": horizon_days}
    shop.settings = Settings.parse(values, "--horizon")
    cutoff, warehouse = parse_cutoff(text, shop.timezone), shop.warehouse
    holdout = Holdout(shop, cutoff)
    if not warehouse.first_at < cutoff <= shop.last_midnight + SILENCE:
        raise SettingsError(
            f"the cutoff {holdout.day(cutoff)} lies outside the orders, which run {holdout.orders_run}",
            "take a day between them, or soon after",
        )
    return holdout


def _parquet(frame: pd.DataFrame, columns: dict[str, str], path: Path) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    moment = pa.timestamp("us", tz="UTC")
    kinds = {name: moment if kind == MOMENT else pa.type_for_alias(kind) for name, kind in columns.items()}
    arrays = [_array(frame, name, kind) for name, kind in kinds.items()]
    pq.write_table(pa.Table.from_arrays(arrays, schema=pa.schema(list(kinds.items()))), path)


def _array(frame: pd.DataFrame, name: str, kind: Any) -> Any:
    """Return a column as that type, null if it is missing. Moments are converted to UTC."""
    import pyarrow as pa

    if name not in frame:
        return pa.nulls(len(frame), kind)
    column = frame[name]
    if isinstance(column.dtype, pd.DatetimeTZDtype):
        naive = column.dt.tz_convert(None).to_numpy()
        return pa.array(naive, pa.timestamp("us"), from_pandas=True, safe=False).cast(kind)
    return pa.array(column, kind, from_pandas=True, safe=False)
