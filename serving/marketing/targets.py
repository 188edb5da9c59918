"""Whom to keep with which action under a budget: several actions per customer, chosen together."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from itertools import islice
from typing import Any

import numpy as np

from features.arrays.dtypes import Ints
from features.errors import NotFound
from models.budgets.allocation import Allocation, allocate, compare, curve
from models.decisions.case import Case, Terms
from models.decisions.everyone import Options, options
from models.decisions.texts import told
from models.policy.actions import Action
from models.policy.standing import Standing
from serving.api_crm import Targets, TargetsRequest
from serving.marketing.candidates import everyone
from serving.marketing.retention import CURVE_POINTS, DECIMALS, earned, points_of
from serving.offer_inputs import goods_now, no_offers
from serving.online.recent import Recent
from serving.state import State


def targets_by_action(state: State, request: TargetsRequest, *, now: datetime) -> Targets:
    """Choose an action or none for everyone, to maximise the expected incremental margin.

    Only actions without a product; for the others there are ``next_best_offer`` and the plan. Raises
    ``NotFound`` for an action that the shop does not have.
    """
    known, codes = state.snapshot.known, everyone(state)
    if known is None:
        raise no_offers(state)
    choices, terms = options_of(state, request, codes=codes, now=now)
    chosen = allocate(choices, request.budget)
    answer = _answer(state, request, chosen=chosen, terms=terms)
    columns = _columns(state, choices, chosen=chosen, codes=codes)
    rows = zip(*columns.values(), strict=True)
    answer.targets = [dict(zip(columns, row, strict=True)) for row in islice(rows, request.limit)]
    answer.policies = _policies(choices, request.budget, known.standing.take(codes))
    answer.curve = points_of(curve(choices, points=CURVE_POINTS))
    return answer.named(columns)


def options_of(state: State, request: TargetsRequest, *, codes: Ints, now: datetime) -> tuple[Options, Terms]:
    """Value the requested actions for some customers, as of now.

    Raises ``NotFound`` for an action that the shop does not have, or that offers a product.
    """
    goods, terms = goods_now(state)
    known: dict[str, Action] = {action.name: action for action in terms.actions if not action.offers_product}
    unknown = [name for name in request.actions if name not in known]
    if unknown:
        raise NotFound(f"no action {unknown[0]!r} without a product", f"there are {', '.join(known)}")
    recent, none = Recent.read(state, now), np.zeros((len(codes), 0))
    case = Case(
        recent.people(state, codes),
        none.astype(np.int32),
        none,
        none,
        standing=recent.standing(state, codes, now=now),
        learnt={name: change[codes] for name, change in state.snapshot.learnt.items()},
    )
    asked = tuple(known[name] for name in dict.fromkeys(request.actions))
    terms = replace(terms, actions=asked)
    return options(case, goods, terms=terms), terms


def _answer(state: State, request: TargetsRequest, *, chosen: Allocation, terms: Terms) -> Targets:
    n = int((chosen.action >= 0).sum())
    locale = request.locale or state.snapshot.locale
    taken = {terms.actions[code].name for code in np.unique(chosen.action[chosen.action >= 0]).tolist()}
    effect = state.snapshot.effect_of(taken)
    return Targets(
        as_of=state.snapshot.moment,
        models=state.snapshot.models,
        targets=[],
        n_targets=n,
        budget=request.budget,
        spent=round(chosen.spent, DECIMALS),
        expected_incremental_margin=round(chosen.expected_incremental_margin, DECIMALS),
        at_most=round(chosen.at_most, DECIMALS),
        currency=state.snapshot.currency,
        effect=effect,
        reason=told("targets_by_action", locale, n=n, share=1 - chosen.gap),
        experiment=state.snapshot.experiment_for(effect, locale),
        notes=state.snapshot.notes_in(locale),
    )


def _columns(state: State, choices: Options, *, chosen: Allocation, codes: Ints) -> dict[str, Sequence[Any]]:
    """Return the chosen as columns, the highest gain per cost first."""
    snapshot = state.snapshot
    _, worth, chance, spend = choices.at(chosen.action)
    rows = np.flatnonzero(chosen.action >= 0)
    rows = rows[np.argsort(-(worth / np.maximum(spend, 1e-12))[rows], kind="stable")]
    actions = [choices.table.actions[code] for code in chosen.action[rows].tolist()]
    return {
        "rank": range(1, len(rows) + 1),
        "customer_id": snapshot.customers.names(codes[rows]),
        "action": [action.name for action in actions],
        "channel": [action.channel for action in actions],
        snapshot.gain_name: worth[rows].round(DECIMALS).tolist(),
        f"order_probability_{snapshot.horizon_days}d": chance[rows].round(6).tolist(),
        "spend": spend[rows].round(DECIMALS).tolist(),
        "effect": ["learnt" if action.name in snapshot.learnt else "assumed" for action in actions],
    }


def _policies(choices: Options, budget: float, standing: Standing) -> dict[str, float]:
    """Return what other rankings would earn with the same budget and rules."""
    scores = {"risk": standing.risk, "response": 1 - standing.risk, "value": standing.margin}
    return earned(compare(choices, budget, scores=scores))
