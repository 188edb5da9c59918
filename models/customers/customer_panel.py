"""Training rows of the customer models: past cutoffs, each with what was known then and what followed.

Every window's BG/NBD is fitted on what was known at that window's cutoff, as it will be when scores are
made; so a model that learns from its expectations also learns how far they may be trusted.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Self

import numpy as np
import pandas as pd
from pydantic import Field

from features.arrays.dtypes import Doubles
from features.customer import CUSTOMER_FEATURES
from features.errors import CannotLearn, InputError
from features.shop import Shop
from models.boosted_trees import TreesConfig
from models.config import HorizonConfig
from models.processes.buy_till_you_die import BetaGeoNBD
from models.processes.regularity import Regularity
from models.processes.rhythm import rhythm

ORDERS = "bgnbd_orders"
"""Column: BG/NBD's expected purchase days within the horizon."""
CHANCE = "bgnbd_purchase_probability"
"""Column: BG/NBD's chance of at least one."""
STEADY = "regular_purchase_probability"
"""Column: that chance by the customer's own rhythm, see ``models.processes.regularity``."""
FEWEST = 3
"""Customers needed: of one alone nothing is known but that they might, or might not."""
COLUMNS = [*CUSTOMER_FEATURES.names, ORDERS, CHANCE, STEADY]
"""What the customer models read, in the order in which they were trained."""


class PanelConfig(HorizonConfig, TreesConfig):
    """How the customer models learn from past windows."""

    n_windows: int = Field(default=8, ge=1)
    """Past cutoffs to learn from, at most."""
    step_days: int = Field(default=14, ge=1)
    """Days between them: whole weeks, so that all fall on the same weekday."""
    max_rows: int = Field(default=1_000_000, ge=1)
    """Rows (customers x windows) to read, at most; fewer windows are taken where there are more."""
    learn_rows: int = Field(default=200_000, ge=1)
    """Rows to learn from, at most, of evenly drawn customers: small trees gain nothing from more."""
    ridge: float = Field(default=10.0, gt=0)
    """Penalty on the logistic regression's weights (of standardised logs)."""
    structure: float = Field(default=0.5, ge=0, le=1)
    """How far levels lean on BG/NBD, moved by what it missed in every window (1), not on what the newest
    window showed beyond that (0)."""


@dataclass(frozen=True)
class TrainingWindow:
    """One closed window: a row a customer seen before the cutoff."""

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


