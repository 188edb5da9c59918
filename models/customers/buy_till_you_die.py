"""Buy-till-you-die: BG/NBD for when and how often, Gamma-Gamma for how much.

BG/NBD: Fader, Hardie and Lee (2005), "Counting Your Customers" the Easy Way, Marketing Science 24(2). Each
customer buys at a rate of their own (gamma over customers) and may leave for good right after any purchase,
with a chance of their own (beta over customers).
Gamma-Gamma: Fader and Hardie (2013), brucehardie.com/notes/025.

The chance of being alive stays inside: one-time buyers get 1.0 by construction, so it ranks leavers badly
(AUC .32 on CDNOW). What is offered is the expected number of orders over a horizon, and the chance of one.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import OptimizeResult, minimize
from scipy.special import digamma, expit, gammaln, hyp2f1

from features.errors import CannotLearn

Array = npt.NDArray[np.float64]
Objective = Callable[[Array], tuple[float, Array]]
Logs = tuple[float, ...]

BOUNDS = (-12.0, 12.0)
"""Log-parameters stay within: beyond, the likelihood is flat in double precision."""
BETA_BOUNDS = (-12.0, 4.0)
"""The same for a and b: two of 50 already say that nearly all leave alike, and equation 10 stays exact."""
TOLERANCE = 1e-4
"""Largest slope of the mean log-likelihood, per log-parameter, at which a fit counts as converged."""


@dataclass(frozen=True)
class BetaGeoNBD:
    """Fitted BG/NBD: purchase rates are Gamma(r, alpha), the chance to leave after a purchase is Beta(a, b).

    ``alpha`` is in the time unit of the data it was fitted on; pass all later times in that unit.
    """

    r: float
    alpha: float
    a: float
    b: float

    @classmethod
    def fit(cls, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike) -> Self:
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
        rows = pd.DataFrame(
            {"x": np.asarray(frequency, float), "t": np.asarray(recency, float), "T": np.asarray(T, float)}
        )
        if not (rows["x"] > 0).any():
            raise CannotLearn(
                "BG/NBD needs customers who bought on two days or more, found none", "wait for them"
            )
        counts = rows.groupby(["x", "t", "T"]).size()
        x, t_x, T_ = (counts.index.get_level_values(i).to_numpy(float) for i in range(3))
        scale = float(T_.max()) or 1.0
        weights = counts.to_numpy(float) / len(rows)
        log_params = _minimise(
            lambda logs: _bgnbd_loss(logs, x, t_x / scale, T_ / scale, weights),
            starts=[(0.0, 0.0, 0.0, 0.0), (-1.5, -2.0, -0.5, 1.0), (0.5, 1.0, -1.0, 2.0)],
            bounds=[BOUNDS, BOUNDS, BETA_BOUNDS, BETA_BOUNDS],
            what="BG/NBD",
        )
        r, alpha, a, b = (float(value) for value in np.exp(log_params))
        return cls(r, alpha * scale, a, b)

    def log_likelihood(self, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike) -> Array:
        """Return the log-likelihood of each customer, shape (n,) (equation 6)."""
        x, t_x, T_ = _arrays(frequency, recency, T)
        return _bgnbd_terms(np.array([self.r, self.alpha, self.a, self.b]), x, t_x, T_)[0]

    def expected_orders(
        self, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike, horizon: float
    ) -> Array:
        """Return E[purchase days in the next ``horizon`` | x, t_x, T], shape (n,) (equation 10).

        The hypergeometric function is taken after Euler's transformation: its arguments then stay small for
        heavy buyers, where the equation as printed overflows.
        """
        x, t_x, T_ = _arrays(frequency, recency, T)
        a, b = self._off_the_poles()
        z = horizon / (self.alpha + T_ + horizon)
        with np.errstate(over="ignore", invalid="ignore"):
            tail = hyp2f1(a + b - 1 - self.r, a - 1, a + b + x - 1, z) * np.exp((a - 1) * np.log1p(-z))
            orders = (a + b + x - 1) / (a - 1) * (1 - tail) * self._alive(x, t_x, T_)
        floor = self.purchase_probability(x, t_x, T_, horizon)
        ceiling = (self.r + x) / (self.alpha + T_) * horizon  # as if nobody ever left
        return np.asarray(np.clip(np.where(np.isnan(orders), floor, orders), floor, ceiling))

    def purchase_probability(
        self, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike, horizon: float
    ) -> Array:
        """Return P(at least one purchase day in the next ``horizon`` | x, t_x, T), shape (n,).

        One leaves only right after a purchase, so this is the chance of being alive times the chance that a
        gamma-mixed exponential waiting time ends within the horizon.
        """
        x, t_x, T_ = _arrays(frequency, recency, T)
        waits = np.exp(-(self.r + x) * np.log1p(horizon / (self.alpha + T_)))
        return np.asarray(self._alive(x, t_x, T_) * (1 - waits))

    def _alive(self, x: Array, t_x: Array, T: Array) -> Array:
        odds = np.log(self.a) - np.log(self.b + np.maximum(x, 1) - 1)
        odds = odds + (self.r + x) * (np.log(self.alpha + T) - np.log(self.alpha + t_x))
        return np.asarray(np.where(x > 0, expit(-odds), 1.0))

    def _off_the_poles(self) -> tuple[float, float]:
        """Equation 10 is 0/0 at a = 1 and at a + b + x = 1: step aside by what changes the sixth digit."""
        a = self.a + 2e-6 if abs(self.a - 1) < 1e-6 else self.a
        on_integer = abs(a + self.b - round(a + self.b)) < 1e-7 and a + self.b < 1.5
        return a, self.b + 2e-7 if on_integer else self.b


@dataclass(frozen=True)
class GammaGamma:
    """Fitted Gamma-Gamma: spend per purchase day is Gamma(p, nu), and nu is Gamma(q, v) over customers.

    Assumes that how much one spends does not depend on how often one buys.
    """

    p: float
    q: float
    v: float

    @classmethod
    def fit(cls, frequency: npt.ArrayLike, monetary_value: npt.ArrayLike) -> Self:
        """Fit by maximum likelihood on the customers with frequency >= 1 and a positive monetary value.

        ``q`` is kept above 1, where the population's mean spend exists.

        Parameters
        ----------
        frequency, monetary_value
            Arrays of shape (n,): repeat purchase days x, and the mean revenue over those days.

        Raises
        ------
        CannotLearn
            Fewer than two customers to learn from, or no start converged.
        """
        x, m = _arrays(frequency, monetary_value)
        usable = (x > 0) & (m > 0) & np.isfinite(m)
        if usable.sum() < 2:
            raise CannotLearn(
                "Gamma-Gamma needs two customers with repeat purchases and a spend above 0, found fewer"
            )
        x, m = x[usable], m[usable]
        scale = float(m.mean())
        log_params = _minimise(
            lambda logs: _gamma_gamma_loss(logs, x, m / scale),
            starts=[(1.5, 1.0, 1.0), (0.0, 0.0, 0.0), (3.0, 2.0, 0.0)],
            bounds=[BOUNDS] * 3,
            what="Gamma-Gamma",
        )
        p, q, v = (float(value) for value in np.exp(log_params))
        return cls(p, 1 + q, v * scale)

    def expected_value(self, frequency: npt.ArrayLike, monetary_value: npt.ArrayLike) -> Array:
        """Return the expected spend per purchase day, shape (n,): own mean shrunk to all (equation 5)."""
        x, m = _arrays(frequency, monetary_value)
        x = np.where(np.isfinite(m) & (m > 0), x, 0.0)
        own = np.where(x > 0, m, 0.0)
        return np.asarray(self.p * (self.v + x * own) / (self.p * x + self.q - 1))


def _arrays(*columns: npt.ArrayLike) -> tuple[Array, ...]:
    return tuple(np.atleast_1d(np.asarray(column, dtype=np.float64)) for column in columns)


def _bgnbd_terms(params: Array, x: Array, t_x: Array, T: Array) -> tuple[Array, Array]:
    """Return the log-likelihood per row, and the share of it in which the customer is alive."""
    r, alpha, a, b = params
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha)
    common = common + gammaln(a + b) + gammaln(b + x) - gammaln(b) - gammaln(a + b + x)
    alive = -(r + x) * np.log(alpha + T)
    left = np.log(a) - np.log(b + np.maximum(x, 1) - 1) - (r + x) * np.log(alpha + t_x)
    left = np.where(x > 0, left, -np.inf)
    either = np.logaddexp(alive, left)
    return common + either, np.exp(alive - either)


def _bgnbd_loss(logs: Array, x: Array, t_x: Array, T: Array, weights: Array) -> tuple[float, Array]:
    """Return minus the mean log-likelihood and its gradient in the log-parameters."""
    r, alpha, a, b = params = np.exp(logs)
    value, alive = _bgnbd_terms(params, x, t_x, T)
    left = 1 - alive
    by_r = (
        digamma(r + x) - digamma(r) + np.log(alpha) - alive * np.log(alpha + T) - left * np.log(alpha + t_x)
    )
    by_alpha = r / alpha - (r + x) * (alive / (alpha + T) + left / (alpha + t_x))
    both = digamma(a + b) - digamma(a + b + x)
    by_a = both + left / a
    by_b = both + digamma(b + x) - digamma(b) - left / (b + np.maximum(x, 1) - 1)
    slopes = np.array([weights @ slope for slope in (by_r, by_alpha, by_a, by_b)])
    return -float(weights @ value), -slopes * params


def _gamma_gamma_loss(logs: Array, x: Array, m: Array) -> tuple[float, Array]:
    """Return minus the mean log-likelihood and its gradient; the second log-parameter is log(q - 1)."""
    p, q_above_1, v = params = np.exp(logs)
    q, px, total = 1 + q_above_1, p * x, x * m
    value = gammaln(px + q) - gammaln(px) - gammaln(q) + q * np.log(v)
    value = value + (px - 1) * np.log(m) + px * np.log(x) - (px + q) * np.log(total + v)
    by_p = x * (digamma(px + q) - digamma(px) + np.log(total) - np.log(total + v))
    by_q = digamma(px + q) - digamma(q) + np.log(v) - np.log(total + v)
    by_v = q / v - (px + q) / (total + v)
    slopes = np.array([by_p.mean(), by_q.mean(), by_v.mean()])
    return -float(value.mean()), -slopes * params


def _minimise(loss: Objective, starts: list[Logs], bounds: list[tuple[float, float]], what: str) -> Array:
    """Return the best log-parameters over the starts; raise ``CannotLearn`` if no start converged."""
    found = [
        minimize(
            loss,
            np.array(start),
            jac=True,
            method="L-BFGS-B",
            bounds=bounds,
            options={"maxiter": 1000, "ftol": 1e-13, "gtol": 1e-8},
        )
        for start in starts
    ]
    good = [result for result in found if np.isfinite(result.fun) and _slope(result, bounds) < TOLERANCE]
    if not good:
        slope = min(_slope(result, bounds) for result in found)
        raise CannotLearn(f"{what} did not converge from any of {len(starts)} starts (slope {slope:.2g})")
    return np.asarray(min(good, key=lambda result: float(result.fun)).x)


def _slope(result: OptimizeResult, bounds: list[tuple[float, float]]) -> float:
    """Return the largest slope that does not push against a bound."""
    low, high = np.array(bounds).T
    held = ((result.x <= low) & (result.jac > 0)) | ((result.x >= high) & (result.jac < 0))
    return float(np.abs(result.jac[~held]).max(initial=0.0))
