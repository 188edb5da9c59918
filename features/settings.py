"""A shop's settings, read from ``recompra.toml``; without the file, the defaults below."""

import tomllib
from copy import deepcopy
from pathlib import Path
from typing import Any, Literal, get_args

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from features.errors import SettingsError
from features.faults import problem
from features.window import zone

FILE = "recompra.toml"
ListName = Literal["for_you", "buy_again", "new_for_you", "bought_together", "upsell", "popular"]


class Section(BaseModel):
    """A part of the settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TableMap(Section):
    """The source of one table, and the names of its columns there."""

    file: str = ""
    """File name or glob inside the shop's folder; empty: ``<table>.parquet`` or ``<table>.csv``.

    In a database: the name of a table or view, with its schema if it is not the default one."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Our column -> the source's column, or a DuckDB expression over the source's columns."""
    also: dict[str, tuple[str, ...]] = Field(default_factory=dict)
    """The source's column -> its names in other versions of the file."""
    query: str = ""
    """A DuckDB query instead of ``file``, over the folder's files by their stems and ``order_lines``."""
    may_lack: tuple[str, ...] = ()
    """Columns that ``query`` reads but an export may lack; they are then read as empty, with a note."""
    where: str = ""
    """A DuckDB condition; rows that fail it are quarantined with ``where_reason``."""
    where_reason: str = "left out by the shop's own rule"
    """The reason written beside rows that ``where`` leaves out."""


class Economics(Section):
    """Economic figures that cannot be learnt from orders alone. Answers based on them say ``assumed``."""

    margin_rate: float = Field(default=0.30, ge=0, le=1)
    """Margin as a share of revenue (0 to 1), used where no unit_cost is known."""
    contact_cost: float = Field(default=0.10, ge=0)
    """Cost of one contact, in the shop's currency."""
    offer_lift: float = Field(default=0.15, ge=0)
    """Assumed relative rise of a purchase's chance when its product is offered (0.15 = 15% more)."""
    save_rate: float = Field(default=0.05, ge=0, le=1)
    """Assumed share of leaving customers whom a contact keeps (0 to 1)."""
    max_contacts_28d: int = Field(default=4, ge=0)
    """Maximum number of contacts to one customer in 28 days, over all channels."""
    require_consent: bool = True
    """Contact only where ``email_consent`` is true; in a shop that records no consent, nobody has refused.

    Another channel needs its own consent where the shop records it (``sms_consent``), else e-mail's.
    """


class Lists(Section):
    """Settings of recommendation lists. All are optional: by default, lists are learnt from the orders."""

    returns: dict[str, bool] = Field(default_factory=dict)
    """Category (``a > b``, with its subcategories) or product id -> whether it may be listed once bought."""
    min_return_share: float = Field(default=0.03, ge=0, le=1)
    """Other categories may if at least this share of their buyers bought a product of them again."""
    max_per_category: int = Field(default=0, ge=0)
    """Maximum number of products of one category in a list, as long as there are others; 0: no limit."""
    hidden: list[str] = Field(default_factory=list)
    """Product ids and categories never to show."""
    pinned: dict[str, list[str]] = Field(default_factory=dict)
    """List -> product ids at its top, in this order, unless a rule excludes them for the customer."""
    boosted: dict[str, float] = Field(default_factory=dict)
    """Product id or category -> factor on its chance when products are ranked (1.2: a fifth more)."""
    explore_share: float = Field(default=0.0, ge=0, le=1)
    """Share of list places reserved for new products that are worth trying (0.1: one in ten)."""
    upsell_price_step: float = Field(default=1.6, gt=1.05)
    """A better version of a product costs at most this many times its price."""
    locale: str = "en"
    """Language of reasons (unless a request names one) and of the report."""


class ProductGroup(Section):
    """Contact rules for one kind of goods, ``[product_groups.<name>]``."""

    categories: tuple[str, ...] = ()
    """A product belongs to the group if a word of its category path starts with one of these, in any case."""
    settling_days: int = Field(default=0, ge=0, le=365)
    """Days after delivery without a contact, while the goods are tried on or set up."""
    same_kind_days: int = Field(default=0, ge=0, le=3650)
    """Days after a purchase during which nothing else of the same category is offered."""


FASHION = ("fashion", "apparel", "cloth", "shoe", "footwear", "dress", "jewel")
ELECTRONICS = ("electronic", "computer", "phone", "camera", "audio", "television", "appliance")
GROCERY = ("grocer", "food", "produce", "meat", "dairy", "bakery", "beverage", "drug")
PRODUCT_GROUPS = {
    "fashion": ProductGroup(categories=FASHION, settling_days=7),
    "electronics": ProductGroup(categories=ELECTRONICS, settling_days=14, same_kind_days=90),
    "grocery": ProductGroup(categories=GROCERY),
}


