"""No contact ever breaks a rule: a million decisions checked all at once, and some of them one by one.

The checks say the rules again, in other words: no function of ``models.policy.rules`` is called.
"""

from typing import Any

import numpy as np
import pytest
from worlds.decisions import TERMS, some

from models.decisions.case import Case
from models.decisions.everyone import Options, options
from models.decisions.explore import draw, epsilon_greedy
from models.policy.actions import CHANNELS, EVENTS, NAMES, Action
from models.policy.subjects import Goods

N, K, SAMPLE = 1_000_000, 4, 3_000
ROLES = ("any", "new", "dearer", "due", "flash")
ECONOMICS, POLICY = TERMS.economics, TERMS.policy


@pytest.fixture(scope="module")
def decided() -> tuple[Case, Goods, Options, np.ndarray, np.ndarray]:
    """A million customers; half of the decisions are the best, half are drawn among all that is permitted."""
    asked, shelf = some(0, N, K)
    found = options(asked, shelf, terms=TERMS)
    chances = epsilon_greedy(found, 1.0)
    drawn = draw(chances, np.random.default_rng(1).random(N))
    action = np.where(np.arange(N) % 2, found.best(), drawn)
    return asked, shelf, found, action, np.where(np.arange(N) % 2, 1.0, chances[np.arange(N), drawn])


def test_a_million_decisions_are_of_every_kind(decided: Any) -> None:
    _, _, found, action, _ = decided
    names = ["nothing", *(one.name for one in found.table.actions)]
    counts = dict(zip(names, np.bincount(action + 1, minlength=len(names)).tolist(), strict=True))
    never = [name for name, n in counts.items() if n <= 100]
    assert len(action) == N and not never, f"nobody in tests/worlds/decisions.py is whom {never} is meant for"


def test_no_contact_breaks_a_rule_about_customers(decided: Any) -> None:
    asked, _, found, action, _ = decided
    at, told = action >= 0, asked.standing.take(action >= 0)
    taken = [found.table.actions[code] for code in range(len(found.table))]
    of = lambda field: np.array([getattr(a, field) for a in taken])[action[at]]  # noqa: E731
    channel = np.array([CHANNELS.index(a.channel) for a in taken])[action[at]]
    n = np.arange(at.sum())
    consent = np.where(told.consent[n, channel] == -1, told.consent[:, 0], told.consent[n, channel])
    assert not told.held_out.any() and not told.return_open.any()
    assert (consent == 1).all()
    assert (asked.people.n_contacts_28d[at] < ECONOMICS.max_contacts_28d).all()
    assert (told.n_contacts_7d < POLICY.max_contacts_7d).all()
    assert (told.settles_in <= 0).all()
    discounted = of("discount_share") > 0
    first = told.since[:, EVENTS.index("first_order")]
    assert not (discounted & (first < POLICY.no_coupon_days)).any()
    assert (told.n_orders >= of("least_orders")).all() and (told.rank >= 1 - of("best_share")).all()
    assert (np.where(of("least_risk") > 0, told.risk, 1) >= of("least_risk")).all()


def test_no_contact_breaks_a_rule_of_time(decided: Any) -> None:
    asked, _, found, action, _ = decided
    for code, what in enumerate(found.table.actions):
        told = asked.standing.take(action == code)
        again = told.since_action[:, NAMES.index(what.name)]
        assert not (again < what.cooldown_days).any(), what.name
        if what.after is not None:
            since = told.since[:, EVENTS.index(what.after)]
            assert ((since >= what.from_days) & (since <= what.until_days)).all(), what.name


def test_no_product_breaks_a_rule_about_products(decided: Any) -> None:
    asked, shelf, found, action, _ = decided
    product, worth, _, _ = found.at(action)
    goods = np.array([what.goods for what in found.table.actions])
    at = (action >= 0) & (product >= 0)
    assert ((product >= 0) == (goods[action] != "none"))[action >= 0].all()
    assert not shelf.hidden[product[at]].any() and not (shelf.stock[product[at]] <= 0).any()
    assert np.isfinite(worth[action >= 0]).all()
    wanted = np.array([1 << ROLES.index(what) if what in ROLES else 0 for what in goods])[action[at]]
    same = asked.product[at] == product[at, None]
    fits = same & (asked.role[at] & wanted[:, None] > 0) & ~asked.kind_cooling[at]
    assert (fits & ~(asked.days_since_bought[at] <= TERMS.just_bought_days)).any(axis=1).all()


def test_the_best_of_a_million_never_loses_money(decided: Any) -> None:
    _, _, found, action, _ = decided
    worth = found.at(action)[1][1::2]
    assert (worth[action[1::2] >= 0] > 0).all()


def test_one_by_one_no_contact_breaks_a_rule(decided: Any) -> None:
    asked, shelf, found, action, propensity = decided
    for row in np.random.default_rng(2).choice(N, SAMPLE, replace=False).tolist():
        assert 0 < propensity[row] <= 1
        if action[row] >= 0:
            what, product = found.table.actions[action[row]], int(found.product[row, action[row]])
            assert broken(asked, shelf, row, what, product) == []


def test_every_rule_is_said_once_more(decided: Any) -> None:
    asked, shelf, found, _, _ = decided
    what = found.table.actions[0]
    said = {*of_customers(asked, 0, what), *of_products(asked, shelf, 0, 0, what)} - {"role"}
    assert {*found.rules} == said, "a rule that is not said below is not checked"


def broken(asked: Case, shelf: Goods, row: int, what: Action, product: int) -> list[str]:
    """The rules once more, slow and obvious: name those that a contact would break."""
    found = [rule for rule, breaks in of_customers(asked, row, what).items() if breaks]
    refused = [any(of_products(asked, shelf, row, at, what).values()) for at in range(K)]
    return [*found, "no product"] if product >= 0 and all(refused) else found


def of_customers(asked: Case, row: int, what: Action) -> dict[str, bool]:
    who: Any = asked.standing
    own, mail = (who.consent[row, CHANNELS.index(channel)] for channel in (what.channel, "email"))
    after = 0 if what.after is None else who.since[row, EVENTS.index(what.after)]
    first_order = who.since[row, EVENTS.index("first_order")]
    return {
        "held_out": who.held_out[row],
        "consent": (mail if own == -1 else own) != 1,
        "open_return": who.return_open[row],
        "weekly_cap": who.n_contacts_7d[row] >= 2,
        "frequency_cap": asked.people.n_contacts_28d[row] >= 4,
        "settling": who.settles_in[row] > 0,
        "first_order_coupon": what.discount_share > 0 and first_order < 14,
        "cooldown": who.since_action[row, NAMES.index(what.name)] < what.cooldown_days,
        "too_early": what.after is not None and not after >= what.from_days,
        "too_late": what.after is not None and not after <= what.until_days,
        "not_meant": who.n_orders[row] < what.least_orders
        or who.rank[row] < 1 - what.best_share
        or (what.least_risk > 0 and not who.risk[row] >= what.least_risk),
    }


def of_products(asked: Case, shelf: Goods, row: int, at: int, what: Action) -> dict[str, bool]:
    product, role = asked.product[row, at], asked.role
    if product < 0 or what.goods == "none":
        return {"role": True}
    return {
        "role": not role[row, at] & (1 << ROLES.index(what.goods)),  # type: ignore[index]
        "hidden": shelf.hidden[product],
        "out_of_stock": shelf.stock[product] == 0,
        "cannot_know": not np.isfinite(shelf.margin[product]),
        "just_bought": asked.days_since_bought[row, at] <= 7,
        "same_kind": asked.kind_cooling[row, at],  # type: ignore[index]
    }
