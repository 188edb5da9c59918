"""Better versions: products for the same need one price step up, ranked by chance times margin.

Chances are averages over all owners of a product. For the customer who asks, the live path multiplies them by
the ranker's chance of each version (``models.candidates.companions.better``); the evaluation is of the
averages alone.
"""

from collections.abc import Iterator
from dataclasses import asdict
from datetime import datetime
from pathlib import Path
from typing import NamedTuple, Self

import numpy as np
from pydantic import Field

from features.arrays.catalogue import Catalogue
from features.arrays.dtypes import Column, Floats, Ints
from features.arrays.groups import cumcount, ranges
from features.errors import ArtefactError, CannotLearn
from features.shop import Shop
from features.words import counted
from models.clock.logistic import Logistic
from models.config import HorizonConfig
from models.decisions.economics import Margins
from models.kinds import PairModel
from models.lists.dearer import INPUTS, Dearer, Steps, kinds_of, last_of_kind, steps_of
from models.measured import Measured
from models.model import OTHER_CODE, card_of, require_products

MEASURED_DEPTH = 5
"""Depth at which lists are measured: a shop window shows only a few better versions."""
TOO_FEW = 20
"""Minimum number of moves to learn from."""


class UpsellConfig(HorizonConfig):
    """Windows to learn from, and what counts as a step; the same defaults serve every shop."""

    price_step: float | None = Field(default=None, gt=1.05)
    """A better version costs at most this many times the price; by default ``lists.upsell_price_step``."""
    n_windows: int = Field(default=4, ge=1)
    """Past cutoffs to learn from."""
    step_days: int = Field(default=14, ge=1)
    """Days between them."""
    max_rows: int = Field(default=300_000, ge=1)
    """Pairs of products without a move to learn from, drawn by ``seed`` and weighted up to all of them."""
    n_versions: int = Field(default=50, ge=1)
    """Better versions kept for each product."""


class Moves(NamedTuple):
    """First purchases of a better version of the last product of a kind that the customer bought.

    ``at`` is the row of ``Steps`` of each move, ``customer`` who made it; ``n`` counts, by product, the
    customers who could move up from it.
    """

    at: Column
    customer: Ints
    n: Column


