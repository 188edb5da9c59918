"""A calendar of contacts for a period: who, with which action and product, on which day, at which hour."""

from collections.abc import Sequence
from datetime import datetime

import numpy as np

from features.errors import NotFound
from models.decisions.texts import told
from models.texts import DEFAULT
from serving.api_crm import Plan, PlanRequest
from serving.marketing.candidates import everyone
from serving.marketing.period import Period, first_day
from serving.marketing.plan_rows import Row, names_of, rows_of
from serving.marketing.planning import CUSTOMERS_AT_ONCE, N_NOT_PLANNED, Planned, make_plan
from serving.marketing.retention import permitted
from serving.offer_inputs import no_offers, switched_off
from serving.scoring.snapshot import Snapshot
from serving.state import State
from serving.storefront.answers import find_customer, why_unknown


def contact_plan(state: State, request: PlanRequest, *, now: datetime) -> Plan:
    """Plan contacts, each on its day; customers left out are named with the reason."""
    snapshot, locale = state.snapshot, request.locale or state.snapshot.locale
    codes, left_out = chosen_customers(state, request, now=now, locale=locale)
    contacts: list[Row] = []
    if snapshot.goods_and_terms is None:
        left_out += [_left(snapshot, code, no_offers(state, locale).message) for code in codes]
    else:
        first = request.first_day or first_day(state, now)
        period = Period(first, request.days, request.budget, request.per_day, request.limit).check(state, now)
        planned = make_plan(state, np.asarray(codes, np.int32), period=period, now=now, locale=locale)
        contacts = rows_of(state, planned, period=period, locale=locale)
        left_out += _not_planned(snapshot, planned, locale)
    effect = snapshot.effect_of(row["action"] for row in contacts)
    worth = "" if snapshot.goods_and_terms is None else snapshot.goods_and_terms[1].money
    answer = Plan(
        as_of=snapshot.moment,
        models=snapshot.models,
        contacts=contacts,
        not_planned=left_out[:N_NOT_PLANNED],
        n_not_planned=len(left_out),
        spent=_sum(contacts, "spend"),
        expected_incremental_margin=_sum(contacts, worth),
        currency=snapshot.currency,
        effect=effect,
        experiment=snapshot.experiment_for(effect, locale),
        switched_off=switched_off(state, locale),
        notes=snapshot.notes_in(locale),
    )
    return answer if snapshot.goods_and_terms is None else answer.named(names_of(state))


def _sum(rows: Sequence[Row], name: str) -> float:
    """Return the sum of a column as shown, so that a file's sum equals the plan's."""
    return float(round(sum(row[name] for row in rows), 4))


def chosen_customers(
    state: State, request: PlanRequest, *, now: datetime, locale: str = DEFAULT
) -> tuple[list[int], list[Row]]:
    """Return the codes of the customers requested, else of everyone; and those unknown.

    In a large shop a request covers those most worth keeping; ``recompra plan`` covers everyone. Raises
    ``NotFound`` if nobody can be chosen.
    """
    snapshot = state.snapshot
    if request.customer_ids is not None:
        wanted = list(dict.fromkeys(request.customer_ids))
        codes = {name: -1 if state.view.is_erased(name) else snapshot.customer(name) for name in wanted}
        unknown = [
            {"customer_id": name, "reason": _why_left_out(state, name, locale)}
            for name in wanted
            if codes[name] < 0
        ]
        return [code for code in codes.values() if code >= 0], unknown
    if snapshot.goods_and_terms is None:
        raise no_offers(state)
    if len(snapshot.customers) <= CUSTOMERS_AT_ONCE:
        return everyone(state).tolist(), []
    table = snapshot.retention
    if table is None:
        raise NotFound(told("unranked"), "send customer_ids")
    worthwhile = permitted(state, table, now=now) & (table.number(snapshot.gain_name) > 0)
    rows = np.flatnonzero(worthwhile)[: request.limit]
    return table.number("customer")[rows].astype(int).tolist(), []


def _why_left_out(state: State, customer_id: str, locale: str) -> str:
    customer = find_customer(state, customer_id)
    who = why_unknown(customer, locale)
    return told("in_next_plan", locale, who=who) if customer.is_active else who


def _not_planned(snapshot: Snapshot, planned: Planned, locale: str) -> list[Row]:
    """Name customers without a contact, and why: a rule, or a full plan."""
    full = told("plan_full", locale)
    missing = np.setdiff1d(np.arange(len(planned.codes)), planned.calendar.row).tolist()
    return [_left(snapshot, int(planned.codes[at]), planned.why_not.get(at, full)) for at in missing]


def _left(snapshot: Snapshot, code: int, reason: str) -> Row:
    return {"customer_id": snapshot.customers.names([code])[0], "reason": reason}
