"""The result of an experiment: outcomes of the contacted and the held out, and the effect of a contact."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

import numpy as np
from numpy.typing import ArrayLike

from features.arrays.dtypes import Bools, Doubles, Longs, Rows
from features.errors import CannotLearn, InputError

Z = 1.959964
"""Standard errors on either side of a 95% interval."""
LEAST_PROPENSITY = 0.01
"""Below it (and above 1 minus it) a contact was practically certain: there is nobody to compare with."""
ENOUGH_AMOUNTS = 100
"""With fewer amounts other than 0 in a group a few large ones decide: of intervals meant to miss once in 20
times, one in ten missed (log-normal amounts, 25 to 60 in the smaller group)."""
MIN_PER_GROUP = 50
"""Minimum number of customers in each group, contacted and held out."""
FEWEST_OUTCOMES = 10
"""Minimum number of customers in each group whose outcome differs from its most common value."""


class Estimate(NamedTuple):
    """A figure with its 95% interval."""

    value: float
    low: float
    high: float

    @property
    def error(self) -> float:
        """The standard error implied by a normal interval."""
        return (self.high - self.low) / (2 * Z)

    @property
    def is_above_zero(self) -> bool:
        """Whether the whole interval is above zero."""
        return self.low > 0

    @property
    def is_below_zero(self) -> bool:
        """Whether the whole interval is below zero."""
        return self.high < 0

    @classmethod
    def of(cls, value: float, error: float) -> Self:
        """Return the normal interval of a standard error."""
        return cls(float(value), float(value - Z * error), float(value + Z * error))

    @classmethod
    def of_draws(cls, value: float, draws: Doubles) -> Self:
        """Return the percentile interval of bootstrap draws; NaN without a finite one."""
        known = draws[np.isfinite(draws)]
        low, high = np.quantile(known, [0.025, 0.975]) if len(known) else (np.nan, np.nan)
        return cls(float(value), float(low), float(high))


@dataclass(frozen=True)
class Trial:
    """One row per customer (or contact), each array of shape (n,)."""

    outcome: Doubles
    """0 or 1 for an event, otherwise an amount."""
    treated: Doubles
    """1 for the contacted, 0 for the held out."""
    propensity: Doubles
    """The probability, above 0 and below 1, with which each was to be contacted."""
    group: Rows
    """Number of the customer, from 0: rows of one customer are drawn and left out together."""

    def __len__(self) -> int:
        return len(self.outcome)

    @classmethod
    def of(
        cls,
        outcome: ArrayLike,
        treated: ArrayLike,
        *,
        propensity: ArrayLike | None = None,
        customer: ArrayLike | None = None,
    ) -> Self:
        """Validate and build; without ``propensity`` everyone's is the share contacted.

        ``customer`` identifies the customer of each row; without it every row is another customer.

        Raises ``InputError`` for impossible values, ``CannotLearn`` if there can be no comparison: one group
        is too small, its outcome does not vary, or a contact was certain.
        """
        y, t = np.asarray(outcome, np.float64), np.asarray(treated, np.float64)
        if not np.isin(t, (0, 1)).all():
            raise InputError("treated must be 0 or 1 in every row", "1 for the contacted, 0 for the held out")
        if not np.isfinite(y).all():
            raise InputError(
                f"the outcome is missing in {(~np.isfinite(y)).sum()} rows", "give 0 where it did not happen"
            )
        _check_groups(y, t)
        p = np.full(len(t), t.mean()) if propensity is None else np.asarray(propensity, np.float64)
        _check_overlap(p)
        group = np.arange(len(t)) if customer is None else np.unique(customer, return_inverse=True)[1]
        return cls(y, t, p, group)

    def take(self, rows: Rows | Bools) -> "Trial":
        """Return the trial of some of its rows."""
        group = np.unique(self.group[rows], return_inverse=True)[1]
        return Trial(self.outcome[rows], self.treated[rows], self.propensity[rows], group)

    @property
    def is_binary(self) -> bool:
        """Whether the outcome is an event (0 or 1)."""
        return bool(np.isin(self.outcome, (0, 1)).all())

    @property
    def few_amounts(self) -> int | None:
        """The number of amounts other than 0 in the group with fewer, if too few to trust an interval."""
        fewest = min(int((self.outcome[self.treated == group] != 0).sum()) for group in (0, 1))
        return fewest if fewest < ENOUGH_AMOUNTS and not self.is_binary else None

    @property
    def weight(self) -> Doubles:
        """The inverse probability of the treatment each had, which makes both groups alike; shape (n,)."""
        return np.where(self.treated == 1, 1 / self.propensity, 1 / (1 - self.propensity))

    @property
    def base(self) -> float:
        """The mean outcome of the held out."""
        return self._mean(1 - self.treated)[0]

    @property
    def effect(self) -> Estimate:
        """The effect of a contact on the mean outcome, over everybody (Hájek, 1971)."""
        (high, treated), (low, control) = self._mean(self.treated), self._mean(1 - self.treated)
        return Estimate.of(high - low, float(np.sqrt(((treated - control) ** 2).sum())))

    def _mean(self, member: Doubles) -> tuple[float, Doubles]:
        """Return the mean outcome of a group, and each customer's influence on it."""
        weight = self.weight * member
        mean = float(weight @ self.outcome / weight.sum())
        return mean, np.bincount(self.group, weight * (self.outcome - mean)) / weight.sum()

    def folds(self, n: int, seed: int) -> Longs:
        """Return each row's fold, from 0: a customer's rows share one; by strata of outcome and treatment."""
        rng = np.random.default_rng(seed)
        first = np.unique(self.group, return_index=True)[1]
        kind = 2 * self.treated[first] + (self.outcome[first] != 0)
        order = np.lexsort((rng.random(len(first)), kind))
        fold = np.empty(len(first), np.int64)
        fold[order] = np.arange(len(first)) % n
        return fold[self.group]

    def draws(self, n: int, seed: int) -> Iterator[Doubles]:
        """Yield how often each row counts in each of ``n`` bootstrap draws of customers, shape (n_rows,)."""
        rng, m = np.random.default_rng(seed), int(self.group.max()) + 1
        for _ in range(n):
            yield np.bincount(rng.integers(0, m, m), minlength=m)[self.group].astype(np.float64)


