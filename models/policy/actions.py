"""The actions a shop can take towards a customer, each with its cost, effect, moment and conditions.

The defaults are here; ``[actions.<name>]`` in ``recompra.toml`` changes them field by field. Effects are
assumptions until learnt from an experiment (``models.uplift``), and every answer says which it is.
"""

from collections.abc import Mapping
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from features.errors import SettingsError
from features.faults import problem
from features.settings import Economics, Settings

Name = Literal[
    "offer",
    "cross_sell",
    "upsell",
    "replenishment",
    "flash_sale",
    "win_back",
    "win_back_discount",
    "loyalty_reward",
    "thank_you",
    "survey",
    "review_request",
    "birthday",
]
Channel = Literal["email", "sms", "push", "post", "site"]
NAMES: tuple[Name, ...] = get_args(Name)
CHANNELS: tuple[Channel, ...] = get_args(Channel)
Event = Literal["first_order", "last_order", "delivery", "birthday"]
EVENTS: tuple[Event, ...] = get_args(Event)
Goods = Literal["any", "new", "dearer", "due", "flash", "none"]
ROLES: tuple[Goods, ...] = ("any", "new", "dearer", "due", "flash")
"""The roles of a product for a customer; ``none`` is for an action that offers no product."""
DO_NOTHING = "nothing"
"""Doing nothing: always permitted, costs nothing, worth 0."""


class Action(BaseModel):
    """One action of a shop. Money is in the shop's currency, days are the shop's days."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: Name
    """As in answers, in ``contacts.action`` and in ``[actions.<name>]``."""
    enabled: bool = True
    """Whether it is considered at all."""
    channel: Channel = "email"
    """How the customer is reached; consent is asked per channel."""
    cost: float | None = Field(default=None, ge=0)
    """Cost of one contact; by default ``economics.contact_cost``."""
    goods: Goods = "none"
    """Which products it may offer: ``new`` to the customer, ``dearer`` ones of a category they buy, ``due``
    to be bought again, ``flash`` (slow movers, launches, accessories), ``any``, or ``none``."""
    discount_share: float = Field(default=0.0, ge=0, le=1)
    """Discount as a share of the product's price, or without a product of the customer's usual order."""
    effect: float | None = Field(default=None, ge=0)
    """The assumed effect. With a product: relative rise of the chance that it is bought (0.15 = 15% more).
    Without: share (0 to 1) of those who would not order within the horizon who then do. By default
    ``economics.offer_lift`` and ``economics.save_rate``."""
    after: Event | None = None
    """The event its window is counted from; by default any day will do."""
    from_days: int = Field(default=0, ge=-180, le=3650)
    """First day of the window, in days after the event (negative: before it)."""
    until_days: int = Field(default=3650, ge=-180, le=3650)
    """Last day of the window."""
    cooldown_days: int = Field(default=0, ge=0, le=3650)
    """Minimum days until the same customer gets it again."""
    least_risk: float = Field(default=0.0, ge=0, le=1)
    """Only for customers whose chance of not ordering within the horizon is at least this."""
    least_orders: int = Field(default=0, ge=0)
    """Only for customers with at least this many orders."""
    best_share: float = Field(default=1.0, gt=0, le=1)
    """Only for the best customers by expected margin, this share of all (0.2 = the best fifth)."""
    most_customers: int = Field(default=0, ge=0)
    """Maximum number of customers in one choice of targets or one plan; 0: no limit."""

    @model_validator(mode="after")
    def _window_is_open(self) -> "Action":
        if self.from_days > self.until_days:
            raise ValueError(f"from_days ({self.from_days}) is after until_days ({self.until_days})")
        return self

    @property
    def offers_product(self) -> bool:
        """Whether it offers a product."""
        return self.goods != "none"

    def assumed_effect(self, economics: Economics) -> float:
        """Return the assumed effect: its own, or else the shop's."""
        shops = economics.offer_lift if self.offers_product else economics.save_rate
        return shops if self.effect is None else self.effect


KEEP = Action(name="win_back")
"""A contact to keep a customer, at any time: the action for which retention targets are chosen."""

OFFER = Action(name="offer", goods="any")
"""Any product to anybody at any time: the plain offer, for comparison with a ranking by likelihood."""

CATALOGUE = (
    Action(name="cross_sell", goods="new"),
    Action(name="upsell", goods="dearer", effect=0.10),
    Action(name="replenishment", goods="due"),
    Action(name="flash_sale", goods="flash", discount_share=0.15, effect=0.50, cooldown_days=14),
    Action(
        name="win_back", after="last_order", from_days=30, until_days=365, cooldown_days=28, least_risk=0.3
    ),
    Action(
        name="win_back_discount",
        discount_share=0.10,
        effect=0.10,
        after="last_order",
        from_days=60,
        until_days=365,
        cooldown_days=90,
        least_risk=0.5,
    ),
    Action(
        name="loyalty_reward",
        discount_share=0.05,
        effect=0.08,
        after="delivery",
        until_days=30,
        cooldown_days=90,
        least_orders=3,
        best_share=0.2,
    ),
    Action(name="thank_you", effect=0.01, after="delivery", until_days=7, cooldown_days=90),
    Action(name="survey", effect=0.01, after="delivery", from_days=3, until_days=30, cooldown_days=180),
    Action(
        name="review_request", effect=0.01, after="delivery", from_days=7, until_days=30, cooldown_days=60
    ),
    Action(name="birthday", effect=0.05, after="birthday", from_days=-3, until_days=1, cooldown_days=300),
)
"""The defaults, those with products first. Only ``offer`` is not among them: it is for comparisons."""


def catalogue(changes: Mapping[str, Mapping[str, Any]] | None = None) -> tuple[Action, ...]:
    """Return the enabled actions with a shop's changes; ``SettingsError`` names action and field."""
    changes = changes or {}
    known = {action.name: action for action in CATALOGUE}
    for name in changes:
        if name not in known:
            raise SettingsError(
                f"recompra.toml: actions.{name}: no such action", f"the actions are {', '.join(known)}"
            )
    changed = (_changed(action, changes.get(action.name, {})) for action in CATALOGUE)
    enabled = tuple(action for action in changed if action.enabled)
    if not enabled:
        raise SettingsError(
            "recompra.toml: every action is disabled",
            "enable at least one; if it does not pay, nothing is done",
        )
    return enabled


def check_actions(settings: Settings) -> None:
    """Raise ``SettingsError`` if a shop changes an action, or a field of one, that does not exist."""
    catalogue(settings.actions)


def _changed(action: Action, changes: Mapping[str, Any]) -> Action:
    if "name" in changes:
        raise _refused(action, "name", "an action keeps its name")
    try:
        return Action.model_validate({**action.model_dump(), **changes})
    except ValidationError as error:
        first = error.errors()[0]
        raise _refused(action, ".".join(str(part) for part in first["loc"]), problem(first)) from error


def _refused(action: Action, place: str, wrong: str) -> SettingsError:
    fields = ", ".join(name for name in Action.model_fields if name != "name")
    where = f"actions.{action.name}" + (f".{place}" if place else "")
    return SettingsError(f"recompra.toml: {where}: {wrong}", f"the fields are {fields}")
