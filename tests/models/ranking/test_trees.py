import lightgbm
import numpy as np
import pytest

from features.errors import ArtefactError
from models.ranking.trees import BLOCK, FlatTrees

RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(3000, 6)).astype(np.float32).round(1)  # rounded: many rows lie on a threshold
BOUGHT = ROWS[:, 0] * ROWS[:, 1] + RNG.normal(size=len(ROWS)) > 0.5


def booster_of(n_leaves: int, n_trees: int = 20) -> lightgbm.Booster:
    options = {"objective": "binary", "num_leaves": n_leaves, "min_data_in_leaf": 5, "verbose": -1}
    return lightgbm.train(options | {"num_threads": 1}, lightgbm.Dataset(ROWS, BOUGHT), n_trees)


@pytest.mark.parametrize("n_leaves", [2, 31, 32, 33, 64])
@pytest.mark.parametrize("n_rows", [0, 1, BLOCK, BLOCK + 1, 3000])
def test_the_sums_are_lightgbms_own_to_the_last_bit(n_leaves: int, n_rows: int) -> None:
    booster, rows = booster_of(n_leaves), ROWS[:n_rows]
    expected = booster.predict(rows, raw_score=True) if n_rows else np.zeros(0)
    np.testing.assert_array_equal(FlatTrees.read(booster.model_to_string()).raw(rows), expected)


@pytest.mark.parametrize("n_leaves", [31, 64])
def test_without_a_family_the_sums_are_those_of_rows_with_the_usual_instead(n_leaves: int) -> None:
    trees = FlatTrees.read(booster_of(n_leaves).model_to_string())
    family, usual = np.array([0, -1, 1, 1, -1, 2], np.int32), ROWS[7]
    expected = [trees.raw(np.where(family == number, usual, ROWS)) for number in range(3)]
    np.testing.assert_array_equal(trees.without(ROWS, usual, family), expected)
    assert (expected[0] != trees.raw(ROWS)).any()


def test_trees_that_found_nothing_to_split_on_are_constants() -> None:
    options = {"objective": "binary", "min_data_in_leaf": 5000, "verbose": -1, "num_threads": 1}
    booster = lightgbm.train(options, lightgbm.Dataset(ROWS, BOUGHT), 3)
    found = FlatTrees.read(booster.model_to_string()).raw(ROWS[:3])
    np.testing.assert_array_equal(found, booster.predict(ROWS[:3], raw_score=True))


def test_a_tree_too_large_for_a_word_is_refused_with_the_bound() -> None:
    with pytest.raises(ArtefactError, match="n_leaves of 64 at most"):
        FlatTrees.read(booster_of(65, 1).model_to_string())


def test_what_is_no_model_is_refused() -> None:
    with pytest.raises(ArtefactError, match="no tree"):
        FlatTrees.read("tree\nversion=v4\n")
