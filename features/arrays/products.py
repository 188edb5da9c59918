"""What a shop's orders say about each product as of a cutoff: sales, buyers, repeat purchases.

Everything is read from the history before the cutoff and from the catalogue; one row per product code.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from features.arrays.catalogue import Catalogue
from features.arrays.dtypes import Bools, Column, Floats, Ints, Longs
from features.arrays.groups import Groups
from features.arrays.history import History
from features.arrays.stored import read_array, write_arrays

HALF_LIVES = (7.0, 28.0, 112.0)
"""Days after which a purchase counts half: for what sells this week, this month, this season."""
WINDOWS = (7, 14, 28, 56)
"""Days in which distinct buyers are counted."""
LEVELS = ("leaf", "branch", "top", "brand")
"""Kinds of products: full category path, the path without its last step, its first step; and the brand."""

STATISTICS: dict[str, str] = {
    "p_sales_7d": "share of all sales, half-life 7 days",
    "p_sales_28d": "share of all sales, half-life 28 days",
    "p_sales_112d": "share of all sales, half-life 112 days",
    "p_buyers_7d": "share of the customers of the last 7 days who bought it",
    "p_buyers_14d": "share of the customers of the last 14 days who bought it",
    "p_buyers_28d": "share of the customers of the last 28 days who bought it",
    "p_buyers_56d": "share of the customers of the last 56 days who bought it",
    "p_basket_28d": "mean share of an order of the last 28 days that it was",
    "p_loyal_28d": "share of the last 28 days' customers, of those known for 56 days or more, who bought it",
    "p_trend_7d": "log of this week's share of sales over this month's",
    "p_trend_28d": "log of this month's share of sales over this season's",
    "p_first_28d": "share of all first purchases of anything, half-life 28 days",
    "p_first_14d": "share of all first purchases of the last 14 days",
    "n_buyers": "customers who ever bought it",
    "p_repeat": "share of its buyers who bought it on two days or more, shrunk to the shop's",
    "p_gap": "mean days between two purchases of it by one customer, shrunk to the shop's",
    "p_rebuy": "share of its earlier buyers who came back within the last horizon, shrunk to the shop's",
    "p_rebuy_active": "the same among those who ordered anything within the last horizon",
    "p_age": "days since its first sale",
    "p_since": "days since its last sale",
    "p_quantity": "mean log of 1 + the quantity a purchase",
    "p_price": "log of 1 + its price",
    "p_price_now": "mean price paid in the last 14 days over the mean price ever paid",
    "p_share_leaf": "its share of its category's sales, half-life 28 days",
    "p_share_branch": "its share of the sales one level up, half-life 28 days",
    "p_gap_leaf": "mean days between two purchases of one product in its category",
    "p_gap_branch": "mean days between two purchases of one product, one level up",
}
"""Name and meaning of every column of ``ProductTable.statistics``."""


@dataclass(frozen=True)
class ProductTable:
    """One row per product code: the kinds it belongs to, how it sells, what it costs."""

    codes: Ints
    """Shape (4, n_products), one row for each of ``LEVELS``; -1 unknown."""
    statistics: Floats
    """Shape (n_products, n_statistics), columns as in ``STATISTICS``; NaN unknown."""
    price: Floats
    """In the shop's currency; NaN unknown."""
    popularity: Floats
    """The chance that any one customer buys it within the horizon; see ``popularity``."""

    def column(self, name: str) -> Floats:
        """Return one statistic of every product."""
        return self.statistics[:, list(STATISTICS).index(name)]

    @cached_property
    def records(self) -> NDArray[np.void]:
        """The statistics as records, by name."""
        record = np.dtype([(name, np.float32) for name in STATISTICS])
        return np.ascontiguousarray(self.statistics).view(record)[:, 0]

    @cached_property
    def log_price(self) -> Floats:
        """The statistic ``p_price`` as a contiguous array."""
        return np.ascontiguousarray(self.column("p_price"))

    @property
    def by_popularity(self) -> Ints:
        """Product codes, best selling first; ties in the order of their ids."""
        return np.argsort(-self.popularity, kind="stable").astype(np.int32)

    @cached_property
    def n_kinds(self) -> int:
        """One more than the number of kinds on the level with the most."""
        return int(self.codes.max(initial=-1)) + 2

    def save(self, folder: Path) -> None:
        """Write one ``.npy`` per array."""
        write_arrays(
            folder, {name: getattr(self, name) for name in ("codes", "statistics", "price", "popularity")}
        )

    @classmethod
    def load(cls, folder: Path) -> "ProductTable":
        """Memory-map what ``save`` wrote."""
        names = ("codes", "statistics", "price", "popularity")
        return cls(*(read_array(folder, name) for name in names))


