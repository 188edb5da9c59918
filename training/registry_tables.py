"""The registry on a terminal: champions, comparisons of versions, history."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from models.registry import MODELS, model_class
from training.ledger import Ledger
from training.tracking import Tracking

if TYPE_CHECKING:
    from rich.table import Table


def models(home: Path) -> "Table":
    """Return one row per model: its champion, its challenger, its number of versions, its question.

    Raises ``NotFound`` if nothing was trained.
    """
    from rich.table import Table

    tracking = Tracking.existing(home)
    table = Table("model", "champion", "challenger", "versions", "question")
    for name in MODELS:
        in_use = tracking.champion(name), tracking.challenger(name)
        serving = [f"v{version.version}" if version else "-" for version in in_use]
        table.add_row(name, *serving, str(len(tracking.versions(name))), model_class(name).question)
    return table


def comparison(home: Path, name: str, *, numbers: Sequence[int]) -> "Table":
    """Return the figures of versions side by side; by default of the champion and the challenger."""
    from rich.table import Table

    tracking = Tracking.existing(home)
    versions = tracking.chosen(name, numbers)
    metrics = [tracking.metrics(version) for version in versions]
    table = Table("figure", *(" ".join([f"v{version.version}", *version.aliases]) for version in versions))
    keys = {key for figures in metrics for key in figures if not key.endswith((".low", ".high"))}
    for key in sorted(keys, key=lambda key: (key.count("/"), key)):
        table.add_row(key, *(_figure(figures, key) for figures in metrics))
    return table


def _figure(figures: Mapping[str, float], key: str) -> str:
    if key not in figures:
        return "-"
    low, high = figures.get(f"{key}.low"), figures.get(f"{key}.high")
    return f"{figures[key]:.4f}" + ("" if low is None else f" ({low:.4f} to {high:.4f})")


def history(home: Path, name: str | None = None, *, at: datetime | None = None) -> "Table":
    """Return which version was champion when, and why: of one model or all, at all times or at one.

    Raises ``NotFound`` for an unknown model.
    """
    from rich.table import Table

    if name is not None:
        model_class(name)

    table = Table("model", "version", "from (UTC)", "until", "reason")
    for entry in Ledger(home).history(name, at=at):
        times = [f"{time:%Y-%m-%d %H:%M:%S}" if time else "now" for time in (entry.from_at, entry.until_at)]
        table.add_row(entry.name, f"v{entry.version}", *times, entry.reason)
    return table
