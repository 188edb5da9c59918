"""What could be offered to whom, and on which terms: the input of a choice, for one customer or for all."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass

from features.arrays.dtypes import Bools, Bytes, Ints
from features.settings import ContactPolicy, Economics, Settings
from models.decisions.economics import Money
from models.policy.action_table import ActionTable
from models.policy.actions import CHANNELS, OFFER, Action, Channel, catalogue
from models.policy.standing import Standing
from models.policy.subjects import People

NOTHING = -1
"""The code of doing nothing, among products and among actions."""


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class Terms:
    """The conditions of an offer, in the shop's currency."""

    horizon_days: int = Field(ge=1)
    """Chances are those of a purchase within this many days."""
    currency: str = ""
    """ISO 4217 code, empty if unknown."""
    economics: Economics = Economics()
    """Costs, caps and assumed effects."""
    just_bought_days: int = Field(default=7, ge=0)
    """Products bought within this many days are not offered."""
    discount_share: float = Field(default=0.0, ge=0, le=1)
    """Discount of the plain ``offer``, as a share of the price."""
    effect: str = "assumed"
    """Origin of the effect of an offer: ``assumed`` until one has been learnt from an experiment."""
    actions: tuple[Action, ...] = (OFFER,)
    """The possible actions; by default the plain offer alone."""
    policy: ContactPolicy = ContactPolicy()
    """Caps, quiet hours, settling time, control group."""

    @classmethod
    def of(cls, settings: Settings, **offers: Any) -> Self:
        """Return a shop's terms: its actions and contact rules; ``offers`` are the terms of products."""
        return cls(
            horizon_days=settings.horizon_days,
            currency=settings.currency,
            economics=settings.economics,
            actions=catalogue(settings.actions),
            policy=settings.contact_policy,
            **offers,
        )

    @property
    def money(self) -> str:
        """The name of the column with an offer's worth."""
        return f"expected_incremental_margin_{self.horizon_days}d"

    @property
    def probability(self) -> str:
        """The name of the column with the chance of a purchase."""
        return f"purchase_probability_{self.horizon_days}d"

    @cached_property
    def table(self) -> ActionTable:
        """The actions as arrays, computed once; the plain offer has the terms' discount."""
        plain = {"discount_share": self.discount_share}
        actions = [
            action.model_copy(update=plain) if action.name == OFFER.name else action
            for action in self.actions
        ]
        return ActionTable.of(actions, self.economics, policy=self.policy)

    @cached_property
    def through(self) -> dict[Channel, "Terms"]:
        """Return the same terms with every action in one channel; on the site contacts are free."""
        return {channel: self._all_in(channel) for channel in CHANNELS}

    def _all_in(self, channel: Channel) -> "Terms":
        change: dict[str, Any] = {"channel": channel} | ({"cost": 0.0} if channel == "site" else {})
        return replace(self, actions=tuple(action.model_copy(update=change) for action in self.actions))


@dataclass(frozen=True)
class Case:
    """What could be offered to whom: n customers, k candidates each (codes, -1 where a row has fewer).

    Attributes that are None are unknown, and the rules that need them refuse nothing.
    """

    people: People
    product: Ints
    chance: Money
    """Calibrated chance of a purchase within the horizon if nothing is done, shape (n, k)."""
    days_since_bought: Money
    """Days since the customer's last purchase of the candidate, NaN if never; shape (n, k)."""
    standing: Standing | None = None
    """Where the customers stand; without it, rules of time and channel, and actions without a product, do not
    apply."""
    role: Bytes | None = None
    """Bits of the roles a candidate can have for the customer (``role_bit``), shape (n, k); None: ``any``."""
    kind_cooling: Bools | None = None
    """Whether the customer bought another product of the candidate's category too recently, shape (n, k)."""
    learnt: Mapping[str, Money] = field(default_factory=dict)
    """By action: change in the chance of an order within the horizon, learnt from an experiment; (n,)."""

    @classmethod
    def of_one(cls, people: People, product: Any, *, chance: Any, days_since_bought: Any) -> Self:
        """Build the case of one customer (``people`` of length 1) from sequences of length k."""
        products = np.asarray(product, np.int32).reshape(1, -1)
        chances = np.asarray(chance, np.float64).reshape(1, -1)
        return cls(people, products, chances, np.asarray(days_since_bought, np.float64).reshape(1, -1))

    def take(self, rows: slice) -> "Case":
        """Return the case of some of the customers."""
        cut = {
            part.name: getattr(self, part.name)[rows]
            for part in fields(self)
            if isinstance(getattr(self, part.name), np.ndarray)
        }
        standing = None if self.standing is None else self.standing.take(rows)
        learnt = {name: change[rows] for name, change in self.learnt.items()}
        return Case(**cut, people=self.people.take(rows), standing=standing, learnt=learnt)
