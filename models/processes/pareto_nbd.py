"""Pareto/NBD: Schmittlein, Morrison and Colombo (1987); formulas as in Fader and Hardie (2005, note 009).

Customers buy at an individual rate, Gamma(r, alpha) over customers, and leave at any moment, at an individual
rate, Gamma(s, beta): so they may leave between two orders, and one-time buyers too.
"""

from dataclasses import dataclass
from functools import lru_cache
from typing import Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import gammaln, hyp2f1

from features.arrays.dtypes import Doubles
from features.errors import CannotLearn
from models.processes.likelihood import arrays, distinct, minimise
from models.processes.rhythm import rhythm

MOST_ROWS = 10_000
"""Maximum number of customers it is fitted on, drawn evenly: a row costs four hypergeometric functions."""
BOUNDS = (-6.0, 4.0)
"""Bounds of log-parameters, in time units of the oldest customer: beyond, evaluation takes too long.

If all leave at one rate, s and beta grow without limit: at e^4 the likelihood is within a millionth of it.
"""
STEP = 1e-5
"""Step of finite differences in log-parameters: their error is far below the convergence tolerance."""


@dataclass(frozen=True)
class ParetoNBD:
    """Fitted Pareto/NBD; ``alpha`` and ``beta`` are in the time unit of the data it was fitted on."""

    r: float
    alpha: float
    s: float
    beta: float

    @classmethod
    def fit(cls, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike) -> Self:
        """Fit by maximum likelihood from several starts; arguments and errors are those of ``BetaGeoNBD``."""
        columns = arrays(frequency, recency, T)
        every = max(1, -(-len(columns[0]) // MOST_ROWS))
        x, t_x, T_, weights = distinct(*(column[::every] for column in columns))
        scale = float(T_.max()) or 1.0
        rows = (x, t_x / scale, T_ / scale, weights)
        log_params = minimise(
            lambda logs: _loss(logs, *rows),
            starts=[(-0.5, -1.0, -0.5, -1.0), (-1.0, -2.0, 0.5, 1.0)],
            bounds=[BOUNDS] * 4,
            what="Pareto/NBD",
        )
        r, alpha, s, beta = (float(value) for value in np.exp(log_params))
        return cls(r, alpha * scale, s, beta * scale)

    def log_likelihood(self, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike) -> Doubles:
        """Return the log-likelihood of each customer, shape (n,) (note 009, equation 18)."""
        return _terms(np.array([self.r, self.alpha, self.s, self.beta]), *arrays(frequency, recency, T))[0]

    def expected_orders(
        self, frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike, horizon: float
    ) -> Doubles:
        """Return E[purchase days in the next ``horizon`` | x, t_x, T], shape (n,) (note 009, equation 41)."""
        x, t_x, T_ = arrays(frequency, recency, T)
        s = self.s + 2e-6 if abs(self.s - 1) < 1e-6 else self.s  # 0/0 at 1: changes the sixth digit
        lasting = -np.expm1((s - 1) * -np.log1p(horizon / (self.beta + T_))) / (s - 1)
        rate = (self.r + x) / (self.alpha + T_)
        return np.asarray(rate * (self.beta + T_) * lasting * self._alive(x, t_x, T_))

    def _alive(self, x: Doubles, t_x: Doubles, T: Doubles) -> Doubles:
        return _terms(np.array([self.r, self.alpha, self.s, self.beta]), x, t_x, T)[1]


def pareto_orders(rows: pd.DataFrame, horizon_days: int) -> Doubles:
    """Return the expected order days of ``rows``, shape (n,), fitted on them; NaN if the fit fails."""
    try:
        fitted = _fitted(*(column.tobytes() for column in rhythm(rows)))
        return fitted.expected_orders(*rhythm(rows), horizon_days)
    except CannotLearn:
        return np.full(len(rows), np.nan)


@lru_cache(maxsize=1)
def _fitted(*columns: bytes) -> ParetoNBD:
    """Fit the model; cached, since churn and value are both compared with it."""
    return ParetoNBD.fit(*(np.frombuffer(column) for column in columns))


def _terms(params: Doubles, x: Doubles, t_x: Doubles, T: Doubles) -> tuple[Doubles, Doubles]:
    """Return the log-likelihood per row, and the share of it in which the customer is alive."""
    r, alpha, s, beta = params
    common = gammaln(r + x) - gammaln(r) + r * np.log(alpha) + s * np.log(beta)
    alive = -(r + x) * np.log(alpha + T) - s * np.log(beta + T)
    left = np.log(s) - np.log(r + s + x) + _log_left(params, x, t_x, T)
    either = np.logaddexp(alive, left)
    return common + either, np.exp(alive - either)


def _log_left(params: Doubles, x: Doubles, t_x: Doubles, T: Doubles) -> Doubles:
    """Return log A_0: the customer left at some moment between the last purchase and T (equations 15, 16).

    The hypergeometric function is computed after Euler's transformation: as printed it overflows for heavy
    buyers.
    """
    r, alpha, s, beta = params
    gap, total = abs(alpha - beta), r + s + x
    second = s + 1 if alpha >= beta else r + x

    def at(moment: Doubles) -> Doubles:
        start = max(alpha, beta) + moment
        tame = hyp2f1(1.0, total + 1 - second, total + 1, gap / start)
        return np.asarray((1 - second) * np.log1p(-gap / start) + np.log(tame) - total * np.log(start))

    early, late = at(t_x), at(T)
    with np.errstate(divide="ignore"):
        return np.asarray(early + np.log(-np.expm1(np.minimum(late - early, 0.0))))


def _loss(logs: Doubles, x: Doubles, t_x: Doubles, T: Doubles, weights: Doubles) -> tuple[float, Doubles]:
    """Return minus the mean log-likelihood and its gradient by central differences.

    It may be NaN far from the optimum: a fit that ends there is rejected.
    """

    def value(at: Doubles) -> float:
        with np.errstate(invalid="ignore"):
            return -float(weights @ _terms(np.exp(at), x, t_x, T)[0])

    steps = STEP * np.eye(4)
    slopes = [(value(logs + step) - value(logs - step)) / (2 * STEP) for step in steps]
    return value(logs), np.array(slopes)
