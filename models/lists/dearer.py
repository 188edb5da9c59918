"""Better versions of a product: the same need at a higher price, and the inputs known of each such pair.

The same need means the same (deepest) category; for products without one, names that share half their words.
"""

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from features.arrays.catalogue import Catalogue
from features.arrays.compiled import compiled
from features.arrays.dtypes import Column, Floats, Ints, Longs, Sparse
from features.arrays.groups import found_at
from features.arrays.history import History
from features.arrays.stored import read_array, write_arrays

LEAST_STEP = 1.05
"""A better version costs at least this many times the price: a few cents are no step."""
N_ASSORTMENT = 20_000
"""Versions are taken from this many products, the recent best sellers."""
N_PER_PRODUCT = 200
"""Maximum number of versions compared per product, the best sellers among them."""
MIN_COMMON_WORDS = 0.5
"""Share of the longer name's words that two products without a category must have in common."""
PAIRS_AT_ONCE = 200_000
INPUTS: dict[str, str] = {
    "sells": "log of the version's buyers, half-life a horizon",
    "share": "log of its share of its kind's buyers",
    "tried": "log of its first-time buyers, half-life a horizon, over its buyers",
    "moved": "log of the share of the product's customers who moved on to it before, shrunk",
    "step": "log of the ratio of prices",
    "words": "share of the names' words in common",
    "brand": "1 of the same brand, 0 of another, 0.5 unknown",
    "again": "log of the product's buyers, half-life a horizon",
}
"""Name and meaning of every column, in order."""


@dataclass(frozen=True)
class Dearer:
    """For each product its better versions, best first: shape (n_products, m), padded with -1."""

    product: Ints
    chance: Floats
    """The chance that a customer who has the product moves to this version within the horizon."""
    margin: Floats
    """Margin of one unit, in the shop's currency."""

    def save(self, folder: Path) -> None:
        """Write ``dearer.*.npy``, to be memory-mapped."""
        write_arrays(
            folder, {f"dearer.{name}": getattr(self, name) for name in ("product", "chance", "margin")}
        )

    @classmethod
    def load(cls, folder: Path) -> "Dearer | None":
        """Memory-map what ``save`` wrote; empty if nothing was written."""
        if not (folder / "dearer.product.npy").is_file():
            return None
        return cls(*(read_array(folder, f"dearer.{name}") for name in ("product", "chance", "margin")))


@dataclass(frozen=True)
class Steps:
    """Pairs of a product and a better version, sorted by product, with their inputs."""

    product: Ints
    version: Ints
    rows: Floats
    """Columns as in ``INPUTS``."""


@dataclass(frozen=True)
class Last:
    """The last product of each kind that a customer bought, from which they may move up."""

    customer: Ints
    product: Ints


def kinds_of(catalogue: Catalogue) -> Ints:
    """Return each product's kind: its category, or one of its own without a category."""
    own = len(catalogue.categories) + np.arange(len(catalogue.products), dtype=np.int32)
    return np.where(catalogue.category >= 0, catalogue.category, own).astype(np.int32)


def last_of_kind(history: History, kind: Ints) -> Last:
    """Return the last purchase of each customer and kind."""
    key = history.customer.astype(np.int64) * (int(kind.max(initial=0)) + 1) + kind[history.product]
    at = len(key) - 1 - np.unique(key[::-1], return_index=True)[1]
    return Last(history.customer[at], history.product[at])


def steps_of(history: History, catalogue: Catalogue, *, price_step: float, horizon_days: int) -> Steps:
    """Return all pairs of a product and a better version, at most ``price_step`` times the price."""
    kind, size = kinds_of(catalogue), len(catalogue.products)
    fade = np.exp2((history.day - history.cutoff_day) / horizon_days)
    sells = np.bincount(history.product, fade, minlength=size)
    best = np.sort(np.argsort(-sells, kind="stable")[:N_ASSORTMENT])
    assortment = best[(sells[best] > 0) & (catalogue.price[best] > 0)].astype(np.int32)
    words = _words(catalogue)
    by_kind = _of_one_kind(catalogue.price, kind, sells=sells, assortment=assortment, price_step=price_step)
    by_words = _of_like_words(catalogue, words, assortment=assortment, price_step=price_step)
    product, version = (np.concatenate(both) for both in zip(by_kind, by_words, strict=True))
    order = np.lexsort((version, product))
    product, version = product[order], version[order]
    new = _first_time(history, fade)
    columns = {
        "sells": np.log(sells[version] + 0.1),
        "share": np.log((sells[version] + 0.1) / (np.bincount(kind, sells)[kind[version]] + 1)),
        "tried": np.log((new[version] + 0.1) / (sells[version] + 0.2)),
        "moved": _moved(history, kind, product=product, version=version),
        "step": np.log(catalogue.price[version] / catalogue.price[product]),
        "words": _in_common(words, product, version),
        "brand": _same_brand(catalogue, product, version),
        "again": np.log(sells[product] + 0.1),
    }
    rows = np.stack([np.asarray(columns[name], np.float32) for name in INPUTS], axis=1)
    return Steps(product, version, rows)


def _of_one_kind(
    price: Floats, kind: Ints, *, sells: Column, assortment: Ints, price_step: float
) -> tuple[Ints, Ints]:
    """Return the pairs within one kind and the price step; of many versions, the best sellers."""
    assortment = assortment[np.lexsort((price[assortment], kind[assortment]))]
    place = kind[assortment].astype(np.float64) * 100.0 + np.log(np.maximum(price[assortment], 1e-6))
    known = np.flatnonzero(price > 0).astype(np.int32)
    at = kind[known].astype(np.float64) * 100.0 + np.log(np.maximum(price[known], 1e-6))
    low = np.searchsorted(place, at + np.log(LEAST_STEP) - 1e-7)
    high = np.searchsorted(place, at + np.log(price_step) + 1e-7, side="right")
    return _best_in(low, high, assortment=assortment, sells=sells, known=known)


