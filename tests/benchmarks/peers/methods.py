"""The peers: each a function from a world and its parameters to scores, and the eight trials it is tuned on.

Trials are the same for every shop, cutoff and horizon. The first of each is its author's or library's choice.
"""

import itertools
import random
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_matrix
from world import World

Scores = Callable[[np.ndarray], np.ndarray]
N_TRIALS = 8


@dataclass(frozen=True)
class Peer:
    """How it scores, and what is tried."""

    scores: Callable[..., Scores]
    trials: list[dict]


def drawn(first: dict, **grid: list) -> list[dict]:
    """Return ``first`` and seven other points of a grid, drawn with a fixed seed."""
    points = [dict(zip(grid, values, strict=True)) for values in itertools.product(*grid.values())]
    others = [point for point in points if point != first]
    return [first, *random.Random(0).sample(others, N_TRIALS - 1)]


def popularity(world: World, window: float) -> Scores:
    """Distinct buyers of the last ``window`` days."""
    score = world.popularity(window)
    return lambda rows: np.tile(score, (len(rows), 1))


def personal(world: World, window: float, half_life: float | None = None) -> Scores:
    """The customer's own counts, then the popular: popularity decides below one purchase's weight."""
    counts, filler = world.counts(half_life), world.popularity(window)
    filler = filler / filler.max() * 1e-4
    return lambda rows: counts[rows].toarray() + filler


def item_item(world: World, kind: str, n_near: int, half_life: float | None) -> Scores:
    """Neighbours of what was bought (implicit), own products included: an item is its own neighbour."""
    from implicit.nearest_neighbours import BM25Recommender, CosineRecommender, TFIDFRecommender

    kinds = {"cosine": CosineRecommender, "tfidf": TFIDFRecommender, "bm25": BM25Recommender}
    taste = world.counts(half_life).astype(np.float64)
    model = kinds[kind](K=n_near, num_threads=1)
    model.fit(taste, show_progress=False)
    near = csr_matrix(model.similarity)
    return lambda rows: (taste[rows] @ near).toarray()


def als(
    world: World, *, factors: int, regularization: float, alpha: float, half_life: float | None
) -> Scores:
    """Implicit ALS (Hu, Koren, Volinsky 2008)."""
    from implicit.als import AlternatingLeastSquares

    model = AlternatingLeastSquares(
        factors=factors,
        regularization=regularization,
        alpha=alpha,
        iterations=12,
        num_threads=1,
        random_state=0,
    )
    model.fit(world.counts(half_life), show_progress=False)
    return lambda rows: model.user_factors[rows] @ model.item_factors.T


def bpr(
    world: World, *, factors: int, learning_rate: float, regularization: float, iterations: int
) -> Scores:
    """Bayesian personalised ranking (Rendle et al. 2009), implicit's."""
    from implicit.bpr import BayesianPersonalizedRanking

    model = BayesianPersonalizedRanking(
        factors=factors,
        learning_rate=learning_rate,
        regularization=regularization,
        iterations=iterations,
        num_threads=1,
        random_state=0,
    )
    model.fit(world.bought, show_progress=False)
    return lambda rows: model.user_factors[rows] @ model.item_factors.T


def ease(world: World, regularization: float, weight: str) -> Scores:
    """EASE (Steck 2019), exact and without its products x products inverse, so that nothing is cut off.

    With K = X X' and P = (X'X + r I)^-1: X P = (K + r I)^-1 X, and diag P = (1 - diag(X' X P)) / r.
    """
    x = {"binary": world.bought, "log": np.log1p(world.counts()), "recent": np.log1p(world.counts(112))}
    x = x[weight].astype(np.float32).tocsr()
    kernel = (x @ x.T).toarray()
    kernel[np.diag_indices_from(kernel)] += regularization
    projected = (x.T @ np.linalg.inv(kernel)).T
    own = np.asarray(x.multiply(projected).sum(axis=0)).ravel()
    scale = regularization / (1 - own)
    return lambda rows: x[rows].toarray() - projected[rows] * scale


def tifu(world: World, *, group: int, within: float, between: float, near: int, alpha: float) -> Scores:
    """TIFU-KNN (Hu et al. 2020): baskets decayed within and between groups, then the nearest customers."""
    taste = habits(world, group, within, between)
    length = np.asarray(taste.multiply(taste).sum(axis=1)).ravel()
    others = taste.T.tocsc()

    def scores(rows: np.ndarray) -> np.ndarray:
        distance = length[None, :] - 2 * (taste[rows] @ others).toarray()
        distance[np.arange(len(rows)), rows] = np.inf
        n_near = min(near, len(length) - 1)
        nearest = np.argpartition(distance, n_near - 1, axis=1)[:, :n_near]
        at = (np.repeat(np.arange(len(rows)), n_near), nearest.ravel())
        mean = csr_matrix((np.full(nearest.size, 1 / n_near, np.float32), at), (len(rows), len(length)))
        return (alpha * taste[rows] + (1 - alpha) * (mean @ taste)).toarray()

    return scores


