"""What the coming horizon is expected to bring: the sums of all customers' scores."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from features.errors import NotFound, RecompraError
from features.shop import Shop
from features.window import local_day
from serving.registry import Registry

TOTAL = "all"


class Unknown(NamedTuple):
    """What is unknown, and why: codes of ``serving.reports.texts``; the message of an error."""

    code: str
    why: str = ""
    message: str = ""
    note: Mapping[str, Any] | None = None
    """In place of the others: a caveat on a figure that is shown (``models.chance.horizon``)."""

    @classmethod
    def by(cls, name: str, error: RecompraError) -> "Unknown":
        """Return why a model predicts nothing: none is in service, or it cannot be read."""
        return cls(name, "no_champion" if isinstance(error, NotFound) else "refused", error.message)


LeftOut = list[Unknown]
AMOUNTS = ("expected_orders", "expected_revenue", "expected_margin")


def ahead(
    home: Path, shop: Shop, *, cutoff: datetime, groups: "pd.Series[Any] | None", left_out: LeftOut
) -> pd.DataFrame:
    """Return one row per group, everyone last: ``customers``, ``come_back`` and the ``AMOUNTS``.

    ``come_back`` is how many are expected to order within the horizon. Figures without a champion, or
    unknown, have no column; their name and reason, and the caveats of others, are appended to ``left_out``.
    """
    predictions = [
        part
        for name in ("churn", "ltv")
        if (part := _predictions(home, name, shop=shop, cutoff=cutoff, left_out=left_out)) is not None
    ]
    if not predictions:
        return pd.DataFrame()
    scores = pd.concat(predictions, axis=1).assign(customers=1.0)
    columns = [
        name for name in ("customers", "come_back", *AMOUNTS) if name in scores and scores[name].notna().any()
    ]
    everyone = scores[columns].sum().to_frame(TOTAL).T
    if groups is None:
        return everyone
    rows = scores[columns].groupby(groups.reindex(scores.index).to_numpy()).sum()
    return pd.concat([rows.sort_values(columns[-1], ascending=False), everyone])


def _predictions(
    home: Path, name: str, *, shop: Shop, cutoff: datetime, left_out: LeftOut
) -> pd.DataFrame | None:
    """Return a champion's predictions for everyone, without the horizon in their names; None without one."""
    try:
        model = Registry(home).scoring(name)
    except RecompraError as error:
        left_out.append(Unknown.by(name, error))
        return None
    day = local_day(cutoff, shop.timezone)
    left_out += [Unknown(note["code"], note=note) for note in model.notes(day)]
    mark = f"_{shop.settings.horizon_days}d"
    frame = model.predict(shop, cutoff).rename(columns=lambda column: column.removesuffix(mark))
    if "churn_probability" in frame:
        frame = frame.assign(come_back=1 - frame["churn_probability"])
    return frame[[column for column in ("come_back", *AMOUNTS) if column in frame]]
