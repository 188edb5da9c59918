"""Hyper-parameters: one frozen class per model, in a module of its own for request workers."""

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
    """Hyper-parameters of a model that predicts over a horizon."""

    horizon_days: int | None = Field(default=None, ge=1, le=730)
    """Days to predict ahead; by default the shop's horizon."""

    def horizon(self, shop: "Shop") -> int:
        """Return the days to predict ahead in this shop."""
        return self.horizon_days or shop.settings.horizon_days
