"""Readings of customers for the horizon that windows teach, and for the one that is predicted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple, Self

import pandas as pd

from models.chance.reach import Reach
from models.customers.lens import Lens
from models.processes.regularity import Waiting
from models.value.carried import carried
from models.value.value_parts import Figures, Learnt, Parts


class Opinions(NamedTuple):
    """Forecasts for n customers over the predicted horizon."""

    learnt: Learnt
    structure: Figures
    waiting: Waiting | None
    """The waiting time to their next order; None without a BG/NBD."""


@dataclass(frozen=True)
class View:
    """How features are read: for the horizon that windows teach, and for the one that is predicted."""

    reach: Reach
    part: Lens
    whole: Lens
    """The same lens if nothing is extrapolated."""

    @classmethod
    def fit(cls, features: pd.DataFrame, n_days_placed: int, reach: Reach) -> Self:
        """Learn from today's customers; raise ``CannotLearn`` without a rhythm to extrapolate by."""
        part = Lens.fit(features, n_days_placed, reach.learnt_days)
        if not reach.is_carried:
            return cls(reach, part, part)
        reach.check(part.bgnbd)
        return cls(reach, part, Lens.read(features, part.regularity, reach.horizon_days))

    def opinions(self, parts: Parts, features: pd.DataFrame) -> Opinions:
        """Return the forecasts of the learnt parts and of the structure over the predicted horizon."""
        reading = self.part.reading(features)
        rows = self.part.rows_of(reading)
        learnt = parts.two_part(rows)
        if not self.reach.is_carried:
            return Opinions(learnt, parts.structure(rows, self.part.kept), reading.waiting)
        whole = self.whole.rows_of(reading)
        structure = parts.structure(whole, self.whole.kept)
        return Opinions(carried(learnt, rows, whole), structure, reading.waiting)

    def facts(self) -> dict[str, Any]:
        """Return plain data for ``model.json``."""
        whole = self.whole.facts() if self.reach.is_carried else None
        return {"lens": self.part.facts(), "whole": whole, "reach": self.reach.facts()}

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Rebuild from what ``facts`` returned."""
        part, whole = Lens.of(facts["lens"]), facts["whole"]
        return cls(Reach.of_facts(facts["reach"]), part, part if whole is None else Lens.of(whole))
