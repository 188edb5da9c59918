"""What goes with a cart: accessories of what is in it, and better versions of it."""

from collections.abc import Callable

import numpy as np

from features.arrays.dtypes import Bools, Floats, Ints
from models.candidates.state import ListState
from models.lists.dearer import Dearer
from models.lists.picks import SOURCES, TOGETHER, UPSELL
from models.lists.question import Question, Scored
from models.similarity.collaborative import Neighbours

LIKE = SOURCES.index("similar")
JUST_LESS = 1 - 1e-6
"""What is appended scores so much of the last before it: less, and hardly less."""


def together(state: ListState, ask: Question) -> Scored:
    """Return what is bought in one order with the cart or the latest purchases, then what is like it."""
    lead = ask.lead
    found = _completed(_summed(state.together, lead), _summed(state.neighbours, lead, LIKE))
    kept = ~ask.bars(state.rules, "bought_together", found.product) & ~np.isin(found.product, lead)
    kept &= ~substitutes(state, lead)[found.product]
    return Scored(found.product[kept], found.score[kept], found.source[kept])


def substitutes(state: ListState, lead: Ints) -> Bools:
    """Mark what would replace a product of ``lead``: no accessory of it."""
    found = np.zeros(len(state.kin), bool)
    for category in np.unique(state.kin[lead]).tolist():
        if category >= 0:
            found |= state.kin == category
    return found


def better(
    state: ListState, dearer: Dearer, ask: Question, suits: Callable[[Ints], Floats] | None = None
) -> Scored:
    """Return better versions of the cart or the latest purchases, by chance x margin.

    ``suits`` tells the customer's own chance to buy each, which counts as a factor more. What they have
    bought before is a step they have made: it comes last.
    """
    lead = ask.lead
    chance = dearer.chance[lead].ravel()
    worth = chance * dearer.margin[lead].ravel()
    product, at = np.unique(dearer.product[lead].ravel(), return_inverse=True)
    total = np.bincount(at.ravel(), worth, minlength=len(product)).astype(np.float32)
    kept = product >= 0
    kept[kept] = ~ask.bars(state.rules, "upsell", product[kept])
    product, total = product[kept], total[kept]
    if suits is not None:
        total *= suits(product)
    had = ask.owned[product]
    best = total.max(where=~had, initial=0) or total.max(initial=0)
    total *= chance.max(initial=0) / max(best, np.float32(1e-9))
    source = np.full(len(product), UPSELL, np.uint8)
    new, made = (Scored(product[rows], total[rows], source[rows]) for rows in (~had, had))
    return _completed(new, made)


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
