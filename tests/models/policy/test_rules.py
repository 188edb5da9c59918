"""Each rule by hand: who is refused, in words, and in how many days it will permit."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.settings import ContactPolicy, Economics
from models.policy.action_table import ActionTable
from models.policy.actions import CHANNELS, EVENTS, NAMES, Action, Event, catalogue
from models.policy.rules import Timing, quiet_hours, timing
from models.policy.standing import COLUMNS, Standing, draw_held_out

POLICY, ECONOMICS = ContactPolicy(), Economics()
ANY_DAY = Action(name="win_back")
COUPON = Action(name="win_back_discount", discount_share=0.1)
THANKS = Action(name="thank_you", after="delivery", from_days=2, until_days=7)


def table(*actions: Action, policy: ContactPolicy = POLICY) -> ActionTable:
    return ActionTable.of(actions, ECONOMICS, policy=policy)


def one(**known: Any) -> Standing:
    """One customer, who may be contacted in every channel."""
    yes = np.ones((1, len(CHANNELS)), np.int8)
    given = {name: np.array([value]) for name, value in known.items()}
    return replace(Standing.unknown(1), **({"consent": yes} | given))


def since(event: str, days: float, *, action: bool = False) -> np.ndarray:
    names = NAMES if action else EVENTS
    return np.where(np.array(names) == event, np.float32(days), np.float32(np.nan))


def refused(
    standing: Standing,
    action: Action,
    *,
    policy: ContactPolicy = POLICY,
    days: int = 0,
    recorded: bool = True,
) -> set[str]:
    """Return the rules that refuse one action to one customer."""
    said = told(standing, action, policy=policy, days=days, recorded=recorded)
    return {rule.rule for rule in said.refusals if np.broadcast_to(rule.mask, (1, 1))[0, 0]}


def told(standing: Standing, action: Action, *, policy: ContactPolicy = POLICY, **asked: Any) -> Timing:
    asked = {"days": 0, "recorded": True} | asked
    return timing(standing, table(action, policy=policy), economics=ECONOMICS, policy=policy, **asked)


def test_who_has_agreed_and_waits_for_nothing_may_be_contacted() -> None:
    assert refused(one(), ANY_DAY) == set()


def test_who_is_held_out_is_never_contacted() -> None:
    assert refused(one(held_out=True), ANY_DAY) == {"held_out"}


def test_consent_is_asked_for_each_channel() -> None:
    by_mail_only = one(consent=[1, 0, -1, -1, -1])
    allowed = {c for c in CHANNELS if not refused(by_mail_only, Action(name="win_back", channel=c))}
    assert allowed == {"email", "push", "post", "site"}  # push and post were not asked: e-mail's holds


def test_what_is_shown_in_the_shop_needs_no_consent() -> None:
    nobody = one(consent=[0, 0, 0, 0, 0])
    assert refused(nobody, Action(name="cross_sell", channel="site", goods="new")) == set()


@pytest.mark.parametrize(("recorded", "rules"), [(True, {"consent"}), (False, set())])
def test_consent_nobody_records_is_no_refusal(recorded: bool, rules: set[str]) -> None:
    assert refused(one(consent=[-1] * 5), ANY_DAY, recorded=recorded) == rules


def test_an_open_return_holds_everything_up() -> None:
    assert refused(one(return_open=True), ANY_DAY) == {"open_return"}


def test_nothing_is_sent_before_the_goods_have_settled() -> None:
    waiting = one(settles_in=3.0)
    assert refused(waiting, ANY_DAY) == {"settling"}
    assert refused(waiting, ANY_DAY, days=3) == set()
    assert told(waiting, ANY_DAY).opens[0, 0] == 3


def test_a_coupon_waits_after_the_first_order_and_other_contacts_do_not() -> None:
    new = one(since=since("first_order", 5))
    assert refused(new, COUPON) == {"first_order_coupon"}
    assert refused(new, ANY_DAY) == refused(one(), COUPON) == set()  # or no order is known
    assert told(new, COUPON).opens[0, 0] == POLICY.no_coupon_days - 5


def test_the_weekly_cap_counts_all_channels() -> None:
    assert refused(one(n_contacts_7d=2), ANY_DAY) == {"weekly_cap"}
    assert told(one(n_contacts_7d=2), ANY_DAY).opens[0, 0] == 7
    assert refused(one(n_contacts_7d=2), ANY_DAY, policy=ContactPolicy(max_contacts_7d=3)) == set()


def test_a_cap_of_no_contacts_is_never_lifted() -> None:
    assert refused(one(), ANY_DAY, policy=ContactPolicy(max_contacts_7d=0), days=365) == {"weekly_cap"}


def test_an_action_is_not_repeated_within_its_cooldown() -> None:
    again = Action(name="win_back", cooldown_days=28)
    assert refused(one(since_action=since("win_back", 27, action=True)), again) == {"cooldown"}
    assert refused(one(since_action=since("win_back", 28, action=True)), again) == set()
    assert refused(one(since_action=since("survey", 1, action=True)), again) == set()


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize(
    ("days", "rules"),
    [(1, {"too_early"}), (2, set()), (7, set()), (8, {"too_late"}), (np.nan, {"too_early"})],
)
def test_an_action_keeps_to_the_window_after_its_event(days: float, rules: set[str], event: Event) -> None:
    action = THANKS.model_copy(update={"after": event})
    assert refused(one(since=since(event, days)), action) == rules


@pytest.mark.parametrize("window", [(5, 9), (-9, -5)])
def test_a_window_after_no_event_is_none(window: tuple[int, int]) -> None:
    assert refused(one(), Action(name="win_back", from_days=window[0], until_days=window[1])) == set()


@pytest.mark.parametrize(("days", "rules"), [(-4, {"too_early"}), (-3, set()), (1, set()), (2, {"too_late"})])
def test_a_birthday_is_greeted_from_days_before_to_the_day_after(days: float, rules: set[str]) -> None:
    birthday = next(action for action in catalogue() if action.name == "birthday")
    assert refused(one(since=since("birthday", days)), birthday) == rules


def test_what_can_only_open_after_it_closed_is_too_late() -> None:
    late = one(since=since("delivery", 5), settles_in=4.0)
    assert refused(late, THANKS, days=30) == {"too_late"}


@pytest.mark.parametrize(
    ("known", "rules"),
    [
        ({"risk": 0.6, "n_orders": 3, "rank": 0.9}, set()),
        ({"risk": 0.4, "n_orders": 3, "rank": 0.9}, {"not_meant"}),
        ({"risk": np.nan, "n_orders": 3, "rank": 0.9}, {"not_meant"}),
        ({"risk": 0.6, "n_orders": 2, "rank": 0.9}, {"not_meant"}),
        ({"risk": 0.6, "n_orders": 3, "rank": 0.7}, {"not_meant"}),
    ],
)
def test_an_action_is_for_those_it_is_meant_for(known: dict[str, float], rules: set[str]) -> None:
    picky = Action(name="win_back", least_risk=0.5, least_orders=3, best_share=0.2)
    assert refused(one(**known), picky) == rules


def test_of_an_action_that_is_new_since_a_scoring_nothing_is_known_and_the_others_keep_their_days(
    tmp_path: Path,
) -> None:
    days = np.arange(len(NAMES), dtype=np.float32)[None]
    replace(Standing.unknown(1), since_action=days).save(tmp_path)
    old = list(NAMES[:3] + NAMES[4:])[::-1]
    np.save(tmp_path / "since_action.npy", days[:, [NAMES.index(name) for name in old]])
    (tmp_path / "columns.json").write_text(json.dumps(COLUMNS | {"since_action": old}))
    found = Standing.load(tmp_path).since_action[0].tolist()
    assert np.isnan(found.pop(3)) and found == [day for day in days[0].tolist() if day != 3]


@pytest.mark.parametrize(
    ("policy", "quiet"),
    [
        (ContactPolicy(), {*range(21, 24), *range(8)}),
        (ContactPolicy(quiet_from=12, quiet_until=14), {12, 13}),
        (ContactPolicy(quiet_from=0, quiet_until=0), set()),
    ],
)
def test_nothing_is_sent_in_quiet_hours(policy: ContactPolicy, quiet: set[int]) -> None:
    assert set(np.flatnonzero(quiet_hours(np.arange(24), policy).mask).tolist()) == quiet


def test_the_share_held_out_is_the_one_asked_for() -> None:
    ids = np.array([f"customer-{at}" for at in range(100_000)], np.bytes_)
    assert draw_held_out(ids, 0.1, salt="salt").mean() == pytest.approx(0.1, abs=0.003)
    assert not draw_held_out(ids, 0.0, salt="salt").any()


def test_who_is_held_out_stays_so_whatever_computes_it() -> None:
    ids = [f"c{at}é" for at in range(200)]
    held = draw_held_out(np.array([name.encode() for name in ids], np.bytes_), 0.3, salt="spring")
    assert held.tolist() == [drawn(name, "spring") < 0.3 for name in ids]


def drawn(name: str, salt: str) -> float:
    """FNV-1a of salt and id, finished by splitmix64, in whole numbers."""
    state = 0xCBF29CE484222325
    for byte in (salt + name).encode():
        state = (state ^ byte) * 0x100000001B3 % 2**64
    state = (state ^ state >> 30) * 0xBF58476D1CE4E5B9 % 2**64
    state = (state ^ state >> 27) * 0x94D049BB133111EB % 2**64
    return ((state ^ state >> 31) >> 11) / 2**53


def test_another_salt_holds_out_others() -> None:
    ids = np.array([f"c{at}" for at in range(20_000)], np.bytes_)
    both = draw_held_out(ids, 0.5, salt="spring") & draw_held_out(ids, 0.5, salt="autumn")
    assert both.mean() == pytest.approx(0.25, abs=0.01)


@given(st.lists(st.text("abcé0-9", min_size=1, max_size=9), min_size=1, max_size=20, unique=True))
def test_who_is_held_out_does_not_depend_on_who_else_is_asked(ids: list[str]) -> None:
    together = draw_held_out(np.array([name.encode() for name in ids], np.bytes_), 0.5, salt="s")
    alone = [draw_held_out(np.array([name.encode()], np.bytes_), 0.5, salt="s")[0] for name in ids]
    assert together.tolist() == alone
