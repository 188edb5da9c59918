"""A decision in words: what was chosen and why, the runners-up, and what ruled out the rest."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from features.arrays.dtypes import Column
from models.decisions.arms import NO_ARM, PERMITTED
from models.decisions.case import NOTHING, Case, Terms
from models.decisions.everyone import Options
from models.decisions.offer import Decision
from models.policy.actions import DO_NOTHING

N_RUNNERS_UP = 3
OPEN_END_DAYS = 3650
"""In days: a window that closes later is described as staying open."""


def explain(
    decision: Decision, case: Case, terms: Terms, row: int, *, products: Sequence[str], names: Sequence[str]
) -> dict[str, Any]:
    """Describe one row of a decision; ``products`` and ``names`` are its k candidates' ids and names.

    Returns ``action`` and ``product_id`` (None for nothing and for an action without one), ``channel``, the
    money and the chance under their full names, ``currency``, ``effect``, ``window`` (days from now),
    ``reason``, ``runners_up`` (action, product_id and money, best first; None is doing nothing),
    ``ruled_out`` (product_id, rule, reason; a single entry without product_id if one rule refused all) and
    ``ruled_out_actions`` (action, rule, reason).
    """
    options = _options(decision, row, products)
    at = next((i for i, (_, _, worth) in enumerate(options) if worth <= 0), len(options))
    options.insert(at if decision.money[row] else 0, (DO_NOTHING, None, 0.0))
    action = int(decision.action[row])
    runners_up = [
        {"action": name, "product_id": product, terms.money: money}
        for name, product, money in options[1 : N_RUNNERS_UP + 1]
    ]
    return {
        "action": options[0][0],
        "product_id": options[0][1],
        "channel": None if action == NOTHING else decision.arms.table.actions[action].channel,
        terms.money: options[0][2],
        terms.probability: None if action == NOTHING else float(decision.chance[row]),
        "currency": terms.currency,
        "effect": effect_of(options[0][0], case, terms),
        "window": window(decision, row),
        "reason": _reason(decision, case, terms, row, names),
        "runners_up": runners_up,
        "ruled_out": _ruled_out(decision, row, products),
        "ruled_out_actions": _ruled_out_actions(decision, row),
    }


def effect_of(name: str, case: Case, terms: Terms) -> str:
    """Return the origin of an action's effect: ``learnt`` from an experiment, or ``assumed``."""
    return "learnt" if name in case.learnt else terms.effect


def window(decision: Decision, row: int) -> dict[str, int | None] | None:
    """Return when the chosen action, permitted today, may be taken, in days from now; None for nothing."""
    action = int(decision.action[row])
    if action == NOTHING:
        return None
    closes = float(decision.arms.barred.closes[row, action])
    return {"opens_in_days": 0, "closes_in_days": int(closes) if closes < OPEN_END_DAYS else None}


def _options(decision: Decision, row: int, products: Sequence[str]) -> list[tuple[str, str | None, float]]:
    """Return action, product and worth of the best permitted arms, best first."""
    columns = decision.order[row, : N_RUNNERS_UP + 1]
    options: list[tuple[str, str | None, float]] = []
    for column in columns[columns >= 0].tolist():
        candidate = decision.candidate_of(column)
        name = decision.arms.table.actions[decision.action_of(column)].name
        product = None if candidate == NOTHING else products[candidate]
        options.append((name, product, float(decision.arms.worth[row, column])))
    return options


def _ruled_out(decision: Decision, row: int, products: Sequence[str]) -> list[dict[str, Any]]:
    arms = decision.arms.refused[row][decision.arms.refused[row] != NO_ARM]
    if len(arms) and arms[0] >= 0 and (arms == arms[0]).all():
        return [{"product_id": None} | decision.why(int(arms[0]))]
    return [
        {"product_id": products[at]} | decision.why(code) for at, code in _refused_products(decision, row)
    ]


