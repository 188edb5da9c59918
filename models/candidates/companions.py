"""What goes with a cart, without a ranker: accessories of what is in it, and better versions of it."""

import numpy as np

from features.arrays.dtypes import Bools, Ints
from models.candidates.state import ListState
from models.lists.dearer import Dearer
from models.lists.picks import SOURCES, TOGETHER, UPSELL
from models.lists.question import Question, Scored
from models.similarity.collaborative import Neighbours

LIKE = SOURCES.index("similar")


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


def better(state: ListState, dearer: Dearer, ask: Question) -> Scored:
    """Return better versions of the cart or the latest purchases, by chance x margin."""
    lead = ask.lead
    chance = dearer.chance[lead].ravel()
    worth = chance * dearer.margin[lead].ravel()
    product, at = np.unique(dearer.product[lead].ravel(), return_inverse=True)
    total = np.bincount(at.ravel(), worth, minlength=len(product)).astype(np.float32)
    total *= chance.max(initial=0) / max(total.max(initial=0), np.float32(1e-9))
    kept = product >= 0
    kept[kept] = ~ask.bars(state.rules, "upsell", product[kept])
    return Scored(product[kept], total[kept], np.full(int(kept.sum()), UPSELL, np.uint8))


def _completed(found: Scored, rest: Scored) -> Scored:
    """Append what is not there yet, in its order, below the last of what is."""
    new = ~np.isin(rest.product, found.product)
    below = float(found.score.min(initial=1.0)) / max(float(rest.score[new].max(initial=0)), 1e-9)
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
