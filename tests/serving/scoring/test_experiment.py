"""The experiment proposed while effects are assumed."""

import numpy as np
import pytest

from models.trials.power import propose
from serving.scoring.experiment import in_words, proposed

RISKS = np.array([0.85, 0.95] * 200)


@pytest.mark.parametrize("save_rate", [0.05, 0.5])
def test_a_quarter_of_the_known_customers_a_week_would_show_the_share_saved_of_those_at_risk(
    save_rate: float,
) -> None:
    plan = propose(100, 0.1, effect=0.9 * save_rate, n_customers=400)
    for risks in (RISKS, np.append(RISKS, [np.nan] * 100)):  # of some nothing is known
        found = proposed(risks, save_rate=save_rate)
        assert str(found) == str(plan)
        told = in_words(plan, held_out_share=0.0)
        assert str(plan) in told and told.endswith("set held_out_share in [contact_policy]")
        assert ("too few customers" in told) == (save_rate < 0.1)


def test_nothing_is_proposed_where_no_risk_is_known_or_no_change_assumed() -> None:
    assert proposed(np.full(9, np.nan), save_rate=0.1) is None
    assert proposed(RISKS, save_rate=0.0) is None


def test_it_is_proposed_in_portuguese_too() -> None:
    plan = propose(100, 0.1, effect=0.45, n_customers=400)
    told = in_words(plan, held_out_share=0.1, locale="pt-BR")
    assert told.endswith("seria detectada em 4 de cada 5 casos: 10% já estão no grupo de controle")
    assert "pontos percentuais em uma chance de 10,0%" in told
