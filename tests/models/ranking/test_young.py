from functools import cache

import numpy as np
import pytest
from worlds.checkerboard import SMALL
from worlds.steady import CUTOFF, shop

from features.arrays.dtypes import Bools, Floats, Ints
from features.arrays.groups import among
from features.window import shift_days
from models.candidates.union import Candidates
from models.cross_sell import CrossSell
from models.ranking.cross_sell_rows import features_of, learning_rows, over_candidates, state_of
from models.ranking.ranker import Ranker
from models.ranking.young import levelled


@cache
def rankers() -> tuple[Ranker, Ranker]:
    """Return what was learnt, and that at the level of a young shop."""
    learnt = Ranker.train(learning_rows(shop(), CUTOFF, config=SMALL, horizon_days=28), SMALL)
    return learnt, levelled(learnt, shop(), known_until=CUTOFF, config=SMALL, horizon_days=28)


@cache
def today() -> tuple[Floats, Bools]:
    """Return every candidate of everybody at the cutoff, and whether it was then bought."""
    state = state_of(shop(), CUTOFF, config=SMALL, horizon_days=28)
    truth = state.history.pairs_of(shop().product_labels(CUTOFF, 28, known_until=shop().last_midnight))

    def asked(codes: Ints, found: Candidates) -> tuple[Floats, Bools]:
        pair = codes[found.customer].astype(np.int64) * len(state.history.products) + found.product
        return features_of(state, codes, pairs=found), among(pair, truth)

    everyone = np.arange(len(state.history.customers), dtype=np.int32)
    features, bought = zip(*over_candidates(state, everyone, config=SMALL, work=asked), strict=True)
    return np.concatenate(features), np.concatenate(bought)


def told(ranker: Ranker) -> float:
    """Return purchases told for each that was made."""
    features, bought = today()
    return float(ranker.chance(features).sum() / bought.sum())


def test_a_young_shop_is_told_as_many_purchases_as_are_made() -> None:
    learnt, level = rankers()
    assert told(learnt) > 1.15
    assert told(level) == pytest.approx(1, abs=0.08)


def test_the_order_of_products_stays_as_learnt() -> None:
    features, _ = today()
    learnt, level = (ranker.chance(features) for ranker in rankers())
    assert (np.diff(level[np.argsort(learnt)]) > -1e-6).all()


def test_the_model_is_fitted_at_that_level() -> None:
    fitted = CrossSell.fit(shop(), CUTOFF, config=SMALL).ranker
    assert fitted.level == rankers()[1].level != rankers()[0].level


def test_who_brought_everything_back_since_is_asked_of_nobody() -> None:
    then, now = (shop().history(shift_days(CUTOFF, -days, timezone="UTC")) for days in (28, 0))
    assert {*then.customers.all_names()} - {*now.customers.all_names()} == {"gone"}
    assert {*then.products.all_names()} <= {*now.products.all_names()}
    assert np.isfinite(rankers()[1].level)


def test_a_grown_shop_keeps_what_was_learnt_to_the_bit() -> None:
    ranker = rankers()[0]
    assert levelled(ranker, shop(), known_until=CUTOFF, config=SMALL, horizon_days=14) is ranker
