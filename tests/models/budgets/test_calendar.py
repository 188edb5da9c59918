from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.decisions import TERMS, some

from features.settings import ContactPolicy, Economics
from models.budgets.calendar import Calendar, ContactRoom, plan, within
from models.decisions.everyone import Options, options
from models.policy.subjects import People

N_DAYS = 30


def planned(
    seed: int, n: int, *, weekly: int = 2, monthly: int = 4, preferred: np.ndarray | None = None
) -> tuple[Calendar, Options, ContactRoom]:
    """Plan a month for any customers, with contacts made before it."""
    asked, shelf = some(seed, n)
    assert asked.standing is not None
    rng = np.random.default_rng(seed)
    policy, economics = ContactPolicy(max_contacts_7d=weekly), Economics(max_contacts_28d=monthly)
    recent = asked.standing.n_contacts_7d
    room = ContactRoom(recent, recent + rng.integers(0, 3, n).astype(np.int32), policy, economics)
    free = replace(asked.standing, n_contacts_7d=np.zeros(n, np.int32))
    people = People(asked.people.consent, np.zeros(n, np.int32))
    terms = replace(TERMS, policy=policy)
    found = options(replace(asked, standing=free, people=people), shelf, terms=terms, days=N_DAYS - 1)
    return plan(found, room, n_days=N_DAYS, preferred=preferred), found, room


@settings(max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 3), st.integers(1, 6))
def test_no_cap_is_broken_whatever_days_earlier_contacts_fell_on(
    seed: int, weekly: int, monthly: int
) -> None:
    found, _, room = planned(seed, 30, weekly=weekly, monthly=monthly)
    for row in range(30):
        days = found.day[found.row == row].tolist()
        week, month = room.n_contacts_7d[row], room.n_contacts_28d[row]
        worst = [-1] * int(week) + [-1] * int(month - week)  # as late as can be: yesterday
        for day in days:
            assert sum(day - 7 < other <= day for other in days + worst[:week]) <= max(weekly, week)
            assert sum(day - 28 < other <= day for other in days + worst) <= monthly


@pytest.mark.parametrize(("weekly", "monthly", "first"), [(1, 99, 6), (9, 1, 27)])
def test_an_earlier_contact_counts_from_yesterday_and_not_a_day_longer(
    weekly: int, monthly: int, first: int
) -> None:
    _, asked, room = planned(5, 500)
    once = np.ones(500, np.int32)
    caps = ContactPolicy(max_contacts_7d=weekly), Economics(max_contacts_28d=monthly)
    assert plan(asked, ContactRoom(once, once, *caps), n_days=N_DAYS).day.min() == first


@pytest.mark.parametrize(("weekly", "monthly", "gap"), [(1, 99, 7), (9, 1, 28)])
def test_a_planned_contact_makes_room_when_its_days_are_over(weekly: int, monthly: int, gap: int) -> None:
    found, _, _ = planned(0, 500, weekly=weekly, monthly=monthly)
    mine = found.take(np.lexsort((found.day, found.row)))
    days, follows, worth = np.diff(mine.day), np.diff(mine.row) == 0, np.diff(mine.worth)
    for placed_later in (worth < 0, worth > 0):  # the worthiest is placed first, whichever comes first
        assert days[follows & placed_later].min() == gap


@settings(max_examples=30)
@given(st.integers(0, 10**6))
def test_every_contact_keeps_to_its_window_and_earns_something(seed: int) -> None:
    found, asked, _ = planned(seed, 40)
    taken = (found.row, found.action)
    assert (found.day >= asked.opens[taken]).all() and (found.day <= asked.closes[taken]).all()
    assert (found.day >= 0).all() and (found.day < N_DAYS).all()
    assert (found.worth > 0).all() and (asked.refused[taken] == -1).all()


def test_nobody_is_contacted_twice_on_one_day() -> None:
    found, _, _ = planned(0, 500, weekly=9, monthly=99, preferred=np.full(500, 11.0))
    assert len(np.unique(found.row * 100 + found.day)) == len(found) > 500


def test_an_action_comes_once_a_customer() -> None:
    found, _, _ = planned(0, 500)
    assert len(np.unique(found.row * 100 + found.action)) == len(found)


def test_the_worthiest_contact_of_a_customer_is_always_planned_where_caps_allow_one() -> None:
    found, asked, room = planned(1, 500)
    free = (room.n_contacts_7d == 0) & (room.n_contacts_28d == 0) & (asked.best() >= 0)
    assert free.any()
    for row in np.flatnonzero(free):
        assert found.worth[found.row == row].max() == asked.worth[row].max()


def test_a_product_goes_out_on_the_day_preferred_where_it_is_open() -> None:
    preferred = np.full(500, 11.0)
    found, asked, _ = planned(2, 500, weekly=9, monthly=99, preferred=preferred)
    with_product = found.action < asked.table.n_with_product
    inside = asked.opens[found.row, found.action] <= 11
    first = np.unique(found.row[with_product & inside])
    assert np.isin(first, found.row[found.day == 11]).all()
    alone = ~with_product & (np.bincount(found.row)[found.row] == 1)  # without one: on the first that is open
    opens = np.ceil(asked.opens[found.row, found.action]).clip(0)
    assert (found.day[alone] == opens[alone]).all() and alone.any()


