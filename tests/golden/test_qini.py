"""Qini against the established library.

Origin: scikit-uplift 0.5.1, ``sklift.metrics.qini_auc_score(y, score, treated)`` on ``worlds.campaign``.
"""

import pytest
from worlds.campaign import campaign

from models.trials.qini import qini
from models.trials.trial import Trial

GOLDEN = {
    (0.5, "asks"): 0.13323140681583645,
    (0.5, "spend"): -0.04007442151376384,
    (0.5, "recency"): 0.05313225761307233,
    (0.3, "asks"): 0.13206307815898816,
    (0.3, "spend"): -0.03067904086269945,
    (0.3, "recency"): 0.05108247360323615,
}


@pytest.mark.parametrize(("share", "column"), GOLDEN)
def test_it_is_that_of_scikit_uplift_where_chances_are_equal(share: float, column: str) -> None:
    world = campaign(1000, share=share, seed=11)
    trial = Trial.of(world["bought"], world["treated"])
    assert qini(trial, world[column].to_numpy(float)) == pytest.approx(GOLDEN[share, column], abs=1e-12)
