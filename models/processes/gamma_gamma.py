"""Gamma-Gamma: what a purchase day comes to (Fader and Hardie, 2013, brucehardie.com/notes/025)."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import numpy.typing as npt
from scipy.special import digamma, gammaln

from features.arrays.dtypes import Doubles
from features.errors import CannotLearn
from models.processes.likelihood import BOUNDS, arrays, minimise


@dataclass(frozen=True)
class GammaGamma:
    """Fitted Gamma-Gamma: spend per purchase day is Gamma(p, nu), and nu is Gamma(q, v) over customers.

    Assumes that spend does not depend on purchase frequency.
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
        x, m = arrays(frequency, monetary_value)
        usable = (x > 0) & (m > 0) & np.isfinite(m)
        if usable.sum() < 2:
            raise CannotLearn(
                f"Gamma-Gamma needs two customers with repeat purchases and a spend above 0, found "
                f"{usable.sum()}",
                "ingest a longer history, with prices",
            )
        x, m = x[usable], m[usable]
        scale = float(m.mean())
        log_params = minimise(
            lambda logs: _gamma_gamma_loss(logs, x, m / scale),
            starts=[(1.5, 1.0, 1.0), (0.0, 0.0, 0.0), (3.0, 2.0, 0.0)],
            bounds=[BOUNDS] * 3,
            what="Gamma-Gamma",
        )
        p, q, v = (float(value) for value in np.exp(log_params))
        return cls(p, 1 + q, v * scale)

    def expected_value(self, frequency: npt.ArrayLike, monetary_value: npt.ArrayLike) -> Doubles:
        """Return the expected spend per purchase day, shape (n,): own mean shrunk to all (equation 5)."""
        x, m = arrays(frequency, monetary_value)
        x = np.where(np.isfinite(m) & (m > 0), x, 0.0)
        own = np.where(x > 0, m, 0.0)
        return np.asarray(self.p * (self.v + x * own) / (self.p * x + self.q - 1))


def _gamma_gamma_loss(logs: Doubles, x: Doubles, m: Doubles) -> tuple[float, Doubles]:
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
