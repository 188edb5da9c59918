"""The experiment proposed while effects are assumed."""

import numpy as np
import pytest

from models.trials.power import propose
from serving.scoring.experiment import SETTING, proposed

RISKS = np.array([0.85, 0.95] * 200)


@pytest.mark.parametrize("save_rate", [0.05, 0.5])
def test_a_quarter_of_the_known_customers_a_week_would_show_the_share_saved_of_those_at_risk(
    save_rate: float,
) -> None:
    plan = propose(100, 0.1, effect=0.9 * save_rate, n_customers=400)
    for risks in (RISKS, np.append(RISKS, [np.nan] * 100)):  # of some nothing is known
        told = proposed(risks, save_rate=save_rate, held_out_share=0.0)
        assert told is not None and str(plan) in told and told.endswith(SETTING)
        assert ("too few customers" in told) == (save_rate < 0.1)


def test_nothing_is_proposed_where_no_risk_is_known_or_no_change_assumed() -> None:
    assert proposed(np.full(9, np.nan), save_rate=0.1, held_out_share=0.0) is None
    assert proposed(RISKS, save_rate=0.0, held_out_share=0.0) is None
