"""The rows the cross-sell ranker learns from and scores: state, candidates, features, outcomes."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

import numpy as np
from pydantic import Field

from features.arrays.dtypes import Floats, Ints, Longs
from features.arrays.groups import among
from features.arrays.history import History
from features.arrays.products import product_table
from features.errors import CannotLearn
from features.hardware import rows_at_once, side_by_side
from features.shop import Shop
from features.words import counted
from models.candidates.sources import new_sources
from models.candidates.state import TASTE_HALF_LIFE, ListState
from models.candidates.union import Candidates, candidates
from models.clock.due import Due
from models.clock.windows import rhythm_of
from models.config import HorizonConfig
from models.lists.rules import Rules
from models.ranking.ranker import RankerConfig, Rows
from models.similarity import collaborative
from models.similarity.alike import alike
from models.similarity.baskets import together
from models.similarity.collaborative import Neighbours
from models.similarity.linear import linear
from models.similarity.newcomers import Newcomers
from models.similarity.wording import texts

Work = TypeVar("Work")

CHUNK = 100_000
"""Pairs are scored in batches of about this many."""
HALF_LIFE = 56.0
"""Days after which a purchase counts half in factors and profiles."""
TOO_FEW = 20
"""Minimum number of purchases to learn from."""


class CrossSellConfig(HorizonConfig, RankerConfig):
    """Windows and candidates, besides the ranker; the same defaults serve every shop."""

    n_windows: int = Field(default=4, ge=1)
    """Past cutoffs to learn from; up to ``max_windows`` if these hold fewer than ``enough`` purchases."""
    max_windows: int = Field(default=12, ge=1)
    """Maximum number of past cutoffs to learn from."""
    enough: int = Field(default=2_000, ge=1)
    """Number of purchases that are enough to learn from."""
    step_days: int = Field(default=14, ge=1)
    """Days between them."""
    max_customers: int = Field(default=20_000, ge=1)
    """Customers to learn from at each cutoff, drawn by ``seed``."""
    n_own: int = Field(default=400, ge=1)
    """Maximum number of candidates among a customer's earlier purchases."""
    budgets: dict[str, int] = {
        "similar": 100, "linear": 100, "factors": 100, "alike": 100, "baskets": 60,
        "texts": 50, "category": 100, "arrivals": 30, "popular": 100,
    }  # fmt: skip
    """Maximum number of new candidates by source."""
    n_assortment: int = Field(default=20_000, ge=1)
    """Number of products that can be proposed as new: the best sellers, half-life 28 days."""
    n_neighbours: int = Field(default=50, ge=1)
    """Similar products stored per product."""
    n_together: int = Field(default=20, ge=1)
    """Products bought in the same order stored per product."""
    n_linear: int = Field(default=50, ge=1)
    """Products that predict each product best in the linear model, stored per product."""
    n_texts: int = Field(default=30, ge=1)
    """Products with similar words stored per product."""
    n_alike: int = Field(default=100, ge=1)
    """Number of customers with similar baskets that are used."""
    n_factors: int = Field(default=64, ge=1)
    """Number of ALS factors."""


def state_of(
    shop: Shop,
    cutoff: datetime,
    *,
    config: CrossSellConfig,
    horizon_days: int,
    dated: bool = False,
    drawn: bool = False,
) -> ListState:
    """Return the state of lists as of ``cutoff``; ``CannotLearn`` if nothing was bought before.

    ``dated``: with the days on which customers are due, which only reasons need. ``drawn``: what customers
    with similar baskets buy is computed only for those learnt from (``learnt_from``).
    """
    history, catalogue, back = _purchases(shop, cutoff), shop.catalogue(cutoff), shop.brought_back(cutoff)
    table = product_table(history, catalogue, horizon_days=horizon_days)
    best = np.argsort(-table.column("p_sales_28d"), kind="stable")
    assortment = np.sort(best[: config.n_assortment]).astype(np.int32)
    customer_factors, product_factors = collaborative.factors(
        history, config.n_factors, half_life_days=HALF_LIFE, seed=config.seed
    )
    goes_with = together(history, catalogue.category, n=config.n_together)
    words = texts(catalogue, table.column("p_sales_28d"), n=config.n_texts)
    newcomers = Newcomers.of(history, catalogue, table=table, near=words, horizon_days=horizon_days)
    lists = shop.settings.lists
    rules = Rules.of(history, catalogue, lists=lists, horizon_days=horizon_days, back=back)
    return ListState(
        history=history,
        table=replace(table, popularity=newcomers.popularity(table.popularity)),
        assortment=assortment,
        neighbours=collaborative.similar(history, config.n_neighbours, half_life_days=TASTE_HALF_LIFE),
        together=goes_with.near,
        kin=goes_with.kin,
        linear=linear(history, config.n_linear, half_life_days=TASTE_HALF_LIFE),
        texts=words,
        alike=_alike(history, assortment, config=config, drawn=drawn),
        customer_factors=customer_factors,
        product_factors=product_factors,
        rules=replace(rules, is_new=newcomers.is_new),
        newcomers=newcomers,
        due=_due(shop, cutoff) if dated else Due.none(len(history.customers)),
    )


