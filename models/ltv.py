"""Value: expected orders, revenue and margin within the horizon, and when the next order comes.

Two forecasts are blended: the chance of an order times the expected amount given one (learnt), and BG/NBD's
orders times Gamma-Gamma's spend. Each is first scaled to one total, halfway between what past windows show
and what the structural model expects of today's customers, corrected by its error common to all windows. A
horizon of which no window has closed is predicted for a part, and extrapolated to the whole
(``models.value.extrapolation``); ``notes`` then say so.
"""

from collections.abc import Sequence
from datetime import date, datetime
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from pydantic import Field

from features.customer import CUSTOMER_FEATURES
from features.shop import Shop
from models.chance.horizon import Horizon
from models.chance.season import weeks_ahead
from models.customers.customer_panel import PanelConfig, everyone, thinned, training_windows
from models.customers.inputs import COLUMNS
from models.kinds import ScoreModel
from models.model import customer_card
from models.processes.next_order import dates, days_ahead, days_between, shop_gap_days
from models.processes.pareto_nbd import pareto_orders
from models.value.extrapolation import days_ratio
from models.value.interval import Interval
from models.value.reconciliation import Reconciliation
from models.value.tweedie import tweedie_revenue
from models.value.value_parts import Figures, Learnt, Parts
from models.value.view import View


class LtvConfig(PanelConfig):
    """How value is learnt."""

    structure_share: float = Field(default=0.1, ge=0, le=1)
    """Weight of BG/NBD x Gamma-Gamma in the blend; the rest is the two-part model's."""


