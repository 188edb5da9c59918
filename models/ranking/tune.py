"""Search for better settings of the ranker within a training period: Optuna over LightGBM's, judged by NDCG.

For data scientists; not used in production. Settings are trained on windows closed before the newest window
begins, and evaluated on that one. Nothing at or after ``known_until`` is read, so a holdout after it stays
unseen::

    from models.ranking.tune import tune
    config, trials = tune(shop, cutoff, horizon_days=28, n_trials=30)
    model = CrossSell.fit(shop, cutoff, config=config)

The defaults of ``RankerConfig`` were compared by hand on earlier cutoffs of two shops, and kept if neither
lost; a difference below .003 on one window is chance.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np

from features.arrays.dtypes import Bools, Doubles, Floats, Ints, Longs
from features.arrays.groups import among
from features.errors import CannotLearn
from features.shop import Shop
from models.candidates.union import Candidates
from models.ndcg import ndcg
from models.ranking.cross_sell_rows import (
    CrossSellConfig,
    features_of,
    learning_rows,
    over_candidates,
    state_of,
)
from models.ranking.ranker import Ranker

if TYPE_CHECKING:
    import pandas as pd

K = 10


@dataclass(frozen=True)
class HeldOut:
    """Candidates of some customers in a window that no setting is trained on, with their outcomes."""

    customer: Ints
    features: Floats
    bought: Bools
    own: Bools
    n_all: Longs
    """Number of products each customer bought in the horizon, whether candidates or not."""
    n_new: Longs
    """Of these, products bought for the first time."""

    def ndcg(self, score: Floats) -> tuple[float, float]:
        """Return mean NDCG@10 over customers with purchases: of all products, and of new ones."""
        new = ~self.own
        return (
            _mean(ndcg(self.customer, score, bought=self.bought, n_true=self.n_all, k=K)),
            _mean(ndcg(self.customer[new], score[new], bought=self.bought[new], n_true=self.n_new, k=K)),
        )


def _mean(of_customers: Doubles) -> float:
    known = of_customers[np.isfinite(of_customers)]
    return float(known.mean()) if len(known) else float("nan")


def tune(
    shop: Shop,
    known_until: datetime,
    *,
    horizon_days: int,
    n_trials: int = 30,
    n_customers: int = 1_000,
    config: CrossSellConfig | None = None,
) -> tuple[CrossSellConfig, "pd.DataFrame"]:
    """Return the best settings found, among them the given ones, and all trials, best first.

    A trial's ``value`` is the mean of both its figures (all, new) relative to those of the given settings.
    Raises ``CannotLearn`` if the orders do not go back far enough, or nobody bought in the newest window.
    """
    import optuna

    config = config or CrossSellConfig()
    newest = shop.past_cutoffs(known_until, horizon_days, n=1)[0]
    rows = learning_rows(shop, newest, config=config, horizon_days=horizon_days)
    size = {"horizon_days": horizon_days, "n_customers": n_customers}
    unseen = held_out(shop, newest, known_until=known_until, config=config, **size)
    given = unseen.ndcg(Ranker.train(rows, config).chance(unseen.features))
    if not min(given) > 0:
        raise CannotLearn(
            "the given settings rank no purchase of the newest window, so none can be compared with them",
            "give other settings, or ingest a longer history",
        )

    def value(trial: Any) -> float:
        tried = config.model_copy(update=_suggested(trial))
        figures = unseen.ndcg(Ranker.train(rows, tried).chance(unseen.features))
        trial.set_user_attr("ndcg_all", figures[0])
        trial.set_user_attr("ndcg_new", figures[1])
        return float(np.mean(np.divide(figures, given)))

    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize", sampler=optuna.samplers.TPESampler(seed=config.seed))
    study.enqueue_trial({name: getattr(config, name) for name in SPACE})
    study.optimize(value, n_trials=n_trials)
    return config.model_copy(update=study.best_params), study.trials_dataframe().sort_values(
        "value", ascending=False, ignore_index=True
    )


SPACE: dict[str, tuple[float, float]] = {
    "n_trees": (60, 300),
    "n_leaves": (8, 63),
    "learning_rate": (0.02, 0.15),
    "min_data_in_leaf": (20, 500),
    "column_share": (0.2, 0.9),
    "row_share": (0.4, 1.0),
    "ridge": (0.1, 100.0),
}
"""The search space: lowest and highest values; shares are drawn uniformly, the rest log-uniformly."""


def _suggested(trial: Any) -> dict[str, float]:
    values: dict[str, float] = {}
    for name, (low, high) in SPACE.items():
        log = not name.endswith("_share")
        suggest = trial.suggest_int if isinstance(low, int) else trial.suggest_float
        values[name] = suggest(name, low, high, log=log)
    return values


def held_out(
    shop: Shop,
    cutoff: datetime,
    *,
    known_until: datetime,
    config: CrossSellConfig,
    horizon_days: int,
    n_customers: int,
) -> HeldOut:
    """Return every candidate of up to ``n_customers`` who bought in the horizon after ``cutoff``.

    Raises ``CannotLearn`` if nobody did.
    """
    state = state_of(shop, cutoff, config=config, horizon_days=horizon_days)
    truth = state.history.pairs_of(shop.product_labels(cutoff, horizon_days, known_until=known_until))
    size, history = len(state.history.products), state.history
    buyers = np.random.default_rng(config.seed).permutation(np.unique(truth // size))
    some = np.sort(buyers[:n_customers]).astype(np.int32)
    if not len(some):
        raise CannotLearn(
            f"nobody bought a known product in the {horizon_days} days from {cutoff:%Y-%m-%d}",
            "take another cutoff",
        )

    def rows(codes: Ints, candidates: Candidates) -> tuple[Ints, Floats, Bools, Bools]:
        pair = codes[candidates.customer].astype(np.int64) * size + candidates.product
        return (
            codes[candidates.customer],
            features_of(state, codes, pairs=candidates),
            among(pair, truth),
            candidates.own,
        )

    parts = list(over_candidates(state, some, config=config, work=rows))
    customer, features, bought, own = (np.concatenate(column) for column in zip(*parts, strict=True))
    new = truth[~np.isin(truth, history.pair)]
    n_all, n_new = (
        np.bincount(pairs // size, minlength=len(history.customers))[some] for pairs in (truth, new)
    )
    return HeldOut(np.searchsorted(some, customer).astype(np.int32), features, bought, own, n_all, n_new)