def _purchases(shop: Shop, cutoff: datetime) -> History:
    history = shop.history(cutoff)
    if not len(history.product):
        raise CannotLearn(
            f"lists need purchases of products before {cutoff:%Y-%m-%d}, found none",
            "ingest earlier orders, or take a later cutoff",
        )
    return history


def _alike(history: History, assortment: Ints, *, config: CrossSellConfig, drawn: bool) -> Neighbours:
    return alike(
        history,
        assortment,
        near=config.n_alike,
        depth=200,
        half_life_days=HALF_LIFE,
        seed=config.seed,
        customers=learnt_from(history, config) if drawn else None,
    )


def _due(shop: Shop, cutoff: datetime) -> Due:
    history, spells, rhythm = rhythm_of(shop, cutoff)
    return Due.of(history, spells, rhythm=rhythm)


def over_candidates(
    state: ListState,
    codes: Ints,
    *,
    config: CrossSellConfig,
    work: Callable[[Ints, Candidates], Work],
    k: int = 0,
) -> Iterator[Work]:
    """Yield ``work`` of customers and their candidates, several batches in parallel, in order.

    Each customer gets at least ``k`` candidates, if there are that many.
    """
    sources, n_own = new_sources(state, config.budgets), max(config.n_own, k)
    width = min(n_own, len(state.table.price)) + sum(config.budgets.values())
    step = min(max(CHUNK // width, 1), rows_at_once(len(state.assortment)))
    pieces = (codes[start : start + step] for start in range(0, len(codes), step))
    return side_by_side(
        lambda some: work(some, candidates(state, some, sources=sources, n_own=n_own)), pieces
    )


def features_of(state: ListState, codes: Ints, *, pairs: Candidates) -> Floats:
    """Return the pair features of candidates of the customers ``codes``."""
    return state.features(
        state.history.of_customers(codes), codes, customer=pairs.customer, product=pairs.product
    )


def learning_rows(shop: Shop, known_until: datetime, *, config: CrossSellConfig, horizon_days: int) -> Rows:
    """Return the rows of past windows closed by ``known_until``; ``CannotLearn`` if they are too few."""
    windows = {"n": config.max_windows, "step_days": config.step_days}
    cutoffs = shop.past_cutoffs(known_until, horizon_days, **windows)
    rows = Rows.gathered(
        _parts(shop, cutoffs, known_until=known_until, config=config, horizon_days=horizon_days)
    )
    if rows.bought.sum() < TOO_FEW:
        raise CannotLearn(
            f"cross_sell needs {TOO_FEW} purchases to learn from, found {rows.bought.sum()} in "
            f"{counted(len(cutoffs), 'window')} of {counted(horizon_days, 'day')}",
            "ingest a longer history, or wait for more orders",
        )
    return rows


def _parts(
    shop: Shop,
    cutoffs: Sequence[datetime],
    *,
    known_until: datetime,
    config: CrossSellConfig,
    horizon_days: int,
) -> Iterator[Rows]:
    """Yield the pairs of as many windows as are needed."""
    n_bought = 0
    for number, cutoff in enumerate(cutoffs):
        if number >= config.n_windows and n_bought >= config.enough:
            break
        state = state_of(shop, cutoff, config=config, horizon_days=horizon_days, drawn=True)
        truth = state.history.pairs_of(shop.product_labels(cutoff, horizon_days, known_until=known_until))
        for rows in _window(state, truth, config):
            n_bought += int(rows.bought.sum())
            yield rows


def learnt_from(history: History, config: CrossSellConfig) -> Ints:
    """Return the codes of the customers of a window that are learnt from."""
    everyone = np.random.default_rng(config.seed).permutation(len(history.customers)).astype(np.int32)
    return np.sort(everyone[: config.max_customers])


def _window(state: ListState, truth: Longs, config: CrossSellConfig) -> Iterator[Rows]:
    """Yield the pairs of one window with their outcomes; of those not bought, a sample."""
    n_products = len(state.history.products)

    def rows(codes: Ints, pairs: Candidates) -> Rows:
        pair = codes[pairs.customer].astype(np.int64) * n_products + pairs.product
        bought = among(pair, truth)
        drawn = np.random.default_rng([config.seed, codes[0]]).random(len(bought))  # in any order of batches
        kept = bought | (drawn < config.negative_rate)
        return Rows(features_of(state, codes, pairs=pairs.at(kept)), bought[kept])

    return over_candidates(state, learnt_from(state.history, config), config=config, work=rows)
