"""The chance of an order within each of several horizons, never lower for a longer one.

Each horizon has a model of its own, learnt from its own closed windows; so a shop gets the same models and
forecasts whether its own horizon is 30 or 90 days. Where two of them contradict each other about a customer
(an order within 60 days less likely than within 30), both are moved to their mean: isotonic regression over
horizons (Barlow et al., 1972), which makes no forecast worse on average.

Where fewer than three windows of a horizon have closed, half of it is learnt too, from more recent windows
(``purchase_chance.Nearer``). Where no window of the shop's own horizon has closed, a shorter one is learnt
and extrapolated (``reach``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from features.arrays.dtypes import Doubles
from features.errors import CannotLearn
from features.shop import Shop
from models.boosted_trees import Trees
from models.chance.purchase_chance import Nearer, PurchaseChance
from models.chance.reach import Reach
from models.chance.season import year_ago
from models.customers.customer_panel import PanelConfig, TrainingWindow, training_windows
from models.customers.lens import CHANCE, Lens, Reading, fit_rhythm

APART = 1.15
"""A standard horizon closer than this ratio to the shop's own is left out."""
FEW_WINDOWS = 3
"""With fewer closed windows, half the horizon is learnt as well."""
SHORTEST_DAYS = 14
"""Horizons shorter than this are not halved."""


@dataclass(frozen=True)
class Rung:
    """One horizon: how features are read for it, and its fitted chance."""

    lens: Lens
    chance: PurchaseChance | Nearer
    """Learnt from its own windows, or for a part of the horizon and extrapolated to the whole."""

    @property
    def horizon_days(self) -> int:
        """The horizon, in days."""
        return self.lens.horizon_days

    def probability(self, reading: Reading) -> Doubles:
        """Return this model's own chance, shape (n,)."""
        return self.chance.probability(self.lens.rows_of(reading))


@dataclass(frozen=True)
class Curve:
    """Fitted chances over horizons, the shortest first; all share one BG/NBD."""

    rungs: tuple[Rung, ...]

    @classmethod
    def fit(
        cls, shop: Shop, known_until: datetime, config: PanelConfig, others: Iterable[int], reach: Reach
    ) -> Self:
        """Learn the horizon of ``reach``, and those of ``others`` (days) that have closed windows.

        Raises ``CannotLearn``, with the reason, where the shop's own horizon cannot be learnt.
        """
        own = reach.horizon_days
        features = shop.customer_features(known_until)
        lens = Lens.read(features, fit_rhythm(features, shop.n_days_placed(known_until)), own)
        rungs = [_own(shop, known_until, config, lens, reach)]
        for days in others:
            if max(days, own) >= min(days, own) * APART:
                try:
                    other = Lens.read(features, lens.regularity, days)
                    rungs.append(Rung(other, _learnt(shop, known_until, config, other)))
                except CannotLearn:
                    continue
        return cls(tuple(sorted(rungs, key=lambda rung: rung.horizon_days)))

    @property
    def horizons(self) -> tuple[int, ...]:
        """The horizons in days, ascending."""
        return tuple(rung.horizon_days for rung in self.rungs)

    def rung(self, horizon_days: int) -> Rung:
        """Return the model of one horizon."""
        return self.rungs[self.horizons.index(horizon_days)]

    def probabilities(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return each customer's chance of an order within each horizon; columns are horizons, ascending."""
        reading = self.rungs[0].lens.reading(features)
        said = np.stack([rung.probability(reading) for rung in self.rungs], axis=1)
        return pd.DataFrame(rising(said), index=features.index, columns=list(self.horizons))

    def save(self, folder: Path) -> None:
        """Write the trees, one text file per horizon."""
        for rung in self.rungs:
            rung.chance.trees.save(folder / _file(rung.lens))

    def facts(self) -> list[dict[str, Any]]:
        """Return everything but the trees as plain data, for ``model.json``."""
        return [{"lens": rung.lens.facts(), "chance": rung.chance.facts()} for rung in self.rungs]

    @classmethod
    def load(cls, folder: Path, facts: Iterable[Mapping[str, Any]]) -> Self:
        """Rebuild from what ``save`` wrote and ``facts`` returned."""
        return cls(tuple(_load(folder, part) for part in facts))


def rising(said: Doubles) -> Doubles:
    """Return the nearest non-decreasing rows, shape (n, horizons): isotonic regression, min-max formula.

    Value k is the largest over i <= k of the smallest over j >= k of the mean of columns i to j.
    """
    n_columns = said.shape[1]
    totals = np.concatenate([np.zeros((len(said), 1)), np.cumsum(said, axis=1)], axis=1)
    found = np.empty_like(said)
    for k in range(n_columns):
        least = [
            np.min([(totals[:, j + 1] - totals[:, i]) / (j + 1 - i) for j in range(k, n_columns)], axis=0)
            for i in range(k + 1)
        ]
        found[:, k] = np.max(least, axis=0)
    return np.maximum.accumulate(found, axis=1)  # means may differ in their last bit


def _learnt(shop: Shop, known_until: datetime, config: PanelConfig, lens: Lens) -> PurchaseChance:
    windows = _windows(shop, known_until, config, lens)
    today = lens.rows(shop.customer_features(known_until))
    last_year = year_ago(shop, known_until, lens.horizon_days)
    halved = _can_be_halved(lens, windows, config)
    nearer = _nearer(shop, known_until, config, lens) if halved else None
    return PurchaseChance.fit(windows, today, config, last_year=last_year, nearer=nearer)


def _own(shop: Shop, known_until: datetime, config: PanelConfig, lens: Lens, reach: Reach) -> Rung:
    """Learn the shop's own horizon, or the part of it with closed windows, extrapolated to the whole."""
    if not reach.is_carried:
        return Rung(lens, _learnt(shop, known_until, config, lens))
    reach.check(lens.bgnbd)
    part = Lens.read(shop.customer_features(known_until), lens.regularity, reach.learnt_days)
    return Rung(lens, Nearer(part, _learnt(shop, known_until, config, part)))


def _can_be_halved(lens: Lens, windows: list[TrainingWindow], config: PanelConfig) -> bool:
    """Return whether half the horizon is learnt too: few windows, long enough, BG/NBD now and then."""
    few = len(windows) < min(FEW_WINDOWS, config.n_windows)
    long_enough = lens.horizon_days >= SHORTEST_DAYS
    return few and long_enough and lens.bgnbd is not None and bool(windows[0].rows[CHANCE].notna().all())


def _nearer(shop: Shop, known_until: datetime, config: PanelConfig, lens: Lens) -> Nearer:
    """Learn half the horizon, with features read as for the whole."""
    features = shop.customer_features(known_until)
    half = Lens.read(features, lens.regularity, lens.horizon_days // 2)
    windows = _windows(shop, known_until, config, half)
    return Nearer(half, PurchaseChance.fit(windows, half.rows(features), config))


def _windows(shop: Shop, known_until: datetime, config: PanelConfig, lens: Lens) -> list[TrainingWindow]:
    asked = config.model_copy(update={"horizon_days": lens.horizon_days})
    return training_windows(shop, known_until, asked)


def _load(folder: Path, facts: Mapping[str, Any]) -> Rung:
    lens, chance = Lens.of(facts["lens"]), facts["chance"]
    kind = Nearer if "lens" in chance else PurchaseChance
    return Rung(lens, kind.of(chance, Trees.load(folder / _file(lens))))


def _file(lens: Lens) -> str:
    return f"purchase_chance_{lens.horizon_days}d.trees.txt"
