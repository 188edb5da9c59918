"""What a CRM asks of one customer or of all: profile, whom to keep, erasure."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.budgets.budget import Tally, at_most, best_rows, climb, rivals
from models.customers import reasons
from models.decisions.economics import EFFECT
from models.decisions.words import how_it_works
from models.policy.actions import KEEP
from models.policy.deck import Deck
from models.policy.rules import first_refusal, timing
from models.ranking.live import Pick
from serving.api import Product
from serving.api_crm import (
    CustomerRequest,
    Erased,
    EraseRequest,
    Profile,
    Targets,
    TargetsRequest,
)
from serving.entrance.audit import Audit
from serving.marketing.crowd import Recent, people_of, standing_of
from serving.online import refreshed
from serving.online.backlog import MOVING
from serving.online.refreshed import Row
from serving.persons import rights
from serving.scoring.snapshot import PERSONAL, Snapshot
from serving.state import State
from serving.storefront.answers import Ask, Who, from_ready, live, who
from serving.storefront.experiment import experiment_of
from serving.watching.logs import REQUEST_ID

CURVE_POINTS = 21
DECIMALS = 4
NOT_SHOWN = ("customer", "ruled_out_by")
"""Columns of the retention ranking that are our own."""
N_PROFILE_PRODUCTS = 5
N_PROFILE_EVENTS = 100


def profile(state: State, request: CustomerRequest) -> Profile:
    """Return what is known and expected of one customer, as of their newest order or return.

    Of one who never ordered there is only what else happened since the scoring.
    """
    snapshot, customer = state.snapshot, who(state, request.customer_id)
    as_of, features, scores = _latest(state, customer)
    known = bool(features) or customer.code >= 0
    held = state.view.store.of_customer(request.customer_id, last=N_PROFILE_EVENTS)
    return Profile(
        as_of=as_of,
        models=snapshot.models,
        customer_id=request.customer_id,
        known=known,
        currency=snapshot.currency,
        features=features,
        scores=scores,
        behind=_behind(snapshot.as_of, held["events"]),
        reasons=reasons.sentences(scores, features, request.locale or snapshot.locale),
        lists={name: _head(state, name, customer) for name in PERSONAL} if known else {},
        **{name: [_shown(row) for row in rows] for name, rows in held.items()},
    )


def _latest(state: State, customer: Who) -> tuple[str, Row, Row]:
    """Return moment, features and scores: refreshed since the scoring, else the scoring's."""
    snapshot, code = state.snapshot, customer.code
    if customer.customer_id is not None and not state.view.is_erased(customer.customer_id):
        found = refreshed.of_customer(state.view.store, snapshot.stamp, customer.customer_id)
        if found is not None:
            return found.as_of, found.features, found.scores
    if code < 0:
        return snapshot.moment, {}, {}
    return snapshot.moment, snapshot.features.row(code), snapshot.scores.row(code)


def _behind(as_of: datetime, events: Sequence[Mapping[str, Any]]) -> str | None:
    moving = [row["occurred_at"] for row in events if row["kind"] in MOVING]
    return refreshed.beyond(as_of, max(moving, default=as_of)) or None


def _head(state: State, list_name: str, customer: Who) -> list[Product]:
    """Return the first of a list: ranked live where something happened since it was made."""
    ask = Ask(list_name, N_PROFILE_PRODUCTS, frozenset(), state.shelf)
    found: list[Pick] | None = None
    if customer.code >= 0 and not customer.lines:
        found = from_ready(state.snapshot, customer.code, ask)
    picks = live(state.snapshot, customer, ask) if found is None else found
    return [
        Product(product_id=name, rank=rank, score=round(score, 6), source=source)
        for rank, (name, score, source) in enumerate(picks, start=1)
    ]


def _shown(row: dict[str, Any]) -> dict[str, Any]:
    kept = {name: value for name, value in row.items() if name not in ("seq", "customer_id")}
    return {name: value.isoformat() if isinstance(value, datetime) else value for name, value in kept.items()}


# --- whom to keep ---


def retention_targets(state: State, request: TargetsRequest, now: datetime) -> Targets:
    """Choose whom to contact so that the expected incremental margin is greatest within the budget."""
    table, snapshot = state.snapshot.retention, state.snapshot
    if table is None:
        return _targets(state, request, [], (0.0, 0.0), "no churn and ltv models serve yet to rank anybody")
    gain, cost = (table.number(name) for name in (snapshot.gain_name, "contact_cost"))
    allowed = permitted(state, now)
    rows = np.flatnonzero(allowed & (gain > 0))
    chosen = rows[best_rows(gain[rows], cost[rows], request.budget)]
    how = how_it_works(_effect(snapshot), snapshot.economics.save_rate)
    reason = f"{len(chosen)} of {len(rows)} customers worth a contact fit the budget; {how}"
    shown = list(target_rows(snapshot, chosen[: request.limit]))
    sums = float(cost[chosen].sum()), float(gain[chosen].sum())
    answer = _targets(state, request, shown, sums, reason)
    answer.n_targets = len(chosen)
    answer.at_most = round(max(at_most(gain[rows], cost[rows], request.budget), sums[1]), DECIMALS)
    ours = Tally(len(chosen), *sums)
    others = rivals(np.where(allowed, gain, -np.inf), cost, request.budget, _rankings(snapshot))
    answer.policies = earned({"expected gain": ours} | others)
    answer.curve = points_of(climb(gain[rows], cost[rows], np.ones(len(rows)), CURVE_POINTS))
    return answer.named(("rank", "customer_id", *(name for name in table.order if name not in NOT_SHOWN)))


