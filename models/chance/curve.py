"""The chance of an order within each of several horizons, never lower for a longer one.

Each horizon has a model of its own, learnt from its own closed windows; so a shop gets the same models and
forecasts whether its own horizon is 30 or 90 days. Where two of them contradict each other about a customer
(an order within 60 days less likely than within 30), both are moved to their mean: isotonic regression over
horizons (Barlow et al., 1972), which makes no forecast worse on average.

Where fewer than three windows of a horizon have closed, half of it is learnt too, from more recent windows
(``purchase_chance.Extrapolated``). Where no window of the shop's own horizon has closed, a shorter one is
learnt and extrapolated (``models.chance.horizon``).
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from features.arrays.dtypes import Doubles
from features.errors import CannotLearn
from features.shop import Shop
from models.boosted_trees import Trees
from models.chance.horizon import Horizon
from models.chance.purchase_chance import Extrapolated, PurchaseChance
from models.chance.season import weeks_ahead
from models.customers.customer_panel import PanelConfig, TrainingWindow, training_windows
from models.customers.inputs import CHANCE, Inputs, Prepared, fit_rhythm

APART = 1.15
"""A standard horizon closer than this ratio to the shop's own is left out."""
FEW_WINDOWS = 3
"""With fewer closed windows, half the horizon is learnt as well."""
SHORTEST_DAYS = 14
"""Horizons shorter than this are not halved."""


@dataclass(frozen=True)
class HorizonModel:
    """One horizon: how features are read for it, and its fitted chance."""

    inputs: Inputs
    chance: PurchaseChance | Extrapolated
    """Learnt from its own windows, or for a part of the horizon and extrapolated to the whole."""

    @property
    def horizon_days(self) -> int:
        """The horizon, in days."""
        return self.inputs.horizon_days

    def probability(self, prepared: Prepared) -> Doubles:
        """Return this model's own chance, shape (n,)."""
        return self.chance.probability(self.inputs.rows_of(prepared))


