"""The inputs of the customer models: customer features, and the expectations of BG/NBD and of regularity."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any, Self

import numpy as np
import pandas as pd

from features.customer import CUSTOMER_FEATURES
from features.errors import CannotLearn, InputError
from models.processes.buy_till_you_die import BetaGeoNBD
from models.processes.regularity import Regularity, Waiting
from models.processes.rhythm import rhythm

ORDERS = "bgnbd_orders"
"""Column: BG/NBD's expected purchase days within the horizon."""
CHANCE = "bgnbd_purchase_probability"
"""Column: BG/NBD's chance of at least one."""
STEADY = "regular_purchase_probability"
"""Column: the same chance by the customer's own rhythm, see ``models.processes.regularity``."""
COLUMNS = [*CUSTOMER_FEATURES.names, ORDERS, CHANCE, STEADY]
"""The columns that customer models read, in the order they were trained on."""


def fit_rhythm(features: pd.DataFrame, n_days_placed: float) -> Regularity | None:
    """Fit BG/NBD and regularity on customer features; None if they cannot be fitted (nobody came back, say).

    Features are net of returns, but forecasts are of orders as placed: ``n_days_placed`` is the number of
    days with an order over all customers, including those who returned everything (``Shop.n_days_placed``).
    """
    try:
        fitted = BetaGeoNBD.fit(*rhythm(features))
    except CannotLearn:
        return None
    placed = max(n_days_placed / float(features["n_order_days"].sum()), 1.0)
    return Regularity.fit(features, replace(fitted, placed=placed))


def whole(features: pd.DataFrame) -> pd.DataFrame:
    """Return the customer features in the order of their definition, from any order.

    Raises ``InputError`` with the first one that is missing.
    """
    missing = [name for name in CUSTOMER_FEATURES.names if name not in features.columns]
    if missing:
        raise InputError(
            f"expected the {len(CUSTOMER_FEATURES.names)} customer features, {missing[0]!r} is missing",
            "take them from Shop.customer_features",
        )
    return features[CUSTOMER_FEATURES.names].astype(float)


@dataclass(frozen=True)
class Prepared:
    """The features of n customers, and how they wait for their next order: computed once for all horizons."""

    features: pd.DataFrame
    regularity: Regularity | None
    waiting: Waiting | None
    """None without a BG/NBD."""

    @classmethod
    def of(cls, features: pd.DataFrame, regularity: Regularity | None) -> Self:
        """Compute from customer features, see ``whole``."""
        rows = whole(features)
        return cls(rows, regularity, None if regularity is None else regularity.waiting(rows))

    def for_horizon(self, horizon_days: int) -> pd.DataFrame:
        """Return ``COLUMNS``; the expectations of the horizon are NaN without a BG/NBD."""
        if self.regularity is None or self.waiting is None:
            return self.features.assign(**dict.fromkeys((ORDERS, CHANCE, STEADY), np.nan))
        bgnbd, days = self.regularity.bgnbd, rhythm(self.features)
        return self.features.assign(
            **{
                ORDERS: bgnbd.expected_orders(*days, horizon_days),
                CHANCE: bgnbd.purchase_probability(*days, horizon_days),
                STEADY: self.waiting.chance(horizon_days),
            }
        )


@dataclass(frozen=True)
class Inputs:
    """How scoring computes the inputs: BG/NBD as of training, defaults for those without purchases."""

    horizon_days: int
    regularity: Regularity | None
    typical: tuple[float, ...]
    """The ``COLUMNS`` of a typical one-time buyer, used for customers who have no purchase left."""

    @classmethod
    def fit(cls, features: pd.DataFrame, n_days_placed: float, *, horizon_days: int) -> Self:
        """Fit on the features of today's customers, see ``fit_rhythm``."""
        return cls.read(features, fit_rhythm(features, n_days_placed), horizon_days=horizon_days)

    @classmethod
    def read(cls, features: pd.DataFrame, regularity: Regularity | None, *, horizon_days: int) -> Self:
        """Build the same from a BG/NBD and its regularity already fitted on these features."""
        rows = Prepared.of(features, regularity).for_horizon(horizon_days)
        once = rows[rows["frequency"] == 0]
        typical = (once if len(once) else rows).median()
        return cls(horizon_days, regularity, tuple(typical.tolist()))

    @property
    def bgnbd(self) -> BetaGeoNBD | None:
        """The BG/NBD, if there is one."""
        return None if self.regularity is None else self.regularity.bgnbd

    @property
    def kept(self) -> float:
        """Share of order days placed that are not returned, estimated from returns."""
        return 1.0 if self.bgnbd is None else 1 / self.bgnbd.placed

    def prepare(self, features: pd.DataFrame) -> Prepared:
        """Prepare customer features for this horizon, or any other with the same BG/NBD."""
        return Prepared.of(features, self.regularity)

    def rows(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return ``COLUMNS`` of ``features``, shape (n, columns), index as given."""
        return self.rows_of(self.prepare(features))

    def rows_of(self, prepared: Prepared) -> pd.DataFrame:
        """Return the same from features prepared with this BG/NBD."""
        rows = prepared.for_horizon(self.horizon_days)
        blank = rows["frequency"].isna()
        if blank.any():
            rows[blank] = np.array(self.typical)
        return rows

    def facts(self) -> dict[str, Any]:
        """Return plain data for ``model.json``."""
        typical = [None if np.isnan(value) else value for value in self.typical]
        regularity = None if self.regularity is None else asdict(self.regularity)
        return {"horizon_days": self.horizon_days, "regularity": regularity, "stranger": typical}

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Rebuild from what ``facts`` returned."""
        typical = tuple(np.nan if value is None else float(value) for value in facts["stranger"])
        regularity = None if facts["regularity"] is None else Regularity.of(facts["regularity"])
        return cls(int(facts["horizon_days"]), regularity, typical)
