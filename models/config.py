"""Hyper-parameters: one frozen class a model, apart so that request workers need no more than this."""

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from features.shop import Shop


class Config(BaseModel):
    """Hyper-parameters of one model: written once, logged as JSON, read back to rebuild."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    seed: int = Field(default=0, ge=0)
    """Seed of every random choice; the same seed and data give the same model."""


class HorizonConfig(Config):
    """Of a model that looks ahead."""

    horizon_days: int | None = Field(default=None, ge=1, le=730)
    """Days looked ahead; by default the shop's horizon."""

    def horizon(self, shop: "Shop") -> int:
        """Return the days looked ahead in this shop."""
        return self.horizon_days or shop.settings.horizon_days
