"""What is known of a customer and a product together: one function for training, all lists and one request.

``pair_features`` takes the histories of some customers and pairs of them with products, as flat arrays, and
returns one row per pair. It is the same code for one customer and for a million, so what a model is trained
on and what it is served cannot differ. Ages are days before the cutoff.
"""

import hashlib
from typing import Any

import numpy as np

from features.arrays.compiled import compiled
from features.arrays.dtypes import Floats, Ints
from features.arrays.history import History
from features.arrays.products import LEVELS, STATISTICS, ProductTable
from features.arrays.receipts import receipts, record

MISSING = np.float32(-99)
"""A number, not NaN: libraries differ in how trees treat a NaN that did not occur in training."""
VERSION = 2
"""Increase it when a definition below or in ``products`` changes: older rankers are then refused."""

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
    "quantity_relative": "log of 1 + that against the product's usual quantity",
    "last_quantity": "quantity of the last purchase",
    "value": "log of 1 + its price x the quantity bought, half-life 112 days",
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
    "s_together": "how much it is bought in one order with what the customer bought, half-life 112 days",
    "s_texts": "how much its words are like those of what the customer bought, half-life 112 days",
    "s_linear": "what a linear model of all purchases (EASE) tells from the customer's, half-life 112 days",
    "s_factors": "product of the customer's and the product's ALS factors",
    "s_alike": "how much customers with like baskets buy it; 0 beyond their best",
}
SCORES = ("s_similar", "s_together", "s_texts", "s_linear", "s_factors", "s_alike")
"""Collaborative scores, made by ``models.candidates.state`` and handed in."""


def _catalogue_of_features() -> dict[str, str]:
    kinds = {key.format(level): doc.format(level) for level in LEVELS for key, doc in KIND.items()} | {
        key.format(level): doc.format(level) for level in LEVELS[:2] for key, doc in NARROW.items()
    }
    return CUSTOMER | OWN | kinds | OTHER | STATISTICS


PAIR_FEATURES: dict[str, str] = _catalogue_of_features()
"""Name and meaning of every column, in order."""
_GROUPS = {
    "customer": record(CUSTOMER),
    "own": record(OWN),
    **{level: record(key.format("kind") for key in KIND) for level in LEVELS},
    **{f"{level}_narrow": record(key.format("kind") for key in NARROW) for level in LEVELS[:2]},
    "other": record(OTHER),
    "statistics": record(STATISTICS),
}
_ROW = np.dtype(list(_GROUPS.items()))
"""The same columns as nested records, for the functions below; names of a kind start with ``kind_``."""


def fingerprint() -> str:
    """Return eight hex digits that change with the columns, their meaning, or ``VERSION``."""
    return hashlib.sha256(repr((VERSION, PAIR_FEATURES)).encode()).hexdigest()[:8]


def pair_features(
    history: History, table: ProductTable, *, customer: Ints, product: Ints, scores: Floats
) -> Floats:
    """Return one row per pair, columns as in ``PAIR_FEATURES``, float32; ``MISSING`` where nothing is known.

    ``customer`` are codes of ``history``, in order; ``product`` codes of its products and of ``table``;
    ``scores`` has shape (pairs, 6), see ``SCORES``. Each row depends on its own customer's history alone.
    Raises ``ValueError`` for scores of another shape, and for pairs that are not in order.
    """
    if scores.shape != (len(product), len(SCORES)):
        raise ValueError(
            f"scores must have shape {(len(product), len(SCORES))}, as SCORES, not {scores.shape}"
        )
    facts = receipts(history, table, customer=customer, product=product)
    features = np.full((len(product), len(PAIR_FEATURES)), np.nan, np.float32)
    rows, goods = features.view(_ROW)[:, 0], table.records
    _fill(rows, facts.customers, facts.habits, goods, customer, product, scores)
    _settle(features)
    return features


