"""The experiment proposed to a shop, to replace an assumed effect by a measured one."""

import numpy as np

from features.errors import SettingsError
from models.decisions.economics import Money
from models.decisions.texts import told
from models.texts import DEFAULT
from models.trials.power import Proposal, propose


def proposed(risks: Money, *, save_rate: float) -> Proposal | None:
    """Propose the experiment that would measure what ``save_rate`` assumes; None if no risk is known.

    Based on the mean chance of an order, the assumed change, and a quarter of the customers per week (each is
    contacted about once in 28 days, and counts once).
    """
    risk = risks[np.isfinite(risks)]
    if not len(risk):
        return None
    rate = float(risk.mean())
    try:
        proposal = propose(len(risk) / 4, 1 - rate, effect=rate * save_rate, n_customers=len(risk))
    except SettingsError:
        return None
    return proposal


def in_words(proposal: Proposal, *, held_out_share: float, locale: str = DEFAULT) -> str:
    """Return what to do: the proposal, and the setting that starts it, unless it has begun."""
    how = told("held_out_already" if held_out_share > 0 else "hold_out", locale, share=held_out_share)
    code = "experiment" if proposal.enough else "experiment_too_small"
    return told(code, locale, proposal=proposal.in_words(locale), how=how)
