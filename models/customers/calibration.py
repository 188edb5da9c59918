"""Levels: the one thing that the newest windows can teach a model that was learnt from several.

Ranks and slopes carry over from window to window (in ten windows of three shops, the calibration slope of a
model learnt before the window lay between 0.94 and 1.22, and correcting it made the window after no better);
the level moves with the season and with the age of the customers. So calibration here is one number on the
logit or log scale, which keeps every rank and cannot invent a plateau. What every window missed alike is no
season: it is taken in full.
"""

import numpy as np
from numpy.typing import ArrayLike
from scipy.optimize import brentq
from scipy.special import expit, logit

from features.arrays.dtypes import Doubles

FAR = 12.0
"""No logit is moved farther than this."""
FEWEST = 6
"""So many windows must have missed to one side."""


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


def carried_share(foreseen: float, foreseen_then: ArrayLike, seen_then: ArrayLike, weight: float) -> float:
    """Return ``foreseen``, moved by what was seen beyond what was foreseen in past windows, in logits.

    ``foreseen_then`` and ``seen_then``: of one window or several, newest first. Of the newest one's miss the
    part that is ``common`` to all counts in full, of the rest ``weight``: what a forecast gets wrong in this
    shop it got wrong then as well, what it got wrong once may be the season's.
    """
    tiny = 1e-6
    now, then, seen = (
        logit(np.clip(np.atleast_1d(x), tiny, 1 - tiny)) for x in (foreseen, foreseen_then, seen_then)
    )
    missed = seen - then
    always = common(missed)
    return float(expit(now[0] + always + weight * (missed[0] - always)))


def common(missed: Doubles) -> float:
    """Return what all windows missed alike: the least of it, where all missed to one side; else 0.

    0 for fewer than ``FEWEST`` windows: they lie too near each other to tell a habit from a season. A miss
    that cannot be known (NaN) is left out.
    """
    known = missed[~np.isnan(missed)]
    if len(known) < FEWEST:
        return 0.0
    return float(max(known.min(), 0.0) + min(known.max(), 0.0))


def middle_total(one: float, other: float, weight: float) -> float:
    """Return the total ``weight`` of the way from ``one`` to ``other`` in logs; ``one`` if either is 0."""
    return float(one ** (1 - weight) * other**weight) if one > 0 and other > 0 else float(one)
