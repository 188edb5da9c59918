"""What a shop says of itself in ``recompra.toml``; without the file, the defaults below."""

import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from features.errors import SettingsError
from features.window import zone

FILE = "recompra.toml"


class Section(BaseModel):
    """A part of the settings: frozen, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TableMap(Section):
    """Where one table comes from, and what its columns are called there."""

    file: str = ""
    """File name or glob inside the shop's folder; empty: ``<table>.parquet`` or ``<table>.csv``."""
    columns: dict[str, str] = Field(default_factory=dict)
    """Our column -> the source's column, or a DuckDB expression over the source's columns."""
    query: str = ""
    """A DuckDB query instead of ``file``, over the folder's files by their stems and ``order_lines``."""
    where: str = ""
    """A DuckDB condition; rows that fail it are quarantined with ``where_reason``."""
    where_reason: str = "left out by the shop's own rule"
    """The reason written beside rows that ``where`` leaves out."""


class Economics(Section):
    """Money that orders alone do not tell. Every figure here is an assumption, and answers say so."""

    margin_rate: float = Field(default=0.30, ge=0, le=1)
    """Margin as a share of revenue (0 to 1), used where a product has no unit_cost."""
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
    min_return_share: float = Field(default=0.02, ge=0, le=1)
    """Elsewhere it may where at least this share of a category's buyers bought a product again."""
    max_per_category: int = Field(default=0, ge=0)
    """At most so many products of one category in a list, while there are others; 0: no limit."""
    hidden: list[str] = Field(default_factory=list)
    """Product ids and categories never to show."""
    pinned: dict[str, list[str]] = Field(default_factory=dict)
    """List -> product ids that lead it, in this order, wherever they may be shown."""
    boosted: dict[str, float] = Field(default_factory=dict)
    """Product id or category -> factor on the chance when products are ordered (1.2: a fifth more)."""
    locale: str = "en"
    """Language of reasons where a request names none: en, pt."""


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

    @field_validator("timezone", "timestamps")
    @classmethod
    def _known_zone(cls, name: str) -> str:
        if name:
            zone(name)
        return name

    @classmethod
    def load(cls, folder: Path, defaults: "Settings | None" = None) -> "Settings":
        """Read a shop's ``recompra.toml`` over ``defaults``; raise ``SettingsError`` naming the key."""
        base = (defaults or cls()).model_dump()
        path = folder / FILE
        return cls.parse(_merged(base, _read_toml(path)) if path.is_file() else base, path)

    @classmethod
    def parse(cls, values: dict[str, object], path: Path) -> "Settings":
        """Check ``values``; a wrong one is named with its place and what was expected."""
        try:
            return cls.model_validate(values)
        except ValidationError as error:
            first = error.errors()[0]
            place = ".".join(str(part) for part in first["loc"])
            known = ", ".join(sorted(cls.model_fields))
            raise SettingsError(f"{path.name}: {place}: {first['msg']}", f"the keys are {known}") from error


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