def _check_groups(outcome: Doubles, treated: Doubles) -> None:
    groups: Sequence[tuple[str, Bools]] = (
        ("contacted", treated == 1),
        ("held out", treated == 0),
    )
    for name, group in groups:
        if (n := int(group.sum())) < MIN_PER_GROUP:
            raise CannotLearn(
                f"{n} customers were {name}: {MIN_PER_GROUP} are needed to compare",
                "hold out a share at random, and keep treated = false for them",
            )
        _, counts = np.unique(outcome[group], return_counts=True)
        if (other := n - int(counts.max())) < FEWEST_OUTCOMES:
            raise CannotLearn(
                f"the outcome hardly varies among the {n} {name}: {other} differ from the rest, "
                f"{FEWEST_OUTCOMES} are needed",
                "take an outcome that happens more often, or wait",
            )


def _check_overlap(propensity: Doubles) -> None:
    unknown = int((~np.isfinite(propensity)).sum())
    if unknown:
        raise CannotLearn(
            f"propensity is unknown in {unknown} of {len(propensity)} rows",
            "it is the chance with which each was to be contacted: in a random half it is 0.5",
        )
    outside = (propensity < LEAST_PROPENSITY) | (propensity > 1 - LEAST_PROPENSITY)
    if outside.any():
        raise CannotLearn(
            f"no overlap: {outside.sum()} of {len(propensity)} rows had a propensity below "
            f"{LEAST_PROPENSITY} or above {1 - LEAST_PROPENSITY}, so nobody like them was treated otherwise",
            "leave them out, or hold out a share of everyone at random",
        )
