"""The levels, the interval, the rate and the rhythm that make accounts of opinions."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from models.processes.next_order import NextOrder
from models.value.interval import Interval
from models.value.value_parts import Level


@dataclass(frozen=True)
class Account:
    """What turns opinions into figures one can do accounts with."""

    days: Level
    revenue: Level
    interval: Interval
    margin_rate: float
    """Margin as a share of revenue: as sold where unit costs are known, else the shop's assumption."""
    next_order: NextOrder
    timezone: str

    def facts(self) -> dict[str, Any]:
        """Return plain data for ``model.json``."""
        return asdict(self) | {"next_order": self.next_order.facts()}

    @classmethod
    def of_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Put together again what ``facts`` took apart."""
        parts = {name: Level(**facts[name]) for name in ("days", "revenue")}
        interval, next_order = Interval(**facts["interval"]), NextOrder.of_facts(facts["next_order"])
        return cls(**{**facts, **parts, "interval": interval, "next_order": next_order})
