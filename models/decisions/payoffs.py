"""What different policies of offers would have earned on a closed horizon.

Actual purchases replace the chances; the effect of an offer stays assumed, as only an experiment can measure
it.
"""

import numpy as np
import pandas as pd

from features.arrays.dtypes import Bools, Ints
from features.arrays.history import History
from models.decisions.case import NOTHING, Case, Terms
from models.decisions.economics import Money, assumed_effect
from models.decisions.offer import Decision
from models.policy.subjects import Goods


def policies(case: Case, decision: Decision) -> dict[str, Ints]:
    """Return the candidate column each policy offers to each customer, -1 for nothing; all obey the rules.

    ``likelihood`` offers the likeliest product to as many customers as we do, the likeliest first; ``all``
    offers it to everybody; ``none`` to nobody.
    """
    allowed = np.zeros(np.add(case.product.shape, (0, 1)), bool)
    np.put_along_axis(allowed, decision.order, True, axis=1)  # -1 lands in the spare last column
    chance = np.where(allowed[:, :-1], case.chance, -1.0)
    likeliest = np.where(allowed[:, :-1].any(axis=1), chance.argmax(axis=1), NOTHING).astype(np.int32)
    ours = np.where(decision.choice != NOTHING, decision.order[:, 0], NOTHING).astype(np.int32)
    by_chance = np.argsort(-chance.max(axis=1), kind="stable")
    likelihood = np.full_like(likeliest, NOTHING)
    chosen = by_chance[: int((ours >= 0).sum())]
    likelihood[chosen] = likeliest[chosen]
    nobody = np.full_like(likeliest, NOTHING)
    return {"next_best_offer": ours, "likelihood": likelihood, "all": likeliest, "none": nobody}


def payoff(case: Case, column: Ints, *, bought: Bools, goods: Goods, terms: Terms) -> Money:
    """Return each customer's margin under a policy, from what was bought and the *assumed* effect: (n,).

    If chances are calibrated, its mean equals the worth that the policy expected.
    """
    rows = np.flatnonzero(column >= 0)
    at = (rows, column[rows])
    chance, product = np.maximum(case.chance[at], 1e-12), case.product[at]
    relative = assumed_effect(chance, terms.economics.offer_lift) / chance
    discount = goods.price[product] * terms.discount_share
    sale = relative * (goods.margin[product] - discount) - discount
    money = np.zeros(len(column))
    money[rows] = bought[at] * sale - terms.economics.contact_cost
    return money


def bought_of(labels: pd.DataFrame, product: Ints, *, history: History) -> Bools:
    """Mark the candidates (n, k), rows as in ``history``, that are in ``labels`` (one row per pair)."""
    wanted = np.arange(len(product), dtype=np.int64)[:, None] * len(history.products) + product
    return np.asarray(np.isin(wanted, history.pairs_of(labels)) & (product >= 0))


def summary_of(case: Case, column: Ints, *, bought: Bools, goods: Goods) -> dict[str, float]:
    """Return how many offers a policy makes, their chance, the share bought, and the margin at stake."""
    rows = np.flatnonzero(column >= 0)
    at = (rows, column[rows])
    return {
        "n_offers": float(len(rows)),
        "chance_said": float(case.chance[at].mean()) if len(rows) else np.nan,
        "share_bought": float(bought[at].mean()) if len(rows) else np.nan,
        "margin_at_stake": float((bought[at] * goods.margin[case.product[at]]).sum()),
    }
