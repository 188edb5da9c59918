"""What will sell: expected demand of every product, for whoever must restock."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from features.errors import NotFound, SettingsError
from features.shop import Shop
from features.storage.files import beside
from models.repurchase import Repurchase
from serving.registry import Registry
from serving.score import moment_of

if TYPE_CHECKING:
    from rich.table import Table

SHOWN = 20


def demand(home: Path, as_of: datetime | None = None) -> pd.DataFrame:
    """Return expected demand as of a moment, by default the end of the last day with an order.

    Columns as in ``Repurchase.demand``. Raises ``NotFound`` without a champion of repurchase,
    ``SettingsError`` for a moment before the first order.
    """
    registry, shop = Registry(home), Shop(home)
    champion = registry.champions().get(Repurchase.name)
    if champion is None:
        raise NotFound("no repurchase model serves", "run `recompra train --only repurchase` first")
    model = Repurchase.load(registry.fetch(champion))
    return model.demand(shop, moment_of(shop, as_of))


def write(frame: pd.DataFrame, out: Path) -> None:
    """Write CSV or Parquet, by the file's suffix; raise ``SettingsError`` for another one."""
    if out.suffix not in {".csv", ".parquet"}:
        raise SettingsError(f"{out.name} is neither .csv nor .parquet", "give --out a name that ends so")
    with beside(out) as file:
        frame.to_csv(file, index=False) if out.suffix == ".csv" else frame.to_parquet(file, index=False)


def table(frame: pd.DataFrame, n: int = SHOWN) -> "Table":
    """Return the first rows as a table for the terminal; what is unknown is left empty."""
    from rich.table import Table

    shown = Table(
        "product", "name", title=f"Expected demand, the first {min(n, len(frame))} of {len(frame):,}"
    )
    for column in ("buyers", "units", "80% interval", "stock", "days of cover"):
        shown.add_column(column, justify="right")
    for row in frame.head(n).itertuples(index=False):
        interval = f"{row.p10:,.0f} to {row.p90:,.0f}"
        cells = (f"{row.expected_buyers:,.1f}", f"{row.expected_units:,.1f}", interval)
        shown.add_row(
            str(row.product_id), str(row.name), *cells, _whole(row.stock), _whole(row.days_of_cover)
        )
    return shown


def _whole(value: object) -> str:
    number = float(str(value))
    return f"{number:,.0f}" if np.isfinite(number) else ""