class Upsell(PairModel[UpsellConfig]):
    """A chance for each pair of a product and a better version; lists are ordered by chance times margin."""

    name = "upsell"
    question = "which better version?"
    method = "same need, higher price tier; logistic regression on past moves, times margin"
    must_beat = ("most_bought_dearer",)
    headline = ("hit@5 moved_up", "margin@5 moved_up")
    Config = UpsellConfig

    def __init__(
        self,
        config: UpsellConfig,
        trained_until: datetime,
        *,
        horizon_days: int,
        chance: Logistic,
        margins: Margins,
    ) -> None:
        super().__init__(config, trained_until)
        self.horizon_days, self.chance, self.margins = horizon_days, chance, margins

    @classmethod
    def fit(cls, shop: Shop, known_until: datetime, *, config: UpsellConfig) -> Self:
        """Learn from moves in windows closed by ``known_until``; ``CannotLearn`` without prices or moves."""
        require_products(cls.name, shop)
        if not np.isfinite(shop.catalogue(known_until).price).any():
            raise CannotLearn(
                "upsell needs prices, found no unit_price in order_lines, no list_price in products",
                "map one of them in recompra.toml",
            )
        horizon = config.horizon(shop)
        cutoffs = shop.past_cutoffs(known_until, horizon, n=config.n_windows, step_days=config.step_days)
        parts = [
            _rows(shop, cutoff, horizon=horizon, known_until=known_until, config=config) for cutoff in cutoffs
        ]
        rows, truth, weight = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        moves = float(weight[truth > 0].sum())
        if moves < TOO_FEW:
            raise CannotLearn(
                f"upsell needs {TOO_FEW} moves to a better version, found {moves:.0f} in "
                f"{counted(len(cutoffs), 'window')} of {counted(horizon, 'day')}",
                "ingest a longer history, or wait for more orders",
            )
        margins = Margins.learn(shop.catalogue(known_until), shop.settings.economics.margin_rate)
        chance = Logistic.fit(rows, truth, weight=weight)
        return cls(config, known_until, horizon_days=horizon, chance=chance, margins=margins)

    def state(self, shop: Shop, cutoff: datetime) -> Dearer:
        """Return every product's better versions as of ``cutoff``, the best by chance times margin first."""
        history, catalogue = shop.history(cutoff), shop.catalogue(cutoff)
        steps = steps_of(
            history, catalogue, price_step=_price_step(self.config, shop), horizon_days=self.horizon_days
        )
        chance, margin = self.chance.of_rows(steps.rows), self._margin(catalogue)[steps.version]
        return _table(steps, chance, margin=margin, shape=(len(catalogue.products), self.config.n_versions))

    def _margin(self, catalogue: Catalogue) -> Floats:
        """Return each product's margin, at least a hundredth of its price, so that loss makers come last."""
        price = np.nan_to_num(catalogue.price.astype(np.float64))
        return np.maximum(np.nan_to_num(self.margins.of_products(catalogue)), 0.01 * price)

    def measure(self, shop: Shop, cutoff: datetime, *, end: datetime) -> Iterator[Measured]:
        """Yield, for all who moved up in ``[cutoff, end)``, whether the first five included their version."""
        history, catalogue = shop.history(cutoff), shop.catalogue(cutoff)
        steps = steps_of(
            history, catalogue, price_step=_price_step(self.config, shop), horizon_days=self.horizon_days
        )
        moves = moves_of(shop, cutoff, horizon_days=self.horizon_days, known_until=end, steps=steps)
        margin = self._margin(catalogue)[steps.version]
        scores = {
            self.name: self.chance.of_rows(steps.rows) * margin,
            "most_bought_dearer": steps.rows[:, list(INPUTS).index("sells")],
        }
        for method, score in scores.items():
            hit = (_ranks(steps.product, steps.version, score) < MEASURED_DEPTH)[moves.at]
            movers, at = np.unique(moves.customer, return_inverse=True)
            share = np.bincount(at.ravel(), hit, minlength=len(movers))
            n = np.bincount(at.ravel(), minlength=len(movers))
            money = np.bincount(at.ravel(), hit * margin[moves.at], minlength=len(movers))
            yield Measured(method, f"hit@{MEASURED_DEPTH}", "moved_up", movers, (share / np.maximum(n, 1),))
            yield Measured(
                method, f"margin@{MEASURED_DEPTH}", "moved_up", movers, (money / np.maximum(n, 1),)
            )

    def importance(self) -> dict[str, float]:
        """Return each input's share of the regression's standardised weights."""
        return self.chance.importance(INPUTS)

    def save(self, folder: Path) -> None:
        """Write ``model.json``."""
        parts = {"chance": asdict(self.chance), "margins": self.margins.model_dump(), "inputs": list(INPUTS)}
        self.write_card(folder, horizon_days=self.horizon_days, **parts)

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back; raise ``ArtefactError`` if the inputs are not those it was trained on."""
        with card_of(cls, folder) as card:
            if card.facts.get("inputs") != list(INPUTS):
                raise ArtefactError("upsell was trained on other inputs than this code's", OTHER_CODE)
            return cls(
                card.config,
                card.trained_until,
                horizon_days=card.facts["horizon_days"],
                chance=Logistic.of(card.facts["chance"]),
                margins=Margins.model_validate(card.facts["margins"]),
            )


def moves_of(
    shop: Shop, cutoff: datetime, *, horizon_days: int, known_until: datetime, steps: Steps
) -> Moves:
    """Return who moved to a better version within the horizon, which closed by ``known_until``."""
    history, size = shop.history(cutoff), max(len(shop.history(cutoff).products), 1)
    last = last_of_kind(history, kinds_of(shop.catalogue(cutoff)))
    came = shop.product_labels(cutoff, horizon_days, known_until=known_until)
    bought = np.divmod(np.setdiff1d(history.pairs_of(came), history.pair), size)
    return _paired(last.customer, last.product, bought=bought, steps=steps)


def _paired(owner: Ints, product: Ints, *, bought: tuple[Column, Column], steps: Steps) -> Moves:
    """Join purchases with the steps to them from what each customer had."""
    size = int(max(steps.product.max(initial=0), steps.version.max(initial=0), product.max(initial=0))) + 1
    n = np.bincount(product, minlength=size)
    by_version = np.argsort(steps.version, kind="stable")
    first = np.searchsorted(steps.version[by_version], bought[1])
    sizes = np.searchsorted(steps.version[by_version], bought[1], side="right") - first
    at = by_version[ranges(first, sizes)]
    customer = np.repeat(bought[0], sizes)
    had = np.isin(customer * size + steps.product[at], owner.astype(np.int64) * size + product)
    return Moves(at[had], customer[had].astype(np.int32), n)


def _rows(
    shop: Shop, cutoff: datetime, *, horizon: int, known_until: datetime, config: UpsellConfig
) -> tuple[Floats, Column, Column]:
    """Return a window's inputs, truth and weight (in customers): rows for those who moved and who did not."""
    history, catalogue = shop.history(cutoff), shop.catalogue(cutoff)
    steps = steps_of(history, catalogue, price_step=_price_step(config, shop), horizon_days=horizon)
    moves = moves_of(shop, cutoff, horizon_days=horizon, known_until=known_until, steps=steps)
    n = moves.n[steps.product].astype(np.float64)
    moved = np.bincount(moves.at, minlength=len(n)).astype(np.float64)
    some, none = np.flatnonzero(moved > 0), np.flatnonzero((moved == 0) & (n > 0))
    limit = max(config.max_rows // config.n_windows, 1)
    drawn = np.sort(np.random.default_rng(config.seed).permutation(none)[:limit])
    left = np.maximum(n[some] - moved[some], 0)
    at = np.concatenate([some, some, drawn])
    truth = np.repeat([1.0, 0.0, 0.0], [len(some), len(some), len(drawn)])
    weight = np.concatenate([moved[some], left, n[drawn] * len(none) / max(len(drawn), 1)])
    return steps.rows[at], truth, weight


def _price_step(config: UpsellConfig, shop: Shop) -> float:
    return config.price_step or shop.settings.lists.upsell_price_step


def _ranks(product: Ints, version: Ints, score: Floats) -> Column:
    """Return each row's rank among the versions of its product, from 0; ties go to the lower code."""
    order = np.lexsort((version, -score, product))
    place = np.empty(len(order), np.int64)
    place[order] = cumcount(product[order])
    return place


def _table(steps: Steps, chance: Floats, *, margin: Floats, shape: tuple[int, int]) -> Dearer:
    """Arrange the steps by product, best first."""
    rank = _ranks(steps.product, steps.version, chance * margin)
    kept = rank < shape[1]
    at = (steps.product[kept], rank[kept])
    dearer = Dearer(np.full(shape, -1, np.int32), np.zeros(shape, np.float32), np.zeros(shape, np.float32))
    for column, values in zip(
        (dearer.product, dearer.chance, dearer.margin), (steps.version, chance, margin), strict=True
    ):
        column[at] = values[kept]
    return dearer
