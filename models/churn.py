"""Churn: the probability that a customer places no order within the horizon."""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self

import pandas as pd
from scipy.special import expit

from features.customer import CUSTOMER_FEATURES
from features.shop import Shop
from models.chance.curve import Curve
from models.chance.horizon import Horizon
from models.chance.purchase_chance import Extrapolated, extrapolate
from models.customers import reasons
from models.customers.customer_panel import PanelConfig, everyone, stacked, training_windows
from models.customers.inputs import COLUMNS, ORDERS
from models.customers.log_linear import RFM, LogLinear
from models.kinds import ScoreModel
from models.model import customer_card
from models.processes.pareto_nbd import pareto_orders


class ChurnConfig(PanelConfig):
    """How churn is learnt."""

    curve_days: tuple[int, ...] = (30, 60, 90, 180)
    """Further horizons to predict, where the history is long enough."""


class Churn(ScoreModel[ChurnConfig]):
    """A calibrated probability of no order within the horizon, for everyone seen before the cutoff."""

    name = "churn"
    question = "will they buy within the horizon?"
    method = "LightGBM and logistic regression on past windows, with BG/NBD expectations, calibrated"
    must_beat = ("logistic_regression", "bgnbd", "pareto_nbd", "recency")
    headline = ("auc lapsed", "ece lapsed", "brier lapsed")
    truths = {"churn_probability": "lapsed"}
    Config = ChurnConfig

    def __init__(
        self, config: ChurnConfig, trained_until: datetime, *, curve: Curve, horizon: Horizon
    ) -> None:
        super().__init__(config, trained_until)
        self.curve, self.horizon = curve, horizon
        own = curve.model(horizon.horizon_days)
        self.inputs, self.chance = own.inputs, own.chance
        self.part = own.chance.inputs if isinstance(own.chance, Extrapolated) else own.inputs

    @property
    def column(self) -> str:
        """The name of the column it predicts."""
        return f"churn_probability_{self.inputs.horizon_days}d"

    @classmethod
    def fit(cls, shop: Shop, known_until: datetime, *, config: ChurnConfig) -> Self:
        """Learn from windows closed by ``known_until``; raise ``CannotLearn`` if there is none.

        A horizon of which no window has closed yet is extrapolated from a shorter one; ``notes`` then say so.
        """
        horizon = Horizon.of(shop, known_until, horizon_days=config.horizon(shop))
        curve = Curve.fit(shop, known_until, config=config, others=config.curve_days, horizon=horizon)
        return cls(config, known_until, curve=curve, horizon=horizon)

    def notes(self, as_of: date | None = None) -> list[dict[str, Any]]:
        """Return the caveats on the shop's horizon as of a day: see ``Horizon.notes``."""
        return self.horizon.notes(self.name, as_of if self.chance.later else None)

    def predict_from(self, features: pd.DataFrame, cutoff: datetime) -> pd.DataFrame:
        """Return ``churn_probability_{h}d`` from customer features as of ``cutoff``.

        The shop's horizon comes first, then the others; a longer absence is never more probable than a
        shorter one.
        """
        chances = 1.0 - self.curve.after(self.age_days(cutoff)).probabilities(features)
        columns = chances.rename(columns=lambda days: f"churn_probability_{days}d")
        return columns[[self.column, *columns.columns.drop(self.column)]]

    def explain(self, shop: Shop, cutoff: datetime) -> pd.DataFrame:
        """Return ``churn_reason_1`` to ``_3`` for everyone seen before ``cutoff`` (``customers.reasons``)."""
        return self.explain_from(everyone(shop, cutoff))

    def explain_from(self, features: pd.DataFrame) -> pd.DataFrame:
        """Return the same from customer features; null for a customer who has no purchase left."""
        codes = reasons.codes(-self.chance.contributions(self.inputs.rows(features)))
        return codes.where(features["frequency"].notna())

    def importance(self) -> dict[str, float]:
        """Return each column's share of the trees' gain."""
        return self.chance.trees.gain(COLUMNS)

    def baselines(
        self, shop: Shop, known_until: datetime, *, cutoff: datetime, ids: Sequence[str]
    ) -> pd.DataFrame:
        """Return one column per baseline; higher means likelier to churn.

        ``logistic_regression``: a probability, on log RFM of the same windows, extrapolated as ours is.
        ``bgnbd``, ``pareto_nbd``: minus the expected orders. ``recency``: days since the last order.
        """
        features = everyone(shop, cutoff, ids=ids)
        learnt = self.config.model_copy(update={"horizon_days": self.horizon.learnt_days})
        windows = training_windows(shop, known_until, config=learnt)
        rows = pd.concat([window.rows[list(RFM)] for window in windows])
        bought = stacked([window.bought for window in windows])
        linear = LogLinear.fit(RFM, rows, truth=bought, ridge=1.0)
        now, chance = self.inputs.rows(features), expit(linear.score(self.part.rows(features)))
        if self.horizon.is_extrapolated:
            chance = extrapolate(chance, self.part.rows(features), whole=now)
        return pd.DataFrame(
            {
                "logistic_regression": 1.0 - chance,
                "bgnbd": -now[ORDERS],
                "pareto_nbd": -pareto_orders(now, self.inputs.horizon_days),
                "recency": now["days_since_last_order"],
            },
            index=features.index,
        )

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and the trees, one text file per horizon."""
        self.write_card(
            folder,
            customer_features=CUSTOMER_FEATURES.fingerprint,
            columns=COLUMNS,
            horizon_days=self.inputs.horizon_days,
            horizon=self.horizon.facts(),
            curve=self.curve.facts(),
        )
        self.curve.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back; raise ``ArtefactError`` if the features are not its own, or a part is missing."""
        with customer_card(cls, folder) as card:
            return cls(
                card.config,
                card.trained_until,
                curve=Curve.load(folder, card.facts["curve"]),
                horizon=Horizon.of_facts(card.facts["horizon"]),
            )
