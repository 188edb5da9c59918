"""What could be done for everyone at a moment: the best arm of each action, for a million customers.

Decisions start from here: ``Options.best`` takes the option worth most, ``decisions.explore`` tries others,
``budgets.allocation`` keeps to a budget, ``budgets.calendar`` spreads contacts over days.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from features.arrays.dtypes import Ints, Rows
from models.decisions.arms import NO_ARM, PERMITTED, Codes, ValuedArms, weigh
from models.decisions.case import NOTHING, Case, Terms
from models.decisions.economics import Money
from models.policy.action_table import ActionTable
from models.policy.actions import DO_NOTHING
from models.policy.rules import Days
from models.policy.subjects import Goods

ARMS_AT_ONCE = 200_000


@dataclass(frozen=True)
class Options:
    """The best arm of every action; arrays of shape (n, n_actions), in the order of the action table."""

    table: ActionTable
    worth: Money
    """Worth of the action's best permitted arm; -inf if none is permitted."""
    product: Ints
    """The arm's product, as a code; -1 for an action without one, or if none is permitted."""
    chance: Money
    moved: Money
    """How much it raises that chance."""
    spend: Money
    """Cost of the contact and the expected discount."""
    refused: Codes
    """-1 if an arm is permitted, else the rule (position in ``rules``); -2 if no product fits the action."""
    opens: Days
    """Days until the rules of time permit it; 0 or less: now."""
    closes: Days
    rules: tuple[str, ...]

    def __len__(self) -> int:
        return len(self.worth)

    @property
    def names(self) -> list[str]:
        """The actions' names, and ``nothing`` last (so that index -1 is nothing)."""
        return [*(action.name for action in self.table.actions), DO_NOTHING]

    def best(self) -> Ints:
        """Return the action worth most to each customer, -1 if none is worth more than nothing; (n,)."""
        first = self.worth.argmax(axis=1)
        return np.where(self.worth.max(axis=1) > 0, first, NOTHING).astype(np.int32)

    def at(self, action: Ints) -> tuple[Ints, Money, Money, Money]:
        """Return product, worth, chance and spend of the given action of each customer (-1: nothing)."""
        rows, some = np.arange(len(self)), action >= 0
        taken = (rows, np.maximum(action, 0))
        product = np.where(some, self.product[taken], NOTHING).astype(np.int32)
        worth, spend = (np.where(some, column[taken], 0.0) for column in (self.worth, self.spend))
        return product, worth, np.where(some, self.chance[taken], np.nan), spend


def options(case: Case, goods: Goods, *, terms: Terms, days: int = 0) -> Options:
    """Return what every action could earn from each customer, under every rule.

    An arm counts as permitted if the rules of time permit it within ``days`` days (0: today); ``opens`` and
    ``closes`` then say when. Works in blocks of customers, so that only the result grows with their number.
    """
    parts = [_of_block(block, goods, terms=terms, days=days) for block in _blocks(_with_a_place(case), terms)]
    columns = [np.concatenate(column) for column in zip(*(part[0] for part in parts), strict=True)]
    worth, product, chance, moved, spend, refused, opens, closes = columns
    return Options(
        terms.table, worth, product, chance, moved, spend, refused, opens, closes, parts[0][1].rules
    )


def _blocks(case: Case, terms: Terms) -> Iterator[Case]:
    n, k = case.product.shape
    table = terms.table
    arms = max(table.n_with_product * k + len(table) - table.n_with_product, 1)
    size = max(ARMS_AT_ONCE // arms, 1)
    for start in range(0, max(n, 1), size):
        yield case.take(slice(start, start + size)) if n > size else case


def _of_block(
    case: Case, goods: Goods, *, terms: Terms, days: int
) -> tuple[tuple[NDArray[np.generic], ...], ValuedArms]:
    """Return the columns of ``Options`` for a block, in their order, and the arms they came from."""
    arms = weigh(case, goods, terms=terms, days=days)
    n, k = case.product.shape
    n_with = arms.table.n_with_product
    edge = n_with * k
    worth = np.where(arms.refused == PERMITTED, arms.worth, -np.inf)
    offers, product = (n, n_with, k), np.broadcast_to(case.product[:, None, :], (n, n_with, k))
    taken = _first_best(worth[:, :edge].reshape(offers), arms.refused[:, :edge].reshape(offers), product)
    columns = [
        np.hstack([np.take_along_axis(column[:, :edge].reshape(offers), taken, 2)[:, :, 0], column[:, edge:]])
        for column in (worth, arms.chance, arms.moved, arms.spend, arms.refused)
    ]
    code = np.full((n, len(arms.table)), NOTHING, np.int32)
    code[:, :n_with] = np.take_along_axis(product, taken, axis=2)[:, :, 0]
    code[columns[-1] != PERMITTED] = NOTHING
    return (columns[0], code, *columns[1:], arms.barred.opens, arms.barred.closes), arms


def _first_best(worth: Money, refused: Codes, product: Ints) -> Rows:
    """Return each action's best candidate, ties to the lower product; if none is permitted, a refused one."""
    most = np.iinfo(np.int32).max
    equal = (worth == worth.max(axis=2, keepdims=True)) & (refused != NO_ARM)
    return np.asarray(np.where(equal, product, most).argmin(axis=2)[:, :, None])


def _with_a_place(case: Case) -> Case:
    """Return the case with at least one column of candidates."""
    if case.product.shape[1]:
        return case
    n = len(case.product)
    unknown = np.full((n, 1), np.nan)
    none = np.full((n, 1), NOTHING, np.int32)
    return replace(
        case, product=none, chance=unknown, days_since_bought=unknown, role=None, kind_cooling=None
    )
