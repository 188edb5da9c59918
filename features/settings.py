"""What a shop says of itself in ``recompra.toml``; without the file, the defaults below."""

import tomllib
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from features.errors import SettingsError
from features.window import zone

FILE = "recompra.toml"
ListName = Literal["for_you", "buy_again", "new_for_you", "bought_together", "upsell", "popular"]


class Section(BaseModel):
    """A part of the settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TableMap(Section):
    """Where one table comes from, and what its columns are called there."""

    file: str = ""
    """File name or glob inside the shop's folder; empty: ``<table>.parquet`` or ``<table>.csv``."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Our column -> the source's column, or a DuckDB expression over the source's columns."""
    also: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """The source's column -> what other editions of the file call it."""
    query: str = ""
    """A DuckDB query instead of ``file``, over the folder's files by their stems and ``order_lines``."""
    may_lack: tuple[str, ...] = ()
    """Columns that ``query`` reads but an export may be without; there they read as empty, and it is said."""
    where: str = ""
    """A DuckDB condition; rows that fail it are quarantined with ``where_reason``."""
    where_reason: str = "left out by the shop's own rule"
    """The reason written beside rows that ``where`` leaves out."""


class Economics(Section):
    """Money that orders alone do not tell. Every figure here is an assumption, and answers say so."""

    margin_rate: float = Field(default=0.30, ge=0, le=1)
    """Margin as a share of revenue (0 to 1), used where no unit_cost is known."""
    contact_cost: float = Field(default=0.10, ge=0)
    """Cost of one contact, in the shop's currency."""
    offer_lift: float = Field(default=0.15, ge=0)
    """Assumed relative rise of a purchase's chance when its product is offered (0.15 = 15% more)."""
    save_rate: float = Field(default=0.05, ge=0, le=1)
    """Assumed share of leaving customers whom a contact keeps (0 to 1)."""
    max_contacts_28d: int = Field(default=4, ge=0)
    """At most so many contacts to one customer in 28 days, over all channels."""
    require_consent: bool = True
    """Contact only where ``email_consent`` is true; a shop that records no consent knows of no refusal."""


class Lists(Section):
    """What a shop says of its lists. All of it is optional: by default it is learnt from the orders."""

    returns: dict[str, bool] = Field(default_factory=dict)
    """Category (as ``a > b``, with those below it) or product id -> whether what was bought may come back."""
    min_return_share: float = Field(default=0.03, ge=0, le=1)
    """Elsewhere it may where at least this share of a category's buyers bought a product again."""
    max_per_category: int = Field(default=0, ge=0)
    """At most so many products of one category in a list, while there are others; 0: no limit."""
    hidden: list[str] = Field(default_factory=list)
    """Product ids and categories never to show."""
    pinned: dict[str, list[str]] = Field(default_factory=dict)
    """List -> product ids that lead it, in this order, wherever they may be shown."""
    boosted: dict[str, float] = Field(default_factory=dict)
    """Product id or category -> factor on the chance when products are ordered (1.2: a fifth more)."""
    explore_share: float = Field(default=0.0, ge=0, le=1)
    """Share of places kept for new products, while they are worth trying (0.1: one in ten)."""
    upsell_price_step: float = Field(default=1.6, gt=1.05)
    """A better version of a product costs at most so many times its price."""
    locale: str = "en"
    """Language of reasons, where a request names none, and of the report: en, pt."""


class ProductGroup(Section):
    """Manners that hold for one kind of goods, ``[product_groups.<name>]``."""

    categories: tuple[str, ...] = ()
    """A product belongs where one of these begins a word of its category path; upper or lower case."""
    settling_days: int = Field(default=0, ge=0, le=365)
    """Nobody is contacted until so many days after delivery: the goods are tried on, or set up."""
    same_kind_days: int = Field(default=0, ge=0, le=3650)
    """So many days after a purchase nothing else of the same category is offered."""


FASHION = ("fashion", "apparel", "cloth", "shoe", "footwear", "dress", "jewel")
ELECTRONICS = ("electronic", "computer", "phone", "camera", "audio", "television", "appliance")
GROCERY = ("grocer", "food", "produce", "meat", "dairy", "bakery", "beverage", "drug")
PRODUCT_GROUPS = {
    "fashion": ProductGroup(categories=FASHION, settling_days=7),
    "electronics": ProductGroup(categories=ELECTRONICS, settling_days=14, same_kind_days=90),
    "grocery": ProductGroup(categories=GROCERY),
}


