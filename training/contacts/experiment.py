"""Any randomised contact table, one row per customer: the effect of the contact, and whom it pays to contact.

For how the table is read, and what is left out of it, see ``training.contacts.contact_table``.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from features.arrays.dtypes import Rows
from features.storage.files import replacing
from models.trials.choice import CHOSEN, Choice, choose_policy
from models.trials.learners import LearnerConfig
from models.trials.qini import intervals
from models.trials.trial import Estimate, Trial
from training.contacts.contact_table import arms, check_columns, design, numbers, read_table, repeated

if TYPE_CHECKING:
    from rich.table import Table

RISKS = ("churn_probability", "days_since_last_order", "recency")
"""A column with one of these names is the risk that a customer has left: higher is riskier."""


@dataclass(frozen=True)
class Arm:
    """One arm, compared with the control group."""

    name: str
    rows: Rows
    """Row numbers in the file, from 0, of its contacted and of the held out."""
    choice: Choice
    left_out: dict[str, str]
    """Columns not learnt from, with the reason."""

    def facts(self) -> dict[str, Any]:
        """Return its part of ``experiment.json``."""
        trial, choice = self.choice.trial, self.choice
        scores = {str(name): column.to_numpy(float) for name, column in choice.scores.items()}
        gains = intervals(trial, scores, uplift=True)
        return {
            "treated": self.name,
            "n_treated": int(trial.treated.sum()),
            "n_control": int((1 - trial.treated).sum()),
            "base": trial.base,
            "effect": trial.effect.value,
            "interval": [trial.effect.low, trial.effect.high],
            "policies": {name: _figures(estimate, gains[name]) for name, estimate in choice.policies.items()},
            "chosen": choice.chosen,
            "chosen_qini": _figures(choice.chosen_qini, gains[CHOSEN]),
            "verdict": choice.verdict,
            "fallback": None if choice.is_detectable else choice.fallback,
            "reason": choice.reason,
            "left_out": self.left_out,
        }

    def scores(self) -> pd.DataFrame:
        """Return ``row`` and one column of out-of-fold scores per policy."""
        return pd.concat([pd.Series(self.rows, name="row"), self.choice.scores], axis=1)


@dataclass(frozen=True)
class Experiment:
    """The results of an experiment: one arm, or several against the same control group."""

    outcome: str
    arms: list[Arm] = field(default_factory=list)
    n_repeated: int = 0
    """Rows of the file that repeat another one of the same customer, which are left out."""

    def facts(self) -> dict[str, Any]:
        """Return ``experiment.json``: the facts of the arm, or of several arms by name."""
        whole = {"outcome": self.outcome, "n_repeated": self.n_repeated}
        if len(self.arms) == 1:
            return {**whole, **self.arms[0].facts()}
        return {**whole, "arms": {arm.name: arm.facts() for arm in self.arms}}

    def scores(self) -> pd.DataFrame:
        """Return every arm's scores; with several arms, the column ``arm`` names the arm of each row."""
        if len(self.arms) == 1:
            return self.arms[0].scores()
        return pd.concat([arm.scores().assign(arm=arm.name) for arm in self.arms], ignore_index=True)

    def write(self, out: Path) -> None:
        """Write ``experiment.json`` and ``scores.parquet`` into ``out``."""
        facts = json.dumps(self.facts(), indent=1, allow_nan=False, ensure_ascii=False)
        with replacing(out / "experiment.json") as path:
            path.write_text(facts, encoding="utf-8")
        with replacing(out / "scores.parquet") as path:
            self.scores().to_parquet(path, index=False)


def experiment(
    file: Path,
    *,
    treated: str,
    outcome: str,
    drop: Sequence[str] = (),
    control: str | None = None,
    propensity: str | None = None,
    config: LearnerConfig | None = None,
) -> Experiment:
    """Measure a contact table.

    ``treated`` is a column of 0 and 1, or of arms' names (one of them ``control``); ``column=arm`` takes one
    arm and the held out. ``propensity`` names the column of each row's probability of contact; without it the
    contact is taken to be random. A row that repeats another one of its ``customer_id`` counts once. Raises
    ``InputError`` if a column is missing or cannot be read, or rows of a customer differ, ``CannotLearn`` if
    there is too little to compare.
    """
    frame = read_table(file)
    column, _, wanted = treated.partition("=") if treated not in frame else (treated, "", "")
    check_columns(frame, [column, outcome, *drop, *([propensity] if propensity else [])])
    y = numbers(frame, outcome)
    again = repeated(frame.drop(columns=list(drop)))
    known = frame.drop(columns=list({column, outcome, *drop, *([propensity] if propensity else [])}))
    compared = []
    for name, member in arms(frame[column], wanted, control=control).items():
        rows = np.flatnonzero((member >= 0) & ~again)
        chance = None if propensity is None else numbers(frame, propensity)[rows]
        trial = Trial.of(y[rows], member[rows], propensity=chance)
        compared.append(
            _arm(name, rows, known=known.iloc[rows].reset_index(drop=True), trial=trial, config=config)
        )
    return Experiment(outcome, compared, int(again.sum()))


def _arm(name: str, rows: Rows, *, known: pd.DataFrame, trial: Trial, config: LearnerConfig | None) -> Arm:
    matrix, left_out = design(known, trial)
    risk = next((known[column] for column in RISKS if column in known and column not in left_out), None)
    given = {} if risk is None else {"risk": pd.to_numeric(risk).fillna(0.0).to_numpy(float)}
    return Arm(
        name, rows, choose_policy(matrix, trial, config=config or LearnerConfig(), given=given), left_out
    )


def _figures(ranking: Estimate, gain: Estimate) -> dict[str, Any]:
    return {
        "qini": ranking.value,
        "interval": [ranking.low, ranking.high],
        "auuc": gain.value,
        "auuc_interval": [gain.low, gain.high],
    }


def tables(results: Experiment) -> "list[Table]":
    """Return a rich table per arm: each policy's Qini with its 95% interval, best first."""
    from rich.table import Table

    made = []
    for arm in results.arms:
        table = Table("policy", title=f"{arm.name}: Qini on {results.outcome}", title_justify="left")
        table.add_column("Qini", justify="right")
        table.add_column("95% interval", justify="right")
        rows = sorted(arm.choice.policies.items(), key=lambda row: -row[1].value)
        for name, one in [*rows, (f"{CHOSEN} anew in each fold", arm.choice.chosen_qini)]:
            table.add_row(name, f"{one.value:.3f}", f"{one.low:.3f} to {one.high:.3f}")
        made.append(table)
    return made
