"""Whom to keep: a plain contact for those it is expected to change most, under a budget and the rules."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np

from features.arrays.dtypes import Bools, Doubles, Longs
from models.budgets.budget import Tally, at_most, best_rows, cumulative, other_policies
from models.decisions.economics import EFFECT
from models.decisions.texts import told
from models.decisions.words import how_it_works
from models.policy.action_table import ActionTable
from models.policy.actions import KEEP
from models.policy.rules import first_refusal, frequency_cap, timing
from serving.api_crm import Targets, TargetsRequest
from serving.online.recent import Recent
from serving.scoring.columns import Columns
from serving.scoring.snapshot import Snapshot
from serving.state import State

CURVE_POINTS = 21
DECIMALS = 4
NOT_SHOWN = ("customer", "ruled_out_by")
"""Internal columns of the retention ranking."""


def retention_targets(state: State, request: TargetsRequest, *, now: datetime) -> Targets:
    """Choose whom to contact to maximise the expected incremental margin within the budget."""
    table, snapshot = state.snapshot.retention, state.snapshot
    locale = request.locale or snapshot.locale
    if table is None:
        return _targets(state, request, rows=[], sums=(0.0, 0.0), reason=told("unranked", locale))
    gain, cost = (table.number(name) for name in (snapshot.gain_name, "contact_cost"))
    if len(gain) and not np.isfinite(gain).any():
        return _targets(state, request, rows=[], sums=(0.0, 0.0), reason=told("moneyless", locale))
    allowed = permitted(state, table, now=now)
    rows = np.flatnonzero(allowed & (gain > 0))
    chosen = rows[best_rows(gain[rows], cost[rows], budget=request.budget)]
    average, save_rate = snapshot.average_of_keeping, snapshot.economics.save_rate
    how = how_it_works(_effect(snapshot), save_rate, average=average, locale=locale)
    code = "targets" if len(rows) else "targets_nobody"
    reason = told(code, locale, n=len(chosen), of=len(rows), effect=how)
    shown = _target_rows(snapshot, table, chosen[: request.limit])
    sums = float(cost[chosen].sum()), float(gain[chosen].sum())
    answer = _targets(state, request, rows=shown, sums=sums, reason=reason)
    answer.n_targets = len(chosen)
    answer.at_most = round(max(at_most(gain[rows], cost[rows], budget=request.budget), sums[1]), DECIMALS)
    ours = Tally(len(chosen), *sums)
    others = other_policies(
        np.where(allowed, gain, -np.inf), cost, budget=request.budget, scores=_rankings(snapshot, table)
    )
    answer.policies = earned({"expected gain": ours} | others)
    answer.curve = points_of(
        cumulative(gain[rows], cost[rows], first=np.ones(len(rows)), points=CURVE_POINTS)
    )
    return answer.named(("rank", "customer_id", *(name for name in table.order if name not in NOT_SHOWN)))


def _rankings(snapshot: Snapshot, table: Columns) -> dict[str, Doubles]:
    """Return other rankings of the rows of the retention ranking, as far as their scores are known."""
    days, scores = snapshot.horizon_days, snapshot.scores
    names = {"risk": f"churn_probability_{days}d", "value": f"expected_margin_{days}d"}
    if not {*names.values()} <= {*scores.order}:
        return {}
    codes = table.number("customer").astype(np.int64)
    rankings = {what: scores.number(name)[codes] for what, name in names.items()}
    return rankings | {"response": 1 - rankings["risk"]}


def earned(policies: Mapping[str, Tally]) -> dict[str, float]:
    """Return the money of policies, in the form of responses."""
    return {name: round(bought.gain, DECIMALS) for name, bought in policies.items()}


def points_of(curve: Sequence[Tally]) -> list[dict[str, Any]]:
    """Return a curve of money against budget, in the form of responses."""
    names = ("budget", "n_customers", "expected_incremental_margin")
    rows = ((round(at.cost, DECIMALS), int(at.n_customers), round(at.gain, DECIMALS)) for at in curve)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _effect(snapshot: Snapshot) -> str:
    known = snapshot.retention is not None and EFFECT in snapshot.retention.kinds
    return "learnt" if known else "assumed"


def permitted(state: State, table: Columns, *, now: datetime) -> Bools:
    """Mark the rows of the retention ranking that every rule permits now, and whose gain is known."""
    known = (table.text("ruled_out_by") < 0) & np.isfinite(table.number(state.snapshot.gain_name))
    return np.asarray(known & ~barred(state, now)[table.number("customer").astype(np.int64)])


def barred(state: State, now: datetime) -> Bools:
    """Mark the customers whom a rule bars now, whatever was known at the scoring, and those erased."""
    snapshot, codes = state.snapshot, np.arange(len(state.snapshot.customers), dtype=np.int32)
    recent = Recent.read(state, now)
    people = recent.people(state, codes)
    blocked = frequency_cap(people, snapshot.economics).mask
    if snapshot.known is not None and snapshot.goods_and_terms is not None:
        policy = snapshot.policy
        table = ActionTable.of([KEEP], snapshot.economics, policy=policy)
        standing = recent.standing(state, codes, now=now)
        recorded = people.consent_recorded
        when = timing(standing, table, economics=snapshot.economics, policy=policy, recorded=recorded, days=0)
        blocked |= first_refusal(when.refusals, (len(codes), 1))[:, 0] >= 0
    return np.asarray(blocked | state.erased)


def _target_rows(snapshot: Snapshot, table: Columns, rows: Longs) -> list[dict[str, Any]]:
    """Return rows of the retention ranking with the customer's id in place of the code."""
    ids = snapshot.customers.names(table.number("customer")[rows].astype(np.int64))
    targets = []
    for rank, (row, customer_id) in enumerate(zip(rows.tolist(), ids, strict=True), start=1):
        shown = {name: value for name, value in table.row(row).items() if name not in NOT_SHOWN}
        targets.append({"rank": rank, "customer_id": customer_id} | shown)
    return targets


def _targets(
    state: State,
    request: TargetsRequest,
    *,
    rows: list[dict[str, Any]],
    sums: tuple[float, float],
    reason: str,
) -> Targets:
    return Targets(
        as_of=state.snapshot.moment,
        models=state.snapshot.models,
        targets=rows,
        n_targets=len(rows),
        budget=request.budget,
        spent=round(sums[0], DECIMALS),
        expected_incremental_margin=round(sums[1], DECIMALS),
        currency=state.snapshot.currency,
        effect=_effect(state.snapshot),
        reason=reason,
        experiment=state.snapshot.experiment_for(_effect(state.snapshot), request.locale),
        notes=state.snapshot.notes_in(request.locale),
    )
