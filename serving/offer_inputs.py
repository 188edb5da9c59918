"""The inputs of offers and plans as of now: cases of customers, the goods and the terms in service."""

from dataclasses import replace

import numpy as np

from features.arrays.dtypes import Ints
from features.arrays.last_bought import days_since_bought
from features.errors import NotFound
from models.decisions.case import Case, Terms
from models.decisions.economics import Money
from models.decisions.texts import told
from models.policy.standing import Standing
from models.policy.subjects import Goods, People
from models.texts import DEFAULT
from serving.online.recent import Recent
from serving.state import State

N_CANDIDATES = 20
"""Number of products of each personal list that may be offered."""


def no_offers(state: State, locale: str = DEFAULT) -> NotFound:
    """Return why nothing can be offered, and no contact planned."""
    missing = _lacking(state)
    hint = f"`recompra train --only {missing}` says what it lacks; then `recompra score`"
    return NotFound(told("no_offers", locale, why=told(f"no_{missing}", locale)), hint)


def switched_off(state: State, locale: str = DEFAULT) -> str | None:
    """Return in words which actions are switched off, those with a product or those without, and why."""
    snapshot, off = state.snapshot, []
    if not snapshot.offers_products and not {"next_best_offer", "cross_sell"} <= snapshot.models.keys():
        off.append(told("products_off", locale, why=told(f"no_{_lacking(state)}", locale)))
    if missing := [name for name in ("churn", "ltv") if name not in snapshot.models]:
        off.append(told("contacts_off", locale, why=told("_".join(["no", *missing]), locale)))
    return "; ".join(off) or None


def _lacking(state: State) -> str:
    """Return a model that is missing, without which no product can be offered."""
    return "next_best_offer" if "next_best_offer" not in state.snapshot.models else "cross_sell"


def goods_now(state: State) -> tuple[Goods, Terms]:
    """Return the facts of goods that offers need, with the current stock, and the terms."""
    if state.snapshot.goods_and_terms is None:
        raise no_offers(state)
    goods, terms = state.snapshot.goods_and_terms
    return replace(goods, stock=state.stock), terms


def case_now(
    state: State,
    codes: Ints,
    *,
    recent: Recent,
    people: People,
    product: Ints,
    chance: Money,
    standing: Standing | None,
) -> Case:
    """Build the case of some customers' candidates (codes and chances of shape (n, k)).

    What was ordered since the scoring was bought 0 days ago.
    """
    snapshot = state.snapshot
    if snapshot.history is None:
        return Case(people, product, chance, np.full(product.shape, np.nan))
    history = recent.history(snapshot.history, codes)
    since = days_since_bought(history, product)
    if snapshot.known is None:
        return Case(people, product, chance, since)
    return snapshot.known.case(
        codes,
        history,
        goods=goods_now(state)[0],
        people=people,
        product=product,
        chance=chance,
        days_since_bought=since,
        standing=standing,
    )
