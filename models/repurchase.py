"""What customers buy again, and when: a chance and a date for every product they bought, and demand."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np
from pydantic import Field

from features.arrays.dtypes import Floats, Ints
from features.arrays.groups import found_at
from features.arrays.history import History
from features.errors import ArtefactError, CannotLearn
from features.shop import Shop
from models.clock.demand import FORECASTS, Demand, Expected, Sales, forecasts_of
from models.clock.due import UNKNOWN_DAY, due_day
from models.clock.inputs import INPUTS, inputs
from models.clock.logistic import Logistic
from models.clock.measured import pairs, products
from models.clock.renewal import Rhythm
from models.clock.spells import Spells
from models.clock.windows import Window, rhythm_of
from models.config import HorizonConfig
from models.customers.calibration import logit_shift
from models.kinds import PairModel
from models.measured import Measured
from models.model import OTHER_CODE, card_of, require_products
from models.youth import youth

if TYPE_CHECKING:
    import pandas as pd


class RepurchaseConfig(HorizonConfig):
    """Windows to learn from; the same defaults serve every shop."""

    n_windows: int = Field(default=4, ge=1)
    """Past cutoffs to learn from."""
    step_days: int = Field(default=14, ge=1)
    """Days between them."""
    max_pairs: int = Field(default=300_000, ge=1)
    """Maximum number of pairs to learn from, drawn by ``seed``."""


@dataclass(frozen=True)
class Clock:
    """Every pair bought before a cutoff, sorted by customer and product, with its predictions."""

    history: History
    spells: Spells
    rhythm: Rhythm
    chance: Floats
    """Of a purchase within the horizon."""

    @property
    def due_day(self) -> Ints:
        """The expected day of the next purchase: see ``models.clock.due``."""
        return due_day(self.history, self.rhythm)


class Repurchase(PairModel[RepurchaseConfig]):
    """A renewal model of each pair, calibrated by a logistic regression on past windows."""

    name = "repurchase"
    question = "what do they buy again, when, and how much will sell?"
    method = "log-normal renewal with an end (cure), shrunk by level; logistic; blended demand"
    must_beat = ("personal_frequency", "personal_frequency_decayed", "last_horizon", "four_horizons")
    headline = ("ndcg@10 repeat", "auc bought_again", "ece bought_again", "wape buyers", "inside units")
    Config = RepurchaseConfig

    def __init__(
        self,
        config: RepurchaseConfig,
        trained_until: datetime,
        *,
        horizon_days: int,
        chance: Logistic,
        demand: Demand,
    ) -> None:
        super().__init__(config, trained_until)
        self.horizon_days, self.chance, self.blend = horizon_days, chance, demand

    @classmethod
    def fit(cls, shop: Shop, known_until: datetime, *, config: RepurchaseConfig) -> Self:
        """Learn from windows closed by ``known_until``; raise ``CannotLearn`` if nothing was bought."""
        require_products(cls.name, shop)
        horizon = config.horizon(shop)
        cutoffs = shop.past_cutoffs(known_until, horizon, n=config.n_windows, step_days=config.step_days)
        windows = [
            Window.of(shop, cutoff, horizon_days=horizon, known_until=known_until) for cutoff in cutoffs
        ]
        rows, bought = (
            np.concatenate([getattr(window, name) for window in windows]) for name in ("rows", "bought")
        )
        if not len(rows):
            raise CannotLearn(
                f"repurchase needs purchases of products before {cutoffs[0]:%Y-%m-%d}, found none",
                "ingest earlier orders, or take a later cutoff",
            )
        some = np.sort(np.random.default_rng(config.seed).permutation(len(rows))[: config.max_pairs])
        learnt = Logistic.fit(rows[some], bought[some])
        known = [(window.forecasts(learnt, horizon), window.sold) for window in windows]
        demand = Demand.fit(known, horizons=1 + (cutoffs[0] - cutoffs[-1]).days / horizon)
        chance = levelled(learnt, windows[0], shop=shop, known_until=known_until, horizon_days=horizon)
        return cls(config, known_until, horizon_days=horizon, chance=chance, demand=demand)

    def state(self, shop: Shop, cutoff: datetime) -> Clock:
        """Return the predictions for every pair as of ``cutoff``."""
        history, spells, rhythm = rhythm_of(shop, cutoff)
        chance = self.chance.of_rows(inputs(history, spells, rhythm=rhythm, horizon_days=self.horizon_days))
        return Clock(history, spells, rhythm, chance)

    def predict(self, shop: Shop, cutoff: datetime) -> "pd.DataFrame":
        """Return one row per pair: ids, ``repurchase_probability_<h>d``, ``due_at``, ``typical_gap_days``.

        ``due_at`` is a day of the shop; NaT if the customer more likely never buys it again, or only in the
        far future.
        """
        import pandas as pd

        clock = self.state(shop, cutoff)
        customers, products = clock.history.customers, clock.history.products
        day = clock.due_day.astype("datetime64[D]")
        day[clock.due_day == UNKNOWN_DAY] = np.datetime64("NaT", "D")
        return pd.DataFrame(
            {
                "customer_id": np.char.decode(customers.ids, "utf-8")[clock.spells.customer],
                "product_id": np.char.decode(products.ids, "utf-8")[clock.spells.product],
                f"repurchase_probability_{self.horizon_days}d": clock.chance,
                "due_at": day.astype("datetime64[s]"),
                "typical_gap_days": clock.rhythm.typical,
            }
        )

    def demand(self, shop: Shop, cutoff: datetime, *, clock: Clock | None = None) -> "pd.DataFrame":
        """Return expected demand per product over the horizon, most buyers first.

        ``product_id, name, expected_buyers, expected_units, p10, p90``, ``stock`` and ``days_of_cover`` (NaN
        if the stock is unknown). An order without a customer counts as a buyer of its own. ``clock`` is the
        state as of ``cutoff``, if already computed.

        ``p10`` to ``p90`` covers the units of 80% of products, slow sellers as well as fast ones: a tenth lie
        below and a tenth above; if zero sales are likely, ``p10`` is 0 and a fifth lie above. Bounds are
        whole units, except where the mean itself is the bound.
        """
        import pandas as pd

        catalogue = shop.catalogue(cutoff)
        expected = self._expected(shop, cutoff, clock or self.state(shop, cutoff))
        stock = catalogue.stock.astype(float)
        table = {
            "product_id": catalogue.products.all_names(),
            "name": catalogue.names(np.arange(len(catalogue.products))),
            "expected_buyers": expected.buyers,
            "expected_units": expected.units,
            "p10": expected.p10,
            "p90": expected.p90,
            "stock": stock,
            "days_of_cover": stock * self.horizon_days / np.maximum(expected.units, 1e-9),
        }
        order = np.lexsort((np.arange(len(stock)), -expected.buyers))
        return pd.DataFrame(table).iloc[order].reset_index(drop=True)

    def _expected(self, shop: Shop, cutoff: datetime, clock: Clock) -> Expected:
        category = shop.catalogue(cutoff).category
        sales = Sales.of(shop, cutoff, spells=clock.spells)
        return self.blend.expected(
            forecasts_of(sales, clock.chance, category=category, horizon_days=self.horizon_days)
        )

    def measure(self, shop: Shop, cutoff: datetime, *, end: datetime) -> Iterator[Measured]:
        """Yield our predictions and the baselines' for ``[cutoff, end)``, with the outcomes."""
        window = Window.of(shop, cutoff, horizon_days=self.horizon_days, known_until=end)
        yield from pairs(
            window, self.chance.of_rows(window.rows), name=self.name, horizon_days=self.horizon_days
        )
        plain = window.forecasts(self.chance, self.horizon_days)
        yield from products(window, plain, expected=self.blend.expected(plain), name=self.name)

    def importance(self) -> dict[str, float]:
        """Return each input's share of the regression's standardised weights."""
        return self.chance.importance(INPUTS)

    def save(self, folder: Path) -> None:
        """Write ``model.json``."""
        parts = {"chance": asdict(self.chance), "demand": asdict(self.blend)}
        columns = {"inputs": list(INPUTS), "parts": list(FORECASTS)}
        self.write_card(folder, horizon_days=self.horizon_days, **parts, **columns)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back; raise ``ArtefactError`` if the inputs are not those it was trained on."""
        with card_of(cls, folder) as card:
            facts = card.facts
            if (facts.get("inputs"), facts.get("parts")) != (list(INPUTS), list(FORECASTS)):
                raise ArtefactError("repurchase was trained on other inputs than this code's", OTHER_CODE)
            return cls(
                card.config,
                card.trained_until,
                horizon_days=facts["horizon_days"],
                chance=Logistic.of(facts["chance"]),
                demand=Demand.of(facts["demand"]),
            )


def levelled(
    chance: Logistic, newest: Window, *, shop: Shop, known_until: datetime, horizon_days: int
) -> Logistic:
    """Return the chances at the level of a young shop (``models.youth``); unchanged in a grown one."""
    share = youth(shop, known_until, horizon_days=horizon_days)
    if not share:
        return chance
    history, spells, rhythm = rhythm_of(shop, known_until)
    customers = history.customers.codes(newest.history.customers.all_names()).astype(np.int64)
    products = history.products.codes(newest.history.products.all_names())
    size = len(history.products)
    then = customers[newest.spells.customer] * size + products[newest.spells.product]
    at = found_at(then, spells.customer.astype(np.int64) * size + spells.product)
    here = at >= 0  # customers who have since returned the product are not counted
    if not here.any():
        return chance
    odds = chance.odds(inputs(history, spells, rhythm=rhythm, horizon_days=horizon_days))[at[here]]
    shift = logit_shift(odds, float(newest.bought[here].mean()))
    return replace(chance, intercept=chance.intercept + share * shift)
