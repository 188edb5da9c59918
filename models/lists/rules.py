"""What a list may contain and in which order, beyond the chance: learnt from orders, or set by the shop.

One object of arrays over product codes, used alike for all lists at night and for one request. A shop without
boosts, pins or caps skips their cost.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import numpy as np

from features.arrays.brought_back import BroughtBack
from features.arrays.catalogue import Catalogue
from features.arrays.dtypes import Bools, Column, Floats, Ids, Ints, Longs, Rows
from features.arrays.groups import Groups, cumcount
from features.arrays.history import History
from features.arrays.stored import read_array, write_arrays
from features.settings import Lists
from models.lists.list_kinds import LISTS

ARRAYS = ("returns", "hidden", "boost", "category", "is_new")
PRIOR, ALIKE = 20.0, 10_000.0
"""Prior strength, in buyers, of the shop's share of products bought again in each category: minimum, and
value if categories do not differ beyond chance."""
CONFIDENCE = 0.95
"""The lower confidence bound on a category's share of products bought again has this probability."""


@dataclass(frozen=True)
class Rules:
    """Rows are product codes. ``pinned``: list -> product codes at its top, if they may be shown."""

    returns: Bools
    """Whether a product that was bought may reappear in a list that is not about buying again."""
    hidden: Bools
    boost: Floats
    """Factor on the chance when products are ranked."""
    category: Ints
    """-1 for none, which is never capped."""
    is_new: Bools
    """New products, which have reserved places."""
    max_per_category: int = 0
    """0: no limit."""
    explore_share: float = 0.0
    """Share of places reserved for new products."""
    pinned: Mapping[str, Ints] = field(default_factory=dict)
    back: BroughtBack | None = None
    """Products that customers returned: these are not new to them."""

    @classmethod
    def of(
        cls,
        history: History,
        catalogue: Catalogue,
        *,
        lists: Lists,
        horizon_days: int,
        back: BroughtBack | None = None,
    ) -> Self:
        """Learn which categories are bought again as of the history's cutoff; apply the shop's settings."""
        learnt = learnt_returns(
            history, catalogue.category, min_share=lists.min_return_share, horizon_days=horizon_days
        )
        returns = _over(lists.returns, catalogue, learnt)
        boost = _over(lists.boosted, catalogue, np.ones(len(returns), np.float32))
        hidden = _over(dict.fromkeys(lists.hidden, True), catalogue, np.zeros(len(returns), bool))
        codes = {name: catalogue.products.codes(ids) for name, ids in lists.pinned.items()}
        pinned = {name: pins[pins >= 0] for name, pins in codes.items()}
        return cls(
            returns,
            hidden,
            boost,
            catalogue.category,
            is_new=np.zeros(len(returns), bool),
            max_per_category=lists.max_per_category,
            explore_share=lists.explore_share,
            pinned=pinned,
            back=back,
        )

    @cached_property
    def boosts(self) -> bool:
        """Whether any product is boosted."""
        return bool((self.boost != 1).any())

    @property
    def orders(self) -> bool:
        """Whether anything but the chance affects the order of products."""
        return self.boosts or bool(self.max_per_category or self.explore_share)

    def barred(self, list_name: str, product: Ints, *, own: Bools) -> Bools:
        """Mark pairs that a list may not contain; ``own``: whether the customer bought the product."""
        hidden: Bools = self.hidden[product]
        match LISTS[list_name].bought:
            case "only":
                return hidden | ~own
            case "never":
                return hidden | own
            case "any":
                return hidden
            case "if bought again":
                return hidden | (own & ~self.returns[product])

    def tried(self, list_name: str, ids: Ids, *, customer: Ints, product: Ints) -> Bools:
        """Mark pairs that are not new though all was returned; ``customer`` holds row numbers of ``ids``."""
        if self.back is None or LISTS[list_name].bought != "never":
            return np.zeros(len(product), bool)
        return self.back.among(ids, customer, product=product)

    def tried_pairs(self, list_name: str, ids: Ids) -> tuple[Longs, Longs]:
        """Return the same as pairs: row numbers of ``ids``, and products."""
        if self.back is None or LISTS[list_name].bought != "never":
            return np.zeros(0, np.int64), np.zeros(0, np.int64)
        return self.back.pairs(ids)

    def order(self, customer: Ints | None, product: Ints, *, score: Floats) -> Rows:
        """Return the order of pairs: by customer, then best first; ties go to the lower product code.

        With a cap, a category's first ``max_per_category`` products go before the further ones of all
        categories, its next ones after those, and so on: no product is lost, and the first k of a list
        respect the cap for any k as far as possible. ``customer`` None: all pairs are of one customer.
        """
        order = self.best_first(customer, product, score=score)
        return order[self.spread(None if customer is None else customer[order], product[order])]

    def best_first(self, customer: Ints | None, product: Ints, *, score: Floats) -> Rows:
        """Return the same order without a cap, and without new products that are explored."""
        key = -score * self.boost[product] if self.boosts else -score
        return np.lexsort((product, key) if customer is None else (product, key, customer))

    def spread(self, customer: Ints | None, product: Ints) -> Rows:
        """Return the order of pairs that are best first, with the cap, and with new products explored."""
        order = np.arange(len(product))
        mine = np.zeros(len(order), np.int64) if customer is None else customer.astype(np.int64)
        if self.max_per_category:
            turn = _place(mine, self.category[product]) // self.max_per_category
            order = np.lexsort((turn, mine))
        if self.explore_share:
            order = order[_explored(mine, self.is_new[product[order]], self.explore_share)]
        return order

    def best(self, popularity: Floats) -> Ints:
        """Return every product that is not hidden, best selling first, under the same order."""
        shown = np.flatnonzero(~self.hidden).astype(np.int32)
        return shown[self.order(None, shown, score=popularity[shown])]

    def pinned_to(self, list_name: str) -> Ints:
        """Return the products pinned to a list that are not hidden."""
        codes = self.pinned.get(list_name)
        return np.zeros(0, np.int32) if codes is None else codes[~self.hidden[codes]]

    def save(self, folder: Path) -> None:
        """Write arrays, and the rest as JSON."""
        write_arrays(folder, {name: getattr(self, name) for name in ARRAYS})
        pinned = {name: codes.tolist() for name, codes in self.pinned.items()}
        plain = {"max_per_category": self.max_per_category, "explore_share": self.explore_share}
        card = plain | {"pinned": pinned}
        (folder / "rules.json").write_text(json.dumps(card), encoding="utf-8")
        if self.back is not None:
            self.back.save(folder / "brought_back")

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back."""
        card = json.loads((folder / "rules.json").read_text(encoding="utf-8"))
        pinned = {name: np.array(codes, np.int32) for name, codes in card.pop("pinned").items()}
        arrays = {name: read_array(folder, name) for name in ARRAYS}
        back = BroughtBack.load(folder / "brought_back", len(arrays["returns"]))
        return cls(**arrays, **card, pinned=pinned, back=back)


def learnt_returns(history: History, category: Ints, *, min_share: float, horizon_days: int) -> Bools:
    """Return whether a product's category is one whose products are bought again: coffee is, fridges are not.

    Measured on every customer and product first bought more than a horizon ago: was that very product bought
    on another day? A category's share is shrunk to the shop's, the more so the less categories differ, and
    its lower bound must reach ``min_share``; so if categories are all alike the shop's own share decides.
    Products without a category form one. If no purchase is old enough, everything may be bought again.
    """
    from scipy.special import betaincinv

    product, again = _old_pairs(history, horizon_days)
    if not len(product):
        return np.ones(len(category), bool)
    n = np.bincount(category[product] + 1, minlength=int(category.max(initial=-1)) + 2)
    n_again = np.bincount(category[product] + 1, again, minlength=len(n))
    prior = _prior(n[n > 0], n_again[n > 0])
    drawn = n_again + prior * again.mean()
    bound = betaincinv(np.maximum(drawn, 1e-9), np.maximum(n + prior - drawn, 1e-9), 1 - CONFIDENCE)
    returns: Bools = (bound >= min_share)[category + 1]
    return returns


def _prior(n: Column, n_again: Column) -> float:
    """Return the prior strength of the shop's share, in buyers (moments of a beta-binomial).

    ``n`` are each category's buyers, at least one, of whom ``n_again`` came back.
    """
    share = n_again.sum() / n.sum()
    chance = share * (1 - share)
    beyond = (n * (n_again / n - share) ** 2).sum() - (len(n) - 1) * chance
    spread = beyond / max(n.sum() - (n**2).sum() / n.sum(), 1e-9)
    return float(np.clip(chance / max(spread, 1e-9) - 1, PRIOR, ALIKE))


def _old_pairs(history: History, horizon_days: int) -> tuple[Ints, Bools]:
    """Return the product of every pair first bought over a horizon ago, and whether it was bought again."""
    groups = Groups.of(history.pair)
    first, last = groups.first(history.day), groups.last(history.day)
    old = history.cutoff_day - first > horizon_days
    return history.product[groups.order[groups.start]][old], (last > first)[old]


def _over(settings: Mapping[str, Any], catalogue: Catalogue, learnt: Any) -> Any:
    """Override what was learnt by the settings of categories (the broadest first), then of products."""
    values = np.array(learnt)
    for name in sorted(settings, key=len):
        values[catalogue.within(name)] = settings[name]
    codes = catalogue.products.codes(list(settings))
    for code, value in zip(codes.tolist(), settings.values(), strict=True):
        if code >= 0:
            values[code] = value
    return values


def _place(customer: Longs, category: Ints) -> Longs:
    """Return how many rows of the same customer and category come before each; 0 without a category."""
    place = cumcount(customer * (int(category.max(initial=-1)) + 2) + category + 1)
    place[category < 0] = 0
    return place


def _explored(customer: Longs, new: Bools, share: float) -> Rows:
    """Return the order in which the i-th new product has position ``(i + 1) / share`` at the latest.

    Rows are sorted by customer, best first; new products keep their order.
    """
    others = _place(customer, np.where(new, -1, 0).astype(np.int32))
    before = np.where(new, _running(customer, ~new), others).astype(np.float64)
    turn = _place(customer, np.where(new, 0, -1).astype(np.int32))
    latest = np.ceil((turn + 1) / share) - 1 - turn
    return np.lexsort((np.where(new, np.minimum(before, latest) - 0.5, before), customer))


def _running(customer: Longs, marked: Bools) -> Longs:
    """Return how many marked rows of the same customer come before each; rows are sorted by customer."""
    total = np.cumsum(marked, dtype=np.int64) - marked
    start = np.searchsorted(customer, customer)
    counted: Longs = total - total[start]
    return counted
