"""What goes with a cart: accessories of what is in it, and better versions of it."""

from collections.abc import Callable

import numpy as np

from features.arrays.dtypes import Bools, Floats, Ints
from features.arrays.groups import found_at
from models.candidates.state import ListState
from models.lists.dearer import Dearer
from models.lists.live_request import LiveRequest, Scored
from models.lists.picks import OWN, SOURCES, TOGETHER, UPSELL
from models.similarity.collaborative import Neighbours

SIMILAR = SOURCES.index("similar")
Suits = Callable[[Ints], Floats]
"""Returns the customer's own chance of buying each of some products."""
N_SUITED = 100
"""This many of the best are reordered by the customer's own chance; the others follow."""
TASTE = 1 / 3
"""Exponent of that chance beside how well a product goes with the cart: with more, little new is left."""
CART = 10.0
"""Odds rise by this times the product's shares of orders with what is in the cart, summed."""
JUST_LESS = 1 - 1e-6
"""What is appended scores this times the last before it: just below it."""


def together(state: ListState, request: LiveRequest, *, suits: Suits | None = None) -> Scored:
    """Return what is bought in one order with the cart (or the latest purchases), then what is similar to it.

    Products the customer is likely to buy move up.
    """
    seeds = request.seeds
    companions = _completed(_summed(state.together, seeds), _summed(state.neighbours, seeds, SIMILAR))
    kept = ~request.bars(state.rules, "bought_together", product=companions.product) & ~np.isin(
        companions.product, seeds
    )
    kept &= ~substitutes(state, seeds, of=companions.product)
    return _suited(
        Scored(companions.product[kept], companions.score[kept], companions.source[kept]), suits, TASTE
    )


def substitutes(state: ListState, seeds: Ints, *, of: Ints | slice = slice(None)) -> Bools:
    """Mark products that would replace one of ``seeds``: no accessories. ``of``: codes, by default all."""
    kin = state.kin[of]
    return np.asarray((kin >= 0) & (kin[:, None] == state.kin[seeds]).any(axis=1))


def better(state: ListState, dearer: Dearer, *, request: LiveRequest, suits: Suits | None = None) -> Scored:
    """Return better versions of the cart or the latest purchases, by chance x margin.

    The customer's own chance is a further factor. Products they have bought before come last.
    """
    seeds = request.seeds
    chance = dearer.chance[seeds].ravel()
    worth = chance * dearer.margin[seeds].ravel()
    product, at = np.unique(dearer.product[seeds].ravel(), return_inverse=True)
    total = np.bincount(at.ravel(), worth, minlength=len(product)).astype(np.float32)
    total *= chance.max(initial=0) / max(total.max(initial=0), np.float32(1e-9))
    kept = product >= 0
    kept[kept] = ~request.bars(state.rules, "upsell", product=product[kept])
    product, total = product[kept], total[kept]
    had, source = request.owned[product], np.full(len(product), UPSELL, np.uint8)
    new, made = (Scored(product[rows], total[rows], source[rows]) for rows in (~had, had))
    return _completed(_suited(new, suits, 1.0), made)


def with_cart(state: ListState, cart: Ints, *, ranked: Scored) -> Scored:
    """Return the ranked products with the odds raised of those that go with the cart.

    Substitutes of products in the cart are not raised. Where a new product's odds have doubled or more, its
    source becomes the cart.
    """
    goes = _summed(state.together, cart)
    at = found_at(ranked.product, goes.product)
    share = len(cart) * np.append(goes.score, 0)[at]  # -1 reads the last: none
    share[substitutes(state, cart, of=ranked.product)] = 0
    odds = ranked.score * (1 + CART * share)
    source = np.where((CART * share > 1) & (ranked.source != OWN), TOGETHER, ranked.source)
    chance = odds / (1 - ranked.score + odds)
    return Scored(ranked.product, chance.astype(np.float32), source.astype(np.uint8))


def _suited(scored: Scored, suits: Suits | None, weight: float) -> Scored:
    """Multiply the best scores by the customer's own chance raised to ``weight``; the others follow below."""
    if suits is None or not len(scored.product):
        return scored
    best = np.sort(np.argsort(-scored.score, kind="stable")[:N_SUITED])
    score = scored.score[best] * suits(scored.product[best]) ** np.float32(weight)
    score *= scored.score.max() / max(score.max(), np.float32(1e-30))
    return _completed(Scored(scored.product[best], score, scored.source[best]), scored)


def _completed(scored: Scored, rest: Scored) -> Scored:
    """Append the products of ``rest`` that ``scored`` lacks, in order, with scores just below its last."""
    new = ~np.isin(rest.product, scored.product)
    below = (
        float(scored.score.min(initial=1.0)) / max(float(rest.score[new].max(initial=0)), 1e-9) * JUST_LESS
    )
    score = rest.score[new] * np.float32(min(below, 1.0))
    product, source = np.append(scored.product, rest.product[new]), np.append(scored.source, rest.source[new])
    return Scored(product, np.append(scored.score, score), source)


def _summed(near: Neighbours, seeds: Ints, kind: int = TOGETHER) -> Scored:
    """Return the neighbours of all of ``seeds``, their scores summed."""
    product, score = near.product[seeds].ravel(), near.score[seeds].ravel()
    product, at = np.unique(product, return_inverse=True)
    total = np.bincount(at.ravel(), score, minlength=len(product)) / max(len(seeds), 1)
    kept = product >= 0
    source = np.full(int(kept.sum()), kind, np.uint8)
    return Scored(product[kept], total[kept].astype(np.float32), source)
