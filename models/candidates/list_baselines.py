"""Baselines of lists: counts, two plain collaborative filters, TIFU-KNN; over the whole catalogue."""

from collections.abc import Callable, Iterator

import numpy as np

from features.arrays.dtypes import Floats, Ints, Sparse
from features.arrays.history import History, interactions
from features.arrays.products import n_buyers
from features.hardware import rows_at_once, side_by_side
from models.lists.list_kinds import PERSONAL
from models.lists.picks import Pairs, Picks, pick, pin
from models.lists.rules import Rules
from models.similarity.collaborative import factors, similar
from models.similarity.tifu import TifuKnn
from models.similarity.top import top_columns

Scores = Callable[[Ints], Floats]
DEEP = 10
"""Where the shop's settings reorder lists, this many times ``k`` products are reordered."""


def baselines(
    history: History, codes: Ints, *, rules: Rules, k: int = 20, seed: int = 0
) -> dict[str, dict[str, Picks]]:
    """Return ``{method: {list: picks}}`` of the customers ``codes``; lists as in ``models.lists.picks``.

    They obey what the shop hides, pins, boosts and caps, as our lists do: otherwise no model could beat them
    in a shop that hides a best seller.

    Counts are purchases; popularity is distinct buyers of the last 8 weeks, and breaks every method's ties.
    Item-item: TF-IDF cosine, 200 neighbours, the product itself included; ALS: 64 factors.
    """
    popularity = _popularity(history)
    methods = _methods(history, seed)
    return {
        name: _lists(history, codes, scores=scores, popularity=popularity, rules=rules, k=k)
        for name, scores in methods
    }


def _methods(history: History, seed: int) -> Iterator[tuple[str, Scores]]:
    counts, decayed = (interactions(history, half_life).matrix for half_life in (None, 56.0))
    size = len(history.products)
    yield "popularity", lambda codes: np.zeros((len(codes), size), np.float32)
    yield "personal_frequency", lambda codes: counts[codes].toarray()
    yield "personal_frequency_decayed", lambda codes: decayed[codes].toarray()
    near = _item_item(history)
    taste = interactions(history, 112.0).matrix
    yield "item_item", lambda codes: (taste[codes] @ near).toarray()
    customer, product = factors(history, 64, half_life_days=56.0, seed=seed)
    yield "als", lambda codes: customer[codes] @ product.T
    yield "tifu_knn", TifuKnn.of(history, seed=seed).scores


def _item_item(history: History) -> Sparse:
    """Return the similarity of products, with ones on the diagonal."""
    from scipy.sparse import csr_matrix, identity

    near = similar(history, 200, half_life_days=112.0)
    row, column = np.nonzero(near.product >= 0)
    shape = (len(near.product),) * 2
    others = csr_matrix((near.score[row, column], (row, near.product[row, column])), shape=shape)
    return (others + identity(shape[0], np.float32)).tocsr()


def _popularity(history: History) -> Floats:
    """Return distinct buyers of the last 8 weeks; products without any are ordered by their earlier sales."""
    size = len(history.products)
    buyers = n_buyers(history, history.cutoff_day - history.day <= 56)
    ever = np.bincount(history.product, minlength=size)
    popularity: Floats = (buyers + ever / (ever.max(initial=0) + 1.0)).astype(np.float32)
    return popularity


def _lists(
    history: History, codes: Ints, *, scores: Scores, popularity: Floats, rules: Rules, k: int
) -> dict[str, Picks]:
    size = len(history.products)
    tie = popularity / (popularity.max(initial=0) + 1.0) * 1e-6
    step = rows_at_once(size)

    def picked(piece: Ints) -> dict[str, Picks]:
        some = history.of_customers(piece)
        score: Floats = np.asarray(scores(piece), np.float64) + tie
        score[:, rules.hidden] = -np.inf
        bought = (some.customer, some.product)
        again = np.full(score.shape, -np.inf)
        again[bought] = score[bought]
        by_list = {"for_you": _best(score, rules, k), "buy_again": _best(again, rules, k)}
        score[bought] = -np.inf
        by_list["new_for_you"] = _best(score, rules, k)
        for name, picks in by_list.items():
            pin(picks, name, history=some, popularity=popularity, rules=rules)
        return by_list

    pieces = (codes[start : start + step] for start in range(0, len(codes), step))
    parts = list(side_by_side(picked, pieces))
    return {name: Picks.joined([picks[name] for picks in parts], k) for name in PERSONAL}


def _best(score: Floats, rules: Rules, k: int) -> Picks:
    """Return the ``k`` best columns of each row, in the shop's order."""
    if not rules.orders:
        return _top(score, k)
    boosted = np.full(score.shape, -np.inf)
    np.multiply(score, rules.boost, out=boosted, where=np.isfinite(score))
    far = _top(boosted, DEEP * k).product
    row, place = np.nonzero(far >= 0)
    product = far[row, place]
    nothing = np.zeros(len(row), np.uint8)
    pairs = Pairs(row.astype(np.int32), product, score[row, product], nothing, nothing.astype(bool))
    return pick(pairs.best_first(rules), len(score), k=k, rules=rules)


def _top(score: Floats, k: int) -> Picks:
    """Return the ``k`` best columns of each row; fewer where the rest is barred (-inf)."""
    picks, best = Picks.none(len(score), k), top_columns(score, k)
    width, top = best.shape[1], np.take_along_axis(score, best, axis=1)
    picks.product[:, :width] = np.where(np.isfinite(top), best, -1)
    picks.score[:, :width] = np.where(np.isfinite(top), top, 0)
    return picks
