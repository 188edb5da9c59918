"""Profiles of customer groups, in figures that marketing uses, and movement between groups."""

from typing import Any

import numpy as np
import pandas as pd

from features.arrays.catalogue import Catalogue
from features.arrays.dtypes import Column, Doubles, Ints
from features.arrays.history import History

N_FAVOURITES = 3
FEWEST_LINES = 20
"""Minimum number of a group's lines in a category for it to be a favourite."""


def profiles(groups: "pd.Series[Any]", features: pd.DataFrame) -> pd.DataFrame:
    """Return one row per group: size, spend, cadence; indexed by group name, the largest revenue first.

    ``groups`` names each customer's group (index ``customer_id``). ``n_customers``; ``customer_share`` and
    ``revenue_share`` of all (0 to 1); medians of ``days_since_last_order``, ``gap_mean_days`` (of repeat
    buyers) and ``n_order_days``; mean ``revenue`` so far and ``revenue_per_order_day``, in money.
    """
    rows = features.reindex(groups.index)
    grouped = rows.groupby(groups.to_numpy())
    frame = pd.DataFrame(
        {
            "n_customers": grouped.size(),
            "customer_share": grouped.size() / max(len(rows), 1),
            "revenue_share": grouped["revenue"].sum(min_count=1) / (rows["revenue"].sum() or np.nan),
            "days_since_last_order": grouped["days_since_last_order"].median(),
            "gap_mean_days": grouped["gap_mean_days"].median(),
            "n_order_days": grouped["n_order_days"].median(),
            "revenue": grouped["revenue"].mean(),
            "revenue_per_order_day": grouped["revenue_per_order_day"].mean(),
        }
    )
    return frame.rename_axis("group").sort_values(["revenue_share", "n_customers"], ascending=False)


def favourites(groups: "pd.Series[Any]", history: History, *, catalogue: Catalogue) -> dict[str, list[str]]:
    """Return the categories each group buys most relative to all customers: lines over expected lines.

    By name, at most three per group; empty for a shop without categories.
    """
    codes = history.customers.codes([str(name) for name in groups.index])
    names, group = np.unique(groups.to_numpy(str), return_inverse=True)
    of_customer = np.full(len(history.customers) + 1, -1)
    of_customer[codes[codes >= 0]] = group[codes >= 0]
    counts = _counts(
        of_customer[history.customer],
        catalogue.category[history.product],
        n_groups=len(names),
        catalogue=catalogue,
    )
    expected = counts.sum(axis=1, keepdims=True) * counts.sum(axis=0) / max(counts.sum(), 1.0)
    lift = np.divide(counts, expected, out=np.zeros_like(counts), where=counts >= FEWEST_LINES)
    return {
        name: catalogue.categories.names([at for at in np.argsort(-row)[:N_FAVOURITES] if row[at] > 1])
        for name, row in zip(names.tolist(), lift, strict=True)
    }


def _counts(group: Column, category: Ints, *, n_groups: int, catalogue: Catalogue) -> Doubles:
    counts = np.zeros((n_groups, len(catalogue.categories)))
    known = (group >= 0) & (category >= 0)
    np.add.at(counts, (group[known], category[known]), 1.0)
    return counts


def movement(before: "pd.Series[Any]", after: "pd.Series[Any]") -> pd.DataFrame:
    """Return how many customers moved from each group (rows) to each (columns); ``new`` had none before."""
    frm = before.reindex(after.index).fillna("new").rename("from")
    return pd.crosstab(frm, after.rename("to"))
