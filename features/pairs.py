"""What is known of a customer and a product together: one function for training, all lists and one request.

``pair_features`` takes the histories of some customers and pairs of them with products, as flat arrays, and
returns one row a pair. It does not know whether there is one customer or a million: what is learnt from and
what is answered with cannot differ. Ages are days before the cutoff.
"""

import hashlib
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from features.groups import Column, Groups, Longs
from features.history import Floats, History, Ints
from features.products import HALF_LIVES, LEVELS, STATISTICS, ProductTable

MISSING = np.float32(-99)
"""A number, not NaN: what trees do with a NaN they did not meet in training differs between libraries."""
VERSION = 1
"""Raise it when a definition below or in ``features.products`` changes: older rankers are then refused."""

CUSTOMER: dict[str, str] = {
    "c_orders": "orders of the customer",
    "c_orders_7d": "orders, half-life 7 days",
    "c_orders_28d": "orders, half-life 28 days",
    "c_orders_112d": "orders, half-life 112 days",
    "c_since": "days since the last order",
    "c_tenure": "days since the first order",
    "c_gap": "mean days between orders",
    "c_basket": "mean products an order",
    "c_products": "distinct products bought",
    "c_repeat": "share of purchases that were of a product bought before",
    "c_new": "share of the last 28 days' purchases that were the first of their product",
}
OWN: dict[str, str] = {
    "n": "orders of the customer with the product",
    "n_7d": "the same, half-life 7 days",
    "n_28d": "the same, half-life 28 days",
    "n_112d": "the same, half-life 112 days",
    "since": "days since the customer last bought it",
    "first": "days since the customer first bought it",
    "gap": "mean days between their purchases of it",
    "last_gap": "days between the last two",
    "due": "since / gap",
    "due_shrunk": "since / gap, the gap shrunk to the product's",
    "due_product": "since / the product's usual gap",
    "quantity": "mean quantity a purchase",
    "last_quantity": "quantity of the last purchase",
    "share": "share of the customer's orders with it",
    "share_7d": "the same, half-life 7 days",
    "share_28d": "the same, half-life 28 days",
    "share_112d": "the same, half-life 112 days",
    "orders_since": "orders of the customer after the last one with it",
    "share_since_first": "share of orders with it since the first one with it",
    "share_between": "share of orders with it between the first and the last one with it",
}
KIND: dict[str, str] = {
    "{}_n": "purchases of the customer in the product's {}",
    "{}_7d": "the same ({}), half-life 7 days",
    "{}_28d": "the same ({}), half-life 28 days",
    "{}_112d": "the same ({}), half-life 112 days",
    "{}_since": "days since the customer last bought in the {}",
    "{}_share": "share of the customer's purchases that are in the {}, half-life 112 days",
}
NARROW: dict[str, str] = {
    "{}_products": "distinct products of the {} the customer bought",
    "{}_own": "share of the customer's purchases in the {} that were this product, half-life 112 days",
    "{}_due": "days since the last purchase in the {} / the usual gap there",
    "{}_expected": "purchases in the {} (half-life 112 days) x the product's share of its sales",
    "{}_expected_28d": "the same ({}), half-life 28 days",
}
OTHER: dict[str, str] = {
    "price_relative": "log price against the mean of what the customer buys",
    "own_rebuy": "the product's rebuy rate where the customer bought it, else 0",
    "s_similar": "item-item score: similar products the customer bought, TF-IDF, half-life 112 days",
    "s_factors": "product of the customer's and the product's ALS factors",
    "s_alike": "how much customers with like baskets buy it; 0 beyond their best",
}
SCORES = ("s_similar", "s_factors", "s_alike")
"""Collaborative scores, made by ``models.ranking.state`` and handed in."""


def _catalogue_of_features() -> dict[str, str]:
    kinds = {key.format(level): doc.format(level) for level in LEVELS for key, doc in KIND.items()} | {
        key.format(level): doc.format(level) for level in LEVELS[:2] for key, doc in NARROW.items()
    }
    return CUSTOMER | OWN | kinds | OTHER | STATISTICS