class Ltv(ScoreModel[LtvConfig]):
    """Expected orders, revenue and margin over the horizon, an 80% interval, and the next order's day."""

    name = "ltv"
    question = "what will they be worth, and when do they come back?"
    method = "BG/NBD x Gamma-Gamma and two learnt parts (LightGBM, a regression), blended, totals reconciled"
    must_beat = ("past_spend", "bgnbd_gamma_gamma", "lightgbm_two_part", "tweedie")
    headline = ("gini revenue", "bias revenue", "gini n_order_days")
    truths = {"expected_revenue": "revenue", "expected_orders": "n_order_days"}
    Config = LtvConfig

    def __init__(
        self,
        config: LtvConfig,
        trained_until: datetime,
        *,
        view: View,
        parts: Parts,
        reconciliation: Reconciliation,
    ) -> None:
        super().__init__(config, trained_until)
        self.view = view
        self.parts = parts
        self.reconciliation = reconciliation

    @classmethod
    def fit(cls, shop: Shop, known_until: datetime, *, config: LtvConfig) -> Self:
        """Learn from windows closed by ``known_until``; raise ``CannotLearn`` if there is none.

        A horizon of which no window has closed yet is extrapolated from a shorter one; ``notes`` then say so.
        """
        horizon = Horizon.of(shop, known_until, horizon_days=config.horizon(shop))
        learnt_of = config.model_copy(update={"horizon_days": horizon.learnt_days})
        windows = training_windows(shop, known_until, config=learnt_of)
        features = shop.customer_features(known_until)
        view = View.fit(features, shop.n_days_placed(known_until), horizon=horizon)
        ahead = weeks_ahead(shop, known_until, config=learnt_of)
        parts = Parts.fit(windows, features, inputs=view.part, config=learnt_of, ahead=ahead)
        (_, days, revenue), *later = parts.levels(
            windows, features, inputs=view.part, config=learnt_of, ahead=ahead
        )
        reconciliation = Reconciliation(
            days,
            revenue,
            Interval.fit(view.forecasts(parts, features).learnt.paid),
            shop.margin(known_until).rate,
            shop_gap_days(features),
            shop.timezone,
            tuple(later),
        )
        return cls(config, known_until, view=view, parts=parts, reconciliation=reconciliation)

    def notes(self, as_of: date | None = None) -> list[dict[str, Any]]:
        """Return the caveats on the horizon as of a day: see ``Horizon.notes``."""
        return self.view.horizon.notes(self.name, as_of if self.reconciliation.later else None)

    def predict_from(self, features: pd.DataFrame, cutoff: datetime) -> pd.DataFrame:
        """Return the value columns from customer features as of ``cutoff``.

        ``expected_orders_{h}d`` (days with an order), ``expected_revenue_{h}d`` with ``_p10`` and ``_p90``
        (80% of all customers end up between them, see ``models.value.interval``),
        ``expected_margin_{h}d`` (the shop's currency; NaN without prices), ``days_between_orders`` (NaN
        where nobody ever came back), ``next_order_at`` with ``next_order_p10`` and ``_p90``: the days by
        which half, 10% and 90% of customers like each have ordered again (UTC, the shop's midnight; NaT
        where it cannot be known).
        """
        horizon = self.view.horizon.horizon_days
        days = self.age_days(cutoff)
        parts, reconciliation = self.parts.after(days), self.reconciliation.after(days)
        learnt, structure, waiting = self.view.forecasts(parts, features)
        blended = self._blended(learnt, structure, reconciliation)
        low, high = (
            parts.spend.below(learnt.typical, share) * reconciliation.revenue.two_part
            for share in reconciliation.interval.shares(learnt.paid)
        )
        figures = pd.DataFrame(
            {
                f"expected_orders_{horizon}d": blended.days,
                f"expected_revenue_{horizon}d": blended.revenue,
                f"expected_revenue_{horizon}d_p10": np.minimum(low, blended.revenue),
                f"expected_revenue_{horizon}d_p90": np.maximum(high, blended.revenue),
                f"expected_margin_{horizon}d": blended.revenue * self.reconciliation.margin_rate,
                "days_between_orders": days_between(features, self.reconciliation.shop_gap_days),
            },
            index=features.index,
        )
        waits = days_ahead(waiting, learnt.chance, horizon)
        return figures.join(dates(waits, features.index, cutoff, self.reconciliation.timezone))

    def places(self, shop: Shop, cutoff: datetime, *, truth: "pd.Series[Any]") -> pd.DataFrame:
        """Return where each customer's revenue, the ``truth``, lies in the predicted distribution (PIT).

        Indexed as ``truth``; the shares ``below`` it and ``at_or_below`` it, which differ at 0 by its
        probability. Customers who returned everything count as 0. NaN without prices.
        """
        features, paid = everyone(shop, cutoff).reindex(truth.index), truth.to_numpy(float)
        learnt = self.view.forecasts(self.parts, features).learnt
        below_it = self.parts.spend.share_below(learnt.typical * self.reconciliation.revenue.two_part, paid)
        reached = 1 - learnt.paid + learnt.paid * below_it
        below = np.where(paid > 0, reached, 0.0 * reached)
        return pd.DataFrame({"below": below, "at_or_below": reached}, index=truth.index)

    def _blended(self, learnt: Learnt, structure: Figures, reconciliation: Reconciliation) -> Figures:
        share, figures = self.config.structure_share, learnt.figures
        days = reconciliation.days.blend(figures.days, structure.days, share=share)
        revenue = reconciliation.revenue.blend(figures.revenue, structure.revenue, share=share)
        if self.view.horizon.is_extrapolated:
            days = np.maximum(days, learnt.chance)
        return Figures(days, revenue)

    def importance(self) -> dict[str, float]:
        """Return each column's share of the gain of the amount's trees; of the chance's, without prices."""
        amount = self.parts.spend.amount
        return (amount.trees if amount else self.parts.chance.trees).gain(COLUMNS)

    def baselines(
        self, shop: Shop, known_until: datetime, *, cutoff: datetime, ids: Sequence[str]
    ) -> pd.DataFrame:
        """Return one column per baseline: of revenue and, after ``expected_orders:``, of order days.

        ``past_spend``: the customer's rate so far, over the horizon. ``bgnbd_gamma_gamma`` and
        ``lightgbm_two_part``: either forecast alone, at its own level. ``pareto_nbd``: of order days only.
        ``tweedie``: revenue in one part, learnt from the same windows. Where ours is extrapolated, theirs are
        too.
        """
        horizon, features = self.view.horizon, everyone(shop, cutoff, ids=ids)
        rows, whole = self.view.part.rows(features), self.view.whole.rows(features)
        learnt_of = self.config.model_copy(update={"horizon_days": horizon.learnt_days})
        windows = thinned(training_windows(shop, known_until, config=learnt_of), self.config)
        more = days_ratio(rows, whole) if horizon.is_extrapolated else np.ones(len(rows))
        trees = self.parts.trees_alone(rows)
        share_of_life = horizon.horizon_days / rows["days_since_first_order"].clip(lower=1)
        past = {
            "past_spend": rows["revenue"] * share_of_life,
            "expected_orders:past_spend": rows["n_order_days"] * share_of_life,
            "expected_orders:pareto_nbd": pareto_orders(rows, horizon.horizon_days),
            "tweedie": tweedie_revenue(windows, rows, config=self.config) * more,
        }
        two_part = Figures(trees.days * more, trees.revenue * more)
        both = {
            "bgnbd_gamma_gamma": self.parts.structure(whole, self.view.whole.kept),
            "lightgbm_two_part": two_part,
        }
        money = {name: figures.revenue for name, figures in both.items()}
        days = {f"expected_orders:{name}": figures.days for name, figures in both.items()}
        return pd.DataFrame(past | money | days, index=rows.index)

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and the trees' texts."""
        self.write_card(
            folder,
            customer_features=CUSTOMER_FEATURES.fingerprint,
            columns=COLUMNS,
            parts=self.parts.facts(),
            reconciliation=self.reconciliation.facts(),
            **self.view.facts(),
        )
        self.parts.save(folder)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back; raise ``ArtefactError`` if the features are not its own, or a part is missing."""
        with customer_card(cls, folder) as card:
            return cls(
                card.config,
                card.trained_until,
                view=View.of_facts(card.facts),
                parts=Parts.load(folder, card.facts["parts"]),
                reconciliation=Reconciliation.of_facts(card.facts["reconciliation"]),
            )
