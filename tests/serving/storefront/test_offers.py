"""The next best offer of one customer with all that is known: actions, windows, refusals, exploration."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from worlds.snapshot import AS_OF, GAIN, NOW, SCORES, make_home, make_snapshot, with_known, with_live

from features.arrays.history import Vocabulary
from features.settings import ContactPolicy, Economics
from models.policy.actions import EVENTS, NAMES, Action, catalogue
from models.policy.standing import Standing
from serving.api import EventsRequest, Offer, OfferRequest
from serving.api_crm import PlanRequest
from serving.marketing.plan import contact_plan
from serving.online import refreshed
from serving.online.view import View
from serving.persons import rights
from serving.scoring.folder import load
from serving.scoring.registered import Registered
from serving.state import State
from serving.store import Store
from serving.storefront import events
from serving.storefront.moments import act_window, days_on, send_at
from serving.storefront.offers import next_best_offer

WHO = "c000003"


@pytest.fixture
def state(tmp_path: Path) -> Iterator[State]:
    store = Store.open(tmp_path)
    opened = State.of(with_live(with_known(make_snapshot())), View(store, AS_OF))
    yield opened
    opened.view.close()
    store.close()


def ask(state: State, now: datetime = NOW, **request: Any) -> Offer:
    return next_best_offer(state, OfferRequest(customer_id=WHO, **request), now=now)


def post(state: State, **event: Any) -> None:
    posted = {"event_id": str(event)[:128], "customer_id": WHO} | event
    events.post_events(state, EventsRequest.model_validate({"events": [posted]}), now=NOW)
    state.view.sync()


def changed(state: State, **known: Any) -> State:
    """Return a state in which every customer stands otherwise."""
    found = state.snapshot.known
    assert found is not None
    standing = replace(found.standing, **known)
    return replace(state, snapshot=replace(state.snapshot, known=replace(found, standing=standing)))


def test_an_offer_names_its_action_channel_window_and_effect(state: State) -> None:
    offer = ask(state)
    assert offer.action in ("offer", "contact") and offer.name in NAMES
    assert (offer.channel, offer.effect) == ("email", "assumed")
    assert offer.window == {"from": "2026-03-01T10:00:00+00:00", "until": offer.window["until"]}  # type: ignore[index]
    assert offer.money[GAIN] is not None and offer.money[GAIN] > 0


def only(state: State, action: Action, **facts: Any) -> Offer:
    """Return the offer of a shop with one action, of whose products other facts are known."""
    goods, terms = state.snapshot.goods_and_terms  # type: ignore[misc]
    found = state.snapshot.known
    assert found is not None
    known = replace(found, products=replace(found.products, **facts))
    offering = goods, replace(terms, actions=(action,))
    return ask(replace(state, snapshot=replace(state.snapshot, known=known, goods_and_terms=offering)))


def test_only_slow_movers_and_launches_are_in_a_flash_sale(state: State) -> None:
    sale, n = Action(name="flash_sale", goods="flash", effect=9.0), len(state.snapshot.catalogue.products)
    assert only(state, sale, flash=np.ones(n, bool)).name == "flash_sale"
    assert only(state, sale, flash=np.zeros(n, bool)).name == "nothing"


def test_a_kind_that_is_rarely_bought_again_is_not_offered_soon_after_a_purchase_in_it(state: State) -> None:
    days = np.full(len(state.snapshot.catalogue.products), 999, np.float32)
    offer = only(state, Action(name="offer", goods="any", effect=9.0), same_kind_days=days)
    assert {refused["rule"] for refused in offer.ruled_out} >= {"same_kind"}


def test_where_no_consent_is_recorded_at_all_nobody_has_refused(state: State) -> None:
    assert state.snapshot.known is not None
    silent = changed(state, consent=np.full_like(state.snapshot.known.standing.consent, -1))
    nobody = replace(silent.snapshot, people=replace(silent.snapshot.people, consent_recorded=False))
    assert ask(replace(silent, snapshot=nobody)).name == ask(state).name != "nothing"
    assert ask(silent).name == "nothing"


def test_while_effects_are_assumed_the_experiment_is_proposed(state: State) -> None:
    told = ask(state).experiment
    assert told is not None and "held_out_share" in told and "hold out" in told
    assert "too few customers to measure it" in told  # 20 of them


def test_who_ordered_first_since_the_scoring_is_new_and_not_unknown(state: State) -> None:
    post(state, kind="order", customer_id="newcomer", product_id="p000001")
    for name, told in (("newcomer", "the customer is new since the scoring"), ("nobody", "is unknown")):
        offer = next_best_offer(state, OfferRequest(customer_id=name), now=NOW)
        assert offer.fallback is not None and told in offer.fallback
        left_out = contact_plan(state, PlanRequest(customer_ids=[name]), now=NOW).not_planned
        assert told in left_out[0]["reason"]


def newcomer(state: State, now: datetime = NOW, *, refresh: bool = True, **request: Any) -> Offer:
    """Ask for a customer whose first order came after the scoring, refreshed or not yet."""
    post(state, kind="order", customer_id="newcomer", product_id="p000001", occurred_at=AS_OF)
    if refresh:
        scores = dict.fromkeys(SCORES, 0.5) | {SCORES[1]: 40.0}
        row = {"customer_id": "newcomer", "stamp": state.snapshot.stamp, "as_of": AS_OF, "events_seq": 1}
        refreshed.keep(state.view.store, [row | {"features": {}, "scores": scores}])
    return next_best_offer(state, OfferRequest(customer_id="newcomer", **request), now=now)


def registered(state: State, **known: Any) -> State:
    """Return a state whose scoring knew the newcomer by name."""
    standing = replace(Standing.unknown(1), **known)
    people = Registered(Vocabulary.of(["newcomer"]), standing, np.zeros(1, np.int32))
    return replace(state, snapshot=replace(state.snapshot, registered=people))


def with_terms(state: State, **changes: Any) -> State:
    goods, terms = state.snapshot.goods_and_terms  # type: ignore[misc]
    offering = goods, replace(terms, **changes)
    return replace(state, snapshot=replace(state.snapshot, goods_and_terms=offering))


def test_who_ordered_first_since_the_scoring_is_weighed_by_refreshed_scores(state: State) -> None:
    agreed = registered(state, consent=np.ones((1, 5), np.int8))
    contact = newcomer(agreed)
    assert (contact.fallback, contact.name, contact.channel) == (None, "thank_you", "email")
    assert "50% chance of an order within 28 days" in contact.reason
    refused = {row["action"]: row["rule"] for row in contact.ruled_out_actions}
    assert refused["win_back"] == "too_early"
    assert refused["flash_sale"] == refused["loyalty_reward"] == "first_order_coupon"
    only = tuple(action for action in catalogue() if action.offers_product)
    offer = newcomer(with_terms(agreed, actions=only))
    assert (offer.fallback, offer.name) == (None, "cross_sell") and offer.money[GAIN] > 0  # type: ignore[operator]
    assert offer.product_id is not None and offer.product_id != "p000001"  # just bought


def test_a_newcomer_whose_scores_are_not_there_yet_is_offered_products_only(state: State) -> None:
    agreed = registered(state, consent=np.ones((1, 5), np.int8))
    offer = newcomer(agreed, refresh=False)
    assert offer.action == "offer" and offer.fallback is not None and "not known yet" in offer.fallback


def test_a_newcomer_to_a_scoring_of_long_ago_is_told_why_there_are_no_scores(state: State) -> None:
    late = AS_OF + timedelta(days=30)
    ordered = {"event_id": "late", "kind": "order", "customer_id": "newcomer", "product_id": "p000001"}
    events.post_events(state, EventsRequest.model_validate({"events": [ordered]}), now=late)
    state.view.sync()
    offer = next_best_offer(state, OfferRequest(customer_id="newcomer", channel="site"), now=late)
    assert offer.action == "offer" and offer.fallback is not None
    assert "new since the scoring: the scoring is of 2026-03-01, too old" in offer.fallback
    asked = OfferRequest(customer_id="newcomer", channel="site", locale="pt-BR")
    told = next_best_offer(state, asked, now=late).fallback
    assert told is not None
    assert told.startswith("o cliente é novo desde a pontuação: a pontuação é de 2026-03-01, antiga demais")
    unscored = replace(state.snapshot, scores=state.snapshot.features)
    asked = OfferRequest(customer_id="newcomer", channel="site")
    assert next_best_offer(replace(state, snapshot=unscored), asked, now=late).fallback is None


def test_of_a_newcomer_no_consent_is_assumed_and_a_refusal_is_heeded(state: State) -> None:
    unheard_of = newcomer(state)
    assert unheard_of.name == "nothing" and "not agreed" in unheard_of.reason
    assert newcomer(state, channel="site").channel == "site"
    lenient = with_terms(state, economics=Economics(require_consent=False))
    assert newcomer(lenient).name != "nothing"
    refusing = registered(lenient, consent=np.zeros((1, 5), np.int8))
    assert "not agreed" in newcomer(refusing).reason


def test_a_newcomer_is_held_out_by_the_same_draw_as_in_the_next_scoring(state: State) -> None:
    policy = ContactPolicy(held_out_share=0.999)
    offer = newcomer(with_terms(state, policy=policy), record=True, channel="site")
    assert offer.name == "nothing" and "held out" in offer.reason and offer.propensity == 0.999


def test_a_learnt_effect_is_for_a_newcomer_its_mean_over_customers(state: State) -> None:
    found = state.snapshot.known
    assert found is not None
    taught = replace(found, learnt={"thank_you": np.linspace(0.5, 0.7, len(state.snapshot.customers))})
    offer = newcomer(replace(state, snapshot=replace(state.snapshot, known=taught)), channel="site")
    assert (offer.name, offer.effect) == ("thank_you", "learnt")
    assert offer.money[GAIN] == pytest.approx(0.6 * 80)  # margin if they stay: 40 / 0.5


def test_contacts_to_a_newcomer_count_and_cool_down(state: State) -> None:
    for hour in (1, 2):
        post(state, kind="contact", customer_id="newcomer", occurred_at=AS_OF + timedelta(hours=hour))
    assert "7 days" in newcomer(state, channel="site").reason


def test_a_newcomer_is_not_offered_another_of_the_kind_just_bought(state: State) -> None:
    known = state.snapshot.known
    assert known is not None
    rare = replace(known.products, same_kind_days=known.products.same_kind_days + 90)
    lasting = replace(state, snapshot=replace(state.snapshot, known=replace(known, products=rare)))
    only = tuple(action for action in catalogue() if action.offers_product)
    offer = newcomer(with_terms(lasting, actions=only), channel="site")
    kinds = state.snapshot.catalogue.category
    kind = kinds[state.snapshot.product("p000001")]
    assert offer.product_id is not None and kinds[state.snapshot.product(offer.product_id)] != kind
    assert {row["rule"] for row in offer.ruled_out} <= {"same_kind", "just_bought"}
    post(lasting, kind="order", product_id="p000002")  # and so for who was known before
    kinds_offered = {row["rule"] for row in ask(lasting, channel="site").ruled_out}
    assert "same_kind" in kinds_offered


def test_who_never_ordered_gets_a_reasoned_nothing(state: State) -> None:
    post(state, kind="contact", customer_id="contacted", action="survey")
    post(state, kind="return", customer_id="returned", product_id="p000001")
    rights.forget(state.view.store, "newcomer", now=NOW)
    for name in ("nobody", "contacted", "returned", "newcomer"):
        offer = newcomer(state) if name == "newcomer" else ask_for(state, name)
        assert (offer.action, offer.name, offer.product_id) == ("nothing", "nothing", None)
        assert "known only of those who ordered" in offer.reason
        assert offer.fallback is not None and "their chances are not known" in offer.fallback
        here = next_best_offer(state, OfferRequest(customer_id=name, locale="pt"), now=NOW).fallback
        assert here is not None and here.endswith("não se conhecem suas chances")


def test_who_ordered_since_the_scoring_is_not_won_back(state: State) -> None:
    gone = np.where(np.array(EVENTS) == "birthday", np.nan, np.full((len(state.snapshot.customers), 1), 90))
    leaving = changed(state, since=gone.astype(np.float32), risk=np.full(len(gone), 0.9))
    before = {row["action"] for row in ask(leaving).ruled_out_actions}
    post(leaving, kind="order", product_id="p000001")
    refused = {row["action"]: row["rule"] for row in ask(leaving).ruled_out_actions}
    assert "win_back" not in before and refused["win_back"] == "too_early"


def ask_for(state: State, customer_id: str) -> Offer:
    return next_best_offer(state, OfferRequest(customer_id=customer_id), now=NOW)


def test_an_effect_that_was_learnt_is_called_so(state: State) -> None:
    n = len(state.snapshot.customers)
    assert state.snapshot.known is not None
    taught = replace(state.snapshot.known, learnt={name: np.full(n, 0.9) for name in ("thank_you",)})
    offer = ask(replace(state, snapshot=replace(state.snapshot, known=taught)))
    assert (offer.name, offer.effect, offer.experiment) == ("thank_you", "learnt", None)
    assert offer.action == "contact" and offer.product_id is None


def test_what_is_tried_instead_of_the_best_is_called_by_its_own_effect(state: State) -> None:
    goods, terms = state.snapshot.goods_and_terms  # type: ignore[misc]
    curious = goods, replace(terms, policy=ContactPolicy(exploration="epsilon", epsilon=1.0))
    assert state.snapshot.known is not None
    taught = replace(state.snapshot.known, learnt={"thank_you": np.full(len(state.snapshot.customers), 0.9)})
    trying = replace(state, snapshot=replace(state.snapshot, known=taught, goods_and_terms=curious))
    drawn = [ask(trying, record=True) for _ in range(40)]
    assert len({offer.name for offer in drawn}) > 2
    for offer in drawn:
        assert offer.effect == ("learnt" if offer.name == "thank_you" else "assumed")
        assert (offer.experiment is None) == (offer.name == "thank_you")


def test_actions_that_a_rule_refuses_are_named_with_it(state: State) -> None:
    refused = {row["action"]: row["rule"] for row in ask(state).ruled_out_actions}
    assert refused["birthday"] == "too_early"
    assert refused["win_back"] in ("not_meant", "too_early")


def test_two_contacts_this_week_are_the_most(state: State) -> None:
    for hour in (1, 2):
        post(state, kind="contact", channel="sms", occurred_at=AS_OF + timedelta(hours=hour))
    offer = ask(state)
    assert offer.name == "nothing" and "7 days" in offer.reason


def test_an_action_just_taken_cools_down(state: State) -> None:
    first = ask(state).name
    post(state, kind="contact", action="thank_you", occurred_at=AS_OF + timedelta(hours=1))
    refused = {row["action"]: row["rule"] for row in ask(state).ruled_out_actions}
    assert first != "nothing" and refused["thank_you"] == "cooldown"


def test_after_a_new_order_nothing_is_sent_before_it_has_settled(state: State) -> None:
    known = state.snapshot.known
    assert known is not None
    slow = replace(known, products=replace(known.products, settling_days=known.products.settling_days + 7))
    waiting = replace(state, snapshot=replace(state.snapshot, known=slow))
    post(waiting, kind="order", product_id="p000001")
    assert "has only just arrived" in ask(waiting).reason


def test_what_is_shown_in_the_shop_needs_no_consent_no_quiet_hours_and_costs_nothing(state: State) -> None:
    refusing = changed(state, consent=np.zeros((len(state.snapshot.customers), 5), np.int8))
    night = AS_OF + timedelta(hours=3)
    mailed, shown = ask(refusing, night), ask(refusing, night, channel="site")
    assert mailed.name == "nothing" and "not agreed" in mailed.reason
    assert shown.name != "nothing" and shown.channel == "site" and "0.00 for the contact" in shown.reason
    assert shown.window is not None and shown.window["from"] == "2026-03-01T03:00:00+00:00"
    texted = ask(state, channel="sms")
    assert texted.channel == "sms" and "for the contact" in texted.reason.replace("0.00 for the contact", "")


def test_of_who_was_erased_no_decision_is_kept(state: State) -> None:
    rights.forget(state.view.store, WHO, now=NOW)
    state.view.sync()
    assert ask(state, record=True).decision_id is None
    assert state.view.store.of_customer(WHO)["decisions"] == []


def test_who_is_held_out_gets_nothing_with_the_propensity_of_the_draw(state: State) -> None:
    goods, terms = state.snapshot.goods_and_terms  # type: ignore[misc]
    policy = ContactPolicy(held_out_share=0.2)
    offering = goods, replace(terms, policy=policy)
    shared = replace(state, snapshot=replace(state.snapshot, goods_and_terms=offering))
    held = changed(shared, held_out=np.ones(len(state.snapshot.customers), bool))
    offer, other = ask(held, record=True), ask(shared, record=True)
    assert (offer.name, offer.propensity) == ("nothing", pytest.approx(0.2))
    assert "held out" in offer.reason
    assert (other.name != "nothing", other.propensity) == (True, pytest.approx(0.8))
    kept = state.view.store.of_customer(WHO)["decisions"]
    assert {(row["action"], round(row["propensity"], 6)) for row in kept} == {
        ("nothing", 0.2),
        (other.name, 0.8),
    }


def test_only_recorded_decisions_explore(state: State) -> None:
    goods, terms = state.snapshot.goods_and_terms  # type: ignore[misc]
    policy = ContactPolicy(exploration="epsilon", epsilon=1.0)
    offering = goods, replace(terms, policy=policy)
    curious = replace(state, snapshot=replace(state.snapshot, goods_and_terms=offering))
    best = ask(curious)
    assert best.propensity is None and {ask(curious).name for _ in range(9)} == {best.name}
    drawn = [ask(curious, record=True) for _ in range(40)]
    assert len({offer.name for offer in drawn}) > 2
    for offer in drawn:
        assert offer.propensity == pytest.approx(drawn[0].propensity)
        assert offer.action != "offer" or offer.product_id is not None
        assert offer.name == best.name or offer.runners_up[0]["action"] == best.name


@pytest.mark.parametrize(
    ("now", "at"),
    [
        ("2026-03-01T10:00:00+00:00", "2026-03-01T10:00:00+00:00"),
        ("2026-03-01T22:30:00+00:00", "2026-03-02T08:00:00+00:00"),
        ("2026-03-01T03:00:00+00:00", "2026-03-01T08:00:00+00:00"),
    ],
)
def test_quiet_hours_put_a_contact_off_until_they_end(now: str, at: str) -> None:
    assert send_at(datetime.fromisoformat(now), "UTC", policy=ContactPolicy()).isoformat() == at


@pytest.mark.parametrize(
    ("closes", "until"),
    [(0, "2026-03-02T00:00:00-03:00"), (2, "2026-03-04T00:00:00-03:00"), (None, None)],
)
def test_a_window_ends_with_its_last_day_in_the_shops_zone(closes: int | None, until: str | None) -> None:
    window, moment = {"opens_in_days": 0, "closes_in_days": closes}, datetime(2026, 3, 1, 15, 0, tzinfo=UTC)
    told = act_window(window, moment, timezone="America/Sao_Paulo", policy=ContactPolicy(), channel="email")
    assert told == {"from": "2026-03-01T12:00:00-03:00", "until": until}


def test_quiet_hours_are_those_of_the_shops_zone() -> None:
    moment = datetime(2026, 3, 1, 2, 0, tzinfo=UTC)  # 23:00 of the day before in São Paulo
    assert (
        send_at(moment, "America/Sao_Paulo", policy=ContactPolicy()).isoformat()
        == "2026-03-01T08:00:00-03:00"
    )
    assert send_at(moment, "America/Sao_Paulo", policy=ContactPolicy(), channel="site").hour == 23


def test_a_scoring_of_long_ago_is_taken_as_of_its_own_day(state: State) -> None:
    snapshot = state.snapshot
    assert [days_on(snapshot, AS_OF + timedelta(days=days)) for days in (0, 5, 29, 3000)] == [0, 5, 0, 0]


def test_what_is_known_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    written = make_home(tmp_path, with_known(make_snapshot()))
    read = load(tmp_path / "lists" / written.stamp)
    assert read.known is not None and written.known is not None
    np.testing.assert_array_equal(read.known.standing.risk, written.known.standing.risk)
    np.testing.assert_array_equal(read.known.products.repeat_days, written.known.products.repeat_days)
    assert read.goods_and_terms is not None and written.goods_and_terms is not None
    assert read.goods_and_terms[1] == written.goods_and_terms[1]


def test_a_discount_is_named_beside_what_a_contact_earns(state: State) -> None:
    goods, terms = state.snapshot.goods_and_terms  # type: ignore[misc]
    generous = Action(name="loyalty_reward", discount_share=0.1, effect=0.9)
    offering = goods, replace(terms, actions=(generous,), policy=ContactPolicy(no_coupon_days=0))
    n = len(state.snapshot.customers)
    leaving = changed(state, risk=np.full(n, 0.9), margin=np.full(n, 50.0))
    offer = ask(replace(leaving, snapshot=replace(leaving.snapshot, goods_and_terms=offering)))
    assert offer.name == "loyalty_reward" and offer.ruled_out == []
    assert "for the contact and 10% off" in offer.reason


def test_an_offer_weighed_by_scores_carried_from_a_shorter_horizon_says_so(state: State) -> None:
    note = {"code": "carried", "model": "churn", "horizon_days": 28, "learnt_days": 20}
    note |= {"learnt_from": "2026-04-01"}
    young = replace(state, snapshot=replace(state.snapshot, notes=(note,)))
    assert "not calibrated" in ask(young).notes[0]["text"]
    assert ask(state).notes == []
    season = note | {"code": "season", "season_from": "2027-04-01"}
    assert ask(replace(state, snapshot=replace(state.snapshot, notes=(season,)))).notes == []
    nobody_scored = next_best_offer(young, OfferRequest(customer_id="nobody"), now=NOW)
    assert nobody_scored.notes == []


def test_an_offer_speaks_the_shops_language_unless_the_request_names_one(state: State) -> None:
    brazilian = replace(state, snapshot=replace(state.snapshot, locale="pt-BR"))
    english, portuguese = ask(state), ask(brazilian)
    assert "chance of" in english.reason and "de chance de" in portuguese.reason
    assert ask(brazilian, locale="en-GB").reason == english.reason
    assert ask(state, locale="pt").reason == portuguese.reason
    refused = [one["reason"] for one in portuguese.ruled_out_actions]
    assert refused and not {*refused} & {one["reason"] for one in english.ruled_out_actions}
    nobody = next_best_offer(brazilian, OfferRequest(customer_id="nobody"), now=NOW)
    assert nobody.reason.startswith("nada a oferecer: o cliente é desconhecido")
