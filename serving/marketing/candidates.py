"""Whom a plan may contain, and with what: all customers, and the heads of their ready lists."""

import numpy as np

from features.arrays.dtypes import Ints
from models.decisions.economics import Money
from models.decisions.offer import merge_lists
from models.lists.list_kinds import PERSONAL
from serving.offer_inputs import N_CANDIDATES
from serving.state import State


def everyone(state: State) -> Ints:
    """Return the codes of all customers who were not erased."""
    return np.flatnonzero(~state.erased).astype(np.int32)


def candidates(state: State, codes: Ints) -> tuple[Ints, Money]:
    """Return the products that each customer may be offered, and their chances, shape (n, k) each."""
    if not state.snapshot.offers_products:
        return np.zeros((len(codes), 0), np.int32), np.zeros((len(codes), 0))
    ready = {name: state.snapshot.ready[name] for name in PERSONAL if name in state.snapshot.ready}
    return merge_lists(
        {
            name: (lists.product[codes, :N_CANDIDATES], lists.score[codes, :N_CANDIDATES])
            for name, lists in ready.items()
        }
    )
