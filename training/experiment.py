"""Any randomised contact table, one row a customer: what the contact changed, and whom it pays to contact.

Columns other than the contact, the outcome and those dropped are what is known of a customer before the
contact. One that gives the contact away, or that differs between the groups more than chance allows, was not:
it is left out, and the report says so.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import InputError, SettingsError
from models.decisions.choice import CHOSEN, Choice, choose_policy
from models.decisions.learners import LearnerConfig
from models.decisions.qini import intervals
from models.decisions.trial import Estimate, Floats, Trial

RISKS = ("churn_probability", "days_since_last_order", "recency")
"""A column of one of these names is the risk that a customer has left: higher is riskier."""
NO_CONTACT = ("control", "none", "no", "nothing", "held out", "held_out", "holdout", "no e-mail", "no email")
"""What the held out are called, where ``--control`` does not say."""
MOST_LEVELS = 20
"""Of a column of words, so many of the most frequent ones are told apart."""
IMBALANCE = 5.0
"""Standard errors by which a column may differ between the groups: chance does that once in two million."""


@dataclass(frozen=True)
class Arm:
    """One way to contact, compared with the held out."""

    name: str
    rows: NDArray[np.intp]
    """Row numbers in the file, from 0, of its contacted and of the held out."""
    choice: Choice
    left_out: dict[str, str]
    """Columns not learnt from, and why."""

    def facts(self) -> dict[str, Any]:
        """Return what ``experiment.json`` says of it."""
        trial, found = self.choice.trial, self.choice
        scores = {str(name): column.to_numpy(float) for name, column in found.scores.items()}
        gains = intervals(trial, scores, uplift=True)
        return {
            "treated": self.name,
            "n_treated": int(trial.treated.sum()),
            "n_control": int((1 - trial.treated).sum()),
            "base": trial.base,
            "effect": trial.effect.value,
            "interval": [trial.effect.low, trial.effect.high],
            "policies": {name: _figures(estimate, gains[name]) for name, estimate in found.policies.items()},
            "chosen": found.chosen,
            "chosen_qini": _figures(found.chosen_qini, gains[CHOSEN]),
            "verdict": found.verdict,
            "fallback": None if found.is_detectable else found.fallback,
            "reason": found.reason,
            "left_out": self.left_out,
        }

    def scores(self) -> pd.DataFrame:
        """Return ``row`` and one out-of-fold score column a policy."""
        return pd.concat([pd.Series(self.rows, name="row"), self.choice.scores], axis=1)


@dataclass(frozen=True)
class Experiment:
    """What an experiment found: one arm, or several against the same held out."""

    outcome: str
    arms: list[Arm] = field(default_factory=list)

    def facts(self) -> dict[str, Any]:
        """Return ``experiment.json``: the arm's facts, or with several those of each under its name."""
        if len(self.arms) == 1:
            return {"outcome": self.outcome, **self.arms[0].facts()}
        return {"outcome": self.outcome, "arms": {arm.name: arm.facts() for arm in self.arms}}

    def scores(self) -> pd.DataFrame:
        """Return every arm's scores; with several arms the column ``arm`` says whose a row is."""
        if len(self.arms) == 1:
            return self.arms[0].scores()
        return pd.concat([arm.scores().assign(arm=arm.name) for arm in self.arms], ignore_index=True)

    def write(self, out: Path) -> None:
        """Write ``experiment.json`` and ``scores.parquet`` into ``out``."""
        out.mkdir(parents=True, exist_ok=True)
        facts = json.dumps(self.facts(), indent=1, allow_nan=False, ensure_ascii=False)
        (out / "experiment.json").write_text(facts, encoding="utf-8")
        self.scores().to_parquet(out / "scores.parquet", index=False)


