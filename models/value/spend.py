"""How many order days and how much money, given that a customer orders within the horizon at all.

Amounts are of customers who pay: those who return everything, or pay nothing, are a share of those who order.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd

from features.arrays.dtypes import Bools, Doubles
from models.boosted_trees import Trees
from models.customers.customer_panel import PanelConfig, TrainingWindow, stacked, thinned
from models.customers.inputs import COLUMNS
from models.customers.log_linear import LogLinear
from models.value.amount import Amount

SPREAD = np.linspace(0, 1, 101)
"""The probabilities at which quantiles of amounts relative to their prediction are stored."""
TAIL = 0.99
"""Customers above this quantile do not set the level for the others."""
DAYS_FILE, AMOUNT_FILE = "more_days.trees.txt", "amount.trees.txt"


@dataclass(frozen=True)
class Spend:
    """Fitted parameters: order days beyond the first, given an order, and the amount of those who pay."""

    more_days: Trees
    amount: Amount | None
    """None in a shop without prices."""
    paying: float
    """The share of those who order that end the horizon with revenue: not everything returned, not everything
    free."""
    mean_factor: float
    """Converts typical (median) amounts into means: above 1 for heavy tails (Duan, 1983)."""
    spread: tuple[float, ...]
    """Quantiles at ``SPREAD`` of log(actual / predicted), of customers that the trees had not seen."""

    @classmethod
    def fit(cls, windows: Sequence[TrainingWindow], config: PanelConfig) -> Self:
        """Learn from the customers who ordered within closed windows.

        If none of them did, amounts are learnt from their last orders before.
        """
        windows = thinned(windows, config)
        frame = pd.concat([window.rows for window in windows])
        rows = frame[COLUMNS].to_numpy(float)
        days = stacked([window.n_order_days for window in windows])
        revenue = stacked([window.revenue for window in windows])
        paying = float((revenue[days > 0] > 0).mean()) if (revenue > 0).any() else 1.0
        more_days = Trees.fit("poisson", rows[days > 0], target=days[days > 0] - 1, config=config)
        if not (revenue > 0).any():
            revenue = frame["last_order_revenue"].to_numpy(float)
        paid = revenue > 0
        if not paid.any():
            return cls(more_days, None, paying, 1.0, ())
        payers, logs = frame[paid], np.log(revenue[paid])
        amount = Amount.fit(payers, logs, config=config)
        factor = _mean_factor(logs, amount.log(payers))
        half = pd.factorize(payers.index)[0] % 2 == 0
        return cls(more_days, amount, paying, factor, _spread(payers, logs, one=half, config=config))

    def days(self, rows: pd.DataFrame) -> Doubles:
        """Return the expected order days, given an order, shape (n,), at least 1."""
        return np.asarray(1 + np.exp(self.more_days.raw(rows[COLUMNS].to_numpy(float))))

    def typical_money(self, rows: pd.DataFrame) -> Doubles:
        """Return the typical (median) revenue of those who pay, shape (n,); NaN without prices."""
        if self.amount is None:
            return np.full(len(rows), np.nan)
        return np.asarray(np.exp(self.amount.log(rows)))

    def below(self, typical: Doubles, share: Doubles) -> Doubles:
        """Return the quantiles ``share`` of revenue among those who pay, all of shape (n,).

        ``typical`` is ``typical_money``. 0 if the share is negative; NaN without prices.
        """
        if not self.spread:
            return np.full(len(typical), np.nan)
        factor = np.exp(np.interp(share, SPREAD, np.array(self.spread)))
        return np.asarray(np.where(share < 0, 0.0, typical * factor))

    def share_below(self, typical: Doubles, revenue: Doubles) -> Doubles:
        """Return the share of those who pay whose revenue is at or below ``revenue``, all of shape (n,).

        The inverse of ``below``: 0 if nothing was paid; NaN without prices.
        """
        if not self.spread:
            return np.full(len(typical), np.nan)
        paid = revenue > 0
        logs = np.log(np.where(paid, revenue, 1.0) / typical)
        return np.where(paid, np.interp(logs, np.array(self.spread), SPREAD), 0.0)

    def save(self, folder: Path) -> None:
        """Write the trees' text."""
        self.more_days.save(folder / DAYS_FILE)
        if self.amount is not None:
            self.amount.trees.save(folder / AMOUNT_FILE)

    def facts(self) -> dict[str, Any]:
        """Return everything but the trees as plain data, for ``model.json``."""
        amount = None if self.amount is None else asdict(self.amount.linear)
        facts = {"paying": self.paying, "mean_factor": self.mean_factor, "spread": self.spread}
        return facts | {"amount": amount}

    @classmethod
    def load(cls, folder: Path, facts: Mapping[str, Any]) -> Self:
        """Rebuild from what ``save`` wrote and ``facts`` returned."""
        linear = facts["amount"]
        amount = None if linear is None else Amount(Trees.load(folder / AMOUNT_FILE), LogLinear.of(linear))
        days, spread = Trees.load(folder / DAYS_FILE), tuple(facts["spread"])
        return cls(days, amount, facts["paying"], facts["mean_factor"], spread)


def _mean_factor(logs: Doubles, predicted: Doubles) -> float:
    """Return total over predicted total, each ratio capped at its 99th percentile."""
    misses = logs - predicted
    typical = np.exp(predicted)
    return float(typical @ np.exp(np.minimum(misses, np.quantile(misses, TAIL))) / typical.sum())


def _spread(rows: pd.DataFrame, logs: Doubles, *, one: Bools, config: PanelConfig) -> tuple[float, ...]:
    """Return the quantiles of errors on one half of the customers, trained on the other, both ways."""
    misses = []
    for half in (one, ~one):
        if half.any() and not half.all():
            amount = Amount.fit(rows[half], logs[half], config=config)
            misses.append(logs[~half] - amount.log(rows[~half]))
    spread = np.quantile(np.concatenate(misses) if misses else logs - logs.mean(), SPREAD)
    return tuple(spread.round(6).tolist())
