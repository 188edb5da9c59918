"""One page for those who run the shop: KPIs, cohorts, segments and personas, in a self-contained file."""

import io
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from features.errors import RecompraError
from features.kpi import ATTRIBUTES, KPIS, cohorts, facts, kpis, over_time
from features.shop import Shop
from features.storage.files import replacing
from features.window import local_day, shift_days
from models.chance.horizon import sentence
from models.customers.profiles import favourites, movement, profiles
from models.texts import DEFAULT
from serving.registry import Registry
from serving.reports.ahead import LeftOut, Unknown, ahead
from serving.reports.texts import Words

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TEMPLATE = "report.html"
N_PERIODS = 12
TRENDS = ("active_customers", "retention_rate", "repeat_purchase_rate", "average_order_value")
"""KPIs that are plotted over the last periods."""
INK = "#286e5a"
LARGEST_GROUPING = 12
"""An attribute with more values than this would make too long a table."""


@dataclass(frozen=True)
class Page:
    """The content of the page, in the language of the shop's reasons (``[lists] locale``)."""

    shop: Shop
    cutoff: datetime
    kpis: pd.DataFrame
    trends: pd.DataFrame
    groups: dict[str, pd.DataFrame]
    cohorts: pd.DataFrame
    segments: dict[str, pd.DataFrame]
    movement: pd.DataFrame
    ahead: pd.DataFrame
    """See ``serving.reports.ahead``."""
    left_out: LeftOut

    def missing(self, locale: str = DEFAULT) -> list[str]:
        """Return what is unknown, and why, in words."""
        words = Words(locale)
        return [
            words.unknown(one.code, one.why, message=one.message) for one in self.left_out if not one.note
        ]

    def caveats(self, locale: str = DEFAULT) -> list[str]:
        """Return what to bear in mind about figures shown; models with the same caveat share one."""
        models: dict[str, list[str]] = {}
        for one in self.left_out:
            if one.note:
                said = sentence({**one.note, "model": "{model}"}, locale)
                models.setdefault(said, []).append(one.note["model"])
        return [said.replace("{model}", ", ".join(names)) for said, names in models.items()]

    def write(self, path: Path) -> None:
        """Write the page atomically."""
        with replacing(path) as file:
            file.write_text(self.html(), encoding="utf-8")

    def html(self) -> str:
        """Return the page with its style and plots embedded; nothing is loaded from elsewhere."""
        from jinja2 import Environment, FileSystemLoader, StrictUndefined

        folder = Path(__file__).parent / "pages"
        page = Environment(loader=FileSystemLoader(folder), autoescape=True, undefined=StrictUndefined)
        settings = self.shop.settings
        words = Words(settings.lists.locale)
        page.filters |= {"figure": partial(shown, words=words), "shade": shade, "named": words.named}
        return page.get_template(TEMPLATE).render(
            page=self,
            t=words,
            name=settings.name,
            currency=settings.currency or words("money"),
            period_days=settings.horizon_days,
            day=local_day(self.cutoff, self.shop.timezone),
            units={kpi.name: kpi.unit for kpi in KPIS},
            pictures={name: svg(trend(self.trends, name, title=words(f"kpi.{name}"))) for name in self.drawn},
        )

    @property
    def drawn(self) -> list[str]:
        """Trends with at least two points."""
        known = self.trends[self.trends["value"].notna()]
        return [name for name in TRENDS if (known["kpi"] == name).sum() > 1]


def report(home: Path, cutoff: datetime) -> Page:
    """Compute everything as of ``cutoff``; what needs a missing champion is left out, with a note."""
    shop = Shop(home)
    rows = facts(shop, cutoff)
    left_out: LeftOut = []
    segments, moved, mine = _segments(home, shop, cutoff=cutoff, left_out=left_out)
    groups = {name: rows[name] for name in ATTRIBUTES if _groups(rows[name])}
    groups |= {} if mine is None else {"segment": mine}
    return Page(
        shop=shop,
        cutoff=cutoff,
        kpis=kpis(rows),
        trends=over_time(shop, _past(shop, cutoff)),
        groups={name: _pivot(kpis(rows, column)) for name, column in groups.items()},
        cohorts=cohorts(shop, cutoff),
        segments=segments,
        movement=moved,
        ahead=ahead(home, shop, cutoff=cutoff, groups=mine, left_out=left_out),
        left_out=left_out + _unknown(rows, shop),
    )


