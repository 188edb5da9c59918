"""The RFM segments by the names marketers use."""

from typing import Literal

Segment = Literal[
    "champions",
    "loyal",
    "potential loyal",
    "new",
    "promising",
    "needs attention",
    "about to sleep",
    "at risk",
    "cannot lose",
    "hibernating",
    "lost",
]
LOST: Segment = "lost"

GRID: tuple[tuple[Segment, ...], ...] = (
    # Rows: from long ago to just now. Columns: frequency and money together, from low to high.
    (LOST, LOST, "hibernating", "at risk", "cannot lose"),
    (LOST, "hibernating", "at risk", "at risk", "cannot lose"),
    ("about to sleep", "about to sleep", "needs attention", "loyal", "loyal"),
    ("promising", "potential loyal", "potential loyal", "loyal", "champions"),
    ("new", "potential loyal", "potential loyal", "champions", "champions"),
)
"""The segment of each fifth of recency and of value."""
