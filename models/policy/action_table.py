"""The actions of a shop as arrays, one entry per action: the input of the rules and the economics."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

import numpy as np

from features.arrays.dtypes import Bytes, Doubles, Ints
from features.settings import ContactPolicy, Economics
from models.policy.actions import CHANNELS, EVENTS, NAMES, ROLES, Action

ALWAYS = -1e6
"""In days: a window that has long been open (for a rule that does not apply)."""


@dataclass(frozen=True)
class ActionTable:
    """The enabled actions, those with a product first; every array has shape (n_actions,)."""

    actions: tuple[Action, ...]
    n_with_product: int
    name: Ints
    """Positions in ``NAMES``."""
    channel: Ints
    """Positions in ``CHANNELS``."""
    event: Ints
    """Positions in ``EVENTS``, -1 if the window depends on none."""
    role: Bytes
    """The bit of the role that a product must have (see ``role_bit``)."""
    cost: Doubles
    discount: Doubles
    effect: Doubles
    """Assumed effect."""
    from_days: Doubles
    until_days: Doubles
    cooldown: Doubles
    least_risk: Doubles
    least_orders: Doubles
    best_share: Doubles
    no_coupon: Doubles
    """Days after the first order without this action: ``no_coupon_days`` if it gives a discount."""

    @classmethod
    def of(cls, actions: Sequence[Action], economics: Economics, policy: ContactPolicy) -> "ActionTable":
        """Convert actions to arrays, under a shop's economics and contact policy."""
        some = sorted(actions, key=lambda action: not action.offers_product)
        numbers = np.array([_numbers(action, economics, policy) for action in some], np.float64)
        return cls(
            tuple(some),
            sum(action.offers_product for action in some),
            _codes([NAMES.index(action.name) for action in some]),
            _codes([CHANNELS.index(action.channel) for action in some]),
            _codes([-1 if action.after is None else EVENTS.index(action.after) for action in some]),
            np.array([role_bit(action.goods) for action in some], np.uint8),
            *cast("tuple[Doubles, ...]", tuple(np.ascontiguousarray(numbers.reshape(len(some), -1).T))),
        )

    def __len__(self) -> int:
        return len(self.actions)


def role_bit(goods: str) -> int:
    """Return the bit of products that may be offered as ``goods``; 0 for an action without a product."""
    return 1 << ROLES.index(goods) if goods in ROLES else 0


def _codes(values: list[int]) -> Ints:
    return np.array(values, np.int32)


def _numbers(action: Action, economics: Economics, policy: ContactPolicy) -> list[float]:
    """Return an action's columns from ``cost`` on, in their order."""
    hangs = action.after is not None
    return [
        economics.contact_cost if action.cost is None else action.cost,
        action.discount_share,
        action.assumed_effect(economics),
        action.from_days if hangs else ALWAYS,
        action.until_days if hangs else -ALWAYS,
        action.cooldown_days,
        action.least_risk,
        action.least_orders,
        action.best_share,
        policy.no_coupon_days if action.discount_share > 0 else ALWAYS,
    ]
