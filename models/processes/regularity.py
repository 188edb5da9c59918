"""How regularly customers order, and when the next order comes given that some order at regular intervals.

BG/NBD's gaps are exponential: the likeliest moment of the next order is always now. Here each customer's gaps
are gamma with an individual shape (1 is BG/NBD, 512 a standing order), after Platzer and Reutterer (2016),
"Ticking Away the Moments", Marketing Science 35(5). Rates and leaving are BG/NBD's as fitted.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import digamma, gammaln, logsumexp, ndtr

from features.arrays.dtypes import Doubles
from models.processes.buy_till_you_die import BetaGeoNBD
from models.processes.rhythm import rhythm

SHAPES = 2.0 ** np.arange(10)
"""Possible shapes of a customer's gaps: their standard deviation is the mean over the root of the shape."""
OUT_OF_STEP = 0.3
"""Chance that a gap does not follow the customer's rhythm, but is as irregular as BG/NBD's."""
PRIOR_GAPS = 3.0
"""Cap on the prior strength of the shop's rate, in own gaps: for regular customers BG/NBD's is too strong."""
N_LEARNT_FROM = 20_000
"""Number of customers from whose gaps the shares of shapes are learnt."""
N_STEPS = 60
"""Steps of expectation maximisation."""
UNSURE = (1e-9, 1 - 1e-9)
"""Bounds on chances, so that their odds are finite."""
MIDDLE = 0.5
"""The share who have ordered by the middle day."""
RAREST = 1e-6
"""Minimum share of each shape, so that a customer with a unique rhythm still gets it."""


