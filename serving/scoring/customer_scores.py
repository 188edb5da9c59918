"""All scores of customers: the same calls for the nightly scoring and for the refresh of a few."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path

import pandas as pd

from features.errors import ArtefactError
from features.excerpt import PRODUCT_DAYS, Excerpt
from features.shop import Shop
from models.customers.consistent import consistent
from models.kinds import ScoreModel
from models.model import Model

EXCERPT = "excerpt"
"""The folder of a scoring with the rows from which customers are refreshed (``features.excerpt``)."""


def excerpt_of(home: Path, stamp: str, *, as_of: datetime) -> Excerpt:
    """Open the rows that the scoring of ``as_of`` stores of its customers.

    Raises ``ArtefactError`` if it stores none.
    """
    folder = home / "lists" / stamp / EXCERPT
    if not (folder / f"{PRODUCT_DAYS}.parquet").is_file():
        raise ArtefactError(f"the scoring {stamp} keeps no rows to refresh from", "score again")
    return Excerpt(home, folder, as_of=as_of)


def scores_of(
    models: Mapping[str, Model], shop: Shop, *, cutoff: datetime, names: Sequence[str]
) -> pd.DataFrame:
    """Return every score and reason of the customers ``names`` as of ``cutoff``; index ``customer_id``."""
    index = pd.Index(names, name="customer_id")
    scoring = [model for model in models.values() if isinstance(model, ScoreModel)]
    tables = [model.predict(shop, cutoff) for model in scoring]
    tables += [why for model in scoring if (why := model.explain(shop, cutoff)) is not None]
    parts = [part.reindex(index) for part in tables]
    return consistent(pd.concat(parts, axis=1)) if parts else pd.DataFrame(index=index)
