"""Roles a product can have for a customer: new, dearer than what they buy, due again, worth a flash sale."""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from features.arrays.compiled import compiled
from features.arrays.dtypes import Bools, Bytes, Floats, Ints
from features.arrays.groups import found_at
from features.arrays.history import History
from features.arrays.last_bought import days_since_kind
from features.arrays.stored import read_array, write_arrays
from features.window import local_day
from models.decisions.economics import Money
from models.decisions.reading import group_days
from models.policy.action_table import role_bit
from models.policy.subjects import Goods
from models.similarity.baskets import together

if TYPE_CHECKING:
    from datetime import datetime

    import pandas as pd

    from features.shop import Shop

FEWEST_GAPS = 5
"""Minimum repeat purchases for a product's own rhythm; with fewer its category's is used, else the shop's."""
DUE_SHARE = 0.75
"""A product is due when this share of the usual time between two purchases has passed."""
DEARER, DEAREST = 1.15, 3.0
"""A better version costs between these multiples of what the customer usually pays in its category."""
N_ACCESSORIES = 20
"""Accessories stored per product; what was bought in the last ``SALES_DAYS`` may get one."""
LAUNCH_DAYS, SALES_DAYS, SLOW_DAYS = 30, 90, 180
"""A launch is at most this old; sales are counted over this time; a slow mover's stock lasts longer than
this."""
ANY, NEW, BETTER, DUE, FLASH = (np.uint8(role_bit(role)) for role in ("any", "new", "dearer", "due", "flash"))


@dataclass(frozen=True)
class ProductFacts:
    """What is known of products besides price and stock; arrays of shape (n_products,)."""

    category: Ints
    same_kind_days: Floats
    """Days after a purchase during which nothing else of the same category is offered."""
    settling_days: Floats
    """Days from an order until its delivery counts as settled, if no delivery is recorded."""
    repeat_days: Floats
    """Usual days between two purchases by the same customer; NaN if it is never bought again."""
    flash: Bools
    """Slow movers and launches."""
    partner: Ints
    """The best seller of the same category to show with it; -1 without one."""
    accessories: Ints
    """Products often bought in one order with it that are no substitutes, shape (n_products, m); padded with
    -1."""

    @classmethod
    def read(cls, shop: "Shop", cutoff: "datetime", *, accessories: Ints | None = None) -> "ProductFacts":
        """Read the facts as of ``cutoff``, aligned to its catalogue; with ``accessories`` if known."""
        catalogue, history = shop.catalogue(cutoff), shop.history(cutoff)
        paths = [*catalogue.categories.all_names(), ""]
        groups, policy = shop.settings.product_groups, shop.settings.contact_policy
        days = group_days(groups, paths, field="same_kind_days")
        settling = (
            group_days(groups, paths, field="settling_days", default=policy.settling_days)
            + policy.delivery_days
        )
        units = _units(history)
        if accessories is None:
            accessories = together(history, catalogue.category, n=N_ACCESSORIES).near.product
        return cls(
            category=catalogue.category,
            same_kind_days=days[catalogue.category],
            settling_days=settling[catalogue.category],
            repeat_days=repeat_days(history, catalogue.category),
            flash=_slow(catalogue.stock, units) | _launched(shop, cutoff, history),
            partner=_partners(catalogue.category, units),
            accessories=accessories,
        )

    def save(self, folder: Path) -> None:
        """Write one ``.npy`` per array."""
        write_arrays(folder, {part.name: getattr(self, part.name) for part in fields(self)})

    @classmethod
    def load(cls, folder: Path) -> "ProductFacts":
        """Memory-map what ``save`` wrote."""
        facts = cls(*(read_array(folder, part.name) for part in fields(cls)))
        nobody = np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32)
        _goes_with(nobody, 0, np.zeros((0, 1), np.int32), facts.accessories)  # compile before requests
        return facts


def roles(
    history: History, product: Ints, *, days_since_bought: Money, goods: Goods, facts: ProductFacts
) -> Bytes:
    """Return the roles of each candidate for each customer of ``history``, as bits; shape (n, k)."""
    new, price = np.isnan(days_since_bought), goods.price[product]
    usual = usual_price(history, product, price=goods.price, category=facts.category)
    with np.errstate(invalid="ignore"):
        better = new & (price >= DEARER * usual) & (price <= DEAREST * usual)
        due = days_since_bought >= DUE_SHARE * facts.repeat_days[product]
    flash = new & (facts.flash[product] | goes_with(history, product, accessories=facts.accessories))
    return np.asarray(ANY | NEW * new | BETTER * better | DUE * due | FLASH * flash, np.uint8)