def test_the_same_question_has_the_same_plan() -> None:
    (first, *_), (second, *_) = planned(3, 300), planned(3, 300)
    np.testing.assert_array_equal(first.row, second.row)
    np.testing.assert_array_equal(first.day, second.day)


def test_the_last_day_of_a_contact_is_the_one_on_which_its_window_closes() -> None:
    found, asked, room = planned(4, 500)
    closes = np.minimum(asked.closes[found.row, found.action], N_DAYS - 1)
    assert ((found.last <= closes) & (closes < found.last + 1) & (found.day <= found.last)).all()
    today = plan(replace(asked, closes=np.full_like(asked.closes, 0.5)), room, n_days=N_DAYS)
    assert {*today.day.tolist()} == {*today.last.tolist()} == {0}


def test_a_budget_a_day_an_action_and_a_stock_are_kept() -> None:
    found, asked, _ = planned(4, 2000)
    most, stock = np.full(len(asked.table), 300.0), np.full(50, 9.0)
    kept = within(found, budget=100.0, per_day=20, n_contacts=150, most=most, stock=stock)
    assert len(kept) <= 150
    assert kept.spend.sum() <= 100 * (1 + 1e-9)
    assert np.bincount(kept.day).max() <= 20
    assert np.bincount(kept.action).max() <= 300
    for chosen in (kept, within(found, stock=stock)):
        assert np.bincount(chosen.product[chosen.product >= 0], minlength=1).max() <= 9
    assert (chosen.product >= 0).any()
    assert (kept.day <= kept.last).all()
    assert (np.diff(kept.day) >= 0).all()


def test_a_full_day_passes_contacts_on_to_the_next() -> None:
    n = 6
    row = np.arange(n)
    zero, ones = np.zeros(n, np.int32), np.ones(n)
    one_day = Calendar(row, zero, zero, zero + 2, zero - 1, ones * row, ones, ones)
    kept = within(one_day, per_day=2)
    assert kept.day.tolist() == [0, 0, 1, 1, 2, 2]
    assert kept.row.tolist() == [5, 4, 3, 2, 1, 0]
    assert within(one_day, per_day=1).day.tolist() == [0, 1, 2]


@pytest.mark.parametrize("budget", [0.0, 1.0, 5.0])
def test_a_budget_buys_no_more_than_it_can_pay_and_never_at_a_loss(budget: float) -> None:
    found, _, _ = planned(5, 200)
    kept = within(found, budget=budget)
    assert kept.spend.sum() <= budget * (1 + 1e-9) and (kept.worth > 0).all()
    assert (len(kept) > 0) == (budget > 0)


def test_a_budget_goes_to_what_earns_most_for_it() -> None:
    zero, worth = np.zeros(3, np.int32), np.array([5.0, 3.0, 3.0])
    asked = Calendar(np.arange(3), zero, zero, zero, zero - 1, worth, np.array([4.0, 1.0, 1.0]), worth)
    assert within(asked, budget=4.0).row.tolist() == [1, 2]


def keeping(seed: int, n: int) -> list[tuple[Calendar, dict[str, np.ndarray]]]:
    """Return the contacts without a product of who gets several, and what each would be alone."""
    found, asked, _ = planned(seed, n, weekly=9, monthly=99)
    keeps, several = found.action >= asked.table.n_with_product, []
    for row in np.flatnonzero(np.bincount(found.row[keeps]) > 1):
        mine = found.take((found.row == row) & keeps)
        at = (row, mine.action)
        risk = 1 - asked.chance[at]
        alone = {"worth": asked.worth[at], "spend": asked.spend[at], "cost": asked.table.cost[mine.action]}
        several.append((mine, alone | {"share": asked.moved[at] / risk, "risk": risk}))
    assert len(several) > n // 10
    return several


def test_contacts_to_keep_a_customer_bring_what_they_change_together() -> None:
    for mine, alone in keeping(6, 500):
        an_order = (alone["worth"] + alone["spend"]) / (alone["share"] * alone["risk"])
        kept = alone["risk"] * (1 - np.prod(1 - alone["share"]))
        assert (mine.worth + mine.spend).sum() == pytest.approx(kept[0] * an_order[0])
        assert (mine.worth < alone["worth"]).sum() == len(mine) - 1  # the first alone is worth it in full


def test_a_discount_is_taken_by_those_too_whom_a_contact_before_it_kept() -> None:
    pairs = [(mine, alone) for mine, alone in keeping(6, 500) if len(mine) == 2]
    dearer = 0
    for mine, alone in pairs:
        last, order_alone = mine.worth.argmin(), 1 - alone["risk"] * (1 - alone["share"])
        given = ((alone["spend"] - alone["cost"]) / order_alone)[last]
        order = 1 - alone["risk"][0] * np.prod(1 - alone["share"])
        assert mine.spend[last] == pytest.approx(alone["cost"][last] + given * order)
        dearer += given > 0
    assert dearer
