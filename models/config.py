"""Hyper-parameters: one frozen class a model, apart so that request workers need no more than this."""

from pydantic import BaseModel, ConfigDict, Field


class Config(BaseModel):
    """Hyper-parameters of one model: written once, logged as JSON, read back to rebuild."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    seed: int = Field(default=0, ge=0)
    """Seed of every random choice; the same seed and data give the same model."""