class ContactPolicy(Section):
    """Rules for all contacts, ``[contact_policy]``; the 28-day cap is ``[economics] max_contacts_28d``."""

    max_contacts_7d: int = Field(default=2, ge=0)
    """Maximum number of contacts to one customer in 7 days, over all channels."""
    quiet_from: int = Field(default=21, ge=0, le=23)
    """Nothing is sent from this hour (shop's time zone) ..."""
    quiet_until: int = Field(default=8, ge=0, le=23)
    """... until this one; equal hours: no quiet hours."""
    delivery_days: int = Field(default=0, ge=0, le=90)
    """Assumed days from order to delivery where ``deliveries`` has no date (0: bought in a physical shop)."""
    settling_days: int = Field(default=0, ge=0, le=365)
    """Days after delivery without a contact, for goods that belong to no product group."""
    lost_days: int = Field(default=60, ge=1, le=365)
    """After this many days, an order still undelivered or being returned no longer blocks contacts."""
    open_return_statuses: tuple[str, ...] = ("return_requested", "return_open", "returning", "disputed")
    """Values of ``deliveries.status`` that mean a return is under way."""
    no_coupon_days: int = Field(default=14, ge=0, le=365)
    """Days after the first order without discounts, lest new customers learn to wait for one."""
    held_out_share: float = Field(default=0.0, ge=0, lt=1)
    """Share of customers never contacted, as a control group (0 to below 1)."""
    held_out_salt: str = "recompra"
    """Salt of the hash that picks the control group; changing it picks other customers."""
    exploration: Literal["none", "epsilon", "thompson"] = "none"
    """How recorded decisions explore actions not known to be best; their propensities are stored."""
    epsilon: float = Field(default=0.05, ge=0, le=1)
    """Share of decisions that ``epsilon`` draws uniformly from the permitted actions and doing nothing."""
    effect_spread: float = Field(default=0.5, ge=0, le=10)
    """Standard deviation of an assumed effect, relative to it: how much ``thompson`` explores."""


class Settings(Section):
    """A shop's settings."""

    name: str = "shop"
    """The shop's name in reports."""
    timezone: str = "UTC"
    """IANA time zone: defines the shop's days, and the zone of naive timestamps."""
    timestamps: str = ""
    """IANA time zone of naive timestamps in the files, if other than ``timezone``."""
    currency: str = ""
    """ISO 4217 code; empty: taken from the order lines, else unknown."""
    horizon_days: int = Field(default=90, ge=1, le=730)
    """How far churn, value and lists look ahead, in days."""
    tables: dict[str, TableMap] = Field(default_factory=dict)
    """Column maps, by table name."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Shorthand for ``tables.order_lines.columns``."""
    economics: Economics = Economics()
    """Costs, margins and assumed effects."""
    lists: Lists = Lists()
    """What lists may contain, and in which order."""
    contact_policy: ContactPolicy = ContactPolicy()
    """Caps, quiet hours, settling time, control group."""
    product_groups: dict[str, ProductGroup] = Field(default_factory=lambda: dict(PRODUCT_GROUPS))
    """Contact rules by kind of goods; a product belongs to the first group that matches."""
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
        """Read ``recompra.toml`` over ``defaults``; ``SettingsError`` names the wrong key.

        ``place`` is the folder that may hold it, or such a file of any name.
        """
        base = (defaults or cls()).model_dump()
        if not place.exists():
            raise SettingsError(f"no file {str(place)!r}", f"give a {FILE}")
        path = place / FILE if place.is_dir() else place
        return cls.parse(_merged(base, _read_toml(path)) if path.is_file() else base, FILE)

    @classmethod
    def stored(cls, values: dict[str, object]) -> tuple["Settings", list[str]]:
        """Read settings stored by any version of Recompra; return them and the keys that are no longer known.

        Raises ``SettingsError`` for a value that this version does not take.
        """
        hint = "`recompra ingest SOURCE --fresh` stores the settings anew"
        try:
            return cls.model_validate(values), []
        except ValidationError as error:
            unknown = [fault["loc"] for fault in error.errors() if fault["type"] == "extra_forbidden"]
        known = cls.parse(_without(values, unknown), "settings stored in the warehouse", hint=hint)
        return known, [".".join(map(str, place)) for place in unknown]

    def map_of(self, table: str) -> TableMap:
        """Return a table's map; top-level ``columns`` are shorthand for those of the order lines."""
        table_map = self.tables.get(table, TableMap())
        if table != "order_lines" or not self.columns:
            return table_map
        return table_map.model_copy(update={"columns": {**table_map.columns, **self.columns}})

    @classmethod
    def parse(cls, values: dict[str, object], said_in: str, *, hint: str = "") -> "Settings":
        """Validate ``values`` read from ``said_in``; ``SettingsError`` names the wrong key and all known."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            place, unknown = ".".join(map(str, first["loc"])), first["type"] == "extra_forbidden"
            wrong = "there is no such key" if unknown else problem(first)
            known = f"the keys are {', '.join(_keys(first['loc']))}" if unknown else "correct it there"
            raise SettingsError(f"{said_in}: {place}: {wrong}", hint or known) from error


def _keys(place: tuple[int | str, ...]) -> list[str]:
    """Return the keys of the section in which ``place`` lies."""
    kind: Any = Settings
    for part in place[:-1]:
        fields = getattr(kind, "model_fields", None)
        kind = fields[part].annotation if fields else get_args(kind)[-1]  # tables, product_groups: by name
    return sorted(kind.model_fields)


def _without(values: dict[str, Any], places: list[tuple[int | str, ...]]) -> dict[str, Any]:
    kept = deepcopy(values)
    for *above, key in places:
        part: Any = kept
        for step in above:
            part = part[step]
        del part[key]
    return kept


def _read_toml(path: Path) -> dict[str, object]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        hint = "correct it there; a text is in quotes, a table's name in [brackets], the file in UTF-8"
        raise SettingsError(f"{path.name} is not valid TOML: {error}", hint) from error


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Overlay ``base`` by ``over``, recursively: keys a shop does not set keep the adapter's values."""
    both = {
        key: _merged(base[key], over[key])
        for key in base.keys() & over.keys()
        if isinstance(base[key], dict) and isinstance(over[key], dict)
    }
    return {**base, **over, **both}
