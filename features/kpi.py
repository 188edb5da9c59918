"""The key figures of a shop, each with its definition, as of a cutoff and by any grouping of customers.

Every KPI is a ratio of two sums over customers, so one formula gives them all an interval: the linearised
variance of a ratio estimator (Cochran, Sampling Techniques, 1977, eq. 6.13), customers being independent.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import pandas as pd

from features.activity import FIRST_YEAR_DAYS, activity
from features.arrays.dtypes import Bools
from features.customer import purchase_days
from features.feature_set import Past, at_cutoffs
from features.shop import Shop
from features.storage.tables import fetch, sql_of, table

Z = 1.96
"""Half-width of a 95% interval, in standard errors."""
BOUNDS = {"share": (0.0, 1.0), "points": (-100.0, 100.0)}
"""The possible range of a figure, by its unit."""
EVERYONE = "all"
ATTRIBUTES = ("acquisition_channel", "region", "gender")
"""Columns of ``customers`` that group customers."""
Column = Callable[[pd.DataFrame], "pd.Series[Any]"]


@dataclass(frozen=True)
class Kpi:
    """One figure: the sum of ``part`` over the sum of ``whole``; without a ``whole`` it is a count."""

    name: str
    part: Column
    whole: Column | None
    unit: str
    doc: str

    def measure(self, rows: pd.DataFrame) -> tuple[float, float, float, int]:
        """Return value, low, high (95%) and the number of customers behind it; NaN where it is unknown.

        A count is exact and has no interval. Shares stay within 0 and 1, points within -100 and 100.
        """
        part = self.part(rows).astype(float)
        if self.whole is None:
            count = float(part.sum())
            return count, count, count, len(rows)
        whole = self.whole(rows).astype(float)
        known = (part.notna() & whole.notna() & ((whole != 0) | (part != 0))).to_numpy()
        return self._ratio(part.to_numpy()[known], whole.to_numpy()[known])

    def _ratio(self, part: Any, whole: Any) -> tuple[float, float, float, int]:
        n = len(part)
        if not n or not whole.sum():
            return np.nan, np.nan, np.nan, 0
        value = part.sum() / whole.sum()
        error = Z * np.std(part - value * whole, ddof=1) / np.sqrt(n) / whole.mean() if n > 1 else np.nan
        low, high = np.clip([value - error, value + error], *BOUNDS.get(self.unit, (-np.inf, np.inf)))
        return float(value), float(low), float(high), n


def _flag(condition: "pd.Series[Any]") -> "pd.Series[Any]":
    return condition.astype(float)


def _active(rows: pd.DataFrame) -> "pd.Series[Any]":
    return _flag(rows["n_orders_now"] > 0)


def _was_active(rows: pd.DataFrame) -> "pd.Series[Any]":
    return _flag(rows["n_orders_before"] > 0)


def _one(rows: pd.DataFrame) -> "pd.Series[Any]":
    return pd.Series(1.0, index=rows.index)


def _new(rows: pd.DataFrame) -> "pd.Series[Any]":
    return _flag(rows["is_new"])


def _of(name: str) -> Column:
    return lambda rows: rows[name]


def _promoter_less_detractor(rows: pd.DataFrame) -> "pd.Series[Any]":
    score = rows["nps_score"]
    return 100.0 * (_flag(score >= 9) - _flag(score <= 6))


KPIS: tuple[Kpi, ...] = (
    Kpi("customers", _one, None, "customers", "Customers with a purchase so far."),
    Kpi("active_customers", _active, None, "customers", "Customers with an order in the period."),
    Kpi("new_customers", _new, None, "customers", "Customers whose first order lies in the period."),
    Kpi("retention_rate", lambda r: _active(r) * _was_active(r), _was_active, "share", "Of those active in the period before, who are active in this one."),
    Kpi("churn_rate", lambda r: (1 - _active(r)) * _was_active(r), _was_active, "share", "Of those active in the period before, who placed no order in this one."),
    Kpi("repeat_purchase_rate", lambda r: _flag(r["n_order_days"] >= 2), _one, "share", "Customers with two purchase days or more, of all."),
    Kpi("recurrence", lambda r: r["n_orders_now"] * (1 - _new(r)), _of("n_orders_now"), "share", "Of the period's orders, those of customers who first bought before it."),
    Kpi("days_between_orders", _of("recency_days"), lambda r: (r["n_order_days"] - 1).clip(lower=0), "days", "Mean days from one purchase day to the next, over all gaps."),
    Kpi("orders_per_customer", _of("n_orders_now"), _active, "orders", "Orders of the period per active customer."),
    Kpi("average_order_value", _of("revenue_now"), _of("n_orders_now"), "currency", "Revenue of the period, net of returns, per order."),
    Kpi("revenue_per_customer", _of("revenue_now"), _active, "currency", "Revenue of the period, net of returns, per active customer."),
    Kpi("cross_sell_rate", lambda r: _flag(r["n_new_categories_now"] > 0).where(r["n_new_categories_now"].notna()), lambda r: _flag(r["n_repeat_days_now"] > 0), "share", "Of those who bought again in the period, who bought from a category new to them."),
    Kpi("upsell_rate", lambda r: _flag(r["n_categories_dearer"] > 0), lambda r: _flag(r["n_categories_again"] > 0), "share", "Of those who bought from a known category again, who paid 1.1 times their unit price or more in one."),
    Kpi("nps", _promoter_less_detractor, lambda r: _flag(r["nps_score"].notna()), "points", "Promoters (9, 10) less detractors (0 to 6), in points of 100; the last answer of each in the period."),
    Kpi("ltv_365d", _of("margin_first_year"), _of("is_mature"), "currency", "Margin of a customer's first 365 days at the shop's margin rate, of those who have them behind them."),
    Kpi("cac", _of("acquisition_cost"), lambda r: _flag(r["acquisition_cost"].notna()), "currency", "Mean cost of winning a customer, where it is known."),
    Kpi("ltv_to_cac", _of("margin_first_year"), _of("acquisition_cost"), "ratio", "First-year margin per unit of money spent on winning the same customers."),
)  # fmt: skip
"""One line per KPI. The period is as many days before the cutoff as the shop's horizon."""


