"""A plain regression averaged with the ranker's trees and network, on the facts that its baselines use.

A dozen facts (how a product sells, how often the customer bought it, what was bought with it) and as many
weights, which few purchases suffice to learn. Trees and network know more, but fit noise when purchases are
few: there the regression has most weight, and with many purchases none.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

import numpy as np

from features.arrays.compiled import compiled
from features.arrays.dtypes import Bools, Doubles, Floats, Ints
from features.arrays.pairs import PAIR_FEATURES
from features.errors import ArtefactError
from models.clock.logistic import Logistic

FACTS = {
    "p_buyers_56d": 1_000, "p_sales_28d": 10_000, "n": 1, "n_28d": 1, "share": 10, "share_112d": 10,
    "since": 1, "c_orders_28d": 1, "p_rebuy_active": 10, "s_similar": 10, "s_linear": 10, "s_factors": 10,
}  # fmt: skip
"""Pair features it reads, each as log(1 + factor * feature)."""
MAX_ROWS = 30_000
"""Maximum number of rows to learn from, evenly drawn: more would hardly change so few weights."""
RIDGE = 30.0
"""L2 penalty on the weights, which matters while purchases are few."""
_COLUMNS = np.array([list(PAIR_FEATURES).index(name) for name in FACTS], np.int32)
_TIMES = np.array(list(FACTS.values()), np.float32)
_N = list(FACTS).index("n")


@dataclass(frozen=True)
class Plain:
    """The regression, and the weight of its log odds in the average."""

    share: float
    regression: Logistic

    @classmethod
    def learn(cls, features: Floats, bought: Bools, *, share: float) -> Self:
        """Learn from rows of pair features and whether each was bought."""
        rows = np.arange(0, len(bought), max(len(bought) // MAX_ROWS, 1))
        truth = bought[rows].astype(np.float64)
        return cls(share, Logistic.fit(facts(features[rows]), truth, ridge=RIDGE))

    def raw(self, features: Floats) -> Doubles:
        """Return each row's log odds, which depend on its own features alone."""
        return self.regression.odds(facts(features))

    def without(self, features: Floats, usual: Floats, family: Ints) -> Doubles:
        """Return ``raw`` with each family of columns replaced by ``usual``, as ``FlatTrees.without``."""
        families = range(family.max() + 1)
        return np.stack([self.raw(np.where(family == number, usual, features)) for number in families])

    def card(self) -> dict[str, Any]:
        """Return it as plain data, with the facts it reads."""
        return {"share": self.share, "facts": FACTS, "regression": asdict(self.regression)}

    @classmethod
    def of(cls, card: Mapping[str, Any]) -> Self:
        """Rebuild from what ``card`` returned; raise ``ArtefactError`` if it reads other facts."""
        if card["facts"] != FACTS:
            raise ArtefactError(
                f"the ranker's regression was trained on {sorted(card['facts'])}, this code computes "
                f"{sorted(FACTS)}",
                "retrain, or deploy the matching commit",
            )
        return cls(card["share"], Logistic.of(card["regression"]))


def facts(features: Floats) -> Floats:
    """Return the regression's inputs, shape (pairs, 13): ``FACTS``, and whether it was bought before.

    Missing values count as 0.
    """
    return _facts(features, _COLUMNS, _TIMES, _N)


@compiled
def _facts(features: Floats, columns: Ints, times: Floats, n: int) -> Floats:
    """Logarithms are computed from the bits of a number, as in ``models.ranking.net``."""
    rows = np.empty((len(features), len(columns) + 1), np.float32)
    for row in range(len(features)):
        for place in range(len(columns)):
            known = max(features[row, columns[place]], np.float32(0))
            grown = np.float32(np.float32(1) + known * times[place])
            rows[row, place] = np.float32(grown.view(np.int32) - np.int32(0x3F800000)) * np.float32(2**-23)
        rows[row, -1] = rows[row, n] > 0
    return rows