def _rankings(snapshot: Snapshot) -> dict[str, NDArray[np.float64]]:
    """Return other ways to rank the rows of the retention ranking, as far as their scores are known."""
    table, days, scores = snapshot.retention, snapshot.horizon_days, snapshot.scores
    names = {"risk": f"churn_probability_{days}d", "value": f"expected_margin_{days}d"}
    if table is None or not {*names.values()} <= {*scores.order}:
        return {}
    codes = table.number("customer").astype(np.int64)
    found = {what: scores.number(name)[codes] for what, name in names.items()}
    return found | {"response": 1 - found["risk"]}


def earned(policies: Mapping[str, Tally]) -> dict[str, float]:
    """Return the money of policies, as answers hold it."""
    return {name: round(bought.gain, DECIMALS) for name, bought in policies.items()}


def points_of(curve: Sequence[Tally]) -> list[dict[str, Any]]:
    """Return a curve of money against budget, as answers hold it."""
    names = ("budget", "n_customers", "expected_incremental_margin")
    rows = ((round(at.cost, DECIMALS), int(at.n_customers), round(at.gain, DECIMALS)) for at in curve)
    return [dict(zip(names, row, strict=True)) for row in rows]


def _effect(snapshot: Snapshot) -> str:
    known = snapshot.retention is not None and EFFECT in snapshot.retention.kinds
    return "learnt" if known else "assumed"


def worthwhile(state: State, now: datetime) -> NDArray[np.bool_]:
    """Mark the rows of the ranking that every rule permits now and that gain more than they cost."""
    table = state.snapshot.retention
    if table is None:
        return np.zeros(0, bool)
    return np.asarray(permitted(state, now) & (table.number(state.snapshot.gain_name) > 0))


def permitted(state: State, now: datetime) -> NDArray[np.bool_]:
    """Mark the rows of the ranking that every rule permits now, and whose gain is known."""
    table = state.snapshot.retention
    if table is None:
        return np.zeros(0, bool)
    known = (table.texts[:, 0] < 0) & np.isfinite(table.number(state.snapshot.gain_name))
    return np.asarray(known & ~barred(state, now)[table.number("customer").astype(np.int64)])


def barred(state: State, now: datetime) -> NDArray[np.bool_]:
    """Mark the customers whom a rule bars now, whatever was known at the scoring, and who were erased."""
    snapshot, codes = state.snapshot, np.arange(len(state.snapshot.customers), dtype=np.int32)
    recent = Recent.read(state, now)
    people = people_of(state, codes, recent)
    blocked = people.n_contacts_28d >= snapshot.economics.max_contacts_28d
    if snapshot.known is not None and snapshot.desk is not None:
        policy = snapshot.desk[1].policy
        deck = Deck.of([KEEP], snapshot.economics, policy)
        standing = standing_of(state, codes, recent, now)
        recorded = people.consent_recorded
        when = timing(standing, deck, snapshot.economics, policy, recorded=recorded, days=0)
        blocked |= first_refusal(when.refusals, (len(codes), 1))[:, 0] >= 0
    return np.asarray(blocked | state.erased)


def target_rows(snapshot: Snapshot, rows: NDArray[np.int64]) -> Iterator[dict[str, Any]]:
    """Return rows of the retention ranking with the customer's id in place of the code."""
    table = snapshot.retention
    if table is None:
        return
    for rank, row in enumerate(rows.tolist(), start=1):
        values = table.row(row)
        code = int(values["customer"] or 0)
        shown = {name: value for name, value in values.items() if name not in NOT_SHOWN}
        yield {"rank": rank, "customer_id": snapshot.customers.names([code])[0]} | shown


def _targets(
    state: State, request: TargetsRequest, rows: list[dict[str, Any]], sums: tuple[float, float], reason: str
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
        experiment=experiment_of(state.snapshot, _effect(state.snapshot)),
    )


def erase(state: State, request: EraseRequest, now: datetime, audit: Audit) -> Erased:
    """Forget a customer: nothing of theirs is answered from the next request on, by any worker."""
    store = state.view.store
    gone = rights.forget(store, request.customer_id, now=now)
    digest = rights.digest_of(state.view.salt, request.customer_id).hex()
    audit.erased(digest, at=now, what={"request": REQUEST_ID.get()})
    counts = {name: gone[name] for name in ("events", "contacts", "decisions")}
    return Erased(
        as_of=state.snapshot.moment, models=state.snapshot.models, digest=digest, files=FILES_FOLLOW, **counts
    )


FILES_FOLLOW = (
    "the watcher beside the service rewrites warehouse and scorings without them: it begins within seconds"
    " and is done when a scoring is (minutes); `recompra erase` does it before it ends, and certifies it"
)
