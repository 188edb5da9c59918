"""A registry whose champions are already in memory: what a scoring asks of one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from serving.registry import Champion


def registry_of(models: Mapping[str, Any], versions: Mapping[str, str]) -> Any:
    """Return what stands in for ``serving.registry.Registry``."""

    class Registry:
        def __init__(self, home: Path) -> None:
            self.home = home

        def load(self) -> tuple[dict[str, Any], dict[str, str]]:
            return dict(models), dict(versions)

        def champions(self) -> dict[str, Champion]:
            return {name: Champion(name, version, "") for name, version in versions.items()}

    return Registry
