"""The two forecasts that value is blended from, and the reconciliation of their totals."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, astuple, dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple, Self

import numpy as np
import pandas as pd
from scipy.special import expit

from features.arrays.dtypes import Doubles
from features.errors import CannotLearn
from models.boosted_trees import Trees
from models.chance.purchase_chance import TREES, PurchaseChance
from models.chance.season import NOW, Weeks, at_day
from models.customers.calibration import Miss, expected_miss, middle_total, seasonal_share
from models.customers.customer_panel import PanelConfig, TrainingWindow
from models.customers.inputs import COLUMNS, ORDERS, Inputs
from models.processes.gamma_gamma import GammaGamma
from models.value.spend import TAIL, Spend


@dataclass(frozen=True)
class Figures:
    """Order days and revenue within the horizon, shape (n,) each; NaN if a forecast has none."""

    days: Doubles
    revenue: Doubles


@dataclass(frozen=True)
class Learnt:
    """The learnt forecast and its components, shape (n,) each."""

    chance: Doubles
    """Chance of an order within the horizon."""
    paid: Doubles
    """Chance of an order that brings revenue, net of returns: at most ``chance``."""
    typical: Doubles
    """Typical (median) revenue of those who pay; NaN without prices."""
    figures: Figures


@dataclass(frozen=True)
class Parts:
    """*Two parts*: chance of an order x amount given one. *Structure*: BG/NBD x Gamma-Gamma."""

    chance: PurchaseChance
    spend: Spend
    gamma_gamma: GammaGamma | None

    @classmethod
    def fit(
        cls,
        windows: Sequence[TrainingWindow],
        features: pd.DataFrame,
        *,
        inputs: Inputs,
        config: PanelConfig,
        ahead: Sequence[Weeks] = (NOW,),
    ) -> Self:
        """Learn the two parts from closed windows, the structure from today's customers."""
        try:
            gamma_gamma = GammaGamma.fit(features["frequency"], features["monetary_value"])
        except CannotLearn:
            gamma_gamma = None
        chance = PurchaseChance.fit(windows, inputs.rows(features), config=config, ahead=ahead)
        return cls(chance, Spend.fit(windows, config), gamma_gamma)

    def after(self, days: float) -> Self:
        """Return the parts with the chance at its level of ``days`` after the training."""
        return replace(self, chance=self.chance.after(days))

    def two_part(self, rows: pd.DataFrame) -> Learnt:
        """Return the learnt forecast."""
        return self._times(self.chance.probability(rows), self.spend.typical_money(rows), rows)

    def trees_alone(self, rows: pd.DataFrame) -> Figures:
        """Return the forecast of the trees without the regressions and BG/NBD's level: a baseline."""
        values, amount = rows[COLUMNS].to_numpy(float), self.spend.amount
        typical = np.full(len(rows), np.nan) if amount is None else np.exp(amount.trees.raw(values))
        return self._times(expit(self.chance.trees.raw(values)), typical, rows).figures

    def _times(self, chance: Doubles, typical: Doubles, rows: pd.DataFrame) -> Learnt:
        paid = chance * self.spend.paying
        figures = Figures(chance * self.spend.days(rows), paid * typical * self.spend.mean_factor)
        return Learnt(chance, paid, typical, figures)

    def structure(self, rows: pd.DataFrame, kept: float) -> Figures:
        """Return the structure's forecast; its revenue is of the ``kept`` share of order days."""
        orders = rows[ORDERS].to_numpy(float)
        if self.gamma_gamma is None:
            return Figures(orders, np.full(len(rows), np.nan))
        value = self.gamma_gamma.expected_value(rows["frequency"], rows["monetary_value"])
        return Figures(orders, orders * kept * value)

    def misses(
        self, windows: Sequence[TrainingWindow], kept: float, *, last_year: TrainingWindow | None
    ) -> tuple["Misses", "Misses"]:
        """Return the expected errors of the structure's totals: of order days, and of revenue."""
        past = [self._missed(window, kept) for window in windows]
        days, revenue = self._missed(last_year, kept) if last_year else (None, None)
        return (
            Misses.of([missed for missed, _ in past], days),
            Misses.of([missed for _, missed in past], revenue),
        )

    def levels(
        self,
        windows: Sequence[TrainingWindow],
        features: pd.DataFrame,
        *,
        inputs: Inputs,
        config: PanelConfig,
        ahead: Sequence[Weeks],
    ) -> list[tuple[float, "Level", "Level"]]:
        """Return, for each of the weeks ``ahead``, the days until then and the levels of days and revenue."""
        rows = inputs.rows(features)
        structure, levels = self.structure(rows, inputs.kept), []
        for weeks in ahead:
            learnt = self.after(weeks.days).two_part(rows).figures
            days, revenue = self.misses(windows, inputs.kept, last_year=weeks.last_year)
            orders = Level.of(learnt.days, structure.days, lean=config.structure, missed=days)
            money = Level.of(learnt.revenue, structure.revenue, lean=config.structure, missed=revenue)
            levels.append((float(weeks.days), orders, money))
        return levels

    def _missed(self, window: TrainingWindow, kept: float) -> tuple[Miss, Miss]:
        foreseen = self.structure(window.rows, kept)
        days = Miss.of_total(foreseen.days.sum(), window.n_order_days)
        return days, Miss.of_total(foreseen.revenue.sum(), window.revenue)

    def save(self, folder: Path) -> None:
        """Write the trees' text."""
        self.chance.trees.save(folder / TREES)
        self.spend.save(folder)

    def facts(self) -> dict[str, Any]:
        """Return everything but the trees as plain data, for ``model.json``."""
        gamma_gamma = None if self.gamma_gamma is None else asdict(self.gamma_gamma)
        return {"chance": self.chance.facts(), "spend": self.spend.facts(), "gamma_gamma": gamma_gamma}

    @classmethod
    def load(cls, folder: Path, facts: Mapping[str, Any]) -> Self:
        """Rebuild from what ``save`` wrote and ``facts`` returned."""
        chance = PurchaseChance.of(facts["chance"], Trees.load(folder / TREES))
        gamma_gamma = None if facts["gamma_gamma"] is None else GammaGamma(**facts["gamma_gamma"])
        return cls(chance, Spend.load(folder, facts["spend"]), gamma_gamma)


