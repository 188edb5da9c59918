"""Any customers, any products, any rules broken: cases for the decisions, generated."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from features.settings import ContactPolicy, Economics
from models.decisions.case import Case, Terms
from models.policy.actions import CHANNELS, EVENTS, NAMES, catalogue
from models.policy.standing import Standing
from models.policy.subjects import Goods, People

N_PRODUCTS = 50
TERMS = Terms(
    horizon_days=28,
    currency="EUR",
    economics=Economics(contact_cost=0.1, offer_lift=0.2),
    actions=catalogue(),
    policy=ContactPolicy(held_out_share=0.1),
)


def goods(rng: np.random.Generator) -> Goods:
    """Return products of which some are hidden, sold out, without a price, or sold at a loss."""
    price = np.where(rng.random(N_PRODUCTS) < 0.05, np.nan, rng.gamma(2, 10, N_PRODUCTS))
    stock = rng.choice([np.nan, 0.0, 5.0], N_PRODUCTS)
    return Goods(price, price * rng.uniform(-0.1, 0.6, N_PRODUCTS), stock, rng.random(N_PRODUCTS) < 0.1)


def standing(rng: np.random.Generator, n: int) -> Standing:
    """Return customers of whom most may be contacted, and each rule refuses some.

    Events and actions are drawn apart, name by name: a new one changes nothing else.
    """
    of_events, of_actions = rng.spawn(2)
    since = np.stack([_days(of_events, n, 0.1, -5, 120) for _ in EVENTS], axis=1)
    acted = np.stack([_days(of_actions, n, 0.8, 0, 400) for _ in NAMES], axis=1)
    return Standing(
        consent=rng.choice([-1, 0, 1, 1, 1, 1], (n, len(CHANNELS))).astype(np.int8),
        n_contacts_7d=rng.integers(0, 3, n).astype(np.int32),
        held_out=rng.random(n) < 0.1,
        since=since.astype(np.float32),
        since_action=acted.astype(np.float32),
        settles_in=rng.integers(-20, 4, n).astype(np.float32),
        return_open=rng.random(n) < 0.05,
        risk=np.where(rng.random(n) < 0.05, np.nan, rng.random(n)),
        margin=rng.gamma(1, 60, n),
        basket=rng.gamma(2, 20, n),
        n_orders=rng.integers(0, 9, n).astype(np.int32),
        rank=rng.random(n).astype(np.float32),
    )


def _days(rng: np.random.Generator, n: int, never: float, low: int, high: int) -> NDArray[np.float64]:
    return np.where(rng.random(n) < never, np.nan, rng.integers(low, high, n))


def case(rng: np.random.Generator, n: int, k: int = 6) -> Case:
    """Return ``n`` customers with up to ``k`` candidates each."""
    product = rng.integers(-1, N_PRODUCTS, (n, k)).astype(np.int32)
    people = People(rng.integers(-1, 2, n).astype(np.int8), rng.integers(0, 6, n).astype(np.int32))
    return Case(
        people,
        product,
        rng.random((n, k)),
        rng.choice([np.nan, np.nan, 0.0, 7.0, 8.0, 90.0], (n, k)),
        standing=standing(rng, n),
        role=rng.integers(0, 32, (n, k)).astype(np.uint8),
        kind_cooling=rng.random((n, k)) < 0.05,
    )


def some(seed: int, n: int, k: int = 6) -> tuple[Case, Goods]:
    """Return a case and its products."""
    rng = np.random.default_rng(seed)
    return case(rng, n, k), goods(rng)


def without(found: Standing, **parts: NDArray[np.generic]) -> Standing:
    """Return the same customers with other columns."""
    return replace(found, **parts)  # type: ignore[arg-type]
