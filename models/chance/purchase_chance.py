"""The chance of an order within the horizon: churn is its complement, and value is built on it.

A logistic regression on logs and boosted trees, averaged as logits; BG/NBD's expectations are among their
inputs. The level is BG/NBD's expectation for today's customers, corrected by its error common to all closed
windows, and by its remaining error in the same weeks of last year, or half of that in the newest window:
BG/NBD models how customers age, its errors show how this shop differs.

Where hardly any window of the horizon has closed, those windows began long ago, with customers unlike
today's. There the trees are replaced by the chance over half the horizon, learnt from more recent windows,
and extrapolated to the whole in the ratio of BG/NBD's hazards for each customer.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import expit

from features.arrays.dtypes import Doubles
from models.boosted_trees import Trees
from models.chance.season import NOW, Weeks, at_day
from models.customers.calibration import Miss, expected_miss, logit_shift, moved, share_of
from models.customers.customer_panel import PanelConfig, TrainingWindow, stacked, thinned
from models.customers.inputs import CHANCE, COLUMNS, Inputs
from models.customers.log_linear import RICH, LogLinear

TREES = "purchase_chance.trees.txt"
"""The file of its trees in an artefact."""
MAX_CHANCE = 1 - 1e-12
"""Chances are capped here: the hazard of 1 is infinite."""


@dataclass(frozen=True)
class Extrapolated:
    """The chance over a part of the horizon, extrapolated to the whole."""

    inputs: Inputs
    """For the part."""
    chance: "PurchaseChance"

    def logit(self, rows: pd.DataFrame) -> Doubles:
        """Return the logit of an order within the whole, shape (n,); ``rows`` are read for the whole.

        The part's cumulative hazard (minus the log of the chance of no order) is scaled as BG/NBD's grows.
        """
        part = self.inputs.rows(rows)
        hazard = np.logaddexp(0, self.chance.logit(part)) * _whole_over_part(part, rows)
        return np.asarray(hazard + np.log(-np.expm1(-hazard)))

    def probability(self, rows: pd.DataFrame) -> Doubles:
        """Return the chance of an order within the whole, shape (n,), in (0, 1); never below the part's."""
        return np.asarray(expit(self.logit(rows)))

    @property
    def later(self) -> tuple[tuple[float, float], ...]:
        """The part's levels of later weeks."""
        return self.chance.later

    def after(self, days: float) -> "Extrapolated":
        """Return this chance at the level of ``days`` after the training."""
        return replace(self, chance=self.chance.after(days))

    def contributions(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return what each of ``COLUMNS`` adds to the part's logit."""
        return self.chance.contributions(self.inputs.rows(rows))

    @property
    def trees(self) -> Trees:
        """The part's trees."""
        return self.chance.trees

    def facts(self) -> dict[str, Any]:
        """Return everything but the trees as plain data."""
        return {"inputs": self.inputs.facts(), "chance": self.chance.facts()}

    @classmethod
    def of(cls, facts: Mapping[str, Any], trees: Trees) -> Self:
        """Rebuild from what ``facts`` returned."""
        return cls(Inputs.of(facts["inputs"]), PurchaseChance.of(facts["chance"], trees))


def _whole_over_part(part: pd.DataFrame, whole: pd.DataFrame) -> Doubles:
    """Return BG/NBD's hazard over the whole as a multiple of that over the part, shape (n,)."""
    part_hazard, whole_hazard = (
        -np.log1p(-np.clip(rows[CHANCE].to_numpy(float), 1e-9, 1 - 1e-9)) for rows in (part, whole)
    )
    return np.asarray(whole_hazard / part_hazard)


def _miss(window: TrainingWindow) -> Miss:
    """Return how far BG/NBD's mean chance was below the share that bought."""
    return Miss.of_share(window.rows[CHANCE].mean(), window.bought)


def extrapolate(chance: Doubles, part: pd.DataFrame, *, whole: pd.DataFrame) -> Doubles:
    """Return chances over a part of the horizon, extrapolated to the whole, shape (n,).

    ``part`` and ``whole`` are the rows of the same customers, read for each. Never below the part's.
    """
    whole_chance = -np.expm1(np.log1p(-np.minimum(chance, MAX_CHANCE)) * _whole_over_part(part, whole))
    return np.asarray(np.maximum(whole_chance, chance))


@dataclass(frozen=True)
class PurchaseChance:
    """A fitted chance of at least one order within the horizon."""

    linear: LogLinear
    trees: Trees
    """Of the horizon; where ``extrapolated`` replaces them, those of its part."""
    shift: float
    """Moves the logits to the level of the weeks that followed the training."""
    extrapolated: Extrapolated | None = None
    later: tuple[tuple[float, float], ...] = ()
    """Days after the training, and the ``shift`` then, by last year's season; empty if it is not known."""

    @classmethod
    def fit(
        cls,
        windows: Sequence[TrainingWindow],
        today: pd.DataFrame,
        *,
        config: PanelConfig,
        ahead: Sequence[Weeks] = (NOW,),
        extrapolated: Extrapolated | None = None,
    ) -> Self:
        """Learn from closed windows, newest first; ``today`` are the rows of the customers known now.

        ``ahead``: the weeks ahead now and later, as last year shows them (``models.chance.season``).
        ``extrapolated``, if given, replaces the trees.
        """
        some = thinned(windows, config)
        rows = pd.concat([window.rows for window in some])
        truth = stacked([window.bought for window in some])
        linear = LogLinear.fit(RICH, rows, truth=truth, ridge=config.ridge)
        if extrapolated is None:
            trees = Trees.fit("binary", rows.to_numpy(float), target=truth, config=config, any_threshold=True)
        else:
            trees = extrapolated.chance.trees
        raw = cls(linear, trees, 0.0, extrapolated)
        today = today.iloc[:: 1 + len(today) // config.learn_rows]
        levels = [
            (float(weeks.days), raw.level(some, today, structure=config.structure, last_year=weeks.last_year))
            for weeks in ahead
        ]
        return replace(raw, shift=levels[0][1], later=tuple(levels[1:]))

    def after(self, days: float) -> Self:
        """Return this chance at the level of ``days`` after the training."""
        return replace(self, shift=at_day(days, [(0.0, self.shift), *self.later])) if self.later else self

    def level(
        self,
        windows: Sequence[TrainingWindow],
        today: pd.DataFrame,
        *,
        structure: float,
        last_year: TrainingWindow | None = None,
    ) -> float:
        """Return the shift that gives ``today`` its expected mean; without BG/NBD, the newest window's."""
        missed, now = [_miss(window) for window in windows], today[CHANCE].mean()
        if not np.isfinite([missed[0].size, now]).all():
            return logit_shift(self.logit(windows[0].rows), share_of(windows[0].bought))
        season = None if last_year is None else _miss(last_year)
        return logit_shift(
            self.logit(today), moved(now, expected_miss(missed, 1 - structure, last_year=season))
        )

    def logit(self, rows: pd.DataFrame) -> Doubles:
        """Return the logit of each row's chance, shape (n,)."""
        if self.extrapolated is None:
            other = self.trees.raw(rows[COLUMNS].to_numpy(float))
        else:
            other = self.extrapolated.logit(rows)
        return np.asarray((self.linear.score(rows) + other) / 2 + self.shift)

    def contributions(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return what each of ``COLUMNS`` adds to the logit, relative to a typical customer's."""
        if self.extrapolated is None:
            added = pd.DataFrame(self.trees.contributions(rows[COLUMNS].to_numpy(float)), rows.index, COLUMNS)
        else:
            added = self.extrapolated.contributions(rows)
        added[list(self.linear.names)] += self.linear.terms(rows)
        return added / 2

    def probability(self, rows: pd.DataFrame) -> Doubles:
        """Return each row's chance of an order within the horizon, shape (n,), in (0, 1)."""
        return np.asarray(expit(self.logit(rows)))

    def facts(self) -> dict[str, Any]:
        """Return everything but the trees as plain data, for ``model.json``."""
        extrapolated = None if self.extrapolated is None else self.extrapolated.facts()
        facts = {"linear": asdict(self.linear), "shift": self.shift, "nearer": extrapolated}
        return facts | {"later": self.later}

    @classmethod
    def of(cls, facts: Mapping[str, Any], trees: Trees) -> Self:
        """Rebuild from what ``facts`` returned."""
        part = facts["nearer"]
        extrapolated = None if part is None else Extrapolated.of(part, trees)
        later = tuple((days, shift) for days, shift in facts["later"])
        return cls(LogLinear.of(facts["linear"]), trees, facts["shift"], extrapolated, later)
