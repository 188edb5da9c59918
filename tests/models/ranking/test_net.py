import json
from functools import cache
from pathlib import Path

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays
from threadpoolctl import threadpool_limits

from features.arrays.dtypes import Doubles
from features.arrays.pairs import MISSING, PAIR_FEATURES
from models.ranking.net import MAX_DEVIATIONS, Net, Scale, inputs
from models.ranking.net_learning import NetConfig, learn
from models.ranking.ranker import Ranker, RankerConfig, Rows, level_of

RNG = np.random.default_rng(0)
ROWS = (RNG.normal(size=(8_000, len(PAIR_FEATURES))) * 10).astype(np.float32)
ROWS[:2_000, [3, 4]] = ROWS[1_000:3_000, 5] = MISSING
SAME = ROWS[:, 0] * ROWS[:, 1] > 0
BOUGHT = (RNG.random(len(ROWS)) < 0.9) == SAME
CONFIG = NetConfig(n_nets=2, n_hidden=16, n_passes=8, seed=0)
CONFIG = RankerConfig(n_bags=1, n_trees=8, n_nets=2, n_hidden=16, plain_share=0)


@cache
def net() -> Net:
    found = learn(ROWS, BOUGHT, config=CONFIG)
    assert found
    return found


@cache
def ranker() -> Ranker:
    return Ranker.train(Rows(ROWS, BOUGHT), CONFIG)


def test_the_sums_are_those_of_scikit_learns_network_of_the_same_weights() -> None:
    from sklearn.neural_network import MLPClassifier

    scale = Scale.of(ROWS)
    read = inputs(ROWS, scale)[:, :-1]
    known = MLPClassifier((9,), batch_size=50, early_stopping=True, random_state=0).fit(read, BOUGHT)
    weight, out = (np.vstack(pair) for pair in zip(known.coefs_, known.intercepts_, strict=True))
    found = Net(scale, weight.astype(np.float32), out[:, 0].astype(np.float32)).raw(ROWS)
    np.testing.assert_allclose(1 / (1 + np.exp(-found)), known.predict_proba(read)[:, 1], atol=1e-5)


@pytest.mark.parametrize("n_rows", [0, 1, 3, 100])
def test_a_row_is_told_the_same_alone_and_among_others(n_rows: int) -> None:
    together, alone = net().raw(ROWS[:n_rows]), [net().raw(row[None])[0] for row in ROWS[:n_rows]]
    np.testing.assert_array_equal(together, np.array(alone))


def test_without_a_family_a_row_is_told_as_with_the_usual_instead_and_so_are_its_flags() -> None:
    family, usual = np.arange(len(PAIR_FEATURES), dtype=np.int32) % 4 - 1, ROWS[2_500]
    rows = ROWS[1_950:2_080]  # missing values, and none
    expected = [net().raw(np.where(family == number, usual, rows)) for number in range(3)]
    np.testing.assert_allclose(net().without(rows, usual, family=family), expected, atol=1e-5)


def test_an_input_grows_with_its_feature_as_a_logarithm_does() -> None:
    plain = Scale(
        *(np.full(1, x, np.float32) for x in (1, 0, 1)), np.full(1, -1, np.int32), far=np.float32(99)
    )
    feature = np.linspace(-1_000, 1_000, 9_999, dtype=np.float32)[:, None]
    found = inputs(feature, plain)[:, 0]
    assert (np.diff(found) > 0).all()
    np.testing.assert_allclose(found, np.sign(feature[:, 0]) * np.log2(1 + np.abs(feature[:, 0])), atol=0.09)


def test_what_is_missing_is_told_once_for_columns_that_are_missing_together() -> None:
    scale = Scale.of(ROWS)
    flags = [int(scale.flag[column]) for column in (3, 4, 5)]
    assert flags == [len(PAIR_FEATURES), -1, len(PAIR_FEATURES) + 1]
    read = inputs(ROWS, scale)
    np.testing.assert_array_equal(read[:, flags[0]] == 1, ROWS[:, 3] == MISSING)
    assert not read[ROWS[:, 4] == MISSING, 4].any()