@dataclass(frozen=True)
class Regularity:
    """How a shop's customers come back, and the share of them with each of ``SHAPES``."""

    bgnbd: BetaGeoNBD
    shares: tuple[float, ...]

    @classmethod
    def fit(cls, features: pd.DataFrame, bgnbd: BetaGeoNBD) -> Self:
        """Learn the shares from customer features, by expectation maximisation over those who came back."""
        back = features[features["frequency"] > 0]
        some = back.iloc[:: -(-len(back) // N_LEARNT_FROM)]
        likelihood = Waiting.of(some, bgnbd).log_likelihoods()
        shares = np.full(len(SHAPES), 1 / len(SHAPES))
        for _ in range(N_STEPS):
            joint = np.log(shares)[:, None] + likelihood
            shares = np.exp(joint - logsumexp(joint, axis=0)).mean(axis=1).clip(RAREST)
        return cls(bgnbd, tuple(shares.tolist()))

    @classmethod
    def of(cls, facts: Mapping[str, Any]) -> Self:
        """Rebuild from what ``dataclasses.asdict`` and JSON made of it."""
        return cls(BetaGeoNBD(**facts["bgnbd"]), tuple(facts["shares"]))

    def waiting(self, features: pd.DataFrame) -> "Waiting":
        """Return how customers wait for their next order, each by the likeliest shape; 1 without a gap."""
        waiting = Waiting.of(features, self.bgnbd)
        likeliest = (waiting.log_likelihoods() + np.log(self.shares)[:, None]).argmax(axis=0)
        return replace(waiting, shape=np.where(waiting.n_gaps > 0, SHAPES[likeliest], 1.0))


@dataclass(frozen=True)
class Waiting:
    """The closed gaps of n customers and the open one, each array of shape (n,); times in days."""

    shape: Doubles
    n_gaps: Doubles
    total: Doubles
    """Sum of the gaps."""
    log_total: Doubles
    """Sum of their logarithms, as expected of gamma gaps with this mean and standard deviation."""
    so_far: Doubles
    """Time since the last order."""
    left_odds: Doubles
    """Odds of having left right after the last order, before the open gap is taken into account."""
    r: float
    alpha: float
    placed: float
    """See ``BetaGeoNBD``."""
    hazard: Doubles
    """Factor on the process's hazard of an order."""

    @classmethod
    def of(cls, features: pd.DataFrame, bgnbd: BetaGeoNBD) -> Self:
        """Compute from customer features, with every shape 1, as in BG/NBD."""
        n, total, age = rhythm(features)
        tosses = n + bgnbd.first_tosses
        left = np.where(tosses > 0, bgnbd.a / (bgnbd.b + np.maximum(tosses, 1) - 1), 0.0)
        r = min(bgnbd.r, PRIOR_GAPS)
        logs = np.where(n > 0, n * _mean_log(features), 0.0)
        alpha = bgnbd.alpha * r / bgnbd.r
        ones = np.ones(len(n))
        return cls(ones, n, total, logs, age - total, left, r, alpha, bgnbd.placed, ones)

    def agreeing(self, chance: Doubles, within: float) -> Self:
        """Return the waiting adjusted halfway to a ``chance``, (n,), of an order ``within`` this many days.

        Halfway is the geometric mean of the hazard implied by this chance and the process's own. Where the
        middle day would then lie on the other side of ``within`` than the chance says, it is the whole way.
        """
        own = np.clip(self.chance(within), np.finfo(float).eps, UNSURE[1])
        ratio = np.log1p(-np.clip(chance, *UNSURE)) / np.log(1 - own)
        halfway = np.sqrt(ratio)
        contradicts = (1 - (1 - own) ** halfway >= MIDDLE) != (chance >= MIDDLE)
        return replace(self, hazard=np.where(contradicts, ratio, halfway))

    def log_likelihoods(self) -> Doubles:
        """Return the log-likelihood of each customer's gaps by ``SHAPES``, (shapes, n), up to a constant."""
        return np.stack([replace(self, shape=np.full(len(self.n_gaps), one))._likelihood() for one in SHAPES])

    def chance(self, within: float | Doubles) -> Doubles:
        """Return the chance of an order ``within`` this many days, a number or shape (n,); shape (n,)."""
        longer = self._longer_than(self.so_far + self.placed * within)
        own = (self._waited - longer) / (self.left_odds + self._waited)
        return np.asarray(1 - (1 - own) ** self.hazard)

    def days_until(self, share: float, within: float) -> Doubles:
        """Return the days after which ``share`` of similar customers have ordered again, shape (n,).

        NaN if fewer than that have ``within`` the days given. Found by bisection, to a fortieth of a day in a
        year.
        """
        low, high = np.zeros(len(self.n_gaps)), np.full(len(self.n_gaps), float(within))
        known = self.chance(high) >= share
        for _ in range(14):
            middle = (low + high) / 2
            ordered = self.chance(middle) >= share
            low, high = np.where(ordered, low, middle), np.where(ordered, middle, high)
        return np.where(known, high, np.nan)

    @cached_property
    def _waited(self) -> Doubles:
        """The probability of an open gap as long as it is."""
        return self._longer_than(self.so_far)

    def _likelihood(self) -> Doubles:
        shape, n = self.shape, self.n_gaps
        known, spent = self.r + shape * n, self.alpha + shape * self.total
        gaps = shape * n * np.log(shape) + (shape - 1) * self.log_total - n * gammaln(shape)
        rates = gammaln(known) - known * np.log(spent)
        return np.asarray(gaps + rates + np.log(self.left_odds + self._waited))

    def _longer_than(self, days: Doubles) -> Doubles:
        """Return the probability that a gap, in step or not, is longer than ``days``, shape (n,)."""
        shape, n = self.shape, self.n_gaps
        ratio = shape * days / (self.alpha + shape * self.total)
        out_of_step = np.exp(-(self.r + n) * np.log1p(days / (self.alpha + self.total)))
        return OUT_OF_STEP * out_of_step + (1 - OUT_OF_STEP) * beta_prime_above(
            ratio, shape, self.r + shape * n
        )


def beta_prime_above(ratio: Doubles, shape: Doubles, other: Doubles) -> Doubles:
    """Return the probability that a beta prime variable exceeds ``ratio``, arrays of one shape.

    It is the ratio of gamma variables of ``shape`` and of ``other``. Exact where ``shape`` is 1; elsewhere by
    Paulson's normal approximation of the cube root of F (1942, Annals of Mathematical Statistics 13(2)), with
    an error of at most .004 where ``other`` is 2 or more, in a hundredth of the incomplete beta function's
    time.
    """
    a, b, root = 1 / (9 * shape), 1 / (9 * other), np.cbrt(ratio * other / shape)
    normal = ((1 - a) - (1 - b) * root) / np.sqrt(a + b * root**2)
    return np.where(shape > 1, ndtr(normal), np.exp(-other * np.log1p(ratio)))


def _mean_log(features: pd.DataFrame) -> Doubles:
    """Return the mean logarithm of the gaps, from a gamma with their mean and spread; NaN without a gap."""
    n, mean = (features[name].to_numpy(float) for name in ("frequency", "gap_mean_days"))
    spread = np.nan_to_num(features["gap_std_days"].to_numpy(float) / mean) ** 2 * (1 - 1 / np.maximum(n, 1))
    shape = 1 / np.maximum(spread, 1e-6)
    return np.asarray(np.log(mean) + digamma(shape) - np.log(shape))
