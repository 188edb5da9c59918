"""What the coming horizon is expected to bring: the sums of the very scores that everybody reads."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from features.errors import NotFound, RecompraError
from features.shop import Shop
from serving.registry import Registry

TOTAL = "all"


class Unknown(NamedTuple):
    """What could not be known, and why: codes of ``serving.reports.texts``; what an error told."""

    code: str
    why: str = ""
    told: str = ""
    note: Mapping[str, Any] | None = None
    """In place of the others: what is told, but with a note (``models.chance.reach``)."""

    @classmethod
    def by(cls, name: str, error: RecompraError) -> "Unknown":
        """Say why a model tells nothing: there is none in service, or it cannot be read."""
        return cls(name, "no_champion" if isinstance(error, NotFound) else "refused", error.message)


LeftOut = list[Unknown]
AMOUNTS = ("expected_orders", "expected_revenue", "expected_margin")


def ahead(
    home: Path, shop: Shop, cutoff: datetime, groups: "pd.Series[Any] | None", left_out: LeftOut
) -> pd.DataFrame:
    """Return a row a group, everyone last: ``customers``, ``come_back`` and the ``AMOUNTS``.

    ``come_back`` is how many are expected to order within the horizon. What has no champion, or cannot be
    known, is no column; of each the name and the reason are appended to ``left_out``, and what is told with a
    note.
    """
    found = [
        part for name in ("churn", "ltv") if (part := _said(home, name, shop, cutoff, left_out)) is not None
    ]
    if not found:
        return pd.DataFrame()
    scores = pd.concat(found, axis=1).assign(customers=1.0)
    columns = [
        name for name in ("customers", "come_back", *AMOUNTS) if name in scores and scores[name].notna().any()
    ]
    everyone = scores[columns].sum().to_frame(TOTAL).T
    if groups is None:
        return everyone
    rows = scores[columns].groupby(groups.reindex(scores.index).to_numpy()).sum()
    return pd.concat([rows.sort_values(columns[-1], ascending=False), everyone])


def _said(home: Path, name: str, shop: Shop, cutoff: datetime, left_out: LeftOut) -> pd.DataFrame | None:
    """Return what a champion says of everyone, without the horizon in its columns; None without one."""
    try:
        model = Registry(home).scoring(name)
    except RecompraError as error:
        left_out.append(Unknown.by(name, error))
        return None
    left_out += [Unknown(note["code"], note=note) for note in model.notes()]
    mark = f"_{shop.settings.horizon_days}d"
    said = model.predict(shop, cutoff).rename(columns=lambda column: column.removesuffix(mark))
    if "churn_probability" in said:
        said = said.assign(come_back=1 - said["churn_probability"])
    return said[[column for column in ("come_back", *AMOUNTS) if column in said]]
