"""A decision in words: what was chosen and why, the runners-up, and what ruled out the rest."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from features.arrays.dtypes import Column
from models.decisions.arms import NO_ARM, PERMITTED
from models.decisions.case import NOTHING, Case, Terms
from models.decisions.everyone import Options
from models.decisions.offer import Decision
from models.decisions.texts import amount, called, reason_of, told
from models.policy.actions import DO_NOTHING
from models.texts import DEFAULT

N_RUNNERS_UP = 3
OPEN_END_DAYS = 3650
"""In days: a window that closes later is described as staying open."""


def explain(
    decision: Decision,
    case: Case,
    *,
    terms: Terms,
    row: int,
    products: Sequence[str],
    names: Sequence[str],
    locale: str = DEFAULT,
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
        "effect": effect_of(options[0][0], case, terms=terms),
        "window": window(decision, row),
        "reason": _reason(decision, case, terms=terms, row=row, names=names, locale=locale),
        "runners_up": runners_up,
        "ruled_out": [
            {"product_id": product} | _why(decision, code, terms=terms, locale=locale)
            for product, code in _ruled_out(decision, row, products)
        ],
        "ruled_out_actions": [
            {"action": action} | _why(decision, code, terms=terms, locale=locale)
            for action, code in _ruled_out_actions(decision, row)
        ],
    }


def effect_of(name: str, case: Case, *, terms: Terms) -> str:
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


def _why(decision: Decision, code: int, *, terms: Terms, locale: str) -> dict[str, str]:
    rule = decision.arms.rules[code]
    return {"rule": rule, "reason": reason_of(rule, terms, locale=locale)}


def _ruled_out(decision: Decision, row: int, products: Sequence[str]) -> list[tuple[str | None, int]]:
    """Return the refused candidates, each with its rule; None in place of all if one rule refused all."""
    arms = decision.arms.refused[row][decision.arms.refused[row] != NO_ARM]
    if len(arms) and arms[0] >= 0 and (arms == arms[0]).all():
        return [(None, int(arms[0]))]
    return [(products[at], code) for at, code in _refused_products(decision, row)]


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


def _ruled_out_actions(decision: Decision, row: int) -> list[tuple[str, int]]:
    barred = decision.arms.barred.first[row].tolist()
    actions = zip(decision.arms.table.actions, barred, strict=True)
    return [(action.name, code) for action, code in actions if code >= 0]


def _reason(
    decision: Decision, case: Case, *, terms: Terms, row: int, names: Sequence[str], locale: str
) -> str:
    best = int(decision.order[row, 0]) if decision.order.shape[1] else NOTHING
    if best == NOTHING:
        refusals = decision.arms.refused[row][decision.arms.refused[row] != NO_ARM]
        return _all_refused(refusals, decision.arms.rules, terms=terms, locale=locale)
    arms, candidate = decision.arms, decision.candidate_of(best)
    at, name = decision.action_of(best), arms.table.actions[decision.action_of(best)].name
    what = "contact" if candidate == NOTHING else "product"
    assumed = effect_of(name, case, terms=terms) == "assumed"
    off = float(arms.table.discount[at])
    effect = told(
        f"effect_of_{what}" if assumed else "effect_learnt", locale, share=float(arms.table.effect[at])
    )
    earns = told(
        "earns_discounted" if off else "earns",
        locale,
        money=amount(float(arms.worth[row, best]), terms, locale=locale),
        cost=float(arms.table.cost[at]),
        off=off,
    )
    said = told(
        f"of_{what}",
        locale,
        n=terms.horizon_days,
        name="" if candidate == NOTHING else names[candidate],
        action=called(name, locale),
        chance=float(arms.chance[row, best]),
        effect=effect,
        earns=earns,
    )
    return said if decision.action[row] != NOTHING else told("better_nothing", locale, best=said)


def why_nothing(options: Options, row: int, *, terms: Terms, locale: str = DEFAULT) -> str:
    """Explain why a customer gets none of the options, by the rules' reasons."""
    refusals = options.refused[row][options.refused[row] != NO_ARM]
    if (refusals == PERMITTED).any():
        return told("not_worth", locale)
    return _all_refused(refusals, options.rules, terms=terms, locale=locale)


def _all_refused(refusals: Column, rules: Sequence[str], *, terms: Terms, locale: str) -> str:
    """Say what refused everything; ``refusals`` holds the refusing rule of each refused thing."""
    if not len(refusals):
        return told("nothing", locale, why=told("no_candidates", locale))
    counts = np.bincount(refusals, minlength=len(rules)).tolist()
    reasons = [(reason_of(rule, terms, locale=locale), n) for rule, n in zip(rules, counts, strict=True) if n]
    if len(reasons) == 1:
        return told("nothing", locale, why=reasons[0][0])
    parts = "; ".join(f"{reason} ({n})" for reason, n in reasons)
    return told("nothing", locale, why=told("all_refused", locale, n=len(refusals), why=parts))


def how_it_works(
    effect: str,
    save_rate: float,
    *,
    average: tuple[float, float, float] | None = None,
    locale: str = DEFAULT,
) -> str:
    """Describe the origin of the effect of a retention contact; ``average``: the learnt one, low and high."""
    if effect != "learnt":
        return told("assumed", locale, share=save_rate)
    if average is None:
        return told("learnt", locale)
    value, low, high = (100 * change for change in average)
    code = "learnt_perhaps_none" if low <= 0 <= high else "learnt_average"
    return told(code, locale, value=value, low=low, high=high)
