"""What else would they buy: candidates from many sources, ranked by one ranker over pair features."""

from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from features.arrays.dtypes import Floats, Ints
from features.arrays.pairs import PAIR_FEATURES
from features.arrays.stored import write_arrays
from features.shop import Shop
from models.candidates.source_recall import source_recall
from models.candidates.sources import new_sources
from models.candidates.state import ListState
from models.candidates.union import Candidates
from models.kinds import ListModel
from models.lists.list_kinds import PERSONAL
from models.lists.picks import Pairs, Picks, asked_for, filled, frame, pick
from models.lists.rules import Rules
from models.model import card_of, require_products
from models.ranking.chances import Chances
from models.ranking.cross_sell_rows import (
    CrossSellConfig,
    features_of,
    learning_rows,
    over_candidates,
    state_of,
)
from models.ranking.ranker import Ranker
from models.ranking.reasons import Explainer, Reasons, explain, reasons_of
from models.ranking.young import levelled

if TYPE_CHECKING:
    import pandas as pd


N_LIVE = 100
"""Number of products of each list that are ranked again for a request."""
N_USUAL = 40
"""Number of customers whose candidates define the features of an ordinary candidate."""


class CrossSell(ListModel[CrossSellConfig, ListState]):
    """A calibrated chance for every candidate; lists are ordered by it."""

    name = "cross_sell"
    question = "what else would they buy?"
    method = (
        "own history, item-item, EASE, ALS, like customers, baskets, words, category, arrivals, popularity; "
        "LightGBM, a small network and, in small shops, a regression over pair features"
    )
    must_beat = (
        "popularity",
        "personal_frequency",
        "personal_frequency_decayed",
        "item_item",
        "als",
        "tifu_knn",
    )
    headline = ("ndcg@10 all", "ndcg@10 new", "recall@10 all")
    Config = CrossSellConfig

    def __init__(
        self, config: CrossSellConfig, trained_until: datetime, *, horizon_days: int, ranker: Ranker
    ) -> None:
        super().__init__(config, trained_until)
        self.horizon_days, self.ranker = horizon_days, ranker
        self._ranked: tuple[ListState, int, dict[str, Picks]] | None = None
        self._ordinary: tuple[ListState, Floats] | None = None

    @classmethod
    def fit(cls, shop: Shop, known_until: datetime, *, config: CrossSellConfig) -> Self:
        """Learn from windows closed by ``known_until``; raise ``CannotLearn`` if there is too little."""
        require_products(cls.name, shop)
        horizon = config.horizon(shop)
        rows = learning_rows(shop, known_until, config=config, horizon_days=horizon)
        ranker = levelled(
            Ranker.train(rows, config), shop, known_until=known_until, config=config, horizon_days=horizon
        )
        return cls(config, known_until, horizon_days=horizon, ranker=ranker)

    def state(self, shop: Shop, cutoff: datetime) -> ListState:
        """Return the state of lists as of ``cutoff``; ``CannotLearn`` if nothing was bought before."""
        return state_of(shop, cutoff, config=self.config, horizon_days=self.horizon_days, dated=True)

    def ready(self, state: ListState, k: int = 100) -> dict[str, Picks]:
        """Return every list of every customer of the state: arrays (n_customers, k); cached."""
        if self._ranked is None or self._ranked[0] is not state or self._ranked[1] < k:
            everyone = np.arange(len(state.history.customers), dtype=np.int32)
            self._ranked = (state, k, self._lists(state, everyone, k))
        return {name: picks.first(k) for name, picks in self._ranked[2].items()}

    def _lists(self, state: ListState, codes: Ints, k: int) -> dict[str, Picks]:
        """Rank the candidates of some customers, and fill up short lists."""
        self._usual(state)  # asked once, before the pieces ask it side by side
        lists, start = {name: Picks.none(len(codes), k) for name in PERSONAL}, 0
        for batch in over_candidates(
            state, codes, config=self.config, work=partial(self._picked, state=state, k=k), k=k
        ):
            end = start + len(batch[PERSONAL[0]].product)
            for name, picks in batch.items():
                lists[name].put(slice(start, end), picks)
            start = end
        return filled(
            lists, state.history.of_customers(codes), popularity=state.table.popularity, rules=state.rules
        )

    def _picked(self, codes: Ints, candidates: Candidates, *, state: ListState, k: int) -> dict[str, Picks]:
        """Return the lists of a batch of customers, with reasons."""
        chances = Chances(state, self.ranker, state.history.of_customers(codes), codes)
        features = chances.features(candidates.customer, candidates.product)
        chance = chances.predict(candidates.customer, candidates.product, features=features)
        rules, ids = state.rules, state.history.customers.ids[codes]
        pairs = Pairs(candidates.customer, candidates.product, chance, candidates.source, candidates.own)
        pairs = pairs.best_first(rules)
        picks = {
            name: pick(pairs.of_list(name, rules, ids=ids), len(codes), k=k, rules=rules) for name in PERSONAL
        }
        reasons = partial(self._reasons, chances=chances, candidates=candidates, features=features)
        explain(picks, candidates, n_products=len(state.history.products), of=reasons)
        return picks

    def _reasons(self, rows: Ints, *, chances: Chances, candidates: Candidates, features: Floats) -> Reasons:
        """Return the reasons for some rows of candidates."""
        state, explainer = chances.state, Explainer(self.ranker.without, self._usual(chances.state))
        return reasons_of(
            state,
            chances.history,
            pairs=candidates.at(rows),
            features=features[rows],
            explainer=explainer,
            who=chances.codes,
        )

    def _usual(self, state: ListState) -> Floats:
        """Return the features of an ordinary new candidate: medians over some customers; cached."""
        if self._ordinary is None or self._ordinary[0] is not state:
            few = np.unique(np.linspace(0, len(state.history.customers) - 1, N_USUAL).astype(np.int32))

            def of_new(some: Ints, candidates: Candidates) -> Floats:
                return features_of(state, some, pairs=candidates)[~candidates.own]

            new = np.concatenate(list(over_candidates(state, few, config=self.config, work=of_new)))
            usual = np.median(new, axis=0) if len(new) else np.zeros(new.shape[1])
            self._ordinary = (state, usual.astype(np.float32))
        return self._ordinary[1]

    def recommend(
        self,
        state: ListState,
        customers: Sequence[str] | None = None,
        *,
        k: int = 20,
        lists: Sequence[str] = PERSONAL,
    ) -> "pd.DataFrame":
        """Return lists of every customer of the state, or of ``customers``; the unknown get best sellers."""
        products = state.history.products.ids
        if customers is None:
            ranked = self.ready(state, k)
            return frame(
                {name: ranked[name] for name in lists}, state.history.customers.all_names(), products=products
            )
        codes = state.history.customers.codes(customers)
        ranked = {name: Picks.none(len(codes), k) for name in PERSONAL}
        for name, picks in self._lists(state, codes[codes >= 0], k).items():
            ranked[name].put(codes >= 0, picks)
        filled(
            ranked, asked_for(state.history, customers), popularity=state.table.popularity, rules=state.rules
        )
        return frame({name: ranked[name] for name in lists}, customers, products=products)

    def baselines(
        self,
        shop: Shop,
        known_until: datetime,
        *,
        cutoff: datetime,
        k: int,
        customers: Sequence[str] | None = None,
    ) -> dict[str, "pd.DataFrame"]:
        """Return the baselines to beat, as frames like ``recommend``'s: of everyone, or of ``customers``."""
        from models.candidates.list_baselines import baselines

        history = shop.history(cutoff)
        codes = np.arange(len(history.customers), dtype=np.int32)
        if customers is not None:
            codes = history.customers.codes(customers)
        codes = codes[codes >= 0]
        names, products = history.customers.names(codes), history.products.ids
        rules = Rules.of(
            history, shop.catalogue(cutoff), lists=shop.settings.lists, horizon_days=self.horizon_days
        )
        methods = baselines(history, codes, rules=rules, k=k, seed=self.config.seed)
        return {name: frame(lists, names, products=products) for name, lists in methods.items()}

    def figures(
        self, state: ListState, customers: Sequence[str], *, products: Sequence[str]
    ) -> dict[str, float]:
        """Return the sources' recall of first purchases (``source_recall``), and the ranker's weights."""
        customer, product = state.history.customers.codes(customers), state.history.products.codes(products)
        known = (customer >= 0) & (product >= 0)
        sources = new_sources(state, self.config.budgets)
        shares = source_recall(
            state, customer[known], product=product[known], sources=sources, seed=self.config.seed
        )
        recall = {f"{what} source_{name}": x for name, row in shares.items() for what, x in row.items()}
        plain = self.ranker.plain
        return recall | {"net share": self.ranker.net_share, "plain share": plain.share if plain else 0.0}

    def importance(self) -> dict[str, float]:
        """Return each pair feature's share of the importance, summing to 1."""
        return self.ranker.importance()

    def save_state(self, state: ListState, folder: Path) -> None:
        """Write what ``models.ranking.live.Live`` answers from: state, ready lists as candidates, ranker."""
        state.save(folder)
        for name, picks in self.ready(state, N_LIVE).items():
            write_arrays(folder, {f"{name}.product": picks.product, f"{name}.source": picks.source})
        write_arrays(folder, {"usual": self._usual(state)})
        self.ranker.save(folder)

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and the ranker."""
        self.write_card(folder, horizon_days=self.horizon_days, columns=list(PAIR_FEATURES))
        self.ranker.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back; raise ``ArtefactError`` if the pair features are not those it was trained on."""
        with card_of(cls, folder) as card:
            horizon, ranker = card.facts["horizon_days"], Ranker.load(folder)
            return cls(card.config, card.trained_until, horizon_days=horizon, ranker=ranker)