def goes_with(history: History, product: Ints, *, accessories: Ints) -> Bools:
    """Mark candidates (n, k) that are accessories of what the customer bought in the last ``SALES_DAYS``."""
    since = history.cutoff_day - SALES_DAYS
    rows = (history.indptr, history.product, history.day)
    return _goes_with(rows, since, np.ascontiguousarray(product, np.int32), accessories)


@compiled
def _goes_with(rows: tuple[Any, Ints, Ints], since: int, product: Ints, accessories: Ints) -> Bools:
    indptr, bought, day = rows
    asked = np.full(len(accessories) + 1, -1, np.int32)  # the last entry absorbs the index -1
    goes = np.zeros(product.shape, np.bool_)
    for customer in range(len(product)):
        for row in range(indptr[customer], indptr[customer + 1]):
            if day[row] >= since:
                for accessory in accessories[bought[row]]:
                    asked[accessory] = customer
        asked[-1] = -1
        for place in range(product.shape[1]):
            goes[customer, place] = asked[product[customer, place]] == customer
    return goes


def kind_cooling(history: History, product: Ints, *, facts: ProductFacts) -> Bools | None:
    """Mark candidates of a category the customer bought from too recently; None if none has a limit."""
    if not (facts.same_kind_days > 0).any():
        return None
    since = days_since_kind(history, product, category=facts.category)
    return np.asarray(since < facts.same_kind_days[product])


def usual_price(history: History, product: Ints, *, price: Money, category: Ints) -> Money:
    """Return the mean price each customer paid in each candidate's category; NaN without purchases."""
    n = int(category.max(initial=-1)) + 2  # categories, none (-1), and one that nobody bought from
    kind, cost = category[history.product].astype(np.int64), price[history.product]
    known = (kind >= 0) & np.isfinite(cost)
    if not known.any():
        return np.full(product.shape, np.nan)
    key = history.customer[known].astype(np.int64) * n + kind[known]
    pairs, at = np.unique(key, return_inverse=True)
    mean = np.bincount(at, cost[known]) / np.bincount(at)
    wanted_kind = np.append(category, np.int32(-1))[product]
    wanted = np.arange(len(product), dtype=np.int64)[:, None] * n + wanted_kind
    place = found_at(wanted, pairs)
    return np.where(place >= 0, mean[place], np.nan)


def repeat_days(history: History, category: Ints) -> Floats:
    """Return the median days between two purchases of each product by one customer; NaN if never repeated."""
    import pandas as pd

    rows = pd.DataFrame({"customer": history.customer, "product": history.product, "day": history.day})
    gaps = rows.groupby(["customer", "product"])["day"].diff()
    again = rows.assign(gap=gaps, category=category[rows["product"]])[gaps > 0]
    whole = np.nan if again.empty else float(again["gap"].median())
    by_kind = _medians(again, "category").reindex(category)
    of_kind = np.where(category >= 0, by_kind.to_numpy(np.float64), np.nan)
    own = _medians(again, "product").reindex(np.arange(len(category))).to_numpy(np.float64)
    days = np.where(np.isfinite(own), own, np.where(np.isfinite(of_kind), of_kind, whole))
    return days.astype(np.float32)


def _medians(again: "pd.DataFrame", key: str) -> "pd.Series[float]":
    gaps = again.groupby(key)["gap"].agg(["median", "size"])
    return gaps.loc[gaps["size"] >= FEWEST_GAPS, "median"]


def _units(history: History) -> Money:
    """Return the units of each product sold in the last ``SALES_DAYS``."""
    recent = history.day >= history.cutoff_day - SALES_DAYS
    sold = np.bincount(history.product[recent], history.quantity[recent], len(history.products))
    return np.asarray(sold, np.float64)


def _slow(stock: NDArray[np.floating], units: Money) -> Bools:
    return np.asarray(stock * SALES_DAYS > SLOW_DAYS * units)  # NaN is not known to be


def _launched(shop: "Shop", cutoff: "datetime", history: History) -> Bools:
    launched = shop.con.raw_sql(
        _LAUNCHES.format(day=local_day(cutoff, shop.timezone), days=LAUNCH_DAYS)
    ).fetchnumpy()
    mask = np.zeros(len(history.products), bool)
    codes = history.products.codes(launched["product_id"].tolist())
    mask[codes[codes >= 0]] = True
    return mask


def _partners(category: Ints, units: Money) -> Ints:
    """Return the best seller of each product's category; -1 for itself or without a category."""
    order = np.lexsort((np.arange(len(category)), -units, category))
    kinds, first = np.unique(category[order], return_index=True)
    best = order[first][np.searchsorted(kinds, category)].astype(np.int32)
    return np.where((category < 0) | (best == np.arange(len(category))), -1, best).astype(np.int32)


_LAUNCHES = """
SELECT product_id FROM products
WHERE launched_on < DATE '{day}' AND launched_on >= DATE '{day}' - {days}
"""