def _best_in(low: Longs, high: Longs, *, assortment: Ints, sells: Column, known: Ints) -> tuple[Ints, Ints]:
    """Return, for each product, the best sellers of its range of the assortment."""
    n = _chosen(low, high, -sells[assortment], np.zeros((0, 2), np.int64))
    pairs = np.zeros((int(n), 2), np.int64)
    _chosen(low, high, -sells[assortment], pairs)
    return known[pairs[:, 0]], assortment[pairs[:, 1]]


@compiled
def _chosen(low: Column, high: Column, order: Column, pairs: Column) -> int:
    """Count the pairs (row, position) to keep; writes them into ``pairs`` if it has room."""
    n = 0
    for row in range(len(low)):
        width = high[row] - low[row]
        if width <= 0:
            continue
        kept = min(width, N_PER_PRODUCT)
        if len(pairs):
            best = np.argsort(order[low[row] : high[row]], kind="mergesort")[:kept]
            for at in range(kept):
                pairs[n + at, 0], pairs[n + at, 1] = row, low[row] + best[at]
        n += kept
    return n


def _of_like_words(
    catalogue: Catalogue, words: Sparse, *, assortment: Ints, price_step: float
) -> tuple[Ints, Ints]:
    """Return pairs within the price step of products without a category whose names share words."""
    some = assortment[(catalogue.category[assortment] < 0) & (np.diff(words.indptr)[assortment] > 0)]
    if not len(some):
        return some, some
    mine = words[some]
    common = np.bincount(mine.indices, minlength=mine.shape[1]) > max(200, 0.05 * len(some))
    near = mine[:, ~common]
    meet = (near @ near.T).tocoo()
    product, version = some[meet.row], some[meet.col]
    ratio = catalogue.price[version] / catalogue.price[product]
    kept = (ratio >= LEAST_STEP) & (ratio <= price_step)
    product, version = product[kept], version[kept]
    alike = _in_common(words, product, version) >= MIN_COMMON_WORDS
    return product[alike], version[alike]


def _words(catalogue: Catalogue) -> Sparse:
    """Return a matrix (products, words) of ones."""
    from scipy.sparse import csr_matrix

    texts = [name.decode(errors="replace").lower() for name in catalogue.name.tolist()]
    names = [sorted({*re.findall(r"[^\W\d_]{2,}", text)}) for text in texts]
    column: dict[str, int] = {}
    indices = [column.setdefault(word, len(column)) for words in names for word in words]
    indptr = np.concatenate([[0], np.cumsum([len(words) for words in names])])
    shape = (len(names), max(len(column), 1))
    return csr_matrix((np.ones(len(indices), np.float32), np.array(indices, np.int32), indptr), shape=shape)


def _in_common(words: Sparse, one: Ints, other: Ints) -> Floats:
    """Return the words two names have in common over those of the longer one; 0 without words."""
    n, shared = np.diff(words.indptr), np.zeros(len(one), np.float32)
    for start in range(0, len(one), PAIRS_AT_ONCE):
        rows = slice(start, start + PAIRS_AT_ONCE)
        both = np.asarray(words[one[rows]].multiply(words[other[rows]]).sum(axis=1)).ravel()
        shared[rows] = both / np.maximum(np.maximum(n[one[rows]], n[other[rows]]), 1)
    return shared


def _first_time(history: History, fade: Column) -> Column:
    """Return each product's first-time buyers, decayed with age."""
    first = np.unique(history.pair, return_index=True)[1]
    return np.bincount(history.product[first], fade[first], minlength=len(history.products))


def _moved(history: History, kind: Ints, *, product: Ints, version: Ints) -> Column:
    """Return the log share of a product's customers whose next new product of its kind was the version.

    Shrunk to the version's share of all such moves within its kind, with a prior of two customers.
    """
    size = max(len(history.products), 1)
    kinds = kind[history.product].astype(np.int64)
    order = np.argsort(
        history.customer.astype(np.int64) * (int(kind.max(initial=0)) + 1) + kinds, kind="stable"
    )
    who, what, sort = history.customer[order], history.product[order], kinds[order]
    first = np.zeros(len(order), bool)
    first[np.unique(who.astype(np.int64) * size + what, return_index=True)[1]] = True
    follows = np.append(False, (who[1:] == who[:-1]) & (sort[1:] == sort[:-1])) & first
    to = np.flatnonzero(follows)
    moves, times = np.unique(what[to - 1].astype(np.int64) * size + what[to], return_counts=True)
    wanted = product.astype(np.int64) * size + version
    at = found_at(wanted, moves)
    n = np.append(times, 0)[at]  # index -1 reads the appended 0
    arrived = np.bincount(what[to], minlength=size)
    usual = (arrived + 0.1)[version] / (np.bincount(kind, arrived)[kind[version]] + 1)
    buyers = np.bincount(what[first], minlength=size)[product]
    return np.log((n + 2 * usual) / (buyers + 2))


def _same_brand(catalogue: Catalogue, one: Ints, other: Ints) -> Column:
    mine, theirs = catalogue.brand[one], catalogue.brand[other]
    return np.where((mine < 0) | (theirs < 0), 0.5, mine == theirs)
