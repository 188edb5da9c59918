"""Order history in: every row is kept, linked as a return, or quarantined with its reason."""

from features.ingest.quality import Counts, Report, render
from features.ingest.run import ingest

__all__ = ["Counts", "Report", "ingest", "render"]
