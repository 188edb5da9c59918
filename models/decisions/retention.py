"""Whom to keep under a budget: by what a contact is expected to change, in money; never by risk alone.

The gain of a contact is ``effect x margin if the customer stays - cost``. Until an experiment has been
learnt from, the effect is assumed (``churn probability x save_rate``) and every answer says ``effect:
"assumed"``.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.errors import InputError
from features.settings import Economics
from models.contact_policy import People, Refusal, cannot_know, contact_refusals, first_refusal
from models.decisions.budget import ROUNDING, affordable, at_most, best_rows
from models.decisions.economics import EFFECT, Money, incremental_margin, margin_if_stays
from models.decisions.words import how_it_works


@dataclass(frozen=True)
class Ranking:
    """Every customer, best first: first the worthwhile by gain for money, then the others, then the refused.

    ``frame`` has index ``customer_id`` and columns ``churn_probability_{h}d``,
    ``expected_margin_if_stays_{h}d``, ``contact_cost``, ``expected_incremental_margin_{h}d`` and
    ``ruled_out_by`` (a rule's name, empty if none).
    """

    frame: pd.DataFrame
    n_worthwhile: int
    """How many of the first rows are permitted and gain more than they cost."""
    n_permitted: int
    reasons: Mapping[str, str]
    """Each rule's reason in words."""
    consent_recorded: bool
    save_rate: float
    horizon_days: int
    currency: str = ""
    effect: str = "assumed"

    @property
    def money(self) -> str:
        """The name of the column that holds what contacting a customer is expected to earn."""
        return f"expected_incremental_margin_{self.horizon_days}d"

    def column(self, name: str) -> Money:
        """Return a column by its name without the horizon, e.g. ``churn_probability``."""
        full = name if name in self.frame else f"{name}_{self.horizon_days}d"
        return self.frame[full].to_numpy(np.float64)


@dataclass(frozen=True)
class Targets:
    """The customers to contact under a budget, in the order of what a contact earns for its money."""

    customers: pd.DataFrame
    """The ranking's rows of the chosen, with ``rank`` from 1."""
    budget: float
    spent: float
    expected_incremental_margin: float
    at_most: float
    """No choice under this budget can be expected to earn more; equal to the above where exact."""
    reason: str

    @property
    def exact(self) -> bool:
        """Whether no better choice exists (always, where all contacts cost the same)."""
        return self.expected_incremental_margin >= self.at_most * (1 - ROUNDING)


def rank_customers(
    scores: pd.DataFrame, people: People, economics: Economics, *, horizon_days: int, currency: str = ""
) -> Ranking:
    """Rank customers by what contacting them is expected to earn for its cost.

    ``scores`` has index ``customer_id``, ``churn_probability_{h}d`` and ``expected_margin_{h}d`` of the same
    horizon, and optionally ``contact_cost`` (default: ``economics.contact_cost`` for all) and
    ``contact_effect``, a learnt change of the chance of an order (default: assumed by ``save_rate``);
    ``people`` are consent and contacts of the same customers, in the same order.

    Ties go to the lower ``customer_id``. Raises ``InputError`` where a column is missing.
    """
    risk, expected, cost = _columns(scores, economics, horizon_days)
    stays = margin_if_stays(expected, risk)
    learnt = EFFECT in scores
    moved = scores[EFFECT].to_numpy(np.float64) if learnt else risk * economics.save_rate
    gain = incremental_margin(1 - risk, moved, margin=stays, discount=0, cost=cost)
    refusals = (*contact_refusals(people, economics), cannot_know(gain))
    refused = first_refusal(refusals, gain.shape)
    order = _order(gain, cost, refused, scores.index)
    columns = {
        f"churn_probability_{horizon_days}d": risk,
        f"expected_margin_if_stays_{horizon_days}d": stays,
        "contact_cost": cost,
        f"expected_incremental_margin_{horizon_days}d": gain,
        **({EFFECT: moved} if learnt else {}),
        "ruled_out_by": _names(refusals, refused),
    }
    frame = pd.DataFrame(columns, index=scores.index.rename("customer_id"))
    return Ranking(
        frame=frame.iloc[order],
        n_worthwhile=int(((refused < 0) & (gain > 0)).sum()),
        n_permitted=int((refused < 0).sum()),
        reasons={refusal.rule: refusal.why for refusal in refusals},
        consent_recorded=people.consent_recorded,
        save_rate=economics.save_rate,
        horizon_days=horizon_days,
        currency=currency,
        effect="learnt" if learnt else "assumed",
    )


def choose_targets(ranking: Ranking, budget: float) -> Targets:
    """Choose whom to contact for the greatest expected incremental margin within the budget.

    Exact where all contacts cost the same. Otherwise greedy by gain for cost, skipping what no longer fits,
    or the one best customer alone if that is worth more: at least half of the best possible, and
    ``at_most`` says how close. More budget never earns less. Raises ``InputError`` for a budget that is no
    amount of money.
    """
    if not budget >= 0:
        raise InputError(f"the budget must be an amount of 0 or more, got {budget}")
    gain, cost = _worthwhile(ranking)
    rows = best_rows(gain, cost, budget)
    chosen, earned = ranking.frame.iloc[rows], float(gain[rows].sum())
    return Targets(
        customers=chosen.assign(rank=np.arange(1, len(chosen) + 1)),
        budget=budget,
        spent=float(chosen["contact_cost"].sum()),
        expected_incremental_margin=earned,
        at_most=max(earned, at_most(gain, cost, budget)),
        reason=_reason(ranking, len(rows)),
    )


def curve(ranking: Ranking, *, points: int = 101) -> pd.DataFrame:
    """Return money against budget, from 0 to all worthwhile: ``budget``, ``n_customers`` and the money.

    Each point spends its budget to the last cent, and is the exact best for it.
    """
    n = ranking.n_worthwhile
    at = np.unique(np.linspace(0, n, points).astype(int))
    spent, gain = (
        np.concatenate([[0.0], np.cumsum(ranking.column(name)[:n])])[at]
        for name in ("contact_cost", "expected_incremental_margin")
    )
    return pd.DataFrame({"budget": spent, "n_customers": at, ranking.money: gain})


def compare_policies(
    ranking: Ranking, budget: float, *, left: "pd.Series[bool] | None" = None
) -> pd.DataFrame:
    """Return ``n_customers``, ``cost`` and the money of ranking policies under one budget, one row a policy.

    ``risk`` contacts the likeliest to leave, ``response`` the likeliest to buy, ``value`` the dearest,
    ``random`` is the mean over all orders, ``all`` spends whatever it takes, ``none`` nothing. All keep to
    the rules. Under its own assumptions no policy beats ours; with ``left`` (who did leave, of a closed
    horizon; boolean by customer_id) the predictions are put to the test, and only the effect of a contact
    stays assumed.
    """
    cost, permitted = ranking.column("contact_cost"), np.arange(ranking.n_permitted)
    chosen = {
        "expected gain": best_rows(*_worthwhile(ranking), budget),
        "all": permitted,
        "none": permitted[:0],
    }
    risk, value = ranking.column("churn_probability"), ranking.column("expected_margin_if_stays")
    for policy, score in (("risk", risk), ("response", 1 - risk), ("value", value)):
        order = np.argsort(-score[permitted], kind="stable")
        chosen[policy] = order[affordable(cost[order], budget)]
    gain = ranking.column("expected_incremental_margin") if left is None else _observed(ranking, left)
    rows = {policy: _sums(ranking.money, gain, cost, taken) for policy, taken in chosen.items()}
    everyone = rows["all"]["cost"]
    share = min(budget / everyone, 1.0) if everyone else 1.0
    rows["random"] = {column: share * value for column, value in rows["all"].items()}
    return pd.DataFrame(rows).T.rename_axis("policy")


def _columns(scores: pd.DataFrame, economics: Economics, horizon_days: int) -> tuple[Money, Money, Money]:
    wanted = [f"{name}_{horizon_days}d" for name in ("churn_probability", "expected_margin")]
    for name in wanted:
        if name not in scores:
            raise InputError(
                f"column {name!r} missing from the scores; found {list(scores)}",
                "churn and ltv must look ahead equally far; train both for this horizon",
            )
    if not scores.index.is_unique:
        raise InputError("a customer stands twice in the scores", "score each customer once")
    cost = scores["contact_cost"].to_numpy(np.float64) if "contact_cost" in scores else economics.contact_cost
    costs = np.broadcast_to(np.asarray(cost, np.float64), len(scores))
    if (costs < 0).any():
        raise InputError(f"contact_cost must be 0 or more, found {costs.min()}")
    risk, expected = (scores[name].to_numpy(np.float64) for name in wanted)
    return risk, expected, costs


def _names(refusals: Sequence[Refusal], refused: NDArray[np.int8]) -> "pd.Categorical[str]":
    """Return the name of each customer's first refusal, empty where none refuses."""
    return pd.Categorical.from_codes(refused + 1, pd.Index(["", *(refusal.rule for refusal in refusals)]))


def _order(gain: Money, cost: Money, refused: NDArray[np.int8], ids: pd.Index) -> NDArray[np.intp]:
    """Return rows by group (worthwhile, permitted, refused), gain for cost, gain, customer_id."""
    group = np.where(refused >= 0, 2, np.where(gain > 0, 0, 1))
    by_id = np.arange(len(ids)) if ids.is_monotonic_increasing else np.asarray(ids.argsort())
    keys = (-gain, -gain / np.maximum(cost, 1e-12), group)
    return by_id[np.lexsort([key[by_id] for key in keys])]


def _worthwhile(ranking: Ranking) -> tuple[Money, Money]:
    n = ranking.n_worthwhile
    return ranking.column("expected_incremental_margin")[:n], ranking.column("contact_cost")[:n]


def _observed(ranking: Ranking, left: "pd.Series[bool]") -> Money:
    """Return the gain of contacting each customer, with who did leave in place of the chance."""
    gone = left.reindex(ranking.frame.index).fillna(False).to_numpy(np.float64)
    saved = gone * ranking.save_rate * ranking.column("expected_margin_if_stays")
    return np.asarray(saved - ranking.column("contact_cost"))


def _sums(money: str, gain: Money, cost: Money, rows: NDArray[np.int64]) -> dict[str, float]:
    return {"n_customers": float(len(rows)), "cost": float(cost[rows].sum()), money: float(gain[rows].sum())}


def _reason(ranking: Ranking, n_chosen: int) -> str:
    ruled_out = ranking.frame["ruled_out_by"].iloc[ranking.n_permitted :].value_counts()
    parts = [f"{n_chosen} of {ranking.n_worthwhile} worthwhile customers fit the budget"]
    parts += [f"{ranking.n_permitted - ranking.n_worthwhile} would cost more than they are expected to bring"]
    parts += [f"{n} ruled out by {rule}" for rule, n in ruled_out.items() if n and rule]
    parts += [] if ranking.consent_recorded else ["nobody's consent is recorded, so none is known to refuse"]
    return f"{'; '.join(parts)}; {how_it_works(ranking.effect, ranking.save_rate)}"
