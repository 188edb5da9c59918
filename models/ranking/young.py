"""The level of chances in a young shop, whose histories have grown since the window its ranker learnt from.

Counts, shares and scores of pairs grow with the history. In a shop of two horizons the ranker learnt from
histories half as long as today's, and mistakes their length for keenness. So the pairs of its newest window
are scored once more as of today, and the level is set so that as many purchases are predicted as were made in
that window. In older shops histories hardly grow any more, and nothing changes.
"""

from dataclasses import replace
from datetime import datetime

import numpy as np
from scipy.special import logit

from features.arrays.dtypes import Bools, Doubles, Ints
from features.arrays.groups import among
from features.shop import Shop
from models.candidates.union import Candidates
from models.customers.calibration import logit_shift
from models.ranking.cross_sell_rows import CrossSellConfig, over_candidates, state_of
from models.ranking.ranker import Ranker
from models.youth import youth

MAX_CUSTOMERS = 500
"""Maximum number of customers whose pairs are used: more would hardly change a single number."""
MIN_CHANCE = 1e-12
"""Chances are kept at least this far from 0 and 1."""


def levelled(
    ranker: Ranker, shop: Shop, *, known_until: datetime, config: CrossSellConfig, horizon_days: int
) -> Ranker:
    """Return the ranker at the level of a young shop; unchanged in a grown one.

    It assumes that known customers and products will sell as before, which is too much if customers soon
    leave.
    """
    share = youth(shop, known_until, horizon_days=horizon_days)
    if not share:
        return ranker
    odds, bought = _asked_again(
        ranker, shop, known_until=known_until, config=config, horizon_days=horizon_days
    )
    shift = logit_shift(odds, float(bought.mean())) if len(bought) else 0.0
    return replace(ranker, level=ranker.level + share * shift)


def _asked_again(
    ranker: Ranker, shop: Shop, *, known_until: datetime, config: CrossSellConfig, horizon_days: int
) -> tuple[Doubles, Bools]:
    """Return log odds, as of ``known_until``, of pairs of the newest window, and which were bought in it."""
    opened = shop.past_cutoffs(known_until, horizon_days, n=1)[0]
    then, now = (
        state_of(shop, cutoff, config=config, horizon_days=horizon_days) for cutoff in (opened, known_until)
    )
    truth = then.history.pairs_of(shop.product_labels(opened, horizon_days, known_until=known_until))
    # customers who have since returned everything are unknown today; products once sold stay known
    customers = now.history.customers.codes(then.history.customers.all_names())
    products = now.history.products.codes(then.history.products.all_names())

    def asked(codes: Ints, candidates: Candidates) -> tuple[Doubles, Bools]:
        pair = codes[candidates.customer].astype(np.int64) * len(products) + candidates.product
        today = customers[codes]
        of_today = now.history.of_customers(today)
        features = now.features(
            of_today, today, customer=candidates.customer, product=products[candidates.product]
        )
        return logit(ranker.chance(features).astype(float).clip(MIN_CHANCE, 1 - MIN_CHANCE)), among(
            pair, truth
        )

    known = np.random.default_rng(config.seed).permutation(np.flatnonzero(customers >= 0))[:MAX_CUSTOMERS]
    nothing = np.zeros(0), np.zeros(0, bool)
    parts = over_candidates(then, np.sort(known).astype(np.int32), config=config, work=asked)
    odds, bought = zip(nothing, *parts, strict=True)
    return np.concatenate(odds), np.concatenate(bought)
