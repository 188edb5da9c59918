"""Buy-till-you-die: when and how often customers order, from (x, t_x, T) alone.

BG/NBD: Fader, Hardie and Lee (2005), "Counting Your Customers" the Easy Way, Marketing Science 24(2). Each
customer buys at an individual rate (gamma over customers) and may leave for good right after any repeat
purchase, with an individual probability (beta over customers). MBG/NBD: Batislam, Denizel and Filiztekin
(2007), IJRM 24(3): customers may leave after the first purchase too. It is the same model with one more toss
of the coin for leaving, so both are one class here.

The probability of being alive is not exposed: in BG/NBD it is 1.0 by construction for one-time buyers, so it
ranks leavers badly (AUC .32 on CDNOW). Exposed are the expected number of orders over a horizon, and the
chance of at least one.
"""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, expit, gammaln, hyp2f1

from features.arrays.dtypes import Doubles
from models.processes.likelihood import BOUNDS, arrays, distinct, minimise

RATE_BOUNDS = (-12.0, 8.0)
"""Bounds of log r: 3,000 already means that all buy at one rate; beyond 9 equation 10 is lost in rounding."""
BETA_BOUNDS = (-12.0, 4.0)
"""Bounds of log a and log b: two of 50 already mean that all leave alike, and equation 10 stays exact."""


@dataclass(frozen=True)
class BetaGeoNBD:
    """Fitted BG/NBD: purchase rates are Gamma(r, alpha), the chance to leave after a purchase is Beta(a, b).

    ``alpha`` is in the time unit of the data it was fitted on; pass all later times in that unit.
    """

    r: float
    alpha: float
    a: float
    b: float
    first_tosses: int = 0
    """Opportunities to leave before the first repeat purchase: 0 in BG/NBD, 1 in MBG/NBD."""
    placed: float = 1.0
    """Orders placed per order kept: the model is fitted on days net of returns, but predicts orders as
    placed."""

    @classmethod
    def fit(
        cls, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike, *, first_tosses: int = 0
    ) -> Self:
        """Fit by maximum likelihood from several starts, over distinct (x, t_x, T) rows with their counts.

        Parameters
        ----------
        frequency, recency, T
            Arrays of shape (n,): repeat purchase days x, time from first to last purchase t_x (0 where x is
            0), time from first purchase to the cutoff.

        Raises
        ------
        CannotLearn
            Nobody ever came back, or no start converged.
        """
        x, t_x, T_, weights = distinct(frequency, recency, T)
        scale = float(T_.max()) or 1.0
        rows = (x, t_x / scale, T_ / scale, weights)
        log_params = minimise(
            lambda logs: _loss(logs, *rows, first_tosses=first_tosses),
            starts=[(0.0, 0.0, 0.0, 0.0), (-1.5, -2.0, -0.5, 1.0), (0.5, 1.0, -1.0, 2.0)],
            bounds=[RATE_BOUNDS, BOUNDS, BETA_BOUNDS, BETA_BOUNDS],
            what="MBG/NBD" if first_tosses else "BG/NBD",
        )
        r, alpha, a, b = (float(value) for value in np.exp(log_params))
        return cls(r, alpha * scale, a, b, first_tosses)

    def log_likelihood(self, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike) -> Doubles:
        """Return the log-likelihood of each customer, shape (n,) (equation 6)."""
        params = np.array([self.r, self.alpha, self.a, self.b])
        return _terms(params, *arrays(frequency, recency, T), first_tosses=self.first_tosses)[0]

    def expected_orders(
        self, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike, horizon: float
    ) -> Doubles:
        """Return E[purchase days in the next ``horizon`` | x, t_x, T], shape (n,) (equation 10).

        The hypergeometric function is computed after Euler's transformation, whose arguments stay small for
        heavy buyers, where the equation as printed overflows.
        """
        x, t_x, T_ = arrays(frequency, recency, T)
        a, b = self._off_the_poles()
        z, stayed = horizon / (self.alpha + T_ + horizon), a + b + x + self.first_tosses - 1
        with np.errstate(over="ignore", invalid="ignore"):
            tail = hyp2f1(stayed - x - self.r, a - 1, stayed, z) * np.exp((a - 1) * np.log1p(-z))
            orders = self.placed * stayed / (a - 1) * (1 - tail) * self._alive(x, t_x, T_)
        floor = self.purchase_probability(x, t_x, T_, horizon)
        ceiling = self.placed * (self.r + x) / (self.alpha + T_) * horizon  # as if nobody ever left
        return np.asarray(np.clip(np.where(np.isnan(orders), floor, orders), floor, ceiling))

    def purchase_probability(
        self, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike, horizon: float
    ) -> Doubles:
        """Return P(at least one purchase day in the next ``horizon`` | x, t_x, T), shape (n,).

        Customers leave only right after a purchase, so this is the chance of being alive times the chance
        that a gamma-mixed exponential waiting time ends within the horizon.
        """
        x, t_x, T_ = arrays(frequency, recency, T)
        waits = np.exp(-(self.r + x) * np.log1p(self.placed * horizon / (self.alpha + T_)))
        return np.asarray(self._alive(x, t_x, T_) * (1 - waits))

    def _alive(self, x: Doubles, t_x: Doubles, T: Doubles) -> Doubles:
        tosses = x + self.first_tosses
        odds = np.log(self.a) - np.log(self.b + np.maximum(tosses, 1) - 1)
        odds = odds + (self.r + x) * (np.log(self.alpha + T) - np.log(self.alpha + t_x))
        return np.asarray(np.where(tosses > 0, expit(-odds), 1.0))

    def _off_the_poles(self) -> tuple[float, float]:
        """Equation 10 is 0/0 at a = 1 and at a + b + x = 1: shift a or b by what changes the sixth digit."""
        a = self.a + 2e-6 if abs(self.a - 1) < 1e-6 else self.a
        on_integer = abs(a + self.b - round(a + self.b)) < 1e-7 and a + self.b < 1.5
        return a, self.b + 2e-7 if on_integer else self.b


