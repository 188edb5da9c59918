"""What else would they buy: candidates from many sources, ranked by one LightGBM over pair features."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np
from pydantic import Field

from features.errors import CannotLearn
from features.history import Floats, Ints
from features.pairs import PAIR_FEATURES, pair_features
from features.products import product_table
from features.shop import Shop
from models import collaborative
from models.candidates import Candidates, candidates, new_sources
from models.lists import LISTS, SOURCES, Pairs, Picks, asked_for, filled, frame, pick
from models.model import Model
from models.popular import require_products
from models.ranker import Ranker, RankerConfig, Rows
from models.state import TASTE_HALF_LIFE, State

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["SOURCES", "CrossSell", "CrossSellConfig"]

CHUNK = 100_000
"""Pairs are scored in pieces of about so many."""
N_LIVE = 100
"""So many products of each list are ranked anew for a request."""


class CrossSellConfig(RankerConfig):
    """Windows and candidates, besides the ranker; the same defaults serve every shop."""

    horizon_days: int | None = Field(default=None, ge=1)
    """Days a chance is about; by default the shop's horizon."""
    n_windows: int = Field(default=4, ge=1)
    """Past cutoffs to learn from, at most."""
    step_days: int = Field(default=14, ge=1)
    """Days between them."""
    max_customers: int = Field(default=20_000, ge=1)
    """Customers to learn from at each cutoff, drawn by ``seed``."""
    n_own: int = Field(default=400, ge=1)
    """Candidates out of what a customer bought before, at most."""
    budgets: dict[str, int] = {"similar": 100, "factors": 100, "alike": 100, "category": 100, "popular": 100}
    """New candidates by source, at most."""
    n_shelf: int = Field(default=20_000, ge=1)
    """Products that can be proposed as new: those that sell best, half-life 28 days."""
    n_neighbours: int = Field(default=50, ge=1)
    """Similar products kept for each product."""
    n_together: int = Field(default=20, ge=1)
    """Products bought in the same order kept for each product."""
    n_alike: int = Field(default=100, ge=1)
    """Customers with like baskets to look at."""
    n_factors: int = Field(default=64, ge=1)
    """ALS factors."""


