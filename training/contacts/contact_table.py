"""A contact table with one row per customer, in the usual formats, converted for a comparison.

Columns other than the contact, the outcome and those dropped are what is known of a customer before the
contact. A column that reveals the contact, or differs between the groups by more than chance, was not known
before: it is left out, with the reason.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.arrays.dtypes import Bools, Doubles, Longs
from features.errors import InputError, SettingsError
from features.ingest.sources import delimiter_of
from models.trials.trial import Trial

NO_CONTACT = (
    *("control", "none", "no", "nothing", "held out", "held_out", "holdout", "no e-mail", "no email"),
    *("controle", "não", "nao", "nenhum"),
)
"""Names of the control group that are recognised without being specified."""
MOST_LEVELS = 20
"""The number of most frequent values of a text column that are distinguished."""
IMBALANCE = 5.0
"""Maximum standard errors by which a column may differ between the groups: chance exceeds it once in two
million."""
CHOSE = (
    "differs between contacted and held out: measured after the contact, or it chose them. If it chose them, "
    "the reported effect is not the contact's alone: give each row's chance of contact by --propensity"
)
"""Why a column is left out that a random contact would not differ in."""
CUSTOMER = "customer_id"
"""A column of this name tells whether two rows are of one customer."""
DECIMAL = r"\s*[+-]?[0-9]+(,[0-9]+)?\s*"
BY_CHANCE = 1e-9
"""A smaller probability is not taken as chance."""


def read_table(file: Path) -> pd.DataFrame:
    """Read a CSV or Parquet file; raise ``InputError`` with the reason if it cannot be read."""
    if not file.is_file():
        raise InputError(f"no file {str(file)!r}", "give a .csv or .parquet file, one row per customer")
    try:
        frame = _read_csv(file) if file.suffix.lower() in (".csv", ".txt") else pd.read_parquet(file)
    except (OSError, ValueError) as error:
        raise InputError(f"cannot read {file.name}: {error}", "give a .csv or .parquet file") from error
    if frame.empty:
        raise InputError(f"{file.name} has no rows", "one row per customer, contacted or held out")
    return frame


def _read_csv(file: Path) -> pd.DataFrame:
    """Read a CSV; if its delimiter is a semicolon, a comma in a number is its decimal point."""
    delimiter = delimiter_of(file)
    frame = pd.read_csv(file, sep=delimiter)
    for name in frame if delimiter == ";" else ():
        words = frame[name].dropna()
        if pd.api.types.is_string_dtype(words) and len(words) and words.str.fullmatch(DECIMAL).all():
            frame[name] = pd.to_numeric(frame[name].str.replace(",", "."))
    return frame


def design(known: pd.DataFrame, trial: Trial) -> tuple[Doubles, dict[str, str]]:
    """Return known facts as a matrix (n, columns), one column per value of a text; and the columns left out.

    Left out are columns different in every row (ids), constant ones, and those not known before the contact.
    If none remain the matrix has no columns: the effect can be estimated, but not whom it changes more.
    """
    columns, left_out = [], {}
    for name in known:
        values = _as_numbers(known[name])
        reason = _useless(known[name]) or _not_before(values, trial) or _gives_away(values, trial)
        if reason:
            left_out[str(name)] = reason
        else:
            columns.append(values)
    return np.concatenate([np.zeros((len(known), 0)), *columns], axis=1), left_out


def _as_numbers(column: "pd.Series[Any]") -> Doubles:
    """Return a column as numbers, shape (n, 1), or as one column per frequent value, shape (n, levels)."""
    if pd.api.types.is_numeric_dtype(column) or pd.api.types.is_bool_dtype(column):
        values = np.asarray(column.to_numpy(float, na_value=np.nan))[:, None]
        return np.where(np.isfinite(values), values, np.nan)
    if pd.api.types.is_datetime64_any_dtype(column):
        days = (column - column.min()).dt.total_seconds() / 86400
        return np.asarray(days.to_numpy(float, na_value=np.nan))[:, None]
    words = column.astype("object").where(column.notna(), "")
    levels = words.value_counts().index[:MOST_LEVELS]
    return np.column_stack([(words == level).to_numpy(float) for level in levels])


def _useless(column: "pd.Series[Any]") -> str:
    n = column.nunique(dropna=False)
    if n == 1 or not column.notna().any():
        return "the same in every row"
    if n == len(column) and not pd.api.types.is_float_dtype(column):
        return "different in every row, as an id is"
    return ""


def _not_before(columns: Doubles, trial: Trial) -> str:
    """Return why a column cannot have been known before a random contact: it differs between the groups."""
    for values in columns.T:
        there = np.isfinite(values)
        for part in (np.where(there, values, 0.0), there.astype(float)):
            apart = Trial(part, trial.treated, trial.propensity, trial.group).effect
            if abs(apart.value) > IMBALANCE * apart.error + 1e-12:
                return CHOSE
    return ""


def _gives_away(columns: Doubles, trial: Trial) -> str:
    """Return why a column reveals the outcome: all who differ from its most common value had it."""
    if not trial.is_binary:
        return ""
    for values in columns.T:
        known = np.isfinite(values)
        levels, counts = np.unique(values[known], return_counts=True)
        rest = known & (values != levels[counts.argmax()])
        if trial.outcome[rest].all() and trial.outcome.mean() ** rest.sum() < BY_CHANCE:
            return "whoever has it had the outcome: measured after the contact"
    return ""


def arms(column: "pd.Series[Any]", wanted: str, *, control: str | None) -> dict[str, Longs]:
    """Return by arm: 1 for its contacted, 0 for the held out, -1 for the others, each of shape (n,).

    ``wanted`` names one arm (empty: all), ``control`` the held out. Raises ``InputError`` if the column does
    not distinguish them.
    """
    if column.isna().any():
        raise InputError(
            f"column {column.name!r} is empty in {column.isna().sum()} rows",
            "give every row a value: contacted or held out",
        )
    words = column.astype(str).str.strip()
    levels = words.value_counts().index.tolist()
    held_out = _control(str(column.name), levels, control)
    others = [wanted] if wanted else sorted(set(levels) - {held_out})
    for name in others:
        if name not in levels or name == held_out:
            raise InputError(f"no arm {name!r} in {column.name!r}; found {levels[:10]}", "name one of them")
    if not others:
        raise InputError(
            f"everyone in {column.name!r} was held out", "give a file in which some were contacted"
        )
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
            f"the control group in {column!r} is not clear from its values: {levels[:10]}",
            "treated is 1 or true for the contacted, 0 or false for the held out; or name the held out "
            "by --control VALUE",
        )
    return named[0]


def numbers(frame: pd.DataFrame, name: str) -> Doubles:
    """Return a column as numbers, shape (n,); raise ``InputError`` if it is not numeric, or has gaps."""
    try:
        values = pd.to_numeric(frame[name]).to_numpy(float, na_value=np.nan)
    except (ValueError, TypeError) as error:
        raise InputError(f"column {name!r} is not numeric ({error})", "0 or 1, or an amount") from error
    if not np.isfinite(values).all():
        n = int((~np.isfinite(values)).sum())
        hint = "give 0 where it did not happen, and leave out rows of which that is not known yet"
        raise InputError(f"column {name!r} is empty in {n} rows", hint)
    return values


def repeated(frame: pd.DataFrame) -> Bools:
    """Mark the rows that say again what an earlier row says of a customer; shape (n,).

    Without a column ``customer_id`` none are: two customers may be alike. Raises ``InputError`` if rows of a
    customer differ.
    """
    if CUSTOMER not in frame:
        return np.zeros(len(frame), bool)
    again = frame.duplicated() & frame[CUSTOMER].notna()
    several = frame.loc[~again, CUSTOMER].dropna()
    if n := several[several.duplicated()].nunique():
        raise InputError(
            f"{n} values of {CUSTOMER!r} have several rows that differ, such as "
            f"{several[several.duplicated()].iloc[0]!r}",
            "give one row per customer, with all that followed the first contact (or what was withheld); "
            f"if each row counts by itself, --drop {CUSTOMER}",
        )
    return again.to_numpy()


def check_columns(frame: pd.DataFrame, names: Sequence[str]) -> None:
    """Raise ``InputError`` for a missing column, or if the first two are the same."""
    for name in names:
        if name not in frame:
            raise InputError(
                f"column {name!r} missing; found {[str(column) for column in frame]}", "check its name"
            )
    if len(set(names[:2])) < 2:
        raise SettingsError(f"treated and outcome are both {names[0]!r}", "name two different columns")
