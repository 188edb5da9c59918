"""Training rows of the customer models: past cutoffs, each with what was known then and what followed.

Each window's BG/NBD is fitted on what was known at that window's cutoff, as when scoring, so that a model
which learns from its expectations also learns how far to trust them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np
import pandas as pd
from pydantic import Field

from features.arrays.dtypes import Doubles
from features.errors import CannotLearn
from features.shop import Shop
from models.boosted_trees import TreesConfig
from models.config import HorizonConfig
from models.customers.inputs import Prepared, fit_rhythm

MIN_CUSTOMERS = 3
"""Minimum number of customers."""


class PanelConfig(HorizonConfig, TreesConfig):
    """How the customer models learn from past windows."""

    n_windows: int = Field(default=8, ge=1)
    """Maximum number of past cutoffs to learn from."""
    step_days: int = Field(default=14, ge=1)
    """Days between them: whole weeks, so that all fall on the same weekday."""
    max_rows: int = Field(default=1_000_000, ge=1)
    """Maximum number of rows (customers x windows) to read; of a larger shop, of evenly drawn customers."""
    learn_rows: int = Field(default=200_000, ge=1)
    """Maximum number of rows to learn from, of evenly drawn customers: small trees gain nothing from more."""
    ridge: float = Field(default=10.0, gt=0)
    """L2 penalty on the logistic regression's weights (of standardised logs)."""
    structure: float = Field(default=0.5, ge=0, le=1)
    """Weight of the structure in levels: 1 is BG/NBD with its error common to all windows, 0 what the newest
    window showed beyond that."""


@dataclass(frozen=True)
class TrainingWindow:
    """One closed window: one row per customer seen before the cutoff."""

    cutoff: datetime
    rows: pd.DataFrame
    """The ``COLUMNS`` as of the cutoff."""
    n_order_days: Doubles
    """Days with an order within the horizon, shape (n,)."""
    revenue: Doubles
    """Revenue within the horizon, shape (n,); NaN in a shop without prices."""

    @property
    def bought(self) -> Doubles:
        """1.0 where there was an order within the horizon, else 0.0."""
        return (self.n_order_days > 0).astype(float)


def training_windows(shop: Shop, known_until: datetime, *, config: PanelConfig) -> list[TrainingWindow]:
    """Return the windows that closed by ``known_until``, newest first, up to the configured number.

    Raises ``CannotLearn`` if the history is too short for one, with the horizon that is possible, or if too
    few customers are known.
    """
    horizon = config.horizon(shop)
    cutoffs = shop.past_cutoffs(known_until, horizon, n=config.n_windows, step_days=config.step_days)
    ids = drawn(shop, known_until, n_drawn=config.max_rows // len(cutoffs))
    windows = closed_windows(shop, cutoffs, known_until=known_until, horizon_days=horizon, ids=ids)
    n_known = len(windows[0].rows) if windows else 0
    if n_known < MIN_CUSTOMERS:
        raise CannotLearn(
            f"{n_known} customers had ordered {horizon} days before {known_until:%Y-%m-%d}, "
            f"{MIN_CUSTOMERS} needed",
            "check that the order lines have a customer_id",
        )
    return windows


def drawn(shop: Shop, known_until: datetime, *, n_drawn: int) -> tuple[str, ...] | None:
    """Return evenly drawn customers of those seen before ``known_until``; None if they are no more anyway."""
    names, n_drawn = shop.customers_seen(known_until), max(n_drawn, MIN_CUSTOMERS)
    if len(names) <= n_drawn:
        return None
    return tuple(names[np.arange(n_drawn) * len(names) // n_drawn])


def closed_windows(
    shop: Shop,
    cutoffs: Sequence[datetime],
    *,
    known_until: datetime,
    horizon_days: int,
    ids: tuple[str, ...] | None = None,
) -> list[TrainingWindow]:
    """Return the windows from ``cutoffs``, in that order, without those that nobody was known before.

    ``ids`` limits them to those customers.
    """
    priced = has_money(shop.customer_features(known_until))
    panel, windows = shop.panel(cutoffs, ids), []
    known = set(panel.index.get_level_values("cutoff").unique())
    for cutoff in [moment for moment in cutoffs if moment in known]:
        features = pd.DataFrame(panel.xs(cutoff, level="cutoff"))
        followed = shop.labels(cutoff, horizon_days, known_until=known_until).reindex(features.index)
        regularity = fit_rhythm(features, shop.n_days_placed(cutoff, ids))
        rows = Prepared.of(features, regularity).for_horizon(horizon_days)
        windows.append(_window(cutoff, rows, followed, has_money=priced))
    return windows


def has_money(features: pd.DataFrame) -> bool:
    """Return whether any revenue is known: a shop may have no prices."""
    return bool(features["revenue"].notna().any())


def _window(
    cutoff: datetime, rows: pd.DataFrame, followed: pd.DataFrame, *, has_money: bool
) -> TrainingWindow:
    revenue = followed["revenue"].fillna(0.0) if has_money else followed["revenue"] * np.nan
    return TrainingWindow(
        cutoff,
        rows,
        followed["n_order_days"].fillna(0.0).to_numpy(float),
        revenue.to_numpy(float),
    )


def thinned(windows: Sequence[TrainingWindow], config: PanelConfig) -> list[TrainingWindow]:
    """Return the windows with every k-th customer only, at most ``config.learn_rows`` rows in all."""
    every = max(1, -(-sum(len(window.rows) for window in windows) // config.learn_rows))
    return [
        TrainingWindow(w.cutoff, w.rows.iloc[::every], w.n_order_days[::every], w.revenue[::every])
        for w in windows
    ]


def stacked(parts: Sequence[Doubles]) -> Doubles:
    """Return the windows' arrays concatenated."""
    return np.concatenate(list(parts))


def everyone(shop: Shop, cutoff: datetime, *, ids: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the customer features of everyone seen before ``cutoff``, or of those of them in ``ids``.

    Customers who returned everything have no purchase day, and so a row of nulls.
    """
    features, names = shop.customer_features(cutoff, ids), shop.customers_seen(cutoff)
    if ids is not None:
        names = names[names.isin(list(ids))]
    return features if len(names) == len(features) else features.reindex(names)