def _refused_products(decision: Decision, row: int) -> list[tuple[int, int]]:
    """Return the candidates that no action may offer, each with the first rule that refused it."""
    k = decision.product.shape[1]
    if not decision.arms.table.n_with_product:
        return []
    by_action = decision.arms.refused[row, : decision.arms.table.n_with_product * k]
    by_action = by_action.reshape(decision.arms.table.n_with_product, k)
    real, out = by_action != NO_ARM, (by_action != PERMITTED).all(axis=0)
    first = real.argmax(axis=0)
    rule = by_action[first, np.arange(k)]
    return [(at, int(rule[at])) for at in np.flatnonzero(out & real.any(axis=0)).tolist()]


def _ruled_out_actions(decision: Decision, row: int) -> list[dict[str, str]]:
    barred = decision.arms.barred.first[row].tolist()
    return [
        {"action": action.name} | decision.why(code)
        for action, code in zip(decision.arms.table.actions, barred, strict=True)
        if code >= 0
    ]


def _reason(decision: Decision, case: Case, terms: Terms, row: int, names: Sequence[str]) -> str:
    best = int(decision.order[row, 0]) if decision.order.shape[1] else NOTHING
    if best == NOTHING:
        return _why_nothing(decision, row)
    action, candidate = decision.action_of(best), decision.candidate_of(best)
    effect = float(decision.arms.table.effect[action])
    called = decision.arms.table.actions[action].name
    how = effect_of(called, case, terms)
    chance = float(decision.arms.chance[row, best])
    if candidate == NOTHING:
        text = f"{called.replace('_', ' ')}: chance of an order within {terms.horizon_days} days {chance:.0%}"
        lift = f"if it moves {effect:.0%} of those who would not order" if how == "assumed" else "its effect"
    else:
        text = f"{names[candidate]}: chance {chance:.0%} to be bought within {terms.horizon_days} days"
        lift = f"if offering it raises that by {effect:.0%} of itself" if how == "assumed" else "its effect"
    money = f"{decision.arms.worth[row, best]:+.2f} {terms.currency}".rstrip()
    off = float(decision.arms.table.discount[action])
    given = f" and {off:.0%} off" if off else ""
    earns = f"{money} of margin after {decision.arms.table.cost[action]:.2f} for the contact{given}"
    offer = f"{text}; {lift} ({how}), {earns}"
    return offer if decision.action[row] != NOTHING else f"doing nothing earns more than the best, {offer}"


def _why_nothing(decision: Decision, row: int) -> str:
    refusals = decision.arms.refused[row][decision.arms.refused[row] != NO_ARM]
    what = "candidates" if decision.product.shape[1] else "actions"
    return _all_refused(refusals, decision.arms.rules, decision.arms.reasons, what)


def why_nothing(options: Options, row: int) -> str:
    """Explain why a customer gets none of the options, by the rules' reasons."""
    refusals = options.refused[row][options.refused[row] != NO_ARM]
    if (refusals == PERMITTED).any():
        return "no permitted action earns more than it costs, or no day is left for it"
    return _all_refused(refusals, options.rules, options.reasons, "actions")


def _all_refused(refusals: Column, rules: Sequence[str], reasons: Sequence[str], what: str) -> str:
    """Name the rules that refused everything; ``refusals`` holds the refusing rule of each refused thing."""
    if not len(refusals):
        return "nothing to offer: no candidate products are known for this customer"
    if (refusals == refusals[0]).all():
        return f"nothing to offer: {reasons[int(refusals[0])]}"
    counts = np.bincount(refusals, minlength=len(rules))
    parts = (f"{n} by {rule}" for rule, n in zip(rules, counts.tolist(), strict=True) if n)
    return f"nothing to offer: all {len(refusals)} {what} are ruled out ({', '.join(parts)})"


def how_it_works(effect: str, save_rate: float) -> str:
    """Describe the origin of the effect of a retention contact."""
    if effect == "learnt":
        return "what a contact changes was learnt from customers who were held out"
    return f"a contact is assumed to keep {save_rate:.0%} of those who would leave"
