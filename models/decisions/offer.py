"""The next best offer over arrays: the same function for one customer at request time and for all in a batch.

An *arm* is an action with one of the candidates, or an action that needs no product. Its worth is the
expected margin with it minus that without it. Doing nothing is worth 0 and is chosen unless a permitted arm
is worth more.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from functools import cached_property
from pathlib import Path

import numpy as np
from pydantic import TypeAdapter

from features.arrays.dtypes import Column, Ints, Rows
from features.arrays.stored import read_array, write_arrays
from models.decisions.arms import PERMITTED, ValuedArms, arm_codes, best_arm, repeated, weigh
from models.decisions.case import NOTHING, Case, Terms
from models.decisions.economics import Money
from models.policy.subjects import Goods

ReadyLists = Mapping[str, tuple[Column, Column]]
"""Ready lists by name: product codes and calibrated chances, both of shape (n_customers, k)."""
TERMS = TypeAdapter(Terms)
"""Conversion of terms to and from JSON."""


@dataclass(frozen=True)
class Decision:
    """What to do with each of n customers. Product codes are those of the case; ``NOTHING`` is -1.

    The m arms of a row are its columns: action by action each of the k candidates, then the actions without a
    product.
    """

    product: Ints
    """The candidates, shape (n, k)."""
    action: Ints
    """Index into ``arms.table.actions``, -1 for nothing; shape (n,)."""
    choice: Ints
    """Code of the chosen product, -1 for nothing and for an action without one; shape (n,)."""
    money: Money
    """Worth of the choice, shape (n,); 0 for nothing."""
    chance: Money
    """Chance of buying the product (or of an order) without the contact, shape (n,); NaN for nothing."""
    arms: ValuedArms
    """All arms that were considered."""

    @cached_property
    def order(self) -> Ints:
        """Columns of the permitted arms, best first, each product once per action; then -1; shape (n, m)."""
        arms = self.arms
        code = np.where(arms.refused == PERMITTED, arm_codes(self.product, arms.table), np.int64(NOTHING))
        allowed = (code >= 0) & ~repeated(code, arms.worth)
        order = np.lexsort((code, np.where(allowed, -arms.worth, np.inf)), axis=1).astype(np.int32)
        return np.where(np.take_along_axis(allowed, order, axis=1), order, NOTHING)

    def action_of(self, column: int) -> int:
        """Return the index in the table of an arm's action."""
        k, n_with = self.product.shape[1], self.arms.table.n_with_product
        return column // k if column < n_with * k else n_with + int(column - n_with * k)

    def candidate_of(self, column: int) -> int:
        """Return an arm's candidate, -1 if its action needs no product."""
        k = self.product.shape[1]
        return column % k if column < self.arms.table.n_with_product * k else NOTHING


def choose(case: Case, goods: Goods, *, terms: Terms) -> Decision:
    """Choose for every customer the permitted arm that is worth most, or nothing.

    Assumes that an offer lifts each chance by the same share and sells one unit; this is wrong if it only
    brings a purchase forward. Rules of time apply as of today. Ties go to doing nothing, then to the first
    action, then to the lower product code.
    """
    arms = weigh(case, goods, terms=terms)
    best = best_arm(arms, case.product)
    action, choice, money, chance = _pick(case, arms, best)
    return Decision(case.product, action, choice, money, chance, arms)


def _pick(case: Case, arms: ValuedArms, best: Rows) -> tuple[Ints, Ints, Money, Money]:
    """Return action, product, worth and chance of each row's best arm (-1: nothing)."""
    n, k = case.product.shape
    table, worth = arms.table, arms.worth
    if not worth.shape[1]:
        none = np.full(n, NOTHING, np.int32)
        return none, none, np.zeros(n), np.full(n, np.nan)
    rows, paid, edge = np.arange(n), best >= 0, table.n_with_product * k
    action = np.where(best < edge, best // max(k, 1), table.n_with_product + best - edge)
    product = np.full(n, NOTHING, np.int32)
    if k:
        product = np.where(paid & (best < edge), case.product[rows, best % k], np.int32(NOTHING))
    return (
        np.where(paid, action, NOTHING).astype(np.int32),
        product,
        np.where(paid, worth[rows, best], 0.0),
        np.where(paid, arms.chance[rows, best], np.nan),
    )


def merge_lists(lists: ReadyLists) -> tuple[Ints, Money]:
    """Join ready lists into candidates and their chances, both of shape (n, all k)."""
    products = [np.asarray(product, np.int32) for product, _ in lists.values()]
    chances = [np.asarray(chance, np.float64) for _, chance in lists.values()]
    return np.hstack(products), np.hstack(chances)


def save_goods_and_terms(folder: Path, goods: Goods, *, terms: Terms) -> None:
    """Write what ``choose`` needs besides the case: arrays of the goods, and the terms as JSON."""
    write_arrays(folder, {part.name: getattr(goods, part.name) for part in fields(goods)})
    (folder / "terms.json").write_text(TERMS.dump_json(terms, indent=1).decode(), encoding="utf-8")


def load_goods_and_terms(folder: Path) -> tuple[Goods, Terms]:
    """Memory-map what ``save_goods_and_terms`` wrote; raise ``OSError`` or ``ValueError`` if it is broken."""
    goods = Goods(*(read_array(folder, part.name) for part in fields(Goods)))
    return goods, TERMS.validate_json((folder / "terms.json").read_bytes())
