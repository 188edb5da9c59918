"""The inputs of offers and plans: the goods and the terms in service."""

from dataclasses import replace

from features.errors import NotFound
from models.decisions.case import Terms
from models.policy.subjects import Goods
from serving.state import State

N_CANDIDATES = 20
"""Number of products of each personal list that may be offered."""
CONTACT_DAYS = 28
"""Contacts are counted over this many days."""


def no_offers(state: State) -> NotFound:
    """Return why nothing can be offered, and no contact planned."""
    missing = "next_best_offer" if "next_best_offer" not in state.snapshot.models else "cross_sell"
    lists = ", so there are no lists to offer from" if missing == "cross_sell" else ""
    hint = f"`recompra train --only {missing}` says what it lacks; then `recompra score`"
    return NotFound(f"no {missing} model serves{lists}", hint)


def goods_now(state: State) -> tuple[Goods, Terms]:
    """Return the facts of goods that offers need, with the current stock, and the terms."""
    if state.snapshot.goods_and_terms is None:
        raise no_offers(state)
    goods, terms = state.snapshot.goods_and_terms
    return replace(goods, stock=state.stock), terms
