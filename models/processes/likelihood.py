"""Maximum likelihood for all structural models: distinct rows, several starts, convergence checked."""

from collections.abc import Callable

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.optimize import OptimizeResult, minimize

from features.arrays.dtypes import Doubles
from features.errors import CannotLearn

Objective = Callable[[Doubles], tuple[float, Doubles]]
Logs = tuple[float, ...]

BOUNDS = (-12.0, 12.0)
"""Bounds of log-parameters: beyond, the likelihood is flat in double precision."""
TOLERANCE = 1e-4
"""Largest slope of the mean log-likelihood, per log-parameter, at which a fit counts as converged."""


def arrays(*columns: npt.ArrayLike) -> tuple[Doubles, ...]:
    """Return each column as an array of floats, shape (n,)."""
    return tuple(np.atleast_1d(np.asarray(column, dtype=np.float64)) for column in columns)


def distinct(
    frequency: npt.ArrayLike, recency: npt.ArrayLike, T: npt.ArrayLike
) -> tuple[Doubles, Doubles, Doubles, Doubles]:
    """Return the distinct (x, t_x, T) and each one's share of the customers, shape (m,) each.

    Raises ``CannotLearn`` if nobody ever came back.
    """
    x, t_x, T_ = arrays(frequency, recency, T)
    if not (x > 0).any():
        raise CannotLearn(
            "purchase rhythms need customers who bought on two days or more, found none",
            "ingest a longer history, or wait until some come back",
        )
    counts = pd.DataFrame({"x": x, "t": t_x, "T": T_}).groupby(["x", "t", "T"]).size()
    columns = [counts.index.get_level_values(i).to_numpy(float) for i in range(3)]
    return columns[0], columns[1], columns[2], counts.to_numpy(float) / len(x)


def minimise(loss: Objective, starts: list[Logs], bounds: list[tuple[float, float]], what: str) -> Doubles:
    """Return the best log-parameters over the starts; raise ``CannotLearn`` if no start converged.

    ``loss`` returns minus the mean log-likelihood and its gradient.
    """
    from threadpoolctl import threadpool_limits

    with threadpool_limits(1, "blas"):  # of short sums threads make up to nine times the work
        results = [
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
    good = [result for result in results if np.isfinite(result.fun) and _slope(result, bounds) < TOLERANCE]
    if not good:
        slope = min(_slope(result, bounds) for result in results)
        raise CannotLearn(
            f"{what} did not converge from any of {len(starts)} starts (slope {slope:.2g})",
            "check the orders for implausible dates and amounts, or ingest a longer history",
        )
    return np.asarray(min(good, key=lambda result: float(result.fun)).x)


def _slope(result: OptimizeResult, bounds: list[tuple[float, float]]) -> float:
    """Return the largest slope that does not push against a bound."""
    low, high = np.array(bounds).T
    held = ((result.x <= low) & (result.jac > 0)) | ((result.x >= high) & (result.jac < 0))
    return float(np.abs(result.jac[~held]).max(initial=0.0))