def _terms(
    params: Doubles, x: Doubles, t_x: Doubles, T: Doubles, *, first_tosses: int
) -> tuple[Doubles, Doubles]:
    """Return the log-likelihood per row, and the share of it in which the customer is alive."""
    r, alpha, a, b = params
    tosses = x + first_tosses
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    common = common + gammaln(a + b) + gammaln(b + tosses) - gammaln(b) - gammaln(a + b + tosses)
    alive = -(r + x) * np.log(alpha + T)
    left = np.log(a) - np.log(b + np.maximum(tosses, 1) - 1) - (r + x) * np.log(alpha + t_x)
    left = np.where(tosses > 0, left, -np.inf)
    either = np.logaddexp(alive, left)
    return common + either, np.exp(alive - either)


def _loss(
    logs: Doubles, x: Doubles, t_x: Doubles, T: Doubles, weights: Doubles, *, first_tosses: int
) -> tuple[float, Doubles]:
    """Return minus the mean log-likelihood and its gradient in the log-parameters."""
    r, alpha, a, b = params = np.exp(logs)
    value, alive = _terms(params, x, t_x, T, first_tosses=first_tosses)
    left, tosses = 1 - alive, x + first_tosses
    by_r = (
        digamma(r + x) - digamma(r) + np.log(alpha) - alive * np.log(alpha + T) - left * np.log(alpha + t_x)
    )
    by_alpha = r / alpha - (r + x) * (alive / (alpha + T) + left / (alpha + t_x))
    both = digamma(a + b) - digamma(a + b + tosses)
    by_a = both + left / a
    by_b = both + digamma(b + tosses) - digamma(b) - left / (b + np.maximum(tosses, 1) - 1)
    slopes = np.array([weights @ slope for slope in (by_r, by_alpha, by_a, by_b)])
    return -float(weights @ value), -slopes * params
