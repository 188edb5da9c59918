"""Customer segments: an RFM grid with the names marketers use, and personas found in their behaviour."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from pydantic import Field

from features.arrays.dtypes import Doubles, Longs
from features.customer import CUSTOMER_FEATURES
from features.errors import CannotLearn
from features.shop import Shop
from models.config import Config
from models.customers.customer_panel import has_money
from models.customers.inputs import whole
from models.customers.personas import TRAITS, Personas
from models.customers.rfm_grid import GRID, LOST
from models.kinds import ScoreModel
from models.model import customer_card

RHYTHM = ("days_since_last_order", "n_order_days")
"""Recency and frequency; money is revenue, or order days again in a shop without prices."""

FIFTHS = (0.2, 0.4, 0.6, 0.8)


class SegmentsConfig(Config):
    """How finely customers are divided."""

    fewest_personas: int = Field(default=3, ge=2)
    """Minimum number of personas, if the customers differ enough."""
    most_personas: int = Field(default=6, ge=2)
    """Maximum number of personas: as many as a team can keep in mind."""
    sample: int = Field(default=10_000, ge=100)
    """Maximum number of customers from which personas are learnt."""


@dataclass(frozen=True)
class Fifths:
    """Quintiles of one quantity, fixed when learnt, so that a customer moves only by their own change."""

    edges: tuple[float, ...]

    @classmethod
    def of(cls, values: Doubles) -> Self:
        """Learn the quintile limits of ``values``, shape (n,)."""
        return cls(tuple(np.quantile(values, FIFTHS).tolist()))

    def fifth(self, values: Doubles) -> Longs:
        """Return 0 to 4, shape (n,); a value on a limit belongs to the lower fifth."""
        return np.searchsorted(np.array(self.edges), values, side="left").astype(np.int64)


class Segments(ScoreModel[SegmentsConfig]):
    """RFM segments and personas, with names; learnt on the customers known at the time."""

    name = "segments"
    question = "who are they?"
    method = "RFM grid in fifths; k-means personas on logs, k by silhouette and stability"
    headline = ("explained n_order_days",)
    truths = {"segment": "n_order_days"}
    Config = SegmentsConfig

    def __init__(
        self,
        config: SegmentsConfig,
        trained_until: datetime,
        *,
        scales: dict[str, Fifths],
        personas: Personas,
    ) -> None:
        """Take ``scales`` in the order recency, frequency, money, by the feature each reads."""
        super().__init__(config, trained_until)
        self.scales = scales
        self.personas = personas

    @classmethod
    def fit(cls, shop: Shop, known_until: datetime, *, config: SegmentsConfig) -> Self:
        """Learn fifths and personas from the customers seen before ``known_until``.

        Raises ``CannotLearn`` if they are fewer than the fewest personas asked for.
        """
        features = shop.customer_features(known_until)
        if len(features) < config.fewest_personas:
            raise CannotLearn(
                f"segments needs at least {config.fewest_personas} customers, found {len(features)}",
                "ingest the orders of more customers",
            )
        scales = _scales(features)
        personas = Personas.fit(
            features,
            fewest=config.fewest_personas,
            most=config.most_personas,
            sample=config.sample,
            seed=config.seed,
        )
        return cls(config, known_until, scales=scales, personas=personas)

    def predict_from(self, features: pd.DataFrame, cutoff: datetime) -> pd.DataFrame:
        """Return ``segment`` and ``persona`` from customer features."""
        features = whole(features)
        return pd.DataFrame(
            {
                "segment": _segment(features, self.scales),
                "persona": pd.Series(self.personas.assign(features), index=features.index, dtype="str"),
            }
        )

    def save(self, folder: Path) -> None:
        """Write ``model.json``."""
        self.write_card(
            folder,
            customer_features=CUSTOMER_FEATURES.fingerprint,
            columns=sorted({*self.scales, *TRAITS}),
            scales={name: scale.edges for name, scale in self.scales.items()},
            personas=self.personas.facts(),
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back; raise ``ArtefactError`` if the features are not its own, or a part is missing."""
        with customer_card(cls, folder) as card:
            return cls(
                card.config,
                card.trained_until,
                scales={name: Fifths(tuple(edges)) for name, edges in card.facts["scales"].items()},
                personas=Personas.from_facts(card.facts["personas"]),
            )


def rfm(features: pd.DataFrame) -> "pd.Series[str]":
    """Return each customer's RFM segment relative to the customers in these features."""
    return _segment(features, _scales(features))


def _scales(features: pd.DataFrame) -> dict[str, Fifths]:
    money = "revenue" if has_money(features) else "n_order_days"
    return {name: Fifths.of(_known(features, name)) for name in (*RHYTHM, money)}


def _segment(features: pd.DataFrame, scales: Mapping[str, Fifths]) -> "pd.Series[str]":
    since, often = (scales[name].fifth(_known(features, name)) for name in RHYTHM)
    money = next((name for name in scales if name not in RHYTHM), RHYTHM[1])
    much = scales[money].fifth(_known(features, money))
    segment = np.array(GRID, dtype=object)[4 - since, (often + much + 1) // 2]
    segment[features["n_order_days"].isna().to_numpy()] = LOST
    return pd.Series(segment, index=features.index, dtype="str")


def _known(features: pd.DataFrame, name: str) -> Doubles:
    return features[name].fillna(0.0).to_numpy(float)
