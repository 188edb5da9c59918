"""Recall of each source of new products on later purchases, and what would be lost without it."""

import numpy as np

from features.arrays.dtypes import Bools, Doubles, Ints, Longs
from features.hardware import rows_at_once
from models.candidates.sources import Source
from models.candidates.state import ListState
from models.candidates.union import proposals

MAX_CUSTOMERS = 1_000
"""Measured on at most this many customers."""


def source_recall(
    state: ListState, customer: Ints, *, product: Ints, sources: list[Source], seed: int = 0
) -> dict[str, dict[str, float]]:
    """Return shares of the pairs bought for the first time in the horizon, by source.

    ``recall``: share that the source proposes within its budget. ``only``: share that no other source
    proposes, which would be lost without it. ``proposed``: products proposed per customer. The key ``all`` is
    their union. ``customer`` and ``product`` are codes of the state; returns an empty mapping without pairs.
    """
    everyone = np.unique(customer)
    some = np.sort(np.random.default_rng(seed).permutation(everyone)[:MAX_CUSTOMERS]).astype(np.int32)
    step, parts, proposed = rows_at_once(len(state.assortment)), [], np.zeros(len(sources))
    for start in range(0, len(some), step):
        codes = some[start : start + step]
        mine = np.isin(customer, codes)
        truth = (np.searchsorted(codes, customer[mine]), product[mine])
        proposed_by, n = _found(state, codes, truth=truth, sources=sources)
        parts.append(proposed_by)
        proposed += n
    if not parts:
        return {}
    return _shares(np.concatenate(parts, axis=1), proposed / len(some), [source.name for source in sources])


def _found(
    state: ListState, codes: Ints, *, truth: tuple[Longs, Ints], sources: list[Source]
) -> tuple[Bools, Doubles]:
    """Return which pairs each source proposes, shape (sources, pairs), and how many products in all."""
    place = np.searchsorted(state.assortment, truth[1]).clip(max=len(state.assortment) - 1)
    sold = state.assortment[place] == truth[1]
    hits, n = np.zeros((len(sources), len(place)), bool), np.zeros(len(sources))
    history = state.history.of_customers(codes)
    for number, (_, part) in enumerate(
        proposals(history, codes, assortment=state.assortment, sources=sources)
    ):
        marked = np.zeros((len(codes), len(state.assortment)), bool)
        marked[part.row, part.column] = True
        hits[number], n[number] = marked[truth[0], place] & sold, len(part.column)
    return hits, n


def _shares(hits: Bools, proposed: Doubles, names: list[str]) -> dict[str, dict[str, float]]:
    alone = hits.sum(axis=0) == 1
    shares = {
        name: {"recall": float(hit.mean()), "only": float((hit & alone).mean()), "proposed": float(n)}
        for name, hit, n in zip(names, hits, proposed, strict=True)
    }
    return shares | {"all": {"recall": float(hits.any(axis=0).mean())}}
