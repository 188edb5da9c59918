"""Best sellers, and each customer's own habits: nothing is learnt, so it works where no other model can."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import Field

from features.arrays.dtypes import Floats, Ints
from features.arrays.groups import Groups
from features.arrays.history import History
from features.arrays.products import popularity
from features.shop import Shop
from models.config import HorizonConfig
from models.kinds import ListModel
from models.lists.list_kinds import PERSONAL
from models.lists.picks import OWN, Pairs, Picks, asked_for, filled, frame, pick
from models.lists.rules import Rules
from models.model import card_of, require_products
from models.ranking.reason_texts import CODES

if TYPE_CHECKING:
    import pandas as pd


class PopularConfig(HorizonConfig):
    """How fast a customer's habits are forgotten."""

    half_life_days: float = Field(default=56.0, gt=0)
    """Days after which a customer's own purchase counts half."""


@dataclass(frozen=True)
class PopularState:
    """Histories as of a cutoff, and the chance of each product to be bought by anyone, guests included."""

    history: History
    chance: Floats
    rules: Rules


class Popular(ListModel[PopularConfig, PopularState]):
    """Decayed counts: the customer's own first, then the shop's."""

    name = "popular"
    question = "what sells now?"
    method = "share of recent customers who bought it; own purchases, exponentially decayed, before it"
    headline = ("ndcg@10 all", "ndcg@10 new")
    Config = PopularConfig

    def __init__(self, config: PopularConfig, trained_until: datetime, *, horizon_days: int) -> None:
        super().__init__(config, trained_until)
        self.horizon_days = horizon_days

    @classmethod
    def fit(cls, shop: Shop, known_until: datetime, *, config: PopularConfig) -> Self:
        """Take the shop's horizon; raise ``CannotLearn`` if orders do not name products."""
        require_products(cls.name, shop)
        return cls(config, known_until, horizon_days=config.horizon(shop))

    def state(self, shop: Shop, cutoff: datetime) -> PopularState:
        """Return the state as of ``cutoff``."""
        history = shop.history(cutoff)
        back, lists = shop.brought_back(cutoff), shop.settings.lists
        rules = Rules.of(
            history, shop.catalogue(cutoff), lists=lists, horizon_days=self.horizon_days, back=back
        )
        return PopularState(history, popularity(shop.sales(cutoff), self.horizon_days), rules)

    def best(self, state: PopularState) -> tuple[Ints, Floats]:
        """Return the products that may be shown, best selling first, with their chance to be bought."""
        best, first = state.rules.best(state.chance), state.rules.pinned_to("popular")
        order = np.concatenate([first, best[~np.isin(best, first)]])
        return order, state.chance[order]

    def ready(self, state: PopularState, k: int = 100) -> dict[str, Picks]:
        """Return every list of every customer of the state, with reasons: arrays (n_customers, k)."""
        lists = self._lists(state, state.history, k=k, names=PERSONAL)
        for picks in lists.values():
            _explain(picks, state.history)
        return lists

    def recommend(
        self,
        state: PopularState,
        customers: Sequence[str] | None = None,
        *,
        k: int = 20,
        lists: Sequence[str] = PERSONAL,
    ) -> "pd.DataFrame":
        """Return lists of every customer of the state, or of ``customers``; the unknown get best sellers."""
        asked = state.history.customers.all_names() if customers is None else list(customers)
        history = state.history if customers is None else asked_for(state.history, asked)
        return frame(self._lists(state, history, k=k, names=lists), asked, products=history.products.ids)

    def _lists(
        self, state: PopularState, history: History, *, k: int, names: Sequence[str]
    ) -> dict[str, Picks]:
        """Return lists of the customers of ``history``: own products first, filled up with best sellers."""
        rules, ids = state.rules, history.customers.ids
        pairs = self._habits(history).best_first(rules)
        picks = {
            name: pick(pairs.of_list(name, rules, ids=ids), len(ids), k=k, rules=rules) for name in names
        }
        return filled(picks, history, popularity=state.chance, rules=rules)

    def _habits(self, history: History) -> Pairs:
        """Return each customer's own products with the chance implied by their decayed rate of purchases."""
        groups = Groups.of(history.pair)
        half_life = self.config.half_life_days
        weight = np.exp2((history.day - history.cutoff_day) / half_life)[None, :]
        expected = groups.sums(weight)[0] * np.log(2) / half_life * self.horizon_days
        row = groups.order[groups.start]
        n = len(row)
        return Pairs(
            history.customer[row],
            history.product[row],
            -np.expm1(-expected).astype(np.float32),
            np.full(n, OWN, np.uint8),
            np.ones(n, bool),
        )

    def save(self, folder: Path) -> None:
        """Write ``model.json``."""
        self.write_card(folder, horizon_days=self.horizon_days)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back what ``save`` wrote."""
        with card_of(cls, folder) as card:
            return cls(card.config, card.trained_until, horizon_days=card.facts["horizon_days"])


def _explain(picks: Picks, history: History) -> None:
    """Write the reason of own products: how many days ago they were last bought; in place."""
    groups, pair = Groups.of(history.pair), history.pair
    own = np.nonzero(picks.source == OWN)
    wanted = own[0] * len(history.products) + picks.product[own]
    at = np.searchsorted(groups.first(pair), wanted)
    picks.reason[own] = CODES.index("again")
    picks.number[own] = history.cutoff_day - groups.last(history.day)[at]