def product_table(history: History, catalogue: Catalogue, *, horizon_days: int) -> ProductTable:
    """Compute every statistic as of the history's cutoff."""
    pairs = _Pairs.of(history)
    codes = _codes(catalogue)
    columns = _sales(history) | _buyers(history) | _habits(pairs, history, horizon_days)
    columns |= _times(history) | _prices(history, catalogue) | _orders(history)
    columns["p_trend_7d"] = _log_ratio(columns["p_sales_7d"], columns["p_sales_28d"])
    columns["p_trend_28d"] = _log_ratio(columns["p_sales_28d"], columns["p_sales_112d"])
    for level, code in zip(("leaf", "branch"), codes, strict=False):
        columns[f"p_share_{level}"] = _share(columns["p_sales_28d"], code)
        columns[f"p_gap_{level}"] = _pooled_gap(pairs, code)
    table = np.column_stack([columns[name] for name in STATISTICS]).astype(np.float32)
    return ProductTable(codes, table, catalogue.price, popularity(history, horizon_days))


@dataclass(frozen=True)
class _Pairs:
    """Every (customer, product) bought: ages in days of the first and the last purchase, and their number."""

    customer: Ints
    product: Ints
    first: Ints
    last: Ints
    n: Longs

    @classmethod
    def of(cls, history: History) -> "_Pairs":
        groups, age = Groups.of(history.pair), history.cutoff_day - history.day
        customer, product = groups.first(history.customer), groups.first(history.product)
        return cls(customer, product, groups.first(age), groups.last(age), groups.end - groups.start + 1)


def _codes(catalogue: Catalogue) -> Ints:
    return np.stack([catalogue.category, _branch(catalogue), catalogue.top_category, catalogue.brand])


def _branch(catalogue: Catalogue) -> Ints:
    """Return codes of the categories' paths without their last step."""
    parents = [path.rpartition(" > ")[0] or path for path in catalogue.categories.all_names()]
    _, branch = np.unique(np.array(parents, dtype=str), return_inverse=True)
    padded = np.append(branch, -1).astype(np.int32)  # index -1, no category, reads this last one
    return padded[catalogue.category]


def _sales(history: History) -> dict[str, Column]:
    age = history.cutoff_day - history.day
    sales = {}
    for half_life in HALF_LIVES:
        weight = np.exp2(-age / half_life)
        sold = np.bincount(history.product, weight, len(history.products))
        sales[f"p_sales_{half_life:.0f}d"] = sold / max(weight.sum(), 1e-9)
    return sales


def _buyers(history: History) -> dict[str, Column]:
    shares = {f"p_buyers_{days}d": _buyer_share(history, days) for days in WINDOWS}
    return shares | {"p_loyal_28d": _buyer_share(history, 28, known_days=56)}


def n_buyers(history: History, rows: Bools) -> Longs:
    """Return how many customers bought each product in the ``rows`` of a history (a mask)."""
    size = max(len(history.products), 1)
    pairs = np.unique(history.pair[rows])
    return np.bincount(pairs % size, minlength=len(history.products))


def _buyer_share(history: History, days: int, *, known_days: int = 0) -> Floats:
    """Return the share of the customers of the last ``days`` who bought each product.

    Only customers count whose first order lies ``known_days`` or more before the cutoff.
    """
    recent = history.cutoff_day - history.day <= days
    if known_days:
        recent &= (_ages(history, np.maximum, 0) >= known_days)[history.customer]
    n_customers = len(np.unique(history.customer[recent]))
    return (n_buyers(history, recent) / max(n_customers, 1)).astype(np.float32)


def _ages(history: History, pick: np.ufunc, start: int) -> Ints:
    """Return the age of each customer's first (``np.maximum``) or latest order (``np.minimum``)."""
    ages = np.full(len(history.customers), start, np.int32)
    pick.at(ages, history.customer, history.cutoff_day - history.day)
    return ages


