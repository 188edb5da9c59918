"""The experiment proposed to a shop, to replace an assumed effect by a measured one."""

import numpy as np

from features.errors import SettingsError
from models.decisions.economics import Money
from models.trials.power import propose

SETTING = "set held_out_share in [contact_policy]"


def proposed(risks: Money, *, save_rate: float, held_out_share: float) -> str | None:
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
    assumed = "an effect called assumed is taken from recompra.toml"
    how = f"{held_out_share:.0%} are held out already" if held_out_share > 0 else SETTING
    if proposal.enough:
        return f"{assumed}; to measure it, {proposal}: {how}"
    return f"{assumed}; this shop has too few customers to measure it at once: {proposal}; to try, {how}"
