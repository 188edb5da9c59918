"""What a decision says, word for word."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from features.settings import Economics
from models.decisions.case import Case, Terms
from models.decisions.offer import choose
from models.decisions.words import explain, how_it_works
from models.policy.actions import Action
from models.policy.standing import Standing
from models.policy.subjects import Goods, People

ECONOMICS = Economics(contact_cost=0.1, offer_lift=0.2, save_rate=0.1)
TERMS = Terms(horizon_days=28, currency="EUR", economics=ECONOMICS)
WIN_BACK = Action(name="win_back", after="last_order", until_days=120)


def told(chance: list[float], terms: Terms = TERMS, **shelf: list[float]) -> dict[str, Any]:
    """Explain to one customer, who may be contacted, the choice among products of margins 4, 4.4, 4.8, ..."""
    n = len(chance)
    price = 10.0 + np.arange(n)
    columns = {"price": price, "margin": price * 0.4, "stock": np.full(n, np.nan), "hidden": [False] * n}
    goods = Goods(**{name: np.array(column) for name, column in (columns | shelf).items()})
    standing = Standing.unknown(1)
    days = {"since": np.full_like(standing.since, 100.0), "consent": np.ones_like(standing.consent)}
    worth = {"risk": np.array([0.4]), "margin": np.array([30.0])}
    case = Case.of_one(
        People(np.ones(1, np.int8), np.zeros(1, np.int32)),
        range(n),
        chance=chance,
        days_since_bought=[np.nan] * n,
    )
    learnt = dict.fromkeys(("offer", "win_back"), np.array([0.06])) if terms.effect == "learnt" else {}
    case = replace(case, standing=replace(standing, **days, **worth), learnt=learnt)
    names = [f"p{code}" for code in range(n)]
    return explain(choose(case, goods, terms=terms), case, terms=terms, row=0, products=names, names=names)


OFFER = "p0: 50% chance of being bought within 28 days; "


@pytest.mark.parametrize(
    ("terms", "text"),
    [
        ({}, f"{OFFER}if offering it raises that by 20% of itself (assumed), +0.30 EUR of margin after 0.10"),
        ({"currency": ""}, "(assumed), +0.30 of margin after 0.10 for the contact"),
        (
            {"effect": "learnt"},
            f"{OFFER}by the effect learnt from an experiment, +0.10 EUR of margin after 0.10 for the contact",
        ),
        (
            {"discount_share": 0.1},
            f"doing nothing earns more than the best option, {OFFER}if offering it raises",
        ),
        ({"discount_share": 0.1}, "-0.30 EUR of margin after 0.10 for the contact and 10% off"),
        (
            {"actions": (WIN_BACK,)},
            "win-back: 60% chance of an order within 28 days; if it moves 10% of those who would not order "
            "(assumed), +1.10 EUR of margin after 0.10 for the contact",
        ),
        (
            {"actions": (WIN_BACK,), "effect": "learnt"},
            "28 days; by the effect learnt from an experiment, +1.70 EUR of margin",
        ),
    ],
)
def test_the_reason_is_the_sum_in_words(terms: dict[str, Any], text: str) -> None:
    reason = told([0.5], replace(TERMS, **terms))["reason"]
    assert text in reason and reason.endswith(("for the contact", "10% off"))


def test_doing_nothing_is_worth_as_much_as_what_earns_nothing_and_comes_before_it() -> None:
    free = replace(TERMS, economics=Economics(contact_cost=0.0))
    assert [one["product_id"] for one in told([0.5, 0.0], free)["runners_up"]] == [None, "p1"]


def test_there_are_three_runners_up_at_most() -> None:
    answer = told([0.5] * 6)
    assert answer["product_id"] == "p5"
    assert [one["product_id"] for one in answer["runners_up"]] == ["p4", "p3", "p2"]
    assert answer["ruled_out"] == answer["ruled_out_actions"] == []


def test_a_window_ends_with_its_event_and_that_of_any_day_never() -> None:
    assert told([0.5], replace(TERMS, actions=(WIN_BACK,)))["window"] == window(20)
    assert told([0.5])["window"] == window(None)
    assert told([0.001])["window"] is None


def window(closes: int | None) -> dict[str, int | None]:
    return {"opens_in_days": 0, "closes_in_days": closes}


def test_only_what_no_action_may_offer_is_ruled_out() -> None:
    answer = told([0.5] * 3, hidden=[False, True, False])
    assert answer["ruled_out"] == [{"product_id": "p1", "rule": "hidden", "reason": "the shop hides it"}]


def test_where_different_rules_leave_nothing_each_is_counted() -> None:
    answer = told([0.5] * 3, hidden=[True, True, False], stock=[np.nan, np.nan, 0.0])
    assert answer["reason"] == (
        "nothing to offer: all 3 options are ruled out: the shop hides it (2); it is out of stock (1)"
    )
    assert [out["rule"] for out in answer["ruled_out"]] == ["hidden", "hidden", "out_of_stock"]


@pytest.mark.parametrize(("low", "may_be_none"), [(-0.0168, True), (0.0051, False)])
def test_a_learnt_effect_is_told_with_its_interval_and_whether_it_may_be_none(low, may_be_none) -> None:
    told_of = how_it_works("learnt", 0.05, average=(0.0233, low, 0.0634))
    assert f"+2.3 percentage points on average ({100 * low:+.1f} to +6.3)" in told_of
    assert ("which may be no effect at all" in told_of) == may_be_none
    assert "held out" not in how_it_works("assumed", 0.05)