def experiment(  # noqa: PLR0913 - the command's options
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
    arm and the held out. ``propensity`` names the column of each row's chance to be contacted; without it
    the contact is taken to be random. Raises ``InputError`` where a column is missing or cannot be read,
    ``CannotLearn`` where there is too little to compare.
    """
    frame = read_table(file)
    column, _, wanted = treated.partition("=") if treated not in frame else (treated, "", "")
    _check_columns(frame, [column, outcome, *drop, *([propensity] if propensity else [])])
    y = _numbers(frame, outcome)
    known = frame.drop(columns=list({column, outcome, *drop, *([propensity] if propensity else [])}))
    arms = []
    for name, member in _arms(frame[column], wanted, control).items():
        rows = np.flatnonzero(member >= 0)
        chance = None if propensity is None else _numbers(frame, propensity)[rows]
        trial = Trial.of(y[rows], member[rows], chance)
        arms.append(_arm(name, rows, known.iloc[rows].reset_index(drop=True), trial, config))
    return Experiment(outcome, arms)


def read_table(file: Path) -> pd.DataFrame:
    """Read a CSV or Parquet file; raise ``InputError`` in words where it cannot be."""
    if not file.is_file():
        raise InputError(f"no file {str(file)!r}", "give a .csv or .parquet file, one row a customer")
    try:
        frame = pd.read_csv(file) if file.suffix.lower() in (".csv", ".txt") else pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file.name}: {error}", "give a .csv or .parquet file") from error
    if frame.empty:
        raise InputError(f"{file.name} has no rows", "one row a customer, contacted or held out")
    return frame


def _arm(
    name: str, rows: NDArray[np.intp], known: pd.DataFrame, trial: Trial, config: LearnerConfig | None
) -> Arm:
    matrix, left_out = design(known, trial)
    risk = next((known[column] for column in RISKS if column in known and column not in left_out), None)
    given = {} if risk is None else {"risk": pd.to_numeric(risk).fillna(0.0).to_numpy(float)}
    return Arm(name, rows, choose_policy(matrix, trial, config or LearnerConfig(), given), left_out)


def design(known: pd.DataFrame, trial: Trial) -> tuple[Floats, dict[str, str]]:
    """Return what is known as a matrix (n, columns), words one column a level; and the columns left out.

    Left out: what is different in every row (an id), never different, or not known before the contact.
    Raises ``InputError`` where nothing is left.
    """
    columns, left_out = [], {}
    for name in known:
        numbers = _as_numbers(known[name])
        reason = _useless(known[name]) or _not_before(numbers, trial)
        if reason:
            left_out[str(name)] = reason
        else:
            columns.append(numbers)
    if not columns:
        told = (
            "; ".join(f"{name}: {reason}" for name, reason in left_out.items()) or "there is no other column"
        )
        raise InputError(
            f"no column to tell customers apart by ({told})", "add what was known of them before the contact"
        )
    return np.concatenate(columns, axis=1), left_out


def _as_numbers(column: "pd.Series[Any]") -> Floats:
    """Return a column as numbers, shape (n, 1), or one column a frequent level, shape (n, levels)."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        return np.asarray(column.to_numpy(float, na_value=np.nan))[:, None]
    if pd.api.types.is_datetime64_any_dtype(column):
        days = (column - column.min()).dt.total_seconds() / 86400
        return np.asarray(days.to_numpy(float, na_value=np.nan))[:, None]
    words = column.astype("object").where(column.notna(), "")
    levels = words.value_counts().index[:MOST_LEVELS]
    return np.column_stack([(words == level).to_numpy(float) for level in levels])


def _useless(column: "pd.Series[Any]") -> str:
    n = column.nunique(dropna=False)
    if n == 1:
        return "the same in every row"
    if n == len(column) and not pd.api.types.is_float_dtype(column):
        return "different in every row, as an id is"
    return ""


def _not_before(numbers: Floats, trial: Trial) -> str:
    """Tell why a column cannot have been known before a random contact: it differs between the groups."""
    for values in numbers.T:
        there = np.isfinite(values)
        for part in (np.where(there, values, 0.0), there.astype(float)):
            apart = Trial(part, trial.treated, trial.propensity, trial.group).effect
            error = (apart.high - apart.low) / 3.92
            if abs(apart.value) > IMBALANCE * error + 1e-12:
                return "differs between contacted and held out: measured after the contact, or it chose them"
    return ""


def _arms(column: "pd.Series[Any]", wanted: str, control: str | None) -> dict[str, NDArray[np.int64]]:
    """Return by arm: 1 for its contacted, 0 for the held out, -1 for the others."""
    if column.isna().any():
        raise InputError(
            f"column {column.name!r} is empty in {column.isna().sum()} rows",
            "say for each if it was contacted",
        )
    words = column.astype(str).str.strip()
    levels = words.value_counts().index.tolist()
    held_out = _control(str(column.name), levels, control)
    others = [wanted] if wanted else sorted(set(levels) - {held_out})
    for name in others:
        if name not in levels or name == held_out:
            raise InputError(f"no arm {name!r} in {column.name!r}; found {levels[:10]}", "name one of them")
    if not others:
        raise InputError(f"everyone in {column.name!r} was held out", "there is no contact to measure")
    if len(others) > MOST_LEVELS:
        raise InputError(
            f"{column.name!r} has {len(others)} different values", "treated is 0 or 1, or an arm"
        )
    return {
        _arm_name(str(column.name), name): np.where(words == name, 1, np.where(words == held_out, 0, -1))
        for name in others
    }


def _arm_name(column: str, value: str) -> str:
    return column if value.lower() in ("1", "1.0", "true", "yes", "t", "y") else value


def _control(column: str, levels: list[str], control: str | None) -> str:
    if control is not None:
        if control not in levels:
            raise InputError(
                f"no {control!r} in {column!r}; found {levels[:10]}", "name one of them as --control"
            )
        return control
    flags = [level for level in levels if level.lower() in ("0", "0.0", "false", "f", "n")]
    named = flags or [level for level in levels if level.lower() in NO_CONTACT]
    if len(named) != 1:
        raise InputError(
            f"nobody in {column!r} is held out, as far as its values tell: {levels[:10]}",
            "treated is 1 or true for the contacted, 0 or false for the held out; or name the held out "
            "by --control VALUE",
        )
    return named[0]


def _numbers(frame: pd.DataFrame, name: str) -> Floats:
    try:
        values = pd.to_numeric(frame[name]).to_numpy(float, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise InputError(f"column {name!r} holds no numbers ({error})", "0 or 1, or an amount") from error
    if not np.isfinite(values).all():
        n = int((~np.isfinite(values)).sum())
        raise InputError(f"column {name!r} is empty in {n} rows", "0 means that it did not happen")
    return values


def _check_columns(frame: pd.DataFrame, names: Sequence[str]) -> None:
    for name in names:
        if name not in frame:
            raise InputError(
                f"column {name!r} missing; found {[str(column) for column in frame]}", "check its name"
            )
    if len(set(names[:2])) < 2:
        raise SettingsError(f"treated and outcome are both {names[0]!r}", "name two columns")


def _figures(found: Estimate, gain: Estimate) -> dict[str, Any]:
    return {
        "qini": found.value,
        "interval": [found.low, found.high],
        "auuc": gain.value,
        "auuc_interval": [gain.low, gain.high],
    }


def tables(found: Experiment) -> list[Any]:
    """Return a rich table an arm: each policy's Qini with its 95% interval, best first."""
    from rich.table import Table

    made = []
    for arm in found.arms:
        table = Table("policy", title=f"{arm.name}: Qini on {found.outcome}", title_justify="left")
        table.add_column("Qini", justify="right")
        table.add_column("95% interval", justify="right")
        rows = sorted(arm.choice.policies.items(), key=lambda row: -row[1].value)
        for name, one in [*rows, (f"{CHOSEN} anew in each fold", arm.choice.chosen_qini)]:
            table.add_row(name, f"{one.value:.3f}", f"{one.low:.3f} to {one.high:.3f}")
        made.append(table)
    return made