def popularity(history: History, horizon_days: int) -> Floats:
    """Return, for each product, the chance that any one customer buys it within the horizon.

    Distinct buyers of the last two horizons (28 to 180 days) over the customers of that time, scaled to one
    horizon. Products that have not sold lately are close to zero, in the order of their all-time sales.
    """
    days = int(np.clip(2 * horizon_days, 28, 180))
    share = np.minimum(_buyer_share(history, days).astype(np.float64), 1 - 1e-6)
    ever = np.bincount(history.product, minlength=len(history.products)) / max(len(history.product), 1)
    chance = -np.expm1(np.log1p(-share) * min(horizon_days / days, 1.0))
    return np.maximum(chance, 1e-9 * (1 + ever)).astype(np.float32)


def _habits(pairs: _Pairs, history: History, horizon_days: int) -> dict[str, Column]:
    """Compute how many customers try a product, how many buy it again, and after how long."""
    size = len(history.products)

    def total(weights: Column | None = None) -> Column:
        return np.bincount(pairs.product, weights, minlength=size)

    buyers, old = total(), pairs.first > horizon_days
    earlier, back = total(old), old & (pairs.last <= horizon_days)
    here = old & (_ages(history, np.minimum, horizon_days + 1) <= horizon_days)[pairs.customer]
    fresh, new = np.exp2(-pairs.first / 28.0), pairs.first <= 14
    return {
        "n_buyers": buyers,
        "p_repeat": _shrunk(total(pairs.first > pairs.last), buyers, 5),
        "p_gap": _shrunk(total(pairs.first - pairs.last), total(pairs.n - 1), 5),
        "p_rebuy": _shrunk(total(back), earlier, 10),
        "p_rebuy_active": _shrunk(total(back), total(here), 10),
        "p_first_28d": total(fresh) / max(fresh.sum(), 1e-9),
        "p_first_14d": total(new) / max(new.sum(), 1),
    }


def _times(history: History) -> dict[str, Column]:
    age = (history.cutoff_day - history.day).astype(np.float32)
    first = np.full(len(history.products), np.nan, np.float32)
    last = first.copy()
    np.fmax.at(first, history.product, age)
    np.fmin.at(last, history.product, age)
    return {"p_age": first, "p_since": last}


def _orders(history: History) -> dict[str, Column]:
    """Compute a product's mean share of recent orders, and the quantity bought at once."""
    size = len(history.products)
    recent = history.cutoff_day - history.day <= 28
    order, product = history.order[recent], history.product[recent]
    _, number, lines = np.unique(order, return_inverse=True, return_counts=True)
    share = np.bincount(product, 1 / lines[number], size) / max(len(lines), 1)
    return {
        "p_basket_28d": share,
        "p_quantity": _mean(
            history.product, np.log1p(history.quantity), rows=history.quantity > 0, size=size
        ),
    }


def _prices(history: History, catalogue: Catalogue) -> dict[str, Column]:
    paid = history.revenue / np.maximum(history.quantity, 1e-6)
    recent = history.cutoff_day - history.day <= 14
    now, ever = (
        _mean(history.product, paid, rows=rows, size=len(history.products))
        for rows in (recent, recent | True)
    )
    with np.errstate(divide="ignore", invalid="ignore"):
        return {
            "p_price": np.log1p(np.maximum(catalogue.price, 0)),
            "p_price_now": np.where(ever > 0, now / ever, np.nan),
        }


def _mean(code: Ints, value: Column, *, rows: Column, size: int) -> Column:
    rows = rows & np.isfinite(value)
    n = np.bincount(code[rows], minlength=size)
    total = np.bincount(code[rows], value[rows], minlength=size)
    return np.where(n > 0, total / np.maximum(n, 1), np.nan)


def _shrunk(part: Column, whole: Column, strength: float) -> Column:
    overall = part.sum() / max(whole.sum(), 1e-9)
    shrunk: Column = (part + strength * overall) / (whole + strength)
    return shrunk


def _log_ratio(now: Column, before: Column) -> Column:
    return np.log((now + 1e-6) / (before + 1e-6))


def _share(sales: Column, code: Ints) -> Column:
    """Return each product's share of its kind's sales; NaN without a kind."""
    total = np.bincount(code + 1, sales)
    return np.where(code >= 0, sales / np.maximum(total[code + 1], 1e-12), np.nan)


def _pooled_gap(pairs: _Pairs, code: Ints) -> Column:
    """Return the mean gap over all products of a product's kind; products without a kind are one kind too."""
    kind = code[pairs.product] + 1
    n_kinds = int(code.max(initial=-1)) + 2
    days = np.bincount(kind, pairs.first - pairs.last, minlength=n_kinds)
    gap: Column = _shrunk(days, np.bincount(kind, pairs.n - 1, minlength=n_kinds), 5)[code + 1]
    return gap
