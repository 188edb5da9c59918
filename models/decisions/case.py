"""Who could be offered what, and on which terms: what a choice is made from, for one customer or for all."""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import cached_property
from typing import Any, Self

import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass as checked_dataclass

from features.arrays.dtypes import Bools, Bytes, Ints
from features.settings import ContactPolicy, Economics
from models.decisions.economics import Money
from models.policy.actions import CHANNELS, OFFER, Action, Channel
from models.policy.deck import Deck
from models.policy.standing import Standing
from models.policy.subjects import People

NOTHING = -1
"""The code of doing nothing, among products and among actions."""


@checked_dataclass(frozen=True, config=ConfigDict(extra="forbid", use_attribute_docstrings=True))
class Terms:
    """The conditions of an offer, in the shop's currency."""

    horizon_days: int = Field(ge=1)
    """The chances are those of a purchase within so many days."""
    currency: str = ""
    """ISO 4217 code, empty where unknown."""
    economics: Economics = Economics()
    """Costs, caps and assumed effects."""
    just_bought_days: int = Field(default=7, ge=0)
    """A product bought so few days ago is not offered."""
    discount_share: float = Field(default=0.0, ge=0, le=1)
    """Discount that comes with the plain ``offer``, as a share of the price."""
    effect: str = "assumed"
    """Where the effect of an offer comes from: ``assumed`` until an experiment has been learnt from."""
    actions: tuple[Action, ...] = (OFFER,)
    """What may be done; the plain offer alone by default."""
    policy: ContactPolicy = ContactPolicy()
    """Caps, quiet hours, settling time, the share held out."""

    @property
    def money(self) -> str:
        """The name of the column that holds an offer's worth."""
        return f"expected_incremental_margin_{self.horizon_days}d"

    @property
    def probability(self) -> str:
        """The name of the column that holds the chance of a purchase."""
        return f"purchase_probability_{self.horizon_days}d"

    @cached_property
    def deck(self) -> Deck:
        """The actions as arrays, laid out once; the plain offer comes with the terms' discount."""
        plain = {"discount_share": self.discount_share}
        actions = [
            action.model_copy(update=plain) if action.name == OFFER.name else action
            for action in self.actions
        ]
        return Deck.of(actions, self.economics, self.policy)

    @cached_property
    def through(self) -> dict[Channel, "Terms"]:
        """The same terms with every action in one channel; on the site it costs nothing."""
        return {channel: self._all_in(channel) for channel in CHANNELS}

    def _all_in(self, channel: Channel) -> "Terms":
        change: dict[str, Any] = {"channel": channel} | ({"cost": 0.0} if channel == "site" else {})
        return replace(self, actions=tuple(action.model_copy(update=change) for action in self.actions))


@dataclass(frozen=True)
class Case:
    """Who could be offered what: n customers, k candidates each (codes, -1 where a row has fewer).

    What is left out (None) is not known, and rules that would ask for it refuse nothing.
    """

    people: People
    product: Ints
    chance: Money
    """Calibrated chance of a purchase within the horizon if nothing is done, shape (n, k)."""
    days_since_bought: Money
    """Days since the customer's last purchase of the candidate, NaN if never; shape (n, k)."""
    standing: Standing | None = None
    """Where the customers stand; without it rules of time and channel, and actions without a product, are
    off."""
    role: Bytes | None = None
    """Bits of what a candidate can be to the customer (``deck.role_bit``), shape (n, k); None: ``any``."""
    kind_cooling: Bools | None = None
    """Candidates of a kind the customer has bought too recently for another, shape (n, k)."""
    learnt: Mapping[str, Money] = field(default_factory=dict)
    """By action: change of the chance of an order within the horizon, learnt from an experiment; (n,)."""

    @classmethod
    def of_one(cls, people: People, product: Any, chance: Any, days_since_bought: Any) -> Self:
        """Build the case of one customer (``people`` of length 1) from sequences of length k."""
        products = np.asarray(product, np.int32).reshape(1, -1)
        chances = np.asarray(chance, np.float64).reshape(1, -1)
        return cls(people, products, chances, np.asarray(days_since_bought, np.float64).reshape(1, -1))

    def of(self, rows: slice) -> "Case":
        """Return some of the customers."""
        cut = {
            part.name: getattr(self, part.name)[rows]
            for part in fields(self)
            if isinstance(getattr(self, part.name), np.ndarray)
        }
        standing = None if self.standing is None else self.standing.of(rows)
        learnt = {name: change[rows] for name, change in self.learnt.items()}
        return Case(**cut, people=self.people.of(rows), standing=standing, learnt=learnt)