def habits(world: World, group: int, within: float, between: float) -> csr_matrix:
    """Return TIFU-KNN's customer vectors: groups of ``group`` baskets, counted back from the last."""
    baskets = world.events[["customer", "order"]].drop_duplicates()
    back = baskets.groupby("customer").cumcount(ascending=False)
    weight = within ** (back % group) * between ** (back // group) / group
    n_groups = (back // group + 1).groupby(baskets["customer"]).transform("max")
    weight = (weight / n_groups).set_axis(baskets["order"])
    return world.matrix(weight.loc[world.events["order"]].to_numpy())


def pure_svd(world: World, factors: int, weight: str) -> Scores:
    """RecTools' PureSVD (Cremonesi et al. 2010)."""
    import pandas as pd
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import PureSVDModel

    x = {"binary": world.bought, "log": np.log1p(world.counts()), "recent": np.log1p(world.counts(112))}
    cells = x[weight].tocoo()
    day = pd.Timestamp("2000-01-01")
    columns = (Columns.User, Columns.Item, Columns.Weight, Columns.Datetime)
    frame = pd.DataFrame(dict(zip(columns, (cells.row, cells.col, cells.data, day), strict=True)))
    data = Dataset.construct(frame)
    model = PureSVDModel(factors=factors, random_state=0).fit(data)
    user, item = (np.zeros((n, factors), np.float32) for n in (world.n_customers, world.n_products))
    user[data.user_id_map.external_ids] = model.user_factors
    item[data.item_id_map.external_ids] = model.item_factors
    return lambda rows: user[rows] @ item.T


WINDOWS = [14, 7, 28, 56, 91, 182, 364, 9999]
HALF_LIVES = [None, 56, 112]
PEERS = {
    "popularity": Peer(popularity, [{"window": days} for days in WINDOWS]),
    "personal frequency": Peer(personal, [{"window": days} for days in WINDOWS]),
    "personal frequency, decayed": Peer(
        personal,
        drawn({"half_life": 56, "window": 56}, half_life=[14, 28, 56, 112, 224], window=[7, 14, 28, 56]),
    ),
    "item-item (implicit)": Peer(
        item_item,
        drawn(
            {"kind": "tfidf", "n_near": 200, "half_life": 112},
            kind=["cosine", "tfidf", "bm25"],
            n_near=[50, 200, 1000],
            half_life=HALF_LIVES,
        ),
    ),
    "ALS (implicit)": Peer(
        als,
        drawn(
            {"factors": 64, "regularization": 0.01, "alpha": 1.0, "half_life": None},
            factors=[32, 64, 128],
            regularization=[0.01, 0.1, 1.0, 10.0],
            alpha=[1.0, 5.0, 20.0],
            half_life=HALF_LIVES,
        ),
    ),
    "BPR (implicit)": Peer(
        bpr,
        drawn(
            {"factors": 100, "learning_rate": 0.01, "regularization": 0.01, "iterations": 100},
            factors=[32, 64, 100],
            learning_rate=[0.01, 0.03, 0.1],
            regularization=[0.001, 0.01, 0.1],
            iterations=[30, 100],
        ),
    ),
    "EASE": Peer(
        ease,
        drawn(
            {"regularization": 500.0, "weight": "binary"},
            regularization=[20.0, 100.0, 500.0, 2000.0, 8000.0],
            weight=["binary", "log", "recent"],
        ),
    ),
    "TIFU-KNN": Peer(
        tifu,
        drawn(
            {"group": 3, "within": 0.9, "between": 0.6, "near": 300, "alpha": 0.2},
            group=[3, 7, 11],
            within=[0.6, 0.8, 0.9, 1.0],
            between=[0.5, 0.7, 0.9],
            near=[100, 300, 900],
            alpha=[0.1, 0.2, 0.5, 0.7, 0.9],
        ),
    ),
    "PureSVD (RecTools)": Peer(
        pure_svd,
        drawn(
            {"factors": 64, "weight": "binary"},
            factors=[16, 32, 64, 128, 256],
            weight=["binary", "log", "recent"],
        ),
    ),
}
