"""The watcher's status in ``watcher.json``: written by it, read by metrics and readiness."""

import json
from bisect import bisect_left
from dataclasses import asdict, dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from features.storage.files import replacing

STATUS_FILE = "watcher.json"
BOUNDS = (0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0, 600.0)
"""Upper bounds, in seconds, of the bins of ``Durations``."""
SILENT_SECONDS = 30
"""A watcher that has not written for this time counts as down."""


@dataclass
class Durations:
    """A histogram of durations."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(BOUNDS) + 1))
    total: float = 0.0

    def add(self, seconds: float) -> None:
        """Count a duration of so many seconds: none if the clock was set back meanwhile."""
        seconds = max(seconds, 0.0)
        self.counts[bisect_left(BOUNDS, seconds)] += 1
        self.total += seconds


@dataclass
class WatcherStatus:
    """Counts since the watcher started; moments are ISO 8601 in UTC."""

    at: str = ""
    waiting: int = 0
    oldest: str = ""
    """Since when the longest waiting event is known; empty if none waits."""
    refreshed: int = 0
    skipped: int = 0
    """Customers whose refresh failed; the log says why."""
    batch: Durations = field(default_factory=Durations)
    """Time from taking customers off the queue to their rows being visible."""
    lag: Durations = field(default_factory=Durations)
    """Time from the arrival of a customer's event to the row that includes it."""
    psi: dict[str, float] = field(default_factory=dict)
    """Drift of each served feature from training (``features.sketch``)."""
    trouble: str = ""
    """Why nothing is refreshed; empty while all is well."""

    def write(self, home: Path, now: datetime) -> None:
        """Replace what was written before, atomically."""
        self.at = now.isoformat()
        with replacing(home / STATUS_FILE) as place:
            place.write_text(json.dumps(asdict(self)), encoding="utf-8")

    @classmethod
    def read(cls, home: Path) -> "WatcherStatus | None":
        """Read it; None if no watcher has written yet, or the file cannot be read."""
        try:
            card: dict[str, Any] = json.loads((home / STATUS_FILE).read_text(encoding="utf-8"))
            parts = {name: Durations(**card[name]) for name in ("batch", "lag")}
            return cls(**card | parts)
        except (OSError, ValueError, KeyError, TypeError):
            return None

    def lag_seconds(self, now: datetime) -> float:
        """Return how long the longest waiting event has been known without being in its scores."""
        return max((now - datetime.fromisoformat(self.oldest)).total_seconds(), 0.0) if self.oldest else 0.0

    def down(self, now: datetime) -> str:
        """Return why nothing is refreshed; empty while all is well."""
        silent = abs((now - datetime.fromisoformat(self.at)).total_seconds())  # the clock may be set back
        return self.trouble or ("the watcher is silent" if silent > SILENT_SECONDS else "")
