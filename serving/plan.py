"""A calendar of contacts: the next best offer of each chosen customer, on a day.

Where no offer pays for itself but the contact is expected to keep the customer, it is a contact to keep
them (``keep``), with the best permitted product in it. The day is the one the customer's next order is
expected on, where it lies within the plan, else the plan's first. Consent, frequency, stock and every other
rule are those of ``models.decisions.offer.choose``.
"""

from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from features.errors import InputError
from features.history import Ints
from features.window import local_day
from models.contact_policy import contact_refusals
from models.decisions.offer import Case, Decision, Terms, choose, merge_lists
from models.decisions.reading import days_since_bought
from models.decisions.words import explain
from serving.api_crm import Plan, PlanRequest
from serving.crm import contacts_since, worthwhile
from serving.offers import N_CANDIDATES, goods_now
from serving.snapshot import PERSONAL, Snapshot
from serving.state import State

N_NOT_PLANNED = 100
Row = dict[str, Any]


def contact_plan(state: State, request: PlanRequest, now: datetime) -> Plan:
    """Plan contacts, best first, each on its day; whoever is left out is named with the reason."""
    codes, left_out = chosen_customers(state, request, now)
    contacts: list[Row] = []
    if state.snapshot.desk is None:
        left_out += [_left(state.snapshot, code, "no next_best_offer model serves yet") for code in codes]
    else:
        offers, refused = offers_of(state, codes, now)
        contacts, late = on_days(offers, request, _first_day(state, request))
        left_out += refused + late
    return Plan(
        as_of=state.snapshot.moment,
        models=state.snapshot.models,
        contacts=contacts,
        not_planned=left_out[:N_NOT_PLANNED],
        n_not_planned=len(left_out),
        currency=state.snapshot.currency,
        effect="assumed",
    )


def _first_day(state: State, request: PlanRequest) -> date:
    return request.first_day or local_day(state.snapshot.as_of, state.snapshot.timezone)


def chosen_customers(state: State, request: PlanRequest, now: datetime) -> tuple[list[int], list[Row]]:
    """Return the codes of those asked for, or of those worth keeping; and who is unknown."""
    snapshot = state.snapshot
    if request.customer_ids is not None:
        wanted = list(dict.fromkeys(request.customer_ids))
        codes = {name: -1 if state.view.is_erased(name) else snapshot.customer(name) for name in wanted}
        unknown = [
            {"customer_id": name, "reason": "the customer is unknown"} for name in wanted if codes[name] < 0
        ]
        return [code for code in codes.values() if code >= 0], unknown
    if snapshot.retention is None:
        raise InputError("no churn and ltv models serve yet, so nobody can be chosen", "send customer_ids")
    rows = np.flatnonzero(worthwhile(state, now))[: request.limit]
    return snapshot.retention.number("customer")[rows].astype(int).tolist(), []


def offers_of(state: State, codes: Sequence[int], now: datetime) -> tuple[list[Row], list[Row]]:
    """Return the contact of each customer who is worth one, best first, and why the others are not."""
    snapshot = state.snapshot
    goods, terms = goods_now(state)
    case = case_of(state, np.asarray(codes, np.int32), now)
    decision = choose(case, goods, terms)
    said = [_said(snapshot, decision, case, terms, row) for row in range(len(codes))]
    barred = np.any([refusal.mask for refusal in contact_refusals(case.people, terms.economics)], axis=0)
    kept = np.where(barred, 0.0, worth_of_keeping(state, now)[np.asarray(codes, np.int64)])
    offers, refused = [], []
    for code, row, worth in zip(codes, said, kept.tolist(), strict=True):
        if row["product_id"] is not None:
            offers.append((row[terms.money], _offer_row(snapshot, code, row, terms)))
        elif worth > 0:
            offers.append((worth, _keep_row(snapshot, code, row, worth)))
        else:
            refused.append(_left(snapshot, code, row["reason"]))
    return [row for _, row in sorted(offers, key=lambda offer: -offer[0])], refused