PAIR_FEATURES: dict[str, str] = _catalogue_of_features()
"""Name and meaning of every column, in order."""


def fingerprint() -> str:
    """Return eight hex digits that change with the columns, their meaning, or ``VERSION``."""
    return hashlib.sha256(repr((VERSION, PAIR_FEATURES)).encode()).hexdigest()[:8]


@dataclass(frozen=True)
class _Rows:
    """The histories' rows with what every group of features needs of them."""

    history: History
    customer: Longs
    age: Floats
    weight: Floats
    """Shape (3, rows): what each purchase still counts, by half-life."""
    visit: Longs
    """Number of the row's order among all orders here."""
    starts: NDArray[np.bool_]
    """Whether the row is the first of its order."""

    @classmethod
    def of(cls, history: History) -> "_Rows":
        age = (history.cutoff_day - history.day).astype(np.float32)
        weight = np.exp2(-age / np.array(HALF_LIVES, np.float32)[:, None])
        customer = history.customer.astype(np.int64)
        starts = np.diff(history.order, prepend=-1) != 0
        starts |= np.diff(customer, prepend=-1) != 0
        return cls(history, customer, age, weight, np.cumsum(starts) - 1, starts)


def pair_features(
    history: History, table: ProductTable, customer: Ints, product: Ints, scores: Floats
) -> Floats:
    """Return one row a pair, columns as in ``PAIR_FEATURES``, float32; ``MISSING`` where nothing is known.

    ``customer`` are codes of ``history``, ``product`` codes of its products and of ``table``; ``scores`` has
    shape (pairs, 3), see ``SCORES``. Each row depends on its own customer's history alone.
    """
    rows = _Rows.of(history)
    own = Groups.of(rows.customer * len(history.products) + history.product)
    found = {name: column[customer] for name, column in _customers(rows, own, table).items()}
    found |= _own(rows, own, found, table, (customer, product))
    for number in range(len(LEVELS)):
        found |= _kind(rows, own, found, table, (customer, product, number))
    found["price_relative"] = table.column("p_price")[product] - found["c_price"]
    found["own_rebuy"] = np.where(found["n"] > 0, table.column("p_rebuy")[product], 0)
    ours = [name for name in PAIR_FEATURES if name not in STATISTICS and name not in SCORES]
    features = np.empty((len(product), len(PAIR_FEATURES)), np.float32)
    for number, name in enumerate(ours):
        features[:, number] = found[name]
    features[:, len(ours) : len(ours) + len(SCORES)] = scores
    features[:, len(ours) + len(SCORES) :] = table.statistics[product]
    features[np.isnan(features)] = MISSING
    return features


def _customers(rows: _Rows, own: Groups, table: ProductTable) -> dict[str, Column]:
    """Return what is known of each customer, one value a customer; ``c_price`` is for use here only."""
    size, history = len(rows.history.customers), rows.history

    def per(rows_of: Longs, weights: Floats | None = None) -> Column:
        return np.bincount(rows_of, weights, minlength=size).astype(np.float32)

    visitor, visit_age = rows.customer[rows.starts], rows.age[rows.starts]
    orders, lines = per(visitor), per(rows.customer)
    tenure, since = np.zeros(size, np.float32), np.full(size, np.nan, np.float32)
    np.maximum.at(tenure, visitor, visit_age)
    np.fmin.at(since, visitor, visit_age)
    buyer = rows.customer[own.order[own.start]]
    products, recent = per(buyer), rows.age <= 28
    price = np.nan_to_num(table.column("p_price")[history.product])
    found = {
        "c_orders": orders,
        "c_since": since,
        "c_tenure": tenure,
        "c_gap": (tenure - since) / np.maximum(orders - 1, 1),
        "c_basket": lines / np.maximum(orders, 1),
        "c_products": products,
        "c_repeat": 1 - products / np.maximum(lines, 1),
        "c_new": per(buyer[own.first(rows.age) <= 28]) / np.maximum(per(rows.customer[recent]), 1),
        "c_price": per(rows.customer, price) / np.maximum(lines, 1),
        "c_last_visit": np.cumsum(orders) - 1,
    }
    decayed = {_days("c_orders", i): per(visitor, w[rows.starts]) for i, w in enumerate(rows.weight)}
    return found | decayed


