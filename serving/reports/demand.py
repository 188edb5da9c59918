"""Expected demand of every product, for restocking."""

from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd

from features.errors import NotFound, SettingsError
from features.shop import Shop
from features.storage.files import replacing
from features.window import local_day, parse_cutoff
from models.chance.horizon import season_from, sentence
from models.repurchase import Repurchase
from serving.marketing.cells import FREE_TEXT, guarded
from serving.registry import Registry
from serving.score import moment_of

if TYPE_CHECKING:
    from rich.table import Table

N_SHOWN = 20


def demand(home: Path, as_of: datetime | None = None, *, now: datetime | None = None) -> pd.DataFrame:
    """Return expected demand as of a moment, by default the end of the last day with an order.

    Columns as in ``Repurchase.demand``, then ``as_of``, the first day, and ``horizon_days``. Raises
    ``NotFound`` without a champion of repurchase, ``SettingsError`` for a moment before the first order, or
    after ``now``.
    """
    registry, shop = Registry(home), Shop(home)
    champion = registry.champions().get(Repurchase.name)
    if champion is None:
        hint = "`recompra train --only repurchase` trains it, or says what it lacks"
        raise NotFound("no repurchase model serves", hint)
    model = Repurchase.load(registry.fetch(champion))
    moment = moment_of(shop, as_of, now=now)
    day = str(local_day(moment, shop.timezone))
    return model.demand(shop, moment).assign(as_of=day, horizon_days=model.horizon_days)


def guests_counted(home: Path) -> str:
    """Return a note on how lines without a customer count; empty if there are none."""
    known = Shop(home).facts
    if not known.n_lines_without_customer:
        return ""
    share = known.n_lines_without_customer / known.n_lines
    return f"{share:.0%} of the shop's lines have no customer: each such order counts as a buyer of its own"


def season_unknown(home: Path, frame: pd.DataFrame) -> str:
    """Return a note if last year does not cover the season of the forecast; otherwise empty."""
    if frame.empty:
        return ""
    shop, days = Shop(home), int(frame["horizon_days"].iloc[0])
    known_from = season_from(shop, parse_cutoff(frame["as_of"].iloc[0], shop.timezone), horizon_days=days)
    note = {"code": "season", "model": "demand", "horizon_days": days, "season_from": known_from}
    return sentence(note, shop.settings.lists.locale) if known_from else ""


def check_suffix(out: Path) -> None:
    """Raise ``SettingsError`` unless the file's suffix is .csv or .parquet."""
    if out.suffix not in {".csv", ".parquet"}:
        raise SettingsError(
            f"{out.name} is neither .csv nor .parquet", "end the name of --out in .csv or .parquet"
        )


def write(frame: pd.DataFrame, out: Path) -> None:
    """Write CSV or Parquet, by the file's suffix; raise ``SettingsError`` for another one."""
    check_suffix(out)
    texts = {name: frame[name].map(guarded) for name in FREE_TEXT if name in frame}
    with replacing(out) as file:
        if out.suffix == ".csv":
            frame.assign(**texts).to_csv(file, index=False)
        else:
            frame.to_parquet(file, index=False)


def table(frame: pd.DataFrame, n: int = N_SHOWN) -> "Table":
    """Return the first rows as a table for the terminal; unknown values are empty."""
    from rich.table import Table

    when = f" in the {frame['horizon_days'][0]} days from {frame['as_of'][0]}" if len(frame) else ""
    title = f"Expected demand{when}, the first {min(n, len(frame))} of {len(frame):,}"
    shown = Table("product", "name", title=title)
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
