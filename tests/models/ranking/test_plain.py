import json
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from features.arrays.dtypes import Bools, Floats
from features.arrays.pairs import MISSING, PAIR_FEATURES
from features.errors import ArtefactError
from models.ranking.plain import FACTS, Plain, facts
from models.ranking.ranker import Ranker, RankerConfig, Rows

COLUMN = {name: place for place, name in enumerate(PAIR_FEATURES)}
CONFIG = RankerConfig(n_trees=40, negative_rate=1.0)


def world(n: int, seed: int) -> tuple[Floats, Bools, Floats]:
    """Return rows of a shop where only what sells is bought, and how likely each was."""
    rng = np.random.default_rng(seed)
    features = rng.exponential(size=(n, len(PAIR_FEATURES))).astype(np.float32)
    features[:, COLUMN["p_buyers_56d"]] = popular = rng.pareto(2, n).clip(0, 9).astype(np.float32) / 30
    features[: n // 2, COLUMN["since"]] = MISSING
    return features, rng.random(n) < popular, popular


@cache
def few() -> tuple[Floats, Bools]:
    features, bought, _ = world(1_500, seed=0)
    assert bought.sum() < CONFIG.net_from
    return features, bought


@cache
def ranker() -> Ranker:
    return Ranker.train(Rows(*few()), CONFIG)


def agreement(found: Ranker, features: Floats, likely: Floats) -> float:
    """Return Spearman's correlation of chances with what they should be."""
    ranks = [np.argsort(np.argsort(column)) for column in (found.chance(features), likely)]
    return float(np.corrcoef(ranks)[0, 1])


def test_few_purchases_are_ranked_better_with_it() -> None:
    features, _, likely = world(4_000, seed=1)
    without = Ranker.train(Rows(*few()), CONFIG.model_copy(update={"plain_share": 0.0}))
    assert without.plain is None
    assert agreement(ranker(), features, likely) > agreement(without, features, likely) + 0.05


def test_it_fades_evenly_and_is_gone_where_purchases_are_many() -> None:
    n_bought = int(few()[1].sum())
    for until, share in ((10 * n_bought, 0.36), (2 * n_bought, 0.2), (n_bought, 0.0)):
        config = CONFIG.model_copy(update={"plain_until": until, "n_trees": 2, "net_share": 0.0})
        plain = Ranker.train(Rows(*few()), config).plain
        assert (plain.share if plain else 0.0) == pytest.approx(share)


@pytest.mark.parametrize(("net_from", "share"), [(1, 0.36), (1_000_000, 0.9 * 0.64)])
def test_it_has_the_weight_of_the_network_too_where_none_speaks(net_from: int, share: float) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(2_000, len(PAIR_FEATURES))).astype(np.float32)
    bought = features[:, 0] + rng.normal(size=2_000) > 1  # even enough for a network to settle
    more = {"plain_until": 10 * int(bought.sum()), "n_trees": 2, "n_nets": 1, "net_from": net_from}
    found = Ranker.train(Rows(features, bought), CONFIG.model_copy(update=more))
    assert found.plain
    assert bool(found.net) == (net_from == 1)
    assert found.plain.share == pytest.approx(share)


def test_its_log_odds_are_averaged_with_what_trees_and_network_say() -> None:
    found, features = ranker(), few()[0]
    assert found.plain
    odds = (1 - found.plain.share) * found.trees.raw(features) + found.plain.share * found.plain.raw(features)
    np.testing.assert_allclose(found.chance(features), 1 / (1 + np.exp(-odds - found.level)), rtol=1e-5)


def test_as_many_purchases_are_told_as_there_were() -> None:
    features, bought = few()
    assert ranker().level != 0
    assert ranker().chance(features).mean() == pytest.approx(bought.mean(), rel=1e-3)


def test_a_row_is_told_the_same_alone_and_among_others() -> None:
    plain, rows = ranker().plain, few()[0][:50]
    assert plain
    np.testing.assert_array_equal(plain.raw(rows), [plain.raw(row[None])[0] for row in rows])


def test_a_fact_grows_with_its_feature_and_what_is_missing_is_none() -> None:
    rows = np.full((100, len(PAIR_FEATURES)), MISSING)
    assert not facts(rows).any()
    rows[:, COLUMN["n"]] = np.arange(100)
    found = facts(rows)
    assert (np.diff(found[:, list(FACTS).index("n")]) > 0).all()
    np.testing.assert_array_equal(found[:, -1], np.arange(100) > 0)


def test_a_ranker_read_back_says_the_same(tmp_path: Path) -> None:
    ranker().save(tmp_path)
    features = few()[0]
    np.testing.assert_array_equal(Ranker.load(tmp_path).chance(features), ranker().chance(features))


def test_one_that_read_other_facts_is_refused() -> None:
    plain = ranker().plain
    assert plain
    card = json.loads(json.dumps(plain.card()))
    assert Plain.of(card) == plain
    with pytest.raises(ArtefactError, match="retrain"):
        Plain.of(card | {"facts": {"n": 1}})
