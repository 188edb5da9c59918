"""The actions of a shop as arrays, one entry per action: the input of the rules and the economics."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

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
    def of(cls, actions: Sequence[Action], economics: Economics, *, policy: ContactPolicy) -> "ActionTable":
        """Convert actions to arrays, under a shop's economics and contact policy."""
        some = sorted(actions, key=lambda action: not action.offers_product)
        return cls(
            actions=tuple(some),
            n_with_product=sum(action.offers_product for action in some),
            name=_codes(NAMES.index(action.name) for action in some),
            channel=_codes(CHANNELS.index(action.channel) for action in some),
            event=_codes(-1 if action.after is None else EVENTS.index(action.after) for action in some),
            role=np.array([role_bit(action.goods) for action in some], np.uint8),
            cost=_numbers(economics.contact_cost if action.cost is None else action.cost for action in some),
            discount=_numbers(action.discount_share for action in some),
            effect=_numbers(action.assumed_effect(economics) for action in some),
            from_days=_numbers(ALWAYS if action.after is None else action.from_days for action in some),
            until_days=_numbers(-ALWAYS if action.after is None else action.until_days for action in some),
            cooldown=_numbers(action.cooldown_days for action in some),
            least_risk=_numbers(action.least_risk for action in some),
            least_orders=_numbers(action.least_orders for action in some),
            best_share=_numbers(action.best_share for action in some),
            no_coupon=_numbers(
                policy.no_coupon_days if action.discount_share > 0 else ALWAYS for action in some
            ),
        )

    def __len__(self) -> int:
        return len(self.actions)


def role_bit(goods: str) -> int:
    """Return the bit of products that may be offered as ``goods``; 0 for an action without a product."""
    return 1 << ROLES.index(goods) if goods in ROLES else 0


def _codes(values: Iterable[int]) -> Ints:
    return np.fromiter(values, np.int32)


def _numbers(values: Iterable[float]) -> Doubles:
    return np.fromiter(values, np.float64)