def training_windows(shop: Shop, known_until: datetime, config: PanelConfig) -> list[TrainingWindow]:
    """Return the windows that closed by ``known_until``, newest first, as many as the config asks for.

    Raises ``CannotLearn`` where the history is too short for one, saying which horizon is possible, or where
    hardly a line names its customer.
    """
    horizon, today = config.horizon(shop), shop.customer_features(known_until)
    n = max(1, min(config.n_windows, config.max_rows // max(1, len(today))))
    cutoffs = shop.past_cutoffs(known_until, horizon, n=n, step_days=config.step_days)
    windows = closed_windows(shop, cutoffs, known_until, horizon)
    n_known = len(windows[0].rows) if windows else 0
    if n_known < FEWEST:
        raise CannotLearn(
            f"{n_known} customers are known {horizon} days before {known_until:%Y-%m-%d}, it takes {FEWEST}",
            "lines need a customer_id; a shop needs customers",
        )
    return windows


def closed_windows(
    shop: Shop, cutoffs: Sequence[datetime], known_until: datetime, horizon_days: int
) -> list[TrainingWindow]:
    """Return the windows from ``cutoffs``, in that order; one before which nobody was known is left out."""
    priced = has_money(shop.customer_features(known_until))
    panel, windows = shop.panel(cutoffs), []
    known = set(panel.index.get_level_values("cutoff").unique())
    for cutoff in [moment for moment in cutoffs if moment in known]:
        features = pd.DataFrame(panel.xs(cutoff, level="cutoff"))
        followed = shop.labels(cutoff, horizon_days, known_until).reindex(features.index)
        regularity = fit_rhythm(features, shop.n_days_placed(cutoff))
        rows = with_expectation(features, regularity, horizon_days)
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


def fit_rhythm(features: pd.DataFrame, n_days_placed: float) -> Regularity | None:
    """Fit BG/NBD and regularity on customer features; None where nobody came back, say.

    Features are net of returns, and what is foretold are orders as placed: ``n_days_placed`` are the days
    with an order of all customers, of those who brought everything back too (``Shop.n_days_placed``).
    """
    try:
        fitted = BetaGeoNBD.fit(*rhythm(features))
    except CannotLearn:
        return None
    placed = max(n_days_placed / float(features["n_order_days"].sum()), 1.0)
    return Regularity.fit(features, replace(fitted, placed=placed))


def with_expectation(
    features: pd.DataFrame, regularity: Regularity | None, horizon_days: int
) -> pd.DataFrame:
    """Return ``COLUMNS`` of ``features``; the expectations are NaN without a BG/NBD."""
    rows = whole(features)
    if regularity is None:
        return rows.assign(**dict.fromkeys((ORDERS, CHANCE, STEADY), np.nan))
    bgnbd, days = regularity.bgnbd, rhythm(rows)
    return rows.assign(
        **{
            ORDERS: bgnbd.expected_orders(*days, horizon_days),
            CHANCE: bgnbd.purchase_probability(*days, horizon_days),
            STEADY: regularity.waiting(rows).chance(horizon_days),
        }
    )


def whole(features: pd.DataFrame) -> pd.DataFrame:
    """Return the customer features in the order in which they are defined, whatever theirs was.

    Raises ``InputError`` naming the first that is missing.
    """
    missing = [name for name in CUSTOMER_FEATURES.names if name not in features.columns]
    if missing:
        raise InputError(
            f"expected the {len(CUSTOMER_FEATURES.names)} customer features, {missing[0]!r} is missing",
            "take them from Shop.customer_features",
        )
    return features[CUSTOMER_FEATURES.names].astype(float)


def thinned(windows: Sequence[TrainingWindow], config: PanelConfig) -> list[TrainingWindow]:
    """Return the windows with every k-th customer only, ``config.learn_rows`` rows in all at most."""
    every = max(1, -(-sum(len(window.rows) for window in windows) // config.learn_rows))
    return [
        TrainingWindow(w.cutoff, w.rows.iloc[::every], w.n_order_days[::every], w.revenue[::every])
        for w in windows
    ]


def stacked(parts: Sequence[Doubles]) -> Doubles:
    """Return the windows' arrays one below the other."""
    return np.concatenate(list(parts))


@dataclass(frozen=True)
class Lens:
    """How features are read when scores are made: with BG/NBD as of the training, and nobody left blank."""

    horizon_days: int
    regularity: Regularity | None
    stranger: tuple[float, ...]
    """The ``COLUMNS`` of a typical one-time buyer: read for one who has no purchase left."""

    @classmethod
    def fit(cls, features: pd.DataFrame, n_days_placed: float, horizon_days: int) -> Self:
        """Learn from the features of the customers of today, see ``fit_rhythm``."""
        return cls.read(features, fit_rhythm(features, n_days_placed), horizon_days)

    @classmethod
    def read(cls, features: pd.DataFrame, regularity: Regularity | None, horizon_days: int) -> Self:
        """Learn the same with a BG/NBD and its regularity that were fitted on them before."""
        rows = with_expectation(features, regularity, horizon_days)
        once = rows[rows["frequency"] == 0]
        typical = (once if len(once) else rows).median()
        return cls(horizon_days, regularity, tuple(typical.tolist()))

    @property
    def bgnbd(self) -> BetaGeoNBD | None:
        """The BG/NBD, if there is one."""
        return None if self.regularity is None else self.regularity.bgnbd

    @property
    def kept(self) -> float:
        """Order days that are kept, of those placed, as far as returns tell."""
        return 1.0 if self.bgnbd is None else 1 / self.bgnbd.placed

    def rows(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return ``COLUMNS`` of ``features``, shape (n, columns), index as given."""
        rows = with_expectation(features, self.regularity, self.horizon_days)
        blank = rows["frequency"].isna()
        if blank.any():
            rows[blank] = np.array(self.stranger)
        return rows

    def facts(self) -> dict[str, Any]:
        """Return plain data for ``model.json``."""
        stranger = [None if np.isnan(value) else value for value in self.stranger]
        regularity = None if self.regularity is None else asdict(self.regularity)
        return {"horizon_days": self.horizon_days, "regularity": regularity, "stranger": stranger}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Put together again what ``facts`` took apart."""
        stranger = tuple(np.nan if value is None else float(value) for value in facts["stranger"])
        regularity = None if facts["regularity"] is None else Regularity.of(facts["regularity"])
        return cls(int(facts["horizon_days"]), regularity, stranger)


def everyone(shop: Shop, cutoff: datetime, ids: Sequence[str] | None = None) -> pd.DataFrame:
    """Return the customer features of everyone seen before ``cutoff``, or of those of them in ``ids``.

    One who brought everything back has no purchase day and so no features: their row is null, as is known.
    """
    features, names = shop.customer_features(cutoff, ids), shop.customers_seen(cutoff)
    if ids is not None:
        names = names[names.isin(list(ids))]
    return features if len(names) == len(features) else features.reindex(names)