@dataclass(frozen=True)
class Curve:
    """Fitted chances over horizons, the shortest first; all share one BG/NBD."""

    models: tuple[HorizonModel, ...]

    @classmethod
    def fit(
        cls,
        shop: Shop,
        known_until: datetime,
        *,
        config: PanelConfig,
        others: Iterable[int],
        horizon: Horizon,
    ) -> Self:
        """Learn the shop's own ``horizon``, and those of ``others`` (days) that have closed windows.

        Raises ``CannotLearn``, with the reason, where the shop's own horizon cannot be learnt.
        """
        own = horizon.horizon_days
        features = shop.customer_features(known_until)
        inputs = Inputs.read(
            features, fit_rhythm(features, shop.n_days_placed(known_until)), horizon_days=own
        )
        models = [_own(shop, known_until, config=config, inputs=inputs, horizon=horizon)]
        for days in others:
            if max(days, own) >= min(days, own) * APART:
                try:
                    other = Inputs.read(features, inputs.regularity, horizon_days=days)
                    models.append(
                        HorizonModel(other, _learnt(shop, known_until, config=config, inputs=other))
                    )
                except CannotLearn:
                    continue
        return cls(tuple(sorted(models, key=lambda model: model.horizon_days)))

    @property
    def horizons(self) -> tuple[int, ...]:
        """The horizons in days, ascending."""
        return tuple(model.horizon_days for model in self.models)

    def model(self, horizon_days: int) -> HorizonModel:
        """Return the model of one horizon."""
        return self.models[self.horizons.index(horizon_days)]

    def after(self, days: float) -> "Curve":
        """Return the chances at their levels of ``days`` after the training."""
        return Curve(tuple(replace(model, chance=model.chance.after(days)) for model in self.models))

    def probabilities(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return each customer's chance of an order within each horizon; columns are horizons, ascending."""
        prepared = self.models[0].inputs.prepare(features)
        chances = np.stack([model.probability(prepared) for model in self.models], axis=1)
        return pd.DataFrame(rising(chances), index=features.index, columns=list(self.horizons))

    def save(self, folder: Path) -> None:
        """Write the trees, one text file per horizon."""
        for model in self.models:
            model.chance.trees.save(folder / _file(model.inputs))

    def facts(self) -> list[dict[str, Any]]:
        """Return everything but the trees as plain data, for ``model.json``."""
        return [{"inputs": model.inputs.facts(), "chance": model.chance.facts()} for model in self.models]

    @classmethod
    def load(cls, folder: Path, facts: Iterable[Mapping[str, Any]]) -> Self:
        """Rebuild from what ``save`` wrote and ``facts`` returned."""
        return cls(tuple(_load(folder, part) for part in facts))


def rising(chances: Doubles) -> Doubles:
    """Return the nearest non-decreasing rows, shape (n, horizons): isotonic regression, min-max formula.

    Value k is the largest over i <= k of the smallest over j >= k of the mean of columns i to j.
    """
    n_columns = chances.shape[1]
    totals = np.concatenate([np.zeros((len(chances), 1)), np.cumsum(chances, axis=1)], axis=1)
    levels = np.empty_like(chances)
    for k in range(n_columns):
        least = [
            np.min([(totals[:, j + 1] - totals[:, i]) / (j + 1 - i) for j in range(k, n_columns)], axis=0)
            for i in range(k + 1)
        ]
        levels[:, k] = np.max(least, axis=0)
    return levels


def _learnt(shop: Shop, known_until: datetime, *, config: PanelConfig, inputs: Inputs) -> PurchaseChance:
    windows = _windows(shop, known_until, config=config, inputs=inputs)
    today = inputs.rows(shop.customer_features(known_until))
    ahead = weeks_ahead(shop, known_until, config=_asked(config, inputs))
    halved = _can_be_halved(inputs, windows, config)
    extrapolated = _extrapolated(shop, known_until, config=config, inputs=inputs) if halved else None
    return PurchaseChance.fit(windows, today, config=config, ahead=ahead, extrapolated=extrapolated)


def _own(
    shop: Shop, known_until: datetime, *, config: PanelConfig, inputs: Inputs, horizon: Horizon
) -> HorizonModel:
    """Learn the shop's own horizon, or the part of it with closed windows, extrapolated to the whole."""
    if not horizon.is_extrapolated:
        return HorizonModel(inputs, _learnt(shop, known_until, config=config, inputs=inputs))
    horizon.check(inputs.bgnbd)
    part = Inputs.read(
        shop.customer_features(known_until), inputs.regularity, horizon_days=horizon.learnt_days
    )
    return HorizonModel(inputs, Extrapolated(part, _learnt(shop, known_until, config=config, inputs=part)))


def _can_be_halved(inputs: Inputs, windows: list[TrainingWindow], config: PanelConfig) -> bool:
    """Return whether half the horizon is learnt too: few windows, long enough, BG/NBD now and then."""
    few = len(windows) < min(FEW_WINDOWS, config.n_windows)
    long_enough = inputs.horizon_days >= SHORTEST_DAYS
    return few and long_enough and inputs.bgnbd is not None and bool(windows[0].rows[CHANCE].notna().all())


def _extrapolated(shop: Shop, known_until: datetime, *, config: PanelConfig, inputs: Inputs) -> Extrapolated:
    """Learn half the horizon, with features read as for the whole."""
    features = shop.customer_features(known_until)
    half = Inputs.read(features, inputs.regularity, horizon_days=inputs.horizon_days // 2)
    windows = _windows(shop, known_until, config=config, inputs=half)
    return Extrapolated(half, PurchaseChance.fit(windows, half.rows(features), config=config))


def _windows(
    shop: Shop, known_until: datetime, *, config: PanelConfig, inputs: Inputs
) -> list[TrainingWindow]:
    return training_windows(shop, known_until, config=_asked(config, inputs))


def _asked(config: PanelConfig, inputs: Inputs) -> PanelConfig:
    return config.model_copy(update={"horizon_days": inputs.horizon_days})


def _load(folder: Path, facts: Mapping[str, Any]) -> HorizonModel:
    inputs, chance = Inputs.of(facts["inputs"]), facts["chance"]
    kind = Extrapolated if "inputs" in chance else PurchaseChance  # it has inputs of the part it learnt
    return HorizonModel(inputs, kind.of(chance, Trees.load(folder / _file(inputs))))


def _file(inputs: Inputs) -> str:
    return f"purchase_chance_{inputs.horizon_days}d.trees.txt"
