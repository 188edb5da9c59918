"""What is right: every version of the scoring, read beside the service, and when which one could serve."""

import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from models.lists.list_kinds import PERSONAL
from serving.scoring.folder import load
from serving.scoring.snapshot import Snapshot

LAG = 15.0
"""Seconds within which every worker must have taken a new scoring into service."""
BACK = 2.5
"""Seconds after the database's return within which workers notice it."""
MARGIN = "expected_margin_28d"


@dataclass(frozen=True)
class Version:
    """One scoring as an answer must show it."""

    rows: dict[str, list[list[str]]]
    """Product ids of each personal list, by customer code."""
    popular: list[str]
    margin: list[float]
    """Expected margin by customer code."""

    @classmethod
    def of(cls, made: Snapshot) -> "Version":
        """Read it."""
        goods = made.catalogue.products.all_names()
        rows = {
            name: [[goods[code] for code in row if code >= 0] for row in made.ready[name].product.tolist()]
            for name in PERSONAL
        }
        popular = [goods[code] for code in made.popular.tolist()]
        return cls(rows, popular, np.nan_to_num(made.scores.number(MARGIN)).tolist())


@dataclass
class Truth:
    """All versions, who bought what before them, and the faults so far (moments of ``time.monotonic``)."""

    versions: dict[int, Version]
    customers: list[str]
    products: list[str]
    bought: list[frozenset[str]]
    """Product ids by customer code, before the scoring."""
    served: list[tuple[float, int]] = field(default_factory=list)
    """When which version was put in service."""
    kills: list[float] = field(default_factory=list)
    away: list[list[float]] = field(default_factory=list)
    """When the database went and came back."""
    lag: float = 0.0
    """The longest time for which a replaced scoring still answered."""

    @classmethod
    def of(cls, templates: dict[int, Path]) -> "Truth":
        """Read the scorings."""
        made = {version: load(folder) for version, folder in templates.items()}
        first = next(iter(made.values()))
        history, goods = first.history, first.catalogue.products.all_names()
        assert history is not None
        bought = [
            frozenset(goods[code] for code in history.product[history.rows(row)].tolist())
            for row in range(len(first.customers))
        ]
        versions = {version: Version.of(one) for version, one in made.items()}
        return cls(versions, first.customers.all_names(), goods, bought)

    def database_away(self, start: float, end: float) -> bool:
        """Tell whether the database was away, or workers could not yet know it is back, in this time."""
        return any(end >= went and start <= back + BACK for went, back in self.away)

    def killed(self, start: float, end: float) -> bool:
        """Tell whether a worker was killed in, or shortly before, this time."""
        return any(start - PATIENCE_AFTER_KILL <= at <= end for at in self.kills)

    def may_serve(self, start: float, end: float) -> dict[int, float]:
        """Return the versions that may have answered in this time, and when each was (or is) replaced."""
        begin = (
            start
            - LAG
            - sum(back - went + BACK for went, back in self.away if end >= went and start - LAG <= back)
        )
        found: dict[int, float] = {}
        for number, (at, version) in enumerate(self.served):
            until = self.served[number + 1][0] if number + 1 < len(self.served) else float("inf")
            if at <= end and until >= begin:
                found[version] = until
        return found

    def swaps_since(self, start: float) -> int:
        """Count the scorings put in service since a moment."""
        return sum(at >= start for at, _ in self.served)


PATIENCE_AFTER_KILL = 5.0


def now() -> float:
    """Return the moment, by a clock that only grows."""
    return time.monotonic()


def in_order(row: list[str], shown: list[str], k: int, may_miss: set[str]) -> str:
    """Say what is wrong with ``shown`` as the head of ``row``, less what it ``may_miss``."""
    at = 0
    for product in row:
        if at == k or (at == len(shown) and product in may_miss):
            continue
        if at < len(shown) and shown[at] == product:
            at += 1
        elif product not in may_miss:
            return f"{product} is missing at place {at + 1}"
    return "" if at == len(shown) else f"{shown[at]} does not belong at place {at + 1}"


def models_of(answer: dict[str, Any]) -> set[str]:
    """Return the versions an answer names."""
    return set(answer["models"].values())
