"""The two opinions that value is blended from, and how their totals are brought together."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from scipy.special import expit

from features.arrays.dtypes import Doubles
from features.errors import CannotLearn
from models.boosted_trees import Trees
from models.chance.purchase_chance import TREES, PurchaseChance
from models.customers.calibration import common, middle_total
from models.customers.customer_panel import PanelConfig, TrainingWindow
from models.customers.lens import COLUMNS, ORDERS, Lens
from models.processes.gamma_gamma import GammaGamma
from models.value.spend import TAIL, Spend


@dataclass(frozen=True)
class Figures:
    """Order days and revenue within the horizon, shape (n,) each; NaN where an opinion has none."""

    days: Doubles
    revenue: Doubles


@dataclass(frozen=True)
class Learnt:
    """The learnt opinion and what it is made of, shape (n,) each."""

    chance: Doubles
    """Of an order within the horizon."""
    paid: Doubles
    """Chance of an order that brings revenue, net of what comes back: at most ``chance``."""
    typical: Doubles
    """Typical (median) revenue of those who pay; NaN without prices."""
    figures: Figures


@dataclass(frozen=True)
class Parts:
    """*Two parts*: chance of an order x what those who order come to. *Structure*: BG/NBD x Gamma-Gamma."""

    chance: PurchaseChance
    spend: Spend
    gamma_gamma: GammaGamma | None

    @classmethod
    def fit(
        cls,
        windows: Sequence[TrainingWindow],
        features: pd.DataFrame,
        lens: Lens,
        config: PanelConfig,
        *,
        season: float = 0.0,
    ) -> Self:
        """Learn the two parts from closed windows, the structure from the customers of today."""
        try:
            gamma_gamma = GammaGamma.fit(features["frequency"], features["monetary_value"])
        except CannotLearn:
            gamma_gamma = None
        chance = PurchaseChance.fit(windows, lens.rows(features), config, season=season)
        return cls(chance, Spend.fit(windows, config), gamma_gamma)

    def two_part(self, rows: pd.DataFrame) -> Learnt:
        """Return the learnt opinion."""
        return self._times(self.chance.probability(rows), self.spend.typical_money(rows), rows)

    def trees_alone(self, rows: pd.DataFrame) -> Figures:
        """Return what the trees would say without the regressions and BG/NBD's level: a baseline."""
        values, amount = rows[COLUMNS].to_numpy(float), self.spend.amount
        typical = np.full(len(rows), np.nan) if amount is None else np.exp(amount.trees.raw(values))
        return self._times(expit(self.chance.trees.raw(values)), typical, rows).figures

    def _times(self, chance: Doubles, typical: Doubles, rows: pd.DataFrame) -> Learnt:
        paid = chance * self.spend.paying
        figures = Figures(chance * self.spend.days(rows), paid * typical * self.spend.mean_factor)
        return Learnt(chance, paid, typical, figures)

    def structure(self, rows: pd.DataFrame, kept: float) -> Figures:
        """Return the opinion of the structure; its revenue is of the ``kept`` share of order days."""
        orders = rows[ORDERS].to_numpy(float)
        if self.gamma_gamma is None:
            return Figures(orders, np.full(len(rows), np.nan))
        value = self.gamma_gamma.expected_value(rows["frequency"], rows["monetary_value"])
        return Figures(orders, orders * kept * value)

    def missed(self, windows: Sequence[TrainingWindow], kept: float) -> tuple[float, float]:
        """Return by how much the structure's log totals were too low in every window: days, and revenue."""
        foreseen = [self.structure(window.rows, kept) for window in windows]
        days = [(w.n_order_days.sum(), f.days.sum()) for w, f in zip(windows, foreseen, strict=True)]
        revenue = [(w.revenue.sum(), f.revenue.sum()) for w, f in zip(windows, foreseen, strict=True)]
        return _missed_always(days), _missed_always(revenue)

    def save(self, folder: Path) -> None:
        """Write the trees' text."""
        self.chance.trees.save(folder / TREES)
        self.spend.save(folder)

    def facts(self) -> dict[str, Any]:
        """Return all but the trees as plain data, for ``model.json``."""
        gamma_gamma = None if self.gamma_gamma is None else asdict(self.gamma_gamma)
        return {"chance": self.chance.facts(), "spend": self.spend.facts(), "gamma_gamma": gamma_gamma}

    @classmethod
    def load(cls, folder: Path, facts: Mapping[str, Any]) -> Self:
        """Read back what ``save`` wrote and ``facts`` took apart."""
        chance = PurchaseChance.of(facts["chance"], Trees.load(folder / TREES))
        gamma_gamma = None if facts["gamma_gamma"] is None else GammaGamma(**facts["gamma_gamma"])
        return cls(chance, Spend.load(folder, facts["spend"]), gamma_gamma)


def _missed_always(totals: Sequence[tuple[float, float]]) -> float:
    """Return what all windows' log totals, seen and foreseen, missed alike."""
    seen, foreseen = np.array(totals, float).T
    known = np.where(foreseen > 0, foreseen, np.nan)
    with np.errstate(divide="ignore"):
        return common(np.log(np.maximum(seen, 0.0) / known))


@dataclass(frozen=True)
class Level:
    """Factors that bring both opinions to one total; ``structure`` is 0 where there is none."""

    two_part: float
    structure: float

    @classmethod
    def of(cls, two_part: Doubles, structure: Doubles, lean: float, *, missed: float = 0.0) -> Self:
        """Take the total that lies ``lean`` of the way from the first's to the second's, in logs.

        ``missed`` is by how much the log of the second's total is too low in this shop. Totals are those of
        all but the dearest one in 100, so that a whale does not lift everyone.
        """
        many = structure <= np.quantile(structure, TAIL) if len(structure) else np.zeros(0, bool)
        one, other = float(two_part[many].sum()), float(structure[many].sum())
        if not (one > 0 and other > 0):
            return cls(1.0, 0.0)
        total = middle_total(one, other * float(np.exp(missed)), lean)
        return cls(total / one, total / other)

    def blend(self, two_part: Doubles, structure: Doubles, share: float) -> Doubles:
        """Return the average at the reconciled total, ``share`` of it the structure's, shape (n,)."""
        if not self.structure:
            return np.asarray(two_part * self.two_part)
        return np.asarray((1 - share) * two_part * self.two_part + share * structure * self.structure)
