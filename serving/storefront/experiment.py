"""What would replace an assumption by a measurement: the experiment proposed for this shop."""

from collections.abc import Iterable

import numpy as np

from features.errors import SettingsError
from models.trials.power import propose
from serving.scoring.snapshot import Snapshot

SETTING = "set held_out_share in [contact_policy]"


_TOLD: dict[tuple[str, int, float], str | None] = {}
MOST_TOLD = 16


def effect_of(snapshot: Snapshot, actions: Iterable[str]) -> str:
    """Return ``learnt`` where experiments have taught the effects of all ``actions``, else ``assumed``."""
    taken, known = set(actions), snapshot.known
    return "learnt" if taken and known is not None and taken <= set(known.learnt) else "assumed"


def experiment_of(snapshot: Snapshot, effect: str) -> str | None:
    """Say which experiment would measure an effect that is ``assumed``.

    None where it was learnt, and where nothing is known of risks.

    Takes the mean chance of an order, the change that ``save_rate`` assumes, and a quarter of the customers a
    week (each is contacted about once in 28 days, and counts once). Worked out once a scoring.
    """
    if effect != "assumed":
        return None
    key = (snapshot.stamp, len(snapshot.customers), snapshot.economics.save_rate)
    if key not in _TOLD:
        if len(_TOLD) >= MOST_TOLD:
            _TOLD.clear()
        _TOLD[key] = _said(snapshot)
    return _TOLD[key]


def _said(snapshot: Snapshot) -> str | None:
    name = f"churn_probability_{snapshot.horizon_days}d"
    if snapshot.scores.kinds.get(name) != "number":
        return None
    found = snapshot.scores.number(name)
    risk = found[np.isfinite(found)]
    if not len(risk):
        return None
    rate = float(risk.mean())
    try:
        effect = rate * snapshot.economics.save_rate
        proposal = propose(len(risk) / 4, 1 - rate, effect, n_customers=len(risk))
    except SettingsError:
        return None
    assumed = "the effect is an assumption from recompra.toml"
    share = snapshot.desk[1].policy.held_out_share if snapshot.desk is not None else 0.0
    how = f"{share:.0%} are held out already" if share > 0 else SETTING
    if proposal.enough:
        return f"{assumed}; to measure it, {proposal}: {how}"
    return f"{assumed}; this shop has too few customers to measure it at once: {proposal}; to try, {how}"