class CrossSell(Model):
    """A calibrated chance for every candidate; lists are its order."""

    name = "cross_sell"
    question = "what else would they buy?"
    method = (
        "own history, item-item, ALS, like customers, category and popularity; LightGBM over pair features"
    )
    must_beat = ("popularity", "personal_frequency", "personal_frequency_decayed", "item_item", "als")
    kind = "lists"
    headline = ("ndcg@10 all", "ndcg@10 new", "recall@10 all")
    Config = CrossSellConfig

    def __init__(self, config: Any, trained_until: datetime, *, horizon_days: int, ranker: Any) -> None:
        super().__init__(config, trained_until)
        self.horizon_days, self.ranker = horizon_days, ranker
        self._ranked: tuple[State, int, dict[str, Picks]] | None = None

    @classmethod
    def fit(cls, shop: Shop, known_until: datetime, config: Any) -> Self:
        """Learn from windows closed by ``known_until``; raise ``CannotLearn`` where there is too little."""
        require_products(cls.name, shop)
        horizon = config.horizon_days or shop.settings.horizon_days
        cutoffs = shop.past_cutoffs(known_until, horizon, n=config.n_windows, step_days=config.step_days)
        unfit = cls(config, known_until, horizon_days=horizon, ranker=None)
        parts = [rows for cutoff in cutoffs for rows in unfit._rows(shop, cutoff, known_until)]
        n_bought = sum(int(rows.bought.sum()) for rows in parts)
        if n_bought < 20:
            raise CannotLearn(
                f"{cls.name} found {n_bought} purchases to learn from in {len(cutoffs)} windows of {horizon} "
                "days, it needs 20"
            )
        return cls(config, known_until, horizon_days=horizon, ranker=Ranker.train(parts, config))

    def _rows(self, shop: Shop, cutoff: datetime, known_until: datetime) -> Iterator[Rows]:
        """Yield the pairs of one window with what became of them; of those not bought, a sample."""
        state = self.state(shop, cutoff)
        history, rng = state.history, np.random.default_rng(self.config.seed)
        labels = shop.product_labels(cutoff, self.horizon_days, known_until)
        customer = history.customers.codes(labels["customer_id"].tolist())
        product = history.products.codes(labels["product_id"].tolist())
        known = (customer >= 0) & (product >= 0)
        size = len(history.products)
        truth = np.unique(customer[known].astype(np.int64) * size + product[known])
        sampled = np.sort(rng.permutation(len(history.customers))[: self.config.max_customers]).astype(
            np.int32
        )
        for codes, found in self._candidates(state, sampled):
            bought = np.isin(codes[found.customer].astype(np.int64) * size + found.product, truth)
            kept = bought | (rng.random(len(bought)) < self.config.negative_rate)
            few = Candidates(*(getattr(found, name)[kept] for name in Candidates.__annotations__))
            yield Rows(self._features(state, codes, few), bought[kept])

    def state(self, shop: Shop, cutoff: datetime) -> State:
        """Return what lists stand on as of ``cutoff``; ``CannotLearn`` where nothing was bought before."""
        config, history = self.config, shop.history(cutoff)
        if not len(history.product):
            raise CannotLearn(f"{self.name}: no customer bought a known product before {cutoff:%Y-%m-%d}")
        table = product_table(history, shop.catalogue(cutoff), self.horizon_days)
        sells = table.column("p_sales_28d")
        shelf = np.sort(np.argsort(-sells, kind="stable")[: config.n_shelf]).astype(np.int32)
        customer_factors, product_factors = collaborative.factors(
            history, config.n_factors, 56.0, seed=config.seed
        )
        return State(
            history=history,
            table=table,
            shelf=shelf,
            neighbours=collaborative.similar(history, config.n_neighbours, TASTE_HALF_LIFE),
            together=collaborative.together(history, config.n_together),
            alike=collaborative.alike(
                history, shelf, near=config.n_alike, depth=200, half_life_days=56.0, seed=config.seed
            ),
            customer_factors=customer_factors,
            product_factors=product_factors,
        )

    def _candidates(self, state: State, codes: Ints, k: int = 0) -> Iterator[tuple[Ints, Candidates]]:
        """Yield customers and their candidates, piece by piece; ``k`` of their own at least, if there are."""
        sources, n_own = new_sources(state, self.config.budgets), max(self.config.n_own, k)
        step = int(
            np.clip(CHUNK // (n_own + sum(self.config.budgets.values())), 1, 10_000_000 // len(state.shelf))
        )
        for start in range(0, len(codes), step):
            some = codes[start : start + step]
            yield some, candidates(state, some, sources, n_own)

    @staticmethod
    def _features(state: State, codes: Ints, found: Candidates) -> Floats:
        history = state.history.of_customers(codes)
        scores = state.scores(history, codes, found.customer, found.product)
        return pair_features(history, state.table, found.customer, found.product, scores)

    def ready(self, state: State, k: int = 100) -> dict[str, Picks]:
        """Return every list of every customer of the state: arrays (n_customers, k). Ranked once a state."""
        if self._ranked is None or self._ranked[0] is not state or self._ranked[1] < k:
            everyone = np.arange(len(state.history.customers), dtype=np.int32)
            self._ranked = (state, k, self._lists(state, everyone, k))
        return {name: picks.first(k) for name, picks in self._ranked[2].items()}

    def _lists(self, state: State, codes: Ints, k: int) -> dict[str, Picks]:
        """Rank the candidates of some customers, and complete what is too short."""
        parts: dict[str, list[Picks]] = {name: [] for name in LISTS}
        for some, found in self._candidates(state, codes, k):
            chance = self.ranker.chance(self._features(state, some, found))
            pairs = Pairs(found.customer, found.product, chance, found.source, found.own)
            for name in LISTS:
                parts[name].append(pick(pairs.of_list(name), len(some), k))
        lists = {name: Picks.joined(parts[name], k) for name in LISTS}
        return filled(lists, state.history.of_customers(codes), state.table.popularity)

    def recommend(
        self,
        state: State,
        customers: Sequence[str] | None = None,
        *,
        k: int = 20,
        lists: Sequence[str] = LISTS,
    ) -> "pd.DataFrame":
        """Return lists of every customer of the state, or of ``customers``; the unknown get what sells."""
        products = state.history.products.ids
        if customers is None:
            ranked = self.ready(state, k)
            return frame(
                {name: ranked[name] for name in lists}, state.history.customers.all_names(), products
            )
        codes = state.history.customers.codes(customers)
        ranked = {name: Picks.none(len(codes), k) for name in LISTS}
        for name, picks in self._lists(state, codes[codes >= 0], k).items():
            ranked[name].put(codes >= 0, picks)
        filled(ranked, asked_for(state.history, customers), state.table.popularity)
        return frame({name: ranked[name] for name in lists}, customers, products)

    def baselines(
        self, shop: Shop, known_until: datetime, cutoff: datetime, k: int
    ) -> dict[str, "pd.DataFrame"]:
        """Return what must be beaten, as frames like ``recommend``'s."""
        from models.list_baselines import baselines

        history = shop.history(cutoff)
        names, products = history.customers.all_names(), history.products.ids
        found = baselines(history, k=k, seed=self.config.seed)
        return {name: frame(lists, names, products) for name, lists in found.items()}

    def importance(self) -> dict[str, float]:
        """Return how much each pair feature explains, as a share of all."""
        shares: dict[str, float] = self.ranker.importance()
        return shares

    def save_state(self, state: State, folder: Path) -> None:
        """Write what ``models.live.Live`` answers from: state, ready lists as candidates, ranker."""
        state.save(folder)
        for name, picks in self.ready(state, N_LIVE).items():
            np.save(folder / f"{name}.product.npy", picks.product)
            np.save(folder / f"{name}.source.npy", picks.source)
        self.ranker.save_portable(folder)

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and the ranker, as LightGBM text and as ONNX."""
        self.write_card(folder, horizon_days=self.horizon_days, columns=list(PAIR_FEATURES))
        self.ranker.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back; raise ``ArtefactError`` where the pair features are not those it was trained on."""
        card = cls.read_card(folder)
        config = CrossSellConfig.model_validate(card["config"])
        trained_until = datetime.fromisoformat(card["trained_until"])
        return cls(config, trained_until, horizon_days=card["horizon_days"], ranker=Ranker.load(folder))