def _segments(
    home: Path, shop: Shop, *, cutoff: datetime, left_out: LeftOut
) -> "tuple[dict[str, pd.DataFrame], pd.DataFrame, pd.Series[Any] | None]":
    """Return each segment's and persona's profile, the moves since one period ago, everyone's segment."""
    try:
        model = Registry(home).scoring("segments")
    except RecompraError as error:
        left_out.append(Unknown.by("segments", error))
        return {}, pd.DataFrame(), None
    now = model.predict(shop, cutoff)
    before = model.predict(shop, shift_days(cutoff, -shop.settings.horizon_days, timezone=shop.timezone))
    by_kind = {kind: _profiled(shop, cutoff, now[kind]) for kind in ("segment", "persona")}
    return by_kind, movement(before["segment"], now["segment"]), now["segment"]


def _profiled(shop: Shop, cutoff: datetime, groups: "pd.Series[Any]") -> pd.DataFrame:
    table = profiles(groups, shop.customer_features(cutoff))
    liked = favourites(groups, shop.history(cutoff), catalogue=shop.catalogue(cutoff))
    return table.assign(
        favourites=["; ".join(_leaf(path) for path in liked.get(str(name), [])) for name in table.index]
    )


def _leaf(path: str) -> str:
    return path.rpartition(" > ")[2].capitalize()


def _past(shop: Shop, cutoff: datetime) -> Iterable[datetime]:
    """Return cutoffs one period apart, oldest first, each with two periods of orders before it."""
    period = shop.settings.horizon_days
    earliest = shift_days(shop.warehouse.first_at, 2 * period, timezone=shop.timezone)
    moments = [shift_days(cutoff, -period * back, timezone=shop.timezone) for back in range(N_PERIODS)]
    return sorted({cutoff, *(moment for moment in moments if moment >= earliest)})


def _groups(column: "pd.Series[Any]") -> bool:
    return 1 <= column.nunique() <= LARGEST_GROUPING


def _pivot(figures: pd.DataFrame) -> pd.DataFrame:
    table = figures.pivot(index="kpi", columns="group", values="value")
    return table.reindex([kpi.name for kpi in KPIS]).dropna(how="all")


def _unknown(rows: pd.DataFrame, shop: Shop) -> LeftOut:
    """Return what the shop's data do not contain."""
    wanted = {
        "money": shop.facts.has_money,
        "categories": shop.facts.has_categories,
        "nps": rows["nps_score"].notna().any(),
        "cac": rows["acquisition_cost"].notna().any(),
        "first_year": rows["is_mature"].any(),
    }
    return [Unknown(code) for code, known in wanted.items() if not known]


def trend(trends: pd.DataFrame, name: str, *, title: str) -> "Figure":
    """Plot one KPI at each cutoff, with its interval."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import PercentFormatter

    rows = trends[(trends["kpi"] == name) & trends["value"].notna()]
    figure = Figure(figsize=(4.2, 2.2), layout="constrained")
    axes = figure.subplots()
    days = rows["cutoff"].to_numpy("datetime64[s]")
    axes.fill_between(days, rows["low"], rows["high"], color=INK, alpha=0.2, linewidth=0)
    axes.plot(days, rows["value"], color=INK, marker=".")
    axes.spines[["top", "right"]].set_visible(False)
    if rows["unit"].iloc[0] == "share":
        axes.yaxis.set_major_formatter(PercentFormatter(1.0, decimals=0))
    axes.set_ylim(0, 1.1 * max(rows["value"].max(), rows["high"].max(), 1e-9))
    axes.set_title(title, fontsize=10)
    axes.tick_params(labelsize=7)
    figure.autofmt_xdate()
    return figure


def svg(figure: "Figure") -> str:
    """Return a figure as an SVG element for the page."""
    out = io.StringIO()
    figure.savefig(out, format="svg", metadata={"Date": None})
    return out.getvalue().partition("<svg")[1] + out.getvalue().partition("<svg")[2]


def shown(value: Any, unit: str = "", *, words: Words) -> str:
    """Return a formatted figure: shares in percent, money with two decimals, a dash if unknown."""
    if value is None or (isinstance(value, float) and np.isnan(value)):
        return "-"
    if unit == "share":
        return words.number(f"{value:.1%}")
    whole = unit == "customers" or (not unit and float(value).is_integer())
    return words.number(f"{value:,.{0 if whole else 2}f}")


def shade(value: Any) -> str:
    """Return the background of a cohort's cell: the higher its share, the darker."""
    known = not (value is None or np.isnan(value))
    return f"rgba(40, 110, 90, {min(float(value), 1.0) * 0.7:.2f})" if known else "transparent"
