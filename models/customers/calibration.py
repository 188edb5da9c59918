"""Calibration of levels: the one thing the newest windows can teach a model that was learnt from several.

Ranks and slopes carry over from window to window (in ten windows of three shops, the calibration slope of a
model learnt before the window lay between 0.94 and 1.22, and correcting it did not improve the next window);
the level moves with the season and with the age of the customers. So calibration here is one number on the
logit or log scale, which keeps every rank. The error common to all windows is not seasonal and is corrected
in full. The further error in the same weeks of last year is taken as the season.
"""

from collections.abc import Sequence
from typing import NamedTuple, Self

import numpy as np
from scipy.optimize import brentq
from scipy.special import expit, logit

from features.arrays.dtypes import Doubles
from models.noise import SHOP_NOISE, beyond_noise

MAX_SHIFT = 12.0
"""No logit is moved further than this."""
MIN_WINDOWS = 6
"""Minimum number of windows with errors of one sign for a common error."""
TINY = 1e-6
"""Shares are kept at least this far from 0 and 1."""


def logit_shift(scores: Doubles, share: float) -> float:
    """Return what to add to logit ``scores``, shape (n,), so that their mean probability is ``share``.

    0 without scores. A share of 0 or 1 is moved inwards by half a customer.
    """
    if not len(scores):
        return 0.0
    half = 0.5 / len(scores)
    wanted = min(max(share, half), 1 - half)

    def miss(shift: float) -> float:
        return float(expit(scores + shift).mean()) - wanted

    low, high = miss(-MAX_SHIFT), miss(MAX_SHIFT)
    if low > 0 or high < 0:
        return -MAX_SHIFT if low > 0 else MAX_SHIFT
    return float(brentq(miss, -MAX_SHIFT, MAX_SHIFT, xtol=1e-10))


class Miss(NamedTuple):
    """How far a forecast of many customers was below the outcome, and its sampling variance."""

    size: float
    """In logits of a share, or in logs of a total; NaN if unknown."""
    variance: float

    @classmethod
    def of_share(cls, foreseen: float, happened: Doubles) -> Self:
        """Compare a forecast share, in logits, with ``share_of(happened)``; shape (n,), 1.0 or 0.0."""
        seen = share_of(happened)
        return cls(_logit(seen) - _logit(foreseen), 1 / (len(happened) * seen * (1 - seen)))

    @classmethod
    def of_total(cls, foreseen: float, seen: Doubles) -> Self:
        """Compare a forecast total, in logs; ``seen``, shape (n,), is each customer's part of the actual one.

        NaN if the forecast was zero; infinite if the actual total was.
        """
        total = max(float(seen.sum()), 0.0)
        if not foreseen > 0:
            return cls(np.nan, np.inf)
        if total == 0:
            return cls(-np.inf, np.inf)
        return cls(float(np.log(total / foreseen)), float(len(seen) * seen.var() / total**2))


def share_of(happened: Doubles) -> float:
    """Return the share of 1.0 in ``happened``, shape (n,), smoothed by half a customer on either side."""
    return float((happened.sum() + 0.5) / (len(happened) + 1))


def moved(share: float, by: float) -> float:
    """Return a share moved by ``by`` logits."""
    return float(expit(_logit(share) + by))


def expected_miss(missed: Sequence[Miss], weight: float, *, last_year: Miss | None = None) -> float:
    """Return a forecast's expected error, from what it ``missed`` in past windows, newest first.

    The error common to all windows (``common``) counts in full, as it will recur. The newest window's further
    error may be seasonal: ``weight`` of it counts. If the window of a year ago is known, its further error
    replaces the newest's, as far as it is seasonal (``seasonal_share``).
    """
    always = common(np.array([each.size for each in missed]))
    newest = weight * (missed[0].size - always) if weight else 0.0
    share = seasonal_share(last_year, always)
    if last_year is None or not share:
        return always + newest
    return always + share * (last_year.size - always) + (1 - share) * newest


def seasonal_share(last_year: Miss | None, always: float) -> float:
    """Return how much of last year's error beyond ``always`` is taken as seasonal, in [0, 1].

    0 if either is unknown, for example because nothing was sold in any past window.
    """
    if last_year is None or not np.isfinite([*last_year, always]).all():
        return 0.0
    return float(beyond_noise(last_year.size - always, last_year.variance + SHOP_NOISE**2))


def common(missed: Doubles) -> float:
    """Return the error common to all windows: the smallest, if all have the same sign; else 0.

    0 for fewer than ``MIN_WINDOWS`` windows: they are too close together to tell a habit from a season.
    Unknown errors (NaN) are left out.
    """
    known = missed[~np.isnan(missed)]
    if len(known) < MIN_WINDOWS:
        return 0.0
    return float(max(known.min(), 0.0) + min(known.max(), 0.0))


def _logit(share: float) -> float:
    return float(logit(np.clip(share, TINY, 1 - TINY)))


def middle_total(one: float, other: float, *, weight: float) -> float:
    """Return the total ``weight`` of the way from ``one`` to ``other`` in logs; ``one`` if either is 0."""
    return float(one ** (1 - weight) * other**weight) if one > 0 and other > 0 else float(one)
