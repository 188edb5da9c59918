"""Whom to keep: customers ranked by the expected effect of a contact in money, never by risk.

``models.budgets.budget`` then says how many of them a budget pays for.

The gain of a contact is ``effect x margin if the customer stays - cost``. Until an experiment has been learnt
from, the effect is assumed (``churn probability x save_rate``) and every answer says ``effect: "assumed"``.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.arrays.dtypes import Rows
from features.errors import InputError
from features.settings import Economics
from models.decisions.economics import EFFECT, Money, incremental_margin, margin_if_stays
from models.policy.rules import Refusal, cannot_know, contact_refusals, first_refusal
from models.policy.subjects import People


def rank_customers(
    scores: pd.DataFrame, people: People, *, economics: Economics, horizon_days: int
) -> pd.DataFrame:
    """Rank customers by what contacting them is expected to earn relative to its cost.

    ``scores`` has index ``customer_id``, ``churn_probability_{h}d`` and ``expected_margin_{h}d`` of the same
    horizon, and optionally ``contact_cost`` (default: ``economics.contact_cost`` for all) and
    ``contact_effect``, a learnt change in the chance of an order (default: assumed by ``save_rate``);
    ``people`` holds consent and contacts of the same customers, in the same order.

    Returns every customer, best first: the worthwhile by gain per cost, then the others, then the refused;
    index ``customer_id``, columns ``churn_probability_{h}d``, ``expected_margin_if_stays_{h}d``,
    ``contact_cost``, ``expected_incremental_margin_{h}d``, ``contact_effect`` if it was learnt, and
    ``ruled_out_by`` (a rule's name, empty if none). Ties go to the lower ``customer_id``. Raises
    ``InputError`` if a column is missing.
    """
    risk, expected, cost = _columns(scores, economics, horizon_days)
    stays = margin_if_stays(expected, risk)
    learnt = EFFECT in scores
    moved = scores[EFFECT].to_numpy(np.float64) if learnt else risk * economics.save_rate
    gain = incremental_margin(1 - risk, moved, margin=stays, discount=0, cost=cost)
    refusals = (*contact_refusals(people, economics), cannot_know(gain))
    refused = first_refusal(refusals, gain.shape)
    order = _order(gain, cost, refused=refused, ids=scores.index)
    columns = {
        f"churn_probability_{horizon_days}d": risk,
        f"expected_margin_if_stays_{horizon_days}d": stays,
        "contact_cost": cost,
        f"expected_incremental_margin_{horizon_days}d": gain,
        **({EFFECT: moved} if learnt else {}),
        "ruled_out_by": _names(refusals, refused),
    }
    frame = pd.DataFrame(columns, index=scores.index.rename("customer_id"))
    return frame.iloc[order]


def _columns(scores: pd.DataFrame, economics: Economics, horizon_days: int) -> tuple[Money, Money, Money]:
    wanted = [f"{name}_{horizon_days}d" for name in ("churn_probability", "expected_margin")]
    for name in wanted:
        if name not in scores:
            raise InputError(
                f"column {name!r} missing from the scores; found {list(scores)}",
                "churn and ltv must have the same horizon; train both with it",
            )
    if not scores.index.is_unique:
        raise InputError("a customer is in the scores twice", "score each customer once")
    cost = scores["contact_cost"].to_numpy(np.float64) if "contact_cost" in scores else economics.contact_cost
    costs = np.broadcast_to(np.asarray(cost, np.float64), len(scores))
    if (costs < 0).any():
        raise InputError(
            f"contact_cost must be 0 or more, found {costs.min()}", "give costs in the shop's currency"
        )
    risk, expected = (scores[name].to_numpy(np.float64) for name in wanted)
    return risk, expected, costs


def _names(refusals: Sequence[Refusal], refused: NDArray[np.int8]) -> "pd.Categorical[str]":
    """Return the name of each customer's first refusal, empty if none refuses."""
    return pd.Categorical.from_codes(refused + 1, pd.Index(["", *(refusal.rule for refusal in refusals)]))


def _order(gain: Money, cost: Money, *, refused: NDArray[np.int8], ids: pd.Index) -> Rows:
    """Return rows by group (worthwhile, permitted, refused), gain per cost, gain, customer_id."""
    group = np.where(refused >= 0, 2, np.where(gain > 0, 0, 1))
    by_id = np.arange(len(ids)) if ids.is_monotonic_increasing else np.asarray(ids.argsort())
    keys = (-gain, -gain / np.maximum(cost, 1e-12), group)
    return by_id[np.lexsort([key[by_id] for key in keys])]