class ContactPolicy(Section):
    """Manners that hold for every contact, ``[contact_policy]``; caps of 28 days are in ``[economics]``."""

    max_contacts_7d: int = Field(default=2, ge=0)
    """At most so many contacts to one customer in 7 days, over all channels."""
    quiet_from: int = Field(default=21, ge=0, le=23)
    """From this hour of the shop's clock nothing is sent ..."""
    quiet_until: int = Field(default=8, ge=0, le=23)
    """... until this one; the same hour twice: no quiet hours."""
    delivery_days: int = Field(default=0, ge=0, le=90)
    """Days from an order to its delivery, where ``deliveries`` does not tell (a till delivers at once)."""
    settling_days: int = Field(default=0, ge=0, le=365)
    """Days after delivery without a contact, for goods of no product group."""
    lost_days: int = Field(default=60, ge=1, le=365)
    """A delivery or return still open so many days after its order holds up contacts no longer."""
    open_return_statuses: tuple[str, ...] = ("return_requested", "return_open", "returning", "disputed")
    """Values of ``deliveries.status`` that say a return is under way."""
    no_coupon_days: int = Field(default=14, ge=0, le=365)
    """So many days after the first order no discount is offered: it would teach to wait for one."""
    held_out_share: float = Field(default=0.0, ge=0, lt=1)
    """Share of customers never contacted, to measure the others against (0 to below 1)."""
    held_out_salt: str = "recompra"
    """Changing it draws other customers to hold out."""
    exploration: Literal["none", "epsilon", "thompson"] = "none"
    """How recorded decisions try what is not known to be best; their propensities are kept."""
    epsilon: float = Field(default=0.05, ge=0, le=1)
    """Share of decisions that ``epsilon`` draws among all permitted actions and nothing."""
    effect_spread: float = Field(default=0.5, ge=0, le=10)
    """Standard deviation of an assumed effect, as a share of it: how freely ``thompson`` tries."""


class Settings(Section):
    """A shop's settings."""

    name: str = "shop"
    """What the shop is called in reports."""
    timezone: str = "UTC"
    """IANA zone: the shop's days, and how naive timestamps are read."""
    timestamps: str = ""
    """IANA zone of naive timestamps in the files, where it is not ``timezone``."""
    currency: str = ""
    """ISO 4217 code; empty: taken from the order lines, else unknown."""
    horizon_days: int = Field(default=90, ge=1, le=730)
    """How far churn, value and lists look ahead, in days."""
    tables: dict[str, TableMap] = Field(default_factory=dict)
    """Column maps, by table name."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Short for ``tables.order_lines.columns``."""
    economics: Economics = Economics()
    """Costs, margins and assumed effects."""
    lists: Lists = Lists()
    """What lists may hold, and in which order."""
    contact_policy: ContactPolicy = ContactPolicy()
    """Caps, quiet hours, settling time, the share held out."""
    product_groups: dict[str, ProductGroup] = Field(default_factory=lambda: dict(PRODUCT_GROUPS))
    """Manners by kind of goods; the first group that fits a product counts."""
    actions: dict[str, dict[str, bool | int | float | str]] = Field(default_factory=dict)
    """Changes to the catalogue of actions, by action and field (see ``models.policy.actions.Action``)."""

    @field_validator("timezone", "timestamps")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        if name:
            zone(name)
        return name

    @classmethod
    def load(cls, place: Path, defaults: "Settings | None" = None) -> "Settings":
        """Read ``recompra.toml`` over ``defaults``; raise ``SettingsError`` naming the key.

        ``place`` is the folder that may hold it, or such a file of any name.
        """
        base = (defaults or cls()).model_dump()
        if not place.exists():
            raise SettingsError(f"no file {str(place)!r}", f"give a {FILE}")
        path = place / FILE if place.is_dir() else place
        return cls.parse(_merged(base, _read_toml(path)) if path.is_file() else base, FILE)

    @classmethod
    def parse(cls, values: dict[str, object], said_in: str) -> "Settings":
        """Check ``values``; a wrong one is named with where it was said and what was expected."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            known = ", ".join(sorted(cls.model_fields))
            raise SettingsError(f"{said_in}: {place}: {first['msg']}", f"the keys are {known}") from error


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path.name} is not valid TOML: {error}") from error


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Lay ``over`` on ``base``, table by table: what a shop does not say stays as its adapter has it."""
    both = {
        key: _merged(base[key], over[key])
        for key in base.keys() & over.keys()
        if isinstance(base[key], dict) and isinstance(over[key], dict)
    }
    return {**base, **over, **both}
