"""Verification that what is served equals what warehouse and models give, on a nightly sample of customers.

Customer features are computed again from the warehouse, and once more, with scores and reasons, from the rows
used for refreshing; pair features are computed again in one batch and compared with those the live ranker
makes from its mapped arrays, one customer at a time. Learnt scores of pairs are not recomputed.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from math import isclose
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from features.arrays.pairs import PAIR_FEATURES, pair_features
from features.arrays.products import product_table
from features.errors import ArtefactError
from features.shop import Shop
from models.ranking.live import Live
from models.registry import model_class
from serving.registry import scoring_on_disk
from serving.scoring.columns import Columns
from serving.scoring.customer_scores import excerpt_of, scores_of
from serving.scoring.folder import load
from serving.scoring.snapshot import Snapshot
from serving.state import Pointer

N_CUSTOMERS = 200
N_PRODUCTS = 10
"""Per customer, this many products bought and as many best sellers are compared."""
CLOSE = 2e-6
"""Numbers are stored to six decimals."""
PAIRS_CLOSE = 1e-4
"""Tolerance of pair features (float32), relative."""
FEWEST_SHOWN = 12


@dataclass
class Comparison:
    """What was compared, and for how many customers (or pairs) each column differs."""

    stamp: str
    n_customers: int
    n_pairs: int = 0
    differ: Counter[str] = field(default_factory=Counter)

    def check(self) -> None:
        """Raise ``ArtefactError`` naming what differs."""
        if self.differ:
            named = ", ".join(f"{name} ({n})" for name, n in self.differ.most_common(FEWEST_SHOWN))
            more = len(self.differ) - FEWEST_SHOWN
            named += f" and {more} more" if more > 0 else ""
            raise ArtefactError(
                f"the scoring {self.stamp} differs from its warehouse and models, in rows by column: {named}",
                "an older order was ingested since, or a file was changed: run `recompra score`",
            )


def verify(home: Path, n: int = N_CUSTOMERS) -> Comparison:
    """Compare the scoring in service, as the service maps it, for ``n`` customers; different ones each time.

    Raises ``NotFound`` before the first scoring, ``ArtefactError`` if one cannot be read.
    """
    home = home.resolve()
    pointer = Pointer.read(home)
    snapshot, shop = load(home / "lists" / pointer.stamp), Shop(home)
    codes = _sample(snapshot, n)
    ids = snapshot.customers.names(codes)
    comparison = Comparison(snapshot.stamp, len(ids))
    anew = shop.customer_features(snapshot.as_of, ids).reindex(ids)
    comparison.differ.update(_differing("", snapshot.features, codes=codes, frame=anew))
    excerpt = excerpt_of(home, pointer.stamp, as_of=snapshot.as_of)
    excerpt.take(ids)
    again = excerpt.customer_features(snapshot.as_of).reindex(ids)
    comparison.differ.update(_differing("refresh: ", snapshot.features, codes=codes, frame=again))
    models = scoring_on_disk(home, pointer.models)
    scores = scores_of(models, excerpt, cutoff=snapshot.as_of, names=ids)
    comparison.differ.update(_differing("", snapshot.scores, codes=codes, frame=scores))
    if isinstance(snapshot.live, Live):
        horizon_days = _horizon(home, pointer.models)
        _compare_pairs(
            comparison, snapshot.live, shop=shop, ids=ids, cutoff=snapshot.as_of, horizon_days=horizon_days
        )
    return comparison


def _sample(snapshot: Snapshot, n: int) -> Any:
    """Return sorted codes; the scoring's number is the seed, so that each night samples others."""
    size = len(snapshot.customers)
    rng = np.random.default_rng(int(snapshot.stamp.rsplit("-", 1)[-1]))
    return np.sort(rng.choice(size, min(n, size), replace=False))


def _differing(prefix: str, served: Columns, *, codes: Any, frame: pd.DataFrame) -> Iterator[str]:
    """Yield a column's name for every row in which it differs; a missing column differs everywhere."""
    anew = Columns.of(frame)
    missing = {*served.order} ^ {*anew.order}
    rows = zip((served.row(int(code)) for code in codes), anew.rows(slice(None)), strict=True)
    for left, right in rows:
        for name in left | right:
            if name in missing or not _same(left[name], right[name]):
                yield prefix + name


def _same(served: Any, anew: Any) -> bool:
    if isinstance(served, float) and isinstance(anew, float):
        return isclose(served, anew, rel_tol=1e-9, abs_tol=CLOSE)
    return bool(served == anew)


def _horizon(home: Path, models: Mapping[str, str]) -> int:
    kind = model_class("cross_sell")
    return int(kind.read_card(home / "models" / kind.name / models[kind.name]).facts["horizon_days"])


def _compare_pairs(
    comparison: Comparison, live: Live, *, shop: Shop, ids: Sequence[str], cutoff: datetime, horizon_days: int
) -> None:
    """Count the pair features that differ between the live path and a batch over a fresh history."""
    history = shop.history(cutoff)
    if not np.array_equal(history.products.ids, live.state.history.products.ids):
        comparison.differ["products"] += 1
        return
    table = product_table(history, shop.catalogue(cutoff), horizon_days=horizon_days)
    known = [name for name in ids if history.customers.code(name) >= 0]
    codes = history.customers.codes(known)
    mine, best = history.of_customers(codes), live.by_popularity[:N_PRODUCTS]
    products = [np.union1d(mine.product[mine.rows(row)][-N_PRODUCTS:], best) for row in range(len(known))]
    product = np.concatenate([np.zeros(0, np.int32), *products]).astype(np.int32)
    customer = np.repeat(np.arange(len(known), dtype=np.int32), [len(goods) for goods in products])
    scores = live.state.scores(
        mine, live.state.history.customers.codes(known), customer=customer, product=product
    )
    batch = pair_features(mine, table, customer=customer, product=product, scores=scores)
    one_by_one = [live.pairs(name, goods) for name, goods in zip(known, products, strict=True)]
    served = np.concatenate([np.zeros((0, batch.shape[1]), np.float32), *one_by_one])
    differ = ~np.isclose(served, batch, rtol=PAIRS_CLOSE, atol=PAIRS_CLOSE, equal_nan=True)
    counts = zip(PAIR_FEATURES, differ.sum(axis=0).tolist(), strict=True)
    comparison.differ.update({f"pair: {name}": n for name, n in counts if n})
    comparison.n_pairs = len(product)