class Misses(NamedTuple):
    """The expected error of the structure's total in the weeks ahead, and how far last year determines it."""

    size: float = 0.0
    """In logs: the error common to all windows, and last year's beyond that."""
    seasonal_share: float = 0.0
    """How far last year's error is taken as seasonal, in [0, 1]: see ``models.customers.calibration``."""

    @classmethod
    def of(cls, past: Sequence[Miss], last_year: Miss | None) -> Self:
        """Compute from past windows, newest first, and last year's."""
        always = expected_miss(past, 0.0)
        return cls(expected_miss(past, 0.0, last_year=last_year), seasonal_share(last_year, always))


@dataclass(frozen=True)
class Level:
    """Factors that scale both forecasts to one total; ``structure`` is 0 if there is none."""

    two_part: float
    structure: float

    @classmethod
    def of(cls, two_part: Doubles, structure: Doubles, *, lean: float, missed: Misses) -> Self:
        """Compute the total that lies ``lean`` of the way from the first's to the second's, in logs.

        The second's is first corrected by its expected error (``missed``). As far as last year determines the
        season, the first is ignored, as it knows no season of amounts. Totals leave out the dearest one in
        100, so that an outlier does not raise everyone.
        """
        many = structure <= np.quantile(structure, TAIL) if len(structure) else np.zeros(0, bool)
        one, other = float(two_part[many].sum()), float(structure[many].sum())
        if not (one > 0 and other > 0):
            return cls(1.0, 0.0)
        lean += (1 - lean) * missed.seasonal_share
        total = middle_total(one, other * float(np.exp(missed.size)), weight=lean)
        return cls(total / one, total / other)

    @classmethod
    def at_day(cls, days: float, known: Sequence[tuple[float, Self]]) -> Self:
        """Return the factors at a day after the training, interpolated between those ``known``."""
        factors = [(at, astuple(level)) for at, level in known]
        return cls(*(at_day(days, [(at, each[k]) for at, each in factors]) for k in range(2)))

    def blend(self, two_part: Doubles, structure: Doubles, *, share: float) -> Doubles:
        """Return the average at the reconciled total, ``share`` of it the structure's, shape (n,)."""
        if not self.structure:
            return np.asarray(two_part * self.two_part)
        return np.asarray((1 - share) * two_part * self.two_part + share * structure * self.structure)