def _days(name: str, half_life: int) -> str:
    return f"{name}_{HALF_LIVES[half_life]:.0f}d"


def _own(
    rows: _Rows, own: Groups, who: dict[str, Column], table: ProductTable, pairs: tuple[Ints, Ints]
) -> dict[str, Column]:
    """Return what the customer did with this very product."""
    customer, product = pairs
    at = own.at(customer.astype(np.int64) * len(rows.history.products) + product)

    def of(column: Column, absent: float = np.nan) -> Column:
        return np.append(column.astype(np.float32), np.float32(absent))[at]

    quantity, sums = rows.history.quantity, own.sums(np.vstack([rows.weight, rows.history.quantity]))
    n, since, first = of(own.n, 0), of(own.last(rows.age)), of(own.first(rows.age))
    usual, again = table.column("p_gap")[product], np.maximum(n - 1, 0)
    span = np.where(n > 1, first - since, 0)
    gap = np.where(n > 1, span / np.maximum(again, 1), np.nan)
    last_visit, first_visit = of(own.last(rows.visit)), of(own.first(rows.visit))
    decayed = {_days("n", i): of(sums[i], 0) for i in range(len(HALF_LIVES))}
    shares = {
        _days("share", i): decayed[_days("n", i)] / np.maximum(who[_days("c_orders", i)], 1e-6)
        for i in range(len(HALF_LIVES))
    }
    return (
        decayed
        | shares
        | {
            "n": n,
            "since": since,
            "first": first,
            "gap": gap,
            "last_gap": np.where(n > 1, of(own.last(rows.age, 1)) - since, np.nan),
            "due": since / np.maximum(gap, 1),
            "due_shrunk": since / np.maximum((span + 2 * usual) / (again + 2), 1),
            "due_product": since / np.maximum(usual, 1),
            "quantity": of(sums[-1], 0) / np.maximum(n, 1),
            "last_quantity": of(own.last(quantity)),
            "share": n / np.maximum(who["c_orders"], 1),
            "orders_since": who["c_last_visit"] - last_visit,
            "share_since_first": n / np.maximum(who["c_last_visit"] - first_visit + 1, 1),
            "share_between": again / np.maximum(last_visit - first_visit, 1),
        }
    )


def _kind(
    rows: _Rows, own: Groups, who: dict[str, Column], table: ProductTable, pairs: tuple[Ints, Ints, int]
) -> dict[str, Column]:
    """Return what the customer did with products of the same kind (category, brand), where it is known."""
    customer, product, number = pairs
    level, code = LEVELS[number], table.codes[number]
    size, wanted = table.n_kinds, code[product].astype(np.int64)
    key = rows.customer * size + code[rows.history.product] + 1  # 0 stands for unknown, and is not looked up
    groups = Groups.of(key)
    at = np.where(wanted >= 0, groups.at(customer * np.int64(size) + wanted + 1), len(groups.keys))

    def of(column: Column, absent: float = np.nan) -> Column:
        return np.append(column.astype(np.float32), np.float32(absent))[at]

    sums = groups.sums(rows.weight)
    found = {_days(level, i): of(sums[i], 0) for i in range(len(HALF_LIVES))}
    season, since = found[_days(level, 2)], of(groups.last(rows.age))
    everything = np.maximum(who[_days("c_orders", 2)] * who["c_basket"], 1e-6)
    found |= {f"{level}_n": of(groups.n, 0), f"{level}_since": since, f"{level}_share": season / everything}
    if number > 1:
        return found
    share = np.nan_to_num(table.column(f"p_share_{level}")[product])
    tried = np.bincount(groups.at(key[own.order[own.start]]), minlength=len(groups.keys))
    return found | {
        f"{level}_products": of(tried, 0),
        f"{level}_own": who["n_112d"] / np.maximum(season, 1e-6),
        f"{level}_due": since / np.maximum(table.column(f"p_gap_{level}")[product], 1),
        f"{level}_expected": season * share,
        f"{level}_expected_28d": found[_days(level, 1)] * share,
    }
