"""Levels: the one thing a single past window can teach a model that was learnt from several.

Ranks and slopes carry over from window to window (in ten windows of three shops, the calibration slope of a
model learnt before the window lay between 0.94 and 1.22, and correcting it made the window after no better);
the level moves with the season and with the age of the customers. So calibration here is one number on the
logit or log scale, which keeps every rank and cannot invent a plateau.
"""

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from features.arrays.dtypes import Doubles

FAR = 12.0
"""No logit is moved farther than this."""


def logit_shift(scores: Doubles, share: float) -> float:
    """Return what to add to logit ``scores``, shape (n,), so that their mean probability is ``share``.

    0 without scores. A share of 0 or 1 is taken as half a customer away from it.
    """
    if not len(scores):
        return 0.0
    half = 0.5 / len(scores)
    wanted = min(max(share, half), 1 - half)

    def miss(shift: float) -> float:
        return float(expit(scores + shift).mean()) - wanted

    low, high = miss(-FAR), miss(FAR)
    if low > 0 or high < 0:
        return -FAR if low > 0 else FAR
    return float(brentq(miss, -FAR, FAR, xtol=1e-10))


def carried_share(foreseen: float, foreseen_then: float, seen_then: float, weight: float) -> float:
    """Return ``foreseen``, moved by ``weight`` times what was seen beyond what was foreseen then, in logits.

    What a forecast gets wrong in this shop it got wrong then as well: the difference of the two cancels it.
    """
    tiny = 1e-6
    now, then, seen = logit(np.clip([foreseen, foreseen_then, seen_then], tiny, 1 - tiny))
    return float(expit(now + weight * (seen - then)))


def middle_total(one: float, other: float, weight: float) -> float:
    """Return the total ``weight`` of the way from ``one`` to ``other`` in logs; ``one`` if either is 0."""
    return float(one ** (1 - weight) * other**weight) if one > 0 and other > 0 else float(one)