def facts(shop: Shop, cutoff: datetime) -> pd.DataFrame:
    """Return the rows that KPIs are computed from: one row per customer with a purchase before ``cutoff``.

    Index ``customer_id``; the columns of ``activity``, whether a customer is new and mature (0 or 1),
    first-year margin at the shop's margin rate, and the attributes and acquisition cost of the customers
    table.
    """
    period = shop.settings.horizon_days
    rows = activity(period).compute(shop.con, cutoff, timezone=shop.timezone)
    return _with_people(shop, rows, people=_people(shop), cutoff=cutoff, period=period)


def _people(shop: Shop) -> pd.DataFrame:
    people = fetch(shop.con, sql_of(table("customers"), shop.con.name))
    return people.astype({"customer_id": "str"}).set_index("customer_id")[[*ATTRIBUTES, "acquisition_cost"]]


def _with_people(
    shop: Shop, rows: pd.DataFrame, *, people: pd.DataFrame, cutoff: datetime, period: int
) -> pd.DataFrame:
    rows = rows.join(people)
    mature = (rows["days_since_first_order"] >= FIRST_YEAR_DAYS).astype(float)
    return rows.assign(
        is_new=(rows["days_since_first_order"] <= period).astype(float),
        is_mature=mature,
        margin_first_year=rows["revenue_first_year"].where(mature > 0) * shop.margin(cutoff).rate,
        acquisition_cost=rows["acquisition_cost"].astype(float),
        n_new_categories_now=rows["n_new_categories_now"] * (1.0 if shop.facts.has_categories else np.nan),
    )


