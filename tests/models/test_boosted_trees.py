import numpy as np
import pytest
from numpy.typing import NDArray

from models.boosted_trees import Trees, TreesConfig

Doubles = NDArray[np.float64]


def drawn(n: int, seed: int = 0) -> Doubles:
    """Rows of six columns with many ties; of the first three some are unknown."""
    rng = np.random.default_rng(seed)
    rows = np.round(rng.gamma(1.0, 2.0, (n, 6)), 1)
    rows[:, :3][rng.random((n, 3)) < 0.2] = np.nan
    return rows


def grown(n_leaves: int) -> Trees:
    rows = drawn(2000)
    known = np.nan_to_num(rows)
    chance = 1 / (1 + np.exp(-(known[:, 0] - known[:, 3] * known[:, 4] / 4)))
    config = TreesConfig(n_trees=60, n_leaves=n_leaves, min_leaf_rows=5)
    target = (np.random.default_rng(1).random(2000) < chance).astype(float)
    return Trees.fit("binary", rows, target=target, config=config, any_threshold=True)


@pytest.mark.parametrize("n_leaves", [2, 7, 40])
def test_contributions_are_lightgbms_whatever_rows_lie_beside(n_leaves: int) -> None:
    import lightgbm

    trees, rows = grown(n_leaves), drawn(700, seed=2)
    rows[:5, 3:] = np.nan  # where no row that was learnt from was unknown
    booster = lightgbm.Booster(model_str=trees.text)
    expected = np.asarray(booster.predict(rows, pred_contrib=True))[:, :-1]
    np.testing.assert_allclose(trees.contributions(rows), expected, rtol=0, atol=1e-12)
    np.testing.assert_array_equal(trees.contributions(rows[3:4]), trees.contributions(rows)[3:4])


def test_contributions_add_up_to_what_lifts_a_row_above_the_mean() -> None:
    trees, rows = grown(7), drawn(300, seed=3)
    lifted = trees.raw(rows) - trees.contributions(rows).sum(axis=1)
    np.testing.assert_allclose(lifted, lifted[0], atol=1e-12)


def test_a_constant_and_no_rows_have_nothing_to_explain() -> None:
    constant = Trees.fit("binary", drawn(10), target=np.ones(10), config=TreesConfig())
    np.testing.assert_array_equal(constant.contributions(drawn(4)), np.zeros((4, 6)))
    assert grown(7).contributions(np.zeros((0, 6))).shape == (0, 6)
