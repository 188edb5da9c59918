"""Small models with known behaviour, for what trains, measures and serves models."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from worlds.orders import order_lines

from features.arrays.history import History
from features.errors import CannotLearn
from features.shop import Shop
from models.config import Config
from models.kinds import ListModel, ScoreModel
from models.model import Model
from models.registry import MODELS


@contextmanager
def in_place_of_ours() -> Iterator[None]:
    """Let two small models stand in for all of ours, which come back in their order (of learning)."""
    ours = dict(MODELS)
    MODELS.clear()
    MODELS.update(cross_sell="worlds.fakes:FakeLists", churn="worlds.fakes:FakeChurn")
    try:
        yield
    finally:
        MODELS.clear()
        MODELS.update(ours)


def lines_with_leavers(n_customers: int = 60, **options: int) -> pd.DataFrame:
    """Return order lines of a small shop where every third customer stops in May 2024."""
    lines = order_lines(n_customers, **options)
    leaves = lines["customer_id"].str[1:].astype(int) % 3 == 0
    return lines[~(leaves & (lines["ordered_at"] >= "2024-05-05"))]


def cannot_learn(cls: type[Model], *_: object, **__: object) -> None:
    """Stand in for ``fit`` where there is too little."""
    raise CannotLearn(f"{cls.name} has too little to learn from", "wait")


class FakeConfig(Config):
    """How good the fake is."""

    noise: float = 0.0
    horizon_days: int = 90


class Fake(Model[FakeConfig]):
    """Learns nothing: remembers its config and how long it could have learnt."""

    question = "a fake's"
    method = "none"
    Config = FakeConfig

    @classmethod
    def fit(cls, shop: Shop, known_until: datetime, config: Any) -> Self:
        shop.past_cutoffs(known_until, shop.settings.horizon_days)
        return cls(config, known_until)

    def save(self, folder: Path) -> None:
        self.write_card(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        card = cls.read_card(folder)
        return cls(card.config, card.trained_until)


class FakeChurn(Fake, ScoreModel[FakeConfig]):
    """Scores by recency, with noise on top; beats a coin."""

    name = "churn"
    truths = {"churn_probability": "lapsed"}
    headline = ("auc lapsed", "ece lapsed")
    must_beat = ("coin",)

    def predict(self, shop: Shop, cutoff: datetime, ids: Sequence[str] | None = None) -> pd.DataFrame:
        said = self.predict_from(shop.customer_features(cutoff, ids), cutoff)
        return said.add_suffix(f"_{shop.settings.horizon_days}d")

    def predict_from(self, features: pd.DataFrame, cutoff: datetime) -> pd.DataFrame:
        days = features["days_since_last_order"]
        rng = np.random.default_rng(self.config.seed)
        days = days + self.config.noise * rng.normal(0, 1000, len(days))
        return pd.DataFrame({"churn_probability": days.rank(pct=True)})

    def baselines(self, shop: Shop, known_until: datetime, cutoff: datetime, ids: list[str]) -> pd.DataFrame:
        return pd.DataFrame({"coin": np.random.default_rng(1).random(len(ids))}, index=ids)

    def importance(self) -> dict[str, float]:
        return {"days_since_last_order": 1.0}


class FakeValue(FakeChurn):
    """Takes everybody to be worth the same."""

    name = "ltv"
    worth = 20.0
    truths: dict[str, str] = {}

    def predict(self, shop: Shop, cutoff: datetime, ids: Sequence[str] | None = None) -> pd.DataFrame:
        known = shop.customer_features(cutoff, ids)
        return pd.DataFrame({f"expected_margin_{shop.settings.horizon_days}d": self.worth}, index=known.index)


class FakeLists(Fake, ListModel[FakeConfig, History]):
    """Recommends everyone what they bought most; shown beside the alphabet."""

    name = "cross_sell"
    horizon_days = 28
    headline = ("ndcg@10 all", "recall@10 repeat")
    must_beat = ("alphabet",)

    @classmethod
    def fit(cls, shop: Shop, known_until: datetime, config: Any) -> Self:
        if not shop.facts.has_products:
            raise CannotLearn("cross_sell needs product_id in order_lines, found none", "map it")
        return super().fit(shop, known_until, config=config)

    def state(self, shop: Shop, cutoff: datetime) -> History:
        return shop.history(cutoff)

    def recommend(
        self, state: History, customers: Any = None, *, k: int = 20, lists: tuple[str, ...] = ("for_you",)
    ) -> pd.DataFrame:
        counts = pd.crosstab(state.customer, state.product).reindex(
            columns=range(len(state.products)), fill_value=0
        )
        found = frame_of(state, counts.to_numpy(float), k, lists)
        return found if customers is None else found[found["customer_id"].isin(customers)]

    def baselines(
        self, shop: Shop, known_until: datetime, cutoff: datetime, k: int, customers: Any = None
    ) -> dict[str, pd.DataFrame]:
        history = shop.history(cutoff)
        alphabet = np.tile(-np.arange(len(history.products), dtype=float), (len(history.customers), 1))
        return {"alphabet": frame_of(history, alphabet, k, ("for_you", "new_for_you", "buy_again"))}


def frame_of(history: History, scores: np.ndarray, k: int, lists: tuple[str, ...]) -> pd.DataFrame:
    """Return the best ``k`` of a customers x products matrix as a frame of recommendations."""
    bought = np.zeros(scores.shape, bool)
    bought[history.customer, history.product] = True
    barred = {"for_you": np.zeros_like(bought), "new_for_you": bought, "buy_again": ~bought}
    parts = []
    for name in lists:
        able = np.where(barred[name], -np.inf, scores)
        order = np.argsort(-able, axis=1, kind="stable")[:, :k]
        row, rank = np.nonzero(np.isfinite(np.take_along_axis(able, order, axis=1)))
        parts.append(
            pd.DataFrame(
                {
                    "customer_id": history.customers.names(row),
                    "list": name,
                    "rank": rank + 1,
                    "product_id": history.products.names(order[row, rank]),
                    "score": able[row, order[row, rank]],
                    "source": "fake",
                }
            )
        )
    return pd.concat(parts, ignore_index=True)