def kpis(rows: pd.DataFrame, by: "pd.Series[Any] | None" = None) -> pd.DataFrame:
    """Return every KPI of ``facts``: ``kpi, group, value, low, high, n, unit``; unknown ones are NaN.

    ``by`` names each customer's group (index ``customer_id``); without it there is one, ``all``. A customer
    without a group is counted under ``unknown``.
    """
    group = pd.Series(EVERYONE, index=rows.index) if by is None else by.reindex(rows.index).fillna("unknown")
    figures = [
        {"kpi": kpi.name, "group": name, **_named(kpi.measure(part)), "unit": kpi.unit}
        for name, part in rows.groupby(group, sort=True)
        for kpi in KPIS
    ]
    return pd.DataFrame(figures, columns=["kpi", "group", "value", "low", "high", "n", "unit"])


def _named(figures: tuple[float, float, float, int]) -> dict[str, float]:
    return dict(zip(("value", "low", "high", "n"), figures, strict=True))


def over_time(shop: Shop, cutoffs: Iterable[datetime]) -> pd.DataFrame:
    """Return the KPIs of everyone as of each cutoff, in one scan: as ``kpis``, with a column ``cutoff``."""
    period, people = shop.settings.horizon_days, _people(shop)
    panel = activity(period).panel(shop.con, cutoffs, timezone=shop.timezone)
    parts = [
        kpis(
            _with_people(shop, pd.DataFrame(panel.xs(cutoff)), people=people, cutoff=cutoff, period=period)
        ).assign(cutoff=cutoff)
        for cutoff in panel.index.get_level_values("cutoff").unique()
    ]
    nobody = kpis(people.iloc[:0]).assign(cutoff=[])
    figures = pd.concat(parts, ignore_index=True) if parts else nobody
    return figures[["cutoff", *figures.columns.drop("cutoff")]]


def cohorts(shop: Shop, cutoff: datetime) -> pd.DataFrame:
    """Return the share of each month's new customers that ordered in each later month that has ended.

    Index the month of the first purchase (text ``YYYY-MM``), columns months since then from 0; ``n`` is the
    cohort's size. Net of returns; months are the shop's.
    """
    at_cutoffs(shop.con, [cutoff], timezone=shop.timezone)
    days = fetch(shop.con, sql_of(_months(purchase_days(Past(limited=False))), shop.con.name))
    if days.empty:
        return pd.DataFrame(columns=["n"])
    counts = days.pivot_table(index="cohort", columns="month", values="n", fill_value=0.0)
    counts = counts.reindex(columns=range(int(days["month"].max()) + 1), fill_value=0.0)
    closed = _closed(counts, cutoff, shop.timezone)
    shares = counts.div(counts[0], axis=0).where(closed).assign(n=counts[0])
    return shares[closed[:, 0]].dropna(axis=1, how="all")


def _months(days: Any) -> Any:
    """Return ``cohort, month, n``: how many customers of a cohort bought ``month`` months later."""
    import ibis

    mine = ibis.window(group_by="customer_id")
    rows = days.mutate(first_on=days.ordered_on.min().over(mine))
    month = (rows.ordered_on.year() - rows.first_on.year()) * 12 + rows.ordered_on.month()
    rows = rows.mutate(cohort=rows.first_on.strftime("%Y-%m"), month=month - rows.first_on.month())
    return rows.group_by(["cohort", "month"]).aggregate(n=rows.customer_id.nunique())


def _closed(shares: pd.DataFrame, cutoff: datetime, timezone: str) -> "Bools":
    """Return which cells' months had ended by the cutoff, shape of ``shares``; its columns are months from 0."""
    end = pd.Timestamp(cutoff).tz_convert(timezone)
    last = end.year * 12 + end.month - 1
    starts = np.array([int(name[:4]) * 12 + int(name[5:]) - 1 for name in shares.index])
    return np.asarray(starts[:, None] + shares.columns.to_numpy(int)[None, :] < last)
