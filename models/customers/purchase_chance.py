"""The chance of an order within the horizon: what churn is the complement of, and value is built on.

A logistic regression on logs and boosted trees, averaged as logits; both read BG/NBD's expectations. The
level is what BG/NBD foresees for the customers of today, moved by half of what it missed in the newest
window: it knows how customers age, the miss tells what this shop does beyond that.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np
import numpy.typing as npt
import pandas as pd
from scipy.special import expit

from models.customers.calibration import carried_share, logit_shift
from models.customers.customer_panel import CHANCE, COLUMNS, PanelConfig, TrainingWindow, stacked, thinned
from models.customers.log_linear import RICH, LogLinear
from models.customers.trees import Trees

Array = npt.NDArray[np.float64]

TREES = "purchase_chance.trees.txt"
"""The file of its trees in an artefact."""


@dataclass(frozen=True)
class PurchaseChance:
    """A fitted chance of at least one order within the horizon."""

    linear: LogLinear
    trees: Trees
    shift: float

    @classmethod
    def fit(
        cls,
        windows: Sequence[TrainingWindow],
        today: pd.DataFrame,
        config: PanelConfig,
        *,
        season: float = 0.0,
    ) -> Self:
        """Learn from closed windows, newest first; ``today`` are the rows of the customers known now.

        ``season``: what the weeks to come add to the logit, see ``models.customers.season``.
        """
        some = thinned(windows, config)
        rows = pd.concat([window.rows for window in some])
        truth = stacked([window.bought for window in some])
        linear = LogLinear.fit(RICH, rows, truth, ridge=config.ridge)
        trees = Trees.fit("binary", rows.to_numpy(float), truth, config, any_threshold=True)
        raw = cls(linear, trees, 0.0)
        today = today.iloc[:: 1 + len(today) // config.learn_rows]
        return cls(linear, trees, raw.level(some[0], today, config.structure) + season)

    def level(self, newest: TrainingWindow, today: pd.DataFrame, structure: float) -> float:
        """Return the shift that gives ``today`` its mean chance; without BG/NBD the newest window's."""
        seen = float((newest.bought.sum() + 0.5) / (len(newest.bought) + 1))
        then, now = newest.rows[CHANCE].mean(), today[CHANCE].mean()
        if not np.isfinite([then, now]).all():
            return logit_shift(self.logit(newest.rows), seen)
        return logit_shift(self.logit(today), carried_share(now, then, seen, 1 - structure))

    def logit(self, rows: pd.DataFrame) -> Array:
        """Return the logit of each row's chance, shape (n,)."""
        scores = (self.linear.score(rows) + self.trees.raw(rows[COLUMNS].to_numpy(float))) / 2
        return np.asarray(scores + self.shift)

    def contributions(self, rows: pd.DataFrame) -> pd.DataFrame:
        """Return what each of ``COLUMNS`` adds to the logit, beyond a typical customer's."""
        added = pd.DataFrame(self.trees.contributions(rows[COLUMNS].to_numpy(float)), rows.index, COLUMNS)
        added[list(self.linear.names)] += self.linear.terms(rows)
        return added / 2

    def probability(self, rows: pd.DataFrame) -> Array:
        """Return each row's chance of an order within the horizon, shape (n,), in (0, 1)."""
        return np.asarray(expit(self.logit(rows)))

    def facts(self) -> dict[str, Any]:
        """Return all but the trees as plain data, for ``model.json``."""
        return {"linear": asdict(self.linear), "shift": self.shift}

    @classmethod
    def of(cls, facts: Mapping[str, Any], trees: Trees) -> Self:
        """Put together again what ``facts`` took apart."""
        return cls(LogLinear.of(facts["linear"]), trees, facts["shift"])
