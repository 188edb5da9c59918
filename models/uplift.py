"""Uplift: how much a contact changes each customer's behaviour, learnt from contacts and a control group."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Self

import numpy as np
import pandas as pd
from pydantic import Field

from features.arrays.dtypes import Doubles
from features.customer import CUSTOMER_FEATURES, OWN_FEATURES
from features.errors import CannotLearn, NotFound
from features.shop import Shop
from models.config import HorizonConfig
from models.customers.customer_panel import everyone
from models.customers.inputs import whole
from models.kinds import EffectModel
from models.model import customer_card
from models.trials.choice import RANDOM
from models.trials.contact_rows import ContactRows, read_contacts
from models.trials.effects import Effects
from models.trials.learners import LearnerConfig, response
from models.trials.trial import Trial

EVERY = "every action"
"""All actions pooled, if no single one has enough contacts."""
LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
RISK = "days_since_last_order"
"""The score of a ranking by risk: the longest absent first."""


class UpliftConfig(HorizonConfig, LearnerConfig):
    """How the effects of contacts are learnt."""

    max_rows: int = Field(default=200_000, ge=1)
    """Maximum number of contacts to learn from; the newest are taken."""


class Uplift(EffectModel[UpliftConfig]):
    """The change in a customer's chance to order within the horizon, by action.

    Assumes that, given the propensity, contact was random. A customer contacted again within the horizon
    counts each time: the effect is that of one contact on top of the usual others.
    """

    name = "uplift"
    question = "whom does a contact change?"
    method = "S-, T-, X-learner, class transformation and response model; chosen by nested Qini, or none"
    must_beat = ("response", "risk", "random")
    headline = ("qini contacted",)
    Config = UpliftConfig

    def __init__(
        self, config: UpliftConfig, trained_until: datetime, *, horizon_days: int, arms: dict[str, Effects]
    ) -> None:
        super().__init__(config, trained_until)
        self.horizon_days = horizon_days
        self.arms = arms

    @classmethod
    def fit(cls, shop: Shop, known_until: datetime, *, config: UpliftConfig) -> Self:
        """Learn from contacts whose horizon closed by ``known_until``.

        Each action is compared with its own control group; if none has enough contacts, all are pooled.
        Raises ``CannotLearn`` with the reason: no contacts, nobody held out, no propensities, no overlap, too
        few.
        """
        horizon = config.horizon(shop)
        contacts = read_contacts(
            shop, horizon, since=LONG_AGO, known_until=known_until, max_rows=config.max_rows
        )
        arms = {
            name: effects
            for name in contacts.actions
            if (effects := _learnt(contacts.of_action(name), config))
        }
        if not arms:
            arms = {EVERY: _effects(contacts, contacts.trial(), config)}
        return cls(config, known_until, horizon_days=horizon, arms=arms)

    def predict(self, shop: Shop, cutoff: datetime, *, ids: Sequence[str] | None = None) -> pd.DataFrame:
        """Return ``effect`` of everyone seen before ``cutoff``, or of those in ``ids``."""
        return self.effect(everyone(shop, cutoff, ids=ids))

    def effect(self, features: pd.DataFrame, action: str | None = None) -> pd.DataFrame:
        """Return the change that one contact makes in each customer's chance to order within the horizon.

        ``features`` are customer features, one row per customer. Returns ``effect``, ``effect_low``,
        ``effect_high`` (95%), absolute changes of a probability (0.02: two percentage points), of ``action``,
        or of the action with the best average effect. Raises ``NotFound`` for an action that was not learnt.
        """
        arm = self._arm(action)
        rows = whole(features)[OWN_FEATURES.names]
        return arm.effect(rows.to_numpy(float), _given(rows)).set_axis(features.index)

    def average(self, action: str) -> tuple[float, float, float]:
        """Return what a contact changed on average, with its 95% interval: absolute, of a probability."""
        value, low, high = self._arm(action).facts["effect"]
        return float(value), float(low), float(high)

    def learnt(self) -> dict[str, Sequence[float]]:
        """Return ``learnt_effect`` (as ``average``) and ``learnt_qini`` (nested, out of fold) by action."""
        facts = {name: arm.facts for name, arm in self.arms.items()}
        effects = {f"learnt_effect {name}": each["effect"] for name, each in facts.items()}
        return effects | {f"learnt_qini {name}": each["chosen_qini"] for name, each in facts.items()}

    def knows(self, action: str) -> bool:
        """Return whether the effect of an action was learnt, by itself or pooled."""
        return action in self.arms or EVERY in self.arms

    def _arm(self, action: str | None) -> Effects:
        if action is None:
            return max(self.arms.values(), key=lambda arm: float(arm.facts["effect"][0]))
        if not self.knows(action):
            raise NotFound(
                f"no effect of {action!r} was learnt, only of {', '.join(self.arms)}",
                "hold out a share of its contacts at random",
            )
        return self.arms.get(action) or self.arms[EVERY]

    def measure(
        self, shop: Shop, since: datetime, *, known_until: datetime
    ) -> dict[str, tuple[Trial, dict[str, Doubles]]]:
        """Return, for each action, the contacts sent after ``since`` and the score each policy gave them.

        If ``since`` is one horizon before ``trained_until``, none of them was learnt from. Actions that
        cannot be compared are left out.
        """
        try:
            contacts = read_contacts(
                shop, self.horizon_days, since=since, known_until=known_until, max_rows=self.config.max_rows
            )
        except CannotLearn:
            return {}
        out = {}
        for name, arm in self.arms.items():
            part = contacts.of_action(None if name == EVERY else name)
            try:
                out[name] = (part.trial(), _policies(arm, part))
            except CannotLearn:
                continue
        return out

    def save(self, folder: Path) -> None:
        """Write ``model.json`` and the trees' text, in one folder per action."""
        cards = {
            name: effects.save(folder / f"action-{at}")
            for at, (name, effects) in enumerate(self.arms.items())
        }
        self.write_card(
            folder,
            customer_features=CUSTOMER_FEATURES.fingerprint,
            horizon_days=self.horizon_days,
            arms=cards,
            order=list(cards),
        )

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read back; raise ``ArtefactError`` if the features are not its own, or a part is missing."""
        with customer_card(cls, folder) as card:
            arms = {
                name: Effects.load(folder / f"action-{at}", card.facts["arms"][name])
                for at, name in enumerate(card.facts["order"])
            }
            return cls(
                card.config,
                card.trained_until,
                horizon_days=int(card.facts["horizon_days"]),
                arms=arms,
            )


def _learnt(contacts: ContactRows, config: UpliftConfig) -> Effects | None:
    """Return the effects of one action; None if there is too little to compare."""
    try:
        return _effects(contacts, contacts.trial(), config)
    except CannotLearn:
        return None


def _effects(contacts: ContactRows, trial: Trial, config: UpliftConfig) -> Effects:
    return Effects.fit(contacts.rows, trial, config=config, given=_given(contacts.features))


def _given(features: pd.DataFrame) -> dict[str, Doubles]:
    return {"risk": features[RISK].fillna(0.0).to_numpy(float)}


def _policies(arm: Effects, contacts: ContactRows) -> dict[str, Doubles]:
    rows, given = contacts.rows, _given(contacts.features)
    return {
        "uplift": arm.score(rows, given),
        "response": response(arm.fitted, rows),
        **given,
        RANDOM: np.zeros(len(rows)),
    }
