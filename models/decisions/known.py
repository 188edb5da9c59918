"""What decisions need besides lists and money: standing of customers, facts of products, learnt effects."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Self

import numpy as np

from features.arrays.dtypes import Ints
from features.arrays.history import History
from features.arrays.stored import read_array, write_arrays
from features.errors import NotFound
from models.decisions.case import Case
from models.decisions.economics import Money
from models.decisions.roles import ProductFacts, kind_cooling, roles
from models.policy.action_table import ActionTable
from models.policy.standing import Standing
from models.policy.subjects import Goods, People

if TYPE_CHECKING:
    import pandas as pd

    from models.uplift import Uplift


@dataclass(frozen=True)
class Known:
    """What is known as of one scoring; rows by customer code and by product code."""

    standing: Standing
    products: ProductFacts
    learnt: Mapping[str, Money] = field(default_factory=dict)
    """By action: change in each customer's chance of an order, learnt from an experiment."""

    def case(
        self,
        rows: Ints,
        history: History,
        *,
        goods: Goods,
        people: People,
        product: Ints,
        chance: Money,
        days_since_bought: Money,
        standing: Standing | None = None,
    ) -> Case:
        """Build the case of some customers' candidates (codes and chances of shape (n, k)).

        ``history`` holds those customers' purchases, in their order; ``standing`` replaces what was known at
        the scoring.
        """
        return Case(
            people,
            product,
            chance,
            days_since_bought,
            standing=self.standing.take(rows) if standing is None else standing,
            role=roles(
                history, product, days_since_bought=days_since_bought, goods=goods, facts=self.products
            ),
            kind_cooling=kind_cooling(history, product, facts=self.products),
            learnt={name: change[rows] for name, change in self.learnt.items()},
        )

    def save(self, folder: Path) -> None:
        """Write plain arrays, to be memory-mapped by many workers."""
        self.standing.save(folder / "standing")
        self.products.save(folder / "products")
        write_arrays(folder, {f"learnt.{name}": change for name, change in self.learnt.items()})

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Memory-map what ``save`` wrote."""
        names = sorted(path.stem for path in folder.glob("learnt.*.npy"))
        learnt = {name.removeprefix("learnt."): read_array(folder, name) for name in names}
        return cls(Standing.load(folder / "standing"), ProductFacts.load(folder / "products"), learnt)


def learnt_effects(uplift: "Uplift", features: "pd.DataFrame", *, table: ActionTable) -> dict[str, Money]:
    """Return, by action of the table, the learnt effects; actions without one are left out.

    ``features`` are customer features, one row per customer.
    """
    effects: dict[str, Money] = {}
    for action in table.actions:
        try:
            effect = uplift.effect(features, action.name)["effect"].to_numpy(np.float64)
        except NotFound:
            continue
        effects[action.name] = effect
    return effects