def worth_of_keeping(state: State, now: datetime) -> NDArray[np.float64]:
    """Return, by customer code, what a contact earns by keeping them; 0 where it is not worth it."""
    worth, table = np.zeros(len(state.snapshot.customers)), state.snapshot.retention
    if table is not None:
        rows = np.flatnonzero(worthwhile(state, now))
        worth[table.number("customer")[rows].astype(int)] = table.number(state.snapshot.gain_name)[rows]
    return worth


def case_of(state: State, codes: Ints, now: datetime) -> Case:
    """Lay out what could be offered to many customers: the head of each of their personal ready lists."""
    snapshot = state.snapshot
    heads = {
        name: (ready.product[codes, :N_CANDIDATES], ready.score[codes, :N_CANDIDATES], None)
        for name, ready in snapshot.ready.items()
    }
    product, chance = merge_lists({name: heads[name] for name in PERSONAL if name in heads})
    since = np.full(product.shape, np.nan)
    if snapshot.history is not None:
        since = days_since_bought(snapshot.history.of_customers(codes), product)
    counts = contacts_since(state, now)
    names = snapshot.customers.names(codes)
    people = snapshot.people.of(codes).contacted(np.array([counts.get(name, 0) for name in names], np.int32))
    return Case(people, product, chance, since)


def _said(snapshot: Snapshot, decision: Decision, case: Case, terms: Terms, row: int) -> Row:
    codes = case.product[row]
    ids, names = snapshot.catalogue.products.names(codes), snapshot.catalogue.names(codes)
    return explain(decision, case, terms, row, products=ids, names=names)


def _offer_row(snapshot: Snapshot, code: int, said: Row, terms: Terms) -> Row:
    return {
        **_contact(snapshot, code, "offer", said["product_id"]),
        terms.money: round(said[terms.money], 4),
        terms.probability: round(said[terms.probability], 6),
        "reason": said["reason"],
    }


def _keep_row(snapshot: Snapshot, code: int, said: Row, worth: float) -> Row:
    permitted = (option["product_id"] for option in said["runners_up"])
    best = next((product_id for product_id in permitted if product_id is not None), None)
    keeps = f"a contact is assumed to keep {snapshot.economics.save_rate:.0%} of those who would leave"
    return {
        **_contact(snapshot, code, "keep", best),
        snapshot.gain_name: round(worth, 4),
        "reason": f"{keeps}: {worth:+.2f} {snapshot.currency}".rstrip() + " of margin after its cost",
    }


def _contact(snapshot: Snapshot, code: int, action: str, product_id: str | None) -> Row:
    name = None if product_id is None else snapshot.catalogue.names([snapshot.product(product_id)])[0]
    return {
        "customer_id": snapshot.customers.names([code])[0],
        "action": action,
        "product_id": product_id,
        "product_name": name,
        "next_order_on": _next_order_on(snapshot, code),
    }


def _next_order_on(snapshot: Snapshot, code: int) -> str | None:
    moment = snapshot.scores.row(code).get("next_order_at")
    if not isinstance(moment, str):
        return None
    return local_day(datetime.fromisoformat(moment), snapshot.timezone).isoformat()


def on_days(offers: Sequence[Row], request: PlanRequest, first: date) -> tuple[list[Row], list[Row]]:
    """Give each offer its day, the worthiest first; a day that is full passes on to the next."""
    last = first + timedelta(days=request.days - 1)
    free = {first + timedelta(days=day): request.per_day for day in range(request.days)}
    planned, late = [], []
    for row in offers:
        expected = date.fromisoformat(row["next_order_on"]) if row["next_order_on"] else first
        day = expected if first <= expected <= last else first
        while day <= last and not free[day]:
            day += timedelta(days=1)
        if day > last:
            late.append({"customer_id": row["customer_id"], "reason": "every day left in the plan is full"})
            continue
        free[day] -= 1
        planned.append({"on": day.isoformat(), **row})
    return sorted(planned, key=lambda row: str(row["on"])), late


def _left(snapshot: Snapshot, code: int, reason: str) -> Row:
    return {"customer_id": snapshot.customers.names([code])[0], "reason": reason}
