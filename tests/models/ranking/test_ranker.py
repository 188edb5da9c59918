from functools import cache

import lightgbm
import numpy as np
import pytest

from features.arrays.pairs import MISSING, PAIR_FEATURES
from models.ranking.ranker import Ranker, RankerConfig, Rows, _trees, averaged
from models.ranking.trees import FlatTrees

RNG = np.random.default_rng(0)
FEATURES = RNG.normal(size=(2_000, len(PAIR_FEATURES))).astype(np.float32)
BOUGHT = FEATURES[:, 0] + RNG.normal(size=len(FEATURES)) > 1


@cache
def ranker(n_bags: int) -> Ranker:
    """Return that of trees alone."""
    config = RankerConfig(n_trees=8)
    return Ranker(_trees(FEATURES, BOUGHT, config=config, n_bags=n_bags), negative_rate=1)


def single(seed: int) -> Ranker:
    config = RankerConfig(n_trees=8, seed=seed)
    return Ranker(_trees(FEATURES, BOUGHT, config=config, n_bags=1), negative_rate=1)


def test_bags_tell_the_mean_log_odds_of_rankers_with_other_seeds() -> None:
    alone = [single(seed).trees.raw(FEATURES) for seed in range(3)]
    np.testing.assert_allclose(ranker(3).trees.raw(FEATURES), np.mean(alone, axis=0), rtol=1e-9, atol=1e-12)
    assert np.abs(alone[0] - alone[1]).max() > 0.01


def test_the_averaged_text_is_a_model_that_lightgbm_reads() -> None:
    found = ranker(3)
    booster = lightgbm.Booster(model_str=found.text)
    assert booster.num_trees() == 24
    np.testing.assert_allclose(
        booster.predict(FEATURES, raw_score=True), found.trees.raw(FEATURES), atol=1e-12
    )


def test_one_model_alone_is_left_as_it_is() -> None:
    text = single(0).text
    np.testing.assert_array_equal(
        FlatTrees.read(averaged([text])).raw(FEATURES), FlatTrees.read(text).raw(FEATURES)
    )


@pytest.mark.parametrize(("share", "n_bags"), [(0.4, 2), (0.0, 4)])
def test_trees_that_speak_alone_are_twice_as_many(share: float, n_bags: int) -> None:
    config = RankerConfig(n_bags=2, n_trees=8, n_nets=1, net_share=share)
    found = Ranker.train(Rows(FEATURES, BOUGHT), config)
    assert bool(found.net) == bool(share)
    assert found.text.count("\nTree=") == 8 * n_bags


def test_trees_and_a_network_together_tell_as_many_purchases_as_there_were() -> None:
    config = RankerConfig(n_bags=2, n_trees=8, n_nets=1, net_share=0.4, negative_rate=1.0)
    found = Ranker.train(Rows(FEATURES, BOUGHT), config)
    assert found.level != 0
    assert found.chance(FEATURES).mean() == pytest.approx(BOUGHT.mean(), rel=1e-3)


def test_without_a_family_trees_network_and_regression_tell_the_odds_of_the_usual_instead() -> None:
    found = Ranker.train(Rows(FEATURES, BOUGHT), RankerConfig(n_bags=1, n_trees=8, n_nets=1))
    assert found.net and found.plain
    rows = FEATURES[:100].copy()
    rows[::3, 5] = rows[::3, 9] = MISSING  # as in no row learnt from
    family, usual = np.arange(len(PAIR_FEATURES), dtype=np.int32) % 5 - 1, FEATURES[200]
    expected = [found._odds(np.where(family == number, usual, rows)) for number in range(4)]
    np.testing.assert_allclose(found.without(rows, usual, family), expected, atol=1e-5)


def test_importance_is_shared_among_all_bags() -> None:
    shares = ranker(3).importance()
    assert sum(shares.values()) == 1 or abs(sum(shares.values()) - 1) < 1e-9
    assert max(shares, key=shares.__getitem__) == next(iter(PAIR_FEATURES))