def test_no_feature_however_far_is_more_than_far() -> None:
    beyond = np.full((1, len(PAIR_FEATURES)), 1e30, np.float32)
    np.testing.assert_array_equal(inputs(beyond, Scale.of(ROWS))[0, : len(PAIR_FEATURES)], MAX_DEVIATIONS)


def test_it_learns_what_no_single_column_tells() -> None:
    chance = 1 / (1 + np.exp(-net().raw(ROWS)))
    assert ((chance > 0.5) == SAME).mean() > 0.9
    assert chance.mean() == pytest.approx(BOUGHT.mean(), abs=0.02)


def test_the_same_rows_give_the_same_network_on_any_number_of_cores() -> None:
    with threadpool_limits(2):
        again = learn(ROWS, BOUGHT, config=CONFIG)
    assert again
    np.testing.assert_array_equal(again.raw(ROWS), net().raw(ROWS))


def test_a_network_that_has_not_settled_is_not_heard() -> None:
    assert learn(ROWS, BOUGHT, config=NetConfig(n_nets=2, n_hidden=16, n_passes=2, seed=0)) is None


def test_trees_and_network_are_averaged_in_log_odds() -> None:
    found = ranker()
    assert found.net
    odds = 0.6 * found.trees.raw(ROWS) + 0.4 * found.net.raw(ROWS)
    chance = 1 / (1 + np.exp(-odds - found.level))
    np.testing.assert_allclose(found.chance(ROWS), chance * 0.15 / (chance * 0.15 + 1 - chance), rtol=1e-5)


def test_on_the_rows_learnt_from_the_mean_chance_is_the_share_bought() -> None:
    rare = np.random.default_rng(1).random(len(ROWS)) < 0.2
    found = Ranker.train(Rows(ROWS, rare), CONFIG.model_copy(update={"negative_rate": 1}))
    assert found.net
    assert found.level > 0.01
    assert found.chance(ROWS).mean(dtype=np.float64) == pytest.approx(rare.mean(), rel=1e-5)


@given(arrays(float, st.integers(2, 50), elements=st.floats(-3, 3)), st.data())
def test_the_level_is_found_for_any_odds_that_are_near(odds: Doubles, data: st.DataObject) -> None:
    bought = np.arange(len(odds)) < data.draw(st.integers(1, len(odds) - 1))
    chance = 1 / (1 + np.exp(-odds - level_of(odds, bought)))
    assert chance.mean() == pytest.approx(bought.mean(), abs=1e-6)


@pytest.mark.parametrize("n_purchases", [199, 200])
def test_fewer_purchases_than_two_hundred_are_left_to_the_trees(n_purchases: int) -> None:
    n_rows = int(np.searchsorted(np.cumsum(BOUGHT), n_purchases)) + 1
    config = RankerConfig(n_trees=8, plain_share=0)
    found = Ranker.train(Rows(ROWS[:n_rows], BOUGHT[:n_rows]), config)
    assert bool(found.net) == (n_purchases == 200)
    assert bool(found.level) == bool(found.net)
    assert np.isfinite(found.chance(ROWS)).all()


@pytest.mark.parametrize("share", [0.4, 0.0])
def test_a_ranker_read_back_tells_the_same(share: float, tmp_path: Path) -> None:
    made = ranker() if share else Ranker(ranker().text, ranker().negative_rate)
    made.save(tmp_path)
    np.testing.assert_array_equal(Ranker.load(tmp_path).chance(ROWS), made.chance(ROWS))
    assert bool(Ranker.load(tmp_path).net) == bool(share)


def test_a_ranker_saved_without_a_level_has_none(tmp_path: Path) -> None:
    ranker().save(tmp_path)
    card = json.loads((tmp_path / "ranker.json").read_text())
    assert card.pop("level") == ranker().level != 0
    (tmp_path / "ranker.json").write_text(json.dumps(card))
    assert Ranker.load(tmp_path).level == 0
