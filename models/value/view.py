"""Readings of customers for the horizon that windows teach, and for the one that is predicted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import pandas as pd

from models.chance.horizon import Horizon
from models.customers.inputs import Inputs
from models.processes.regularity import Waiting
from models.value.extrapolation import extrapolated
from models.value.value_parts import Figures, Learnt, Parts


class ValueForecasts(NamedTuple):
    """Forecasts for n customers over the predicted horizon."""

    learnt: Learnt
    structure: Figures
    waiting: Waiting | None
    """The waiting time to their next order; None without a BG/NBD."""


@dataclass(frozen=True)
class View:
    """How features are read: for the horizon that windows teach, and for the one that is predicted."""

    horizon: Horizon
    part: Inputs
    whole: Inputs
    """The same inputs if nothing is extrapolated."""

    @classmethod
    def fit(cls, features: pd.DataFrame, n_days_placed: int, *, horizon: Horizon) -> Self:
        """Learn from today's customers; raise ``CannotLearn`` without a rhythm to extrapolate by."""
        part = Inputs.fit(features, n_days_placed, horizon_days=horizon.learnt_days)
        if not horizon.is_extrapolated:
            return cls(horizon, part, part)
        horizon.check(part.bgnbd)
        return cls(horizon, part, Inputs.read(features, part.regularity, horizon_days=horizon.horizon_days))

    def forecasts(self, parts: Parts, features: pd.DataFrame) -> ValueForecasts:
        """Return the forecasts of the learnt parts and of the structure over the predicted horizon."""
        prepared = self.part.prepare(features)
        rows = self.part.rows_of(prepared)
        learnt = parts.two_part(rows)
        if not self.horizon.is_extrapolated:
            return ValueForecasts(learnt, parts.structure(rows, self.part.kept), prepared.waiting)
        whole = self.whole.rows_of(prepared)
        structure = parts.structure(whole, self.whole.kept)
        return ValueForecasts(extrapolated(learnt, rows, whole=whole), structure, prepared.waiting)

    def facts(self) -> dict[str, Any]:
        """Return plain data for ``model.json``."""
        whole = self.whole.facts() if self.horizon.is_extrapolated else None
        return {"inputs": self.part.facts(), "whole": whole, "horizon": self.horizon.facts()}

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Rebuild from what ``facts`` returned."""
        part, whole = Inputs.of(facts["inputs"]), facts["whole"]
        return cls(Horizon.of_facts(facts["horizon"]), part, part if whole is None else Inputs.of(whole))
