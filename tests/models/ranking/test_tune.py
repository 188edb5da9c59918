import numpy as np
import pytest
from worlds.checkerboard import CUTOFF, SMALL, board

from features.window import shift_days
from models.ranking.tune import SPACE, held_out, tune


def test_the_exam_counts_what_no_candidate_found_too() -> None:
    shop, _, state = board()
    end = shift_days(CUTOFF, 28, timezone=shop.timezone)
    unseen = held_out(shop, CUTOFF, known_until=end, config=SMALL, horizon_days=28, n_customers=20)
    assert len(unseen.n_all) == 20
    assert (unseen.n_all >= unseen.n_new).all()
    assert unseen.bought.sum() <= unseen.n_all.sum()
    assert unseen.ndcg(unseen.bought.astype(np.float32))[0] == pytest.approx(1, abs=0.2)


def test_tuning_keeps_the_given_settings_unless_better_ones_are_found() -> None:
    shop, _, _ = board()
    config = SMALL.model_copy(update={"n_trees": 60, "n_windows": 1})
    best, trials = tune(shop, CUTOFF, horizon_days=28, n_trials=2, n_customers=30, config=config)
    assert trials["value"].iloc[0] >= 1 - 1e-9
    assert {f"params_{name}" for name in SPACE} < {*trials.columns}
    kept = trials.iloc[0]
    assert all(getattr(best, name) == pytest.approx(kept[f"params_{name}"]) for name in SPACE)