@compiled
def _fill(  # noqa: PLR0917 (numba takes arrays, not objects)
    rows: Any, customers: Any, habits: Any, goods: Any, customer: Ints, product: Ints, scores: Floats
) -> None:
    for pair in range(len(product)):
        row, who, good = rows[pair], customers[customer[pair]], goods[product[pair]]
        own, leaf, branch = habits[0, pair], habits[1, pair], habits[2, pair]
        _customer(row.customer, who)
        _own(row.own, own, who, good)
        _kind(row.leaf, leaf, who)
        _kind(row.branch, branch, who)
        _kind(row.top, habits[3, pair], who)
        _kind(row.brand, habits[4, pair], who)
        _narrow(row.leaf_narrow, leaf, own, good.p_gap_leaf, good.p_share_leaf)
        _narrow(row.branch_narrow, branch, own, good.p_gap_branch, good.p_share_branch)
        _other(row.other, own, who, good, scores[pair])
        row.statistics = good


@compiled
def _customer(row: Any, who: Any) -> None:
    row.c_orders = who.orders
    row.c_orders_7d = who.orders_7d
    row.c_orders_28d = who.orders_28d
    row.c_orders_112d = who.orders_112d
    row.c_since = who.since
    row.c_tenure = who.tenure
    row.c_gap = (who.tenure - who.since) / max(who.orders - 1, 1)
    row.c_basket = who.lines / max(who.orders, 1)
    row.c_products = who.products
    row.c_repeat = 1 - who.products / max(who.lines, 1)
    row.c_new = who.products_now / max(who.lines_now, 1)


@compiled
def _own(row: Any, own: Any, who: Any, good: Any) -> None:
    """Fill in what the customer did with this very product."""
    again = max(own.n - 1, 0)
    span = own.first - own.since
    row.n, row.n_7d, row.n_28d, row.n_112d = own.n, own.n_7d, own.n_28d, own.n_112d
    row.share = own.n / max(who.orders, 1)
    row.share_7d = own.n_7d / max(who.orders_7d, 1e-6)
    row.share_28d = own.n_28d / max(who.orders_28d, 1e-6)
    row.share_112d = own.n_112d / max(who.orders_112d, 1e-6)
    row.quantity = own.quantity / max(own.n, 1)
    row.last_quantity = own.last_quantity
    row.since = own.since
    row.first = own.first
    row.due_product = own.since / max(good.p_gap, 1)
    row.orders_since = who.orders - own.visit
    if own.n > 0:
        row.quantity_relative = np.log1p(row.quantity) - good.p_quantity
        row.value = np.log1p(np.expm1(good.p_price) * own.quantity_112d)
        row.due_shrunk = own.since / max((span + 2 * good.p_gap) / (again + 2), 1)
        row.share_since_first = own.n / max(who.orders - own.first_visit + 1, 1)
        row.share_between = again / max(own.visit - own.first_visit, 1)
    if own.n > 1:
        row.gap = span / again
        row.last_gap = own.before - own.since
        row.due = own.since / max(row.gap, 1)


@compiled
def _kind(row: Any, habit: Any, who: Any) -> None:
    """Fill in what the customer did with products of the same kind (category, brand), where it is known."""
    everything = who.orders_112d * who.lines / max(who.orders, 1)
    row.kind_n = habit.n
    row.kind_7d, row.kind_28d, row.kind_112d = habit.n_7d, habit.n_28d, habit.n_112d
    row.kind_since = habit.since
    row.kind_share = habit.n_112d / max(everything, 1e-6)


@compiled
def _narrow(row: Any, habit: Any, own: Any, gap: float, share: float) -> None:
    """Fill in further columns of a narrow kind; ``gap`` and ``share`` are the product's statistics there."""
    share = 0 if np.isnan(share) else share
    row.kind_products = habit.products
    row.kind_own = own.n_112d / max(habit.n_112d, 1e-6)
    row.kind_due = habit.since / max(gap, 1)
    row.kind_expected = habit.n_112d * share
    row.kind_expected_28d = habit.n_28d * share


@compiled
def _other(row: Any, own: Any, who: Any, good: Any, scores: Floats) -> None:
    row.price_relative = good.p_price - who.price / max(who.lines, 1)
    row.own_rebuy = good.p_rebuy if own.n > 0 else 0
    row.s_similar, row.s_together, row.s_texts = scores[0], scores[1], scores[2]
    row.s_linear, row.s_factors, row.s_alike = scores[3], scores[4], scores[5]


@compiled
def _settle(features: Floats) -> None:
    """Put ``MISSING`` where nothing is known."""
    for row in features:
        for column in range(len(row)):
            if np.isnan(row[column]):
                row[column] = MISSING
