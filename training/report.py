"""The report of a training: figures beside the best baseline's, and verdicts in words."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import isnan
from typing import TYPE_CHECKING, NamedTuple

from training.measures.holdout import Holdout
from training.measures.intervals import Interval
from training.measures.samples import Evaluation
from training.tracking import Version

if TYPE_CHECKING:
    from rich.table import Table


@dataclass(frozen=True)
class Trained:
    """The result for one model; without a version it could not be learnt, and ``verdict`` says why."""

    name: str
    verdict: str
    version: int | None = None
    promoted: bool = False
    evaluation: Evaluation | None = None
    notes: tuple[str, ...] = ()
    """Caveats on its answers."""
    serves: bool = True
    """Whether any version of it is champion."""

    def __str__(self) -> str:
        if self.version is None:
            return f"left out: {self.verdict}"
        said = f"v{self.version}{' is champion' if self.promoted else ''}: {self.verdict}"
        hint = (
            f"no version of it serves; `recompra models promote {self.name} {self.version}` decides otherwise"
        )
        return said if self.serves else f"{said}; {hint}"


@dataclass
class Report:
    """The result of one training."""

    holdout: Holdout
    models: list[Trained] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The period on which the figures were measured."""
        holdout = self.holdout
        return f"Measured on the {holdout.horizon_days} days from {holdout.day(holdout.cutoff)}"

    @property
    def left_out(self) -> dict[str, str]:
        """Models that could not be learnt, with the reason."""
        return {trained.name: trained.verdict for trained in self.models if trained.version is None}

    def figures(self) -> list["Figure"]:
        """Return the headline figures of every model."""
        return [
            figure for trained in self.models if trained.evaluation for figure in figures(trained.evaluation)
        ]


class Figure(NamedTuple):
    """One headline figure with its interval, beside the best baseline's."""

    model: str
    metric: str
    ours: Interval
    baseline: str | None
    baseline_value: float


def figures(evaluation: Evaluation) -> list[Figure]:
    """Return the headline figures of one model that could be measured."""
    headline = []
    for key in evaluation.headline:
        if key in evaluation.ours:
            best = evaluation.best_baseline(key)
            name, value = (best[0], best[1].value) if best else (None, float("nan"))
            headline.append(Figure(evaluation.model, key, evaluation.ours[key].interval, name, value))
    return headline


def table(headline: list[Figure], title: str) -> "Table":
    """Return a table: model, metric, ours with its 95% interval, best baseline."""
    from rich.table import Table

    out = Table("model", "metric", title=title, title_justify="left")
    for column in ("ours", "95% interval", "best baseline"):
        out.add_column(column, justify="right")
    for figure in headline:
        ours = figure.ours
        span = "-" if isnan(ours.low) else f"{ours.low:.3f} to {ours.high:.3f}"
        other = f"{figure.baseline_value:.3f} {figure.baseline}" if figure.baseline else "-"
        out.add_row(figure.model, figure.metric, _shown(ours.value), span, other)
    return out


def _shown(value: float) -> str:
    """Return a figure as text; a dash if it could not be measured."""
    return "-" if isnan(value) else f"{value:.3f}"


def method_tables(evaluation: Evaluation, when: str) -> "Iterator[Table]":
    """Yield a rich table per truth of the headline: all figures for everyone, one row per method."""
    from rich.table import Table

    everything = evaluation.table()
    whole = everything[~everything["metric"].str.endswith("@20")]
    for truth in dict.fromkeys(key.partition(" ")[2] for key in evaluation.headline):
        rows = whole[whole["segment"] == truth]
        if rows.empty:
            continue
        values = rows.pivot(index="method", columns="metric", values="value")
        values = values.reindex(index=rows["method"].unique(), columns=rows["metric"].unique())
        out = Table(f"{evaluation.model}: {truth}", title=when, title_justify="left")
        for name in values.columns:
            out.add_column(str(name), justify="right")
        for method, row in values.iterrows():
            out.add_row(str(method), *(_shown(value) for value in row))
        yield out


@dataclass(frozen=True)
class Rival:
    """The champion a challenger is compared with; without an evaluation, ``note`` says why not."""

    version: Version
    evaluation: Evaluation | None
    note: str = ""


def judge(evaluation: Evaluation, rival: Rival | None) -> tuple[bool, str]:
    """Decide on a promotion, in words: yes unless the paired 95% interval lies wholly on the wrong side.

    The first version is compared with its best baseline, a later one with the champion, on the first
    headline.
    """
    ours = evaluation.decisive
    key = evaluation.decisive_key
    if rival is not None and rival.evaluation is not None:
        theirs = rival.evaluation.ours.get(key)
        if ours is None or theirs is None or isnan(ours.value) or isnan(theirs.value):
            return False, f"kept v{rival.version.version}: no figure to compare them by"
        return _compare(ours.better_than(theirs), key, f"the champion v{rival.version.version}{rival.note}")
    start = (
        "first version" if rival is None else f"v{rival.version.version} could not be measured{rival.note}"
    )
    best = evaluation.best_baseline(key)
    if ours is None or best is None:
        return True, f"{start}, nothing to beat"
    promoted, words = _compare(ours.better_than(best[1]), key, best[0])
    return promoted, f"{start}, {words}"


def _compare(gain: Interval, key: str, other: str) -> tuple[bool, str]:
    promoted = not gain.high < 0
    word = "better than" if gain.low > 0 else "not worse than" if promoted else "worse than"
    return promoted, f"{word} {other} on {key}: {gain.value:+.4f} ({gain.low:+.4f} to {gain.high:+.4f})"
