"""What turns forecasts of value into final figures: levels, interval and rates."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np

from models.value.interval import Interval
from models.value.value_parts import Level


@dataclass(frozen=True)
class Reconciliation:
    """What turns forecasts into figures whose totals are right."""

    days: Level
    revenue: Level
    interval: Interval
    margin_rate: float
    """Margin as a share of revenue: as sold if unit costs are known, else the shop's assumption."""
    shop_gap_days: float
    """Mean days between two order days; NaN if nobody ever came back."""
    timezone: str
    later: tuple[tuple[float, Level, Level], ...] = ()
    """Days after the training, and the levels of days and revenue then; empty if no season is known."""

    def after(self, days: float) -> Self:
        """Return the reconciliation at the levels of ``days`` after the training."""
        known = [(0.0, self.days, self.revenue), *self.later]
        orders = Level.at_day(days, [(at, level) for at, level, _ in known])
        revenue = Level.at_day(days, [(at, level) for at, _, level in known])
        return replace(self, days=orders, revenue=revenue)

    def facts(self) -> dict[str, Any]:
        """Return plain data for ``model.json``."""
        gap = None if np.isnan(self.shop_gap_days) else self.shop_gap_days
        return asdict(self) | {"shop_gap_days": gap}

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Rebuild from what ``facts`` returned."""
        gap = facts["shop_gap_days"]
        levels = {name: Level(**facts[name]) for name in ("days", "revenue")}
        later = tuple((at, Level(**days), Level(**revenue)) for at, days, revenue in facts["later"])
        parts = levels | {"interval": Interval(**facts["interval"]), "later": later}
        return cls(**{**facts, **parts, "shop_gap_days": float("nan") if gap is None else gap})
