"""What goes with a cart: accessories of what is in it, and better versions of it."""

from collections.abc import Callable

import numpy as np

from features.arrays.dtypes import Bools, Floats, Ints
from features.arrays.groups import found_at
from models.candidates.state import ListState
from models.lists.dearer import Dearer
from models.lists.picks import OWN, SOURCES, TOGETHER, UPSELL
from models.lists.question import Question, Scored
from models.similarity.collaborative import Neighbours

LIKE = SOURCES.index("similar")
Suits = Callable[[Ints], Floats]
"""The chance of the customer who asks to buy each of some products."""
N_SUITED = 100
"""So many of the best are looked at for whether they suit who asks; the others follow them."""
TASTE = 1 / 3
"""Weight of the log of that chance beside what goes with a cart: with more, little new is left."""
CART = 10.0
"""The odds of a product rise by so many times its shares of orders with what is in the cart, summed."""
JUST_LESS = 1 - 1e-6
"""What is appended scores so much of the last before it: less, and hardly less."""


def together(state: ListState, ask: Question, suits: Suits | None = None) -> Scored:
    """Return what is bought in one order with the cart or the latest purchases, then what is like it.

    Of what goes with it as well, what suits the customer comes first.
    """
    lead = ask.lead
    found = _completed(_summed(state.together, lead), _summed(state.neighbours, lead, LIKE))
    kept = ~ask.bars(state.rules, "bought_together", found.product) & ~np.isin(found.product, lead)
    kept &= ~substitutes(state, lead, found.product)
    return _suited(Scored(found.product[kept], found.score[kept], found.source[kept]), suits, TASTE)


def substitutes(state: ListState, lead: Ints, of: Ints | slice = slice(None)) -> Bools:
    """Mark which products would replace one of ``lead``: no accessory of it. ``of`` codes; by default all."""
    kin = state.kin[of]
    return np.asarray((kin >= 0) & np.isin(kin, state.kin[lead]))


def better(state: ListState, dearer: Dearer, ask: Question, suits: Suits | None = None) -> Scored:
    """Return better versions of the cart or the latest purchases, by chance x margin.

    The customer's own chance counts as a factor more. What they have bought before is a step they have made:
    it comes last.
    """
    lead = ask.lead
    chance = dearer.chance[lead].ravel()
    worth = chance * dearer.margin[lead].ravel()
    product, at = np.unique(dearer.product[lead].ravel(), return_inverse=True)
    total = np.bincount(at.ravel(), worth, minlength=len(product)).astype(np.float32)
    total *= chance.max(initial=0) / max(total.max(initial=0), np.float32(1e-9))
    kept = product >= 0
    kept[kept] = ~ask.bars(state.rules, "upsell", product[kept])
    product, total = product[kept], total[kept]
    had, source = ask.owned[product], np.full(len(product), UPSELL, np.uint8)
    new, made = (Scored(product[rows], total[rows], source[rows]) for rows in (~had, had))
    return _completed(_suited(new, suits, 1.0), made)


def with_cart(state: ListState, cart: Ints, found: Scored) -> Scored:
    """Return what is ranked by chances with the odds of what goes with the cart raised.

    What would replace a product of the cart is no companion, whatever else it goes with. Where odds have
    doubled, the cart is why a new product is there.
    """
    goes = _summed(state.together, cart)
    at = found_at(found.product, goes.product)
    share = len(cart) * np.append(goes.score, 0)[at]  # -1 reads the last: none
    share[substitutes(state, cart, found.product)] = 0
    odds = found.score * (1 + CART * share)
    source = np.where((CART * share > 1) & (found.source != OWN), TOGETHER, found.source)
    chance = odds / (1 - found.score + odds)
    return Scored(found.product, chance.astype(np.float32), source.astype(np.uint8))


def _suited(found: Scored, suits: Suits | None, weight: float) -> Scored:
    """Return the best with the customer's own chance, raised to ``weight``, as a factor; the others below."""
    if suits is None or not len(found.product):
        return found
    best = np.sort(np.argsort(-found.score, kind="stable")[:N_SUITED])
    score = found.score[best] * suits(found.product[best]) ** np.float32(weight)
    score *= found.score.max() / max(score.max(), np.float32(1e-30))
    return _completed(Scored(found.product[best], score, found.source[best]), found)


def _completed(found: Scored, rest: Scored) -> Scored:
    """Append what is not there yet, in its order, just below the last of what is."""
    new = ~np.isin(rest.product, found.product)
    below = float(found.score.min(initial=1.0)) / max(float(rest.score[new].max(initial=0)), 1e-9) * JUST_LESS
    score = rest.score[new] * np.float32(min(below, 1.0))
    product, source = np.append(found.product, rest.product[new]), np.append(found.source, rest.source[new])
    return Scored(product, np.append(found.score, score), source)


def _summed(near: Neighbours, lead: Ints, kind: int = TOGETHER) -> Scored:
    """Return the neighbours of all of ``lead``, their scores summed."""
    product, score = near.product[lead].ravel(), near.score[lead].ravel()
    product, at = np.unique(product, return_inverse=True)
    total = np.bincount(at.ravel(), score, minlength=len(product)) / max(len(lead), 1)
    kept = product >= 0
    source = np.full(int(kept.sum()), kind, np.uint8)
    return Scored(product[kept], total[kept].astype(np.float32), source)
