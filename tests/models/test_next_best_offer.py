from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from worlds import orders

from features.arrays.history import Vocabulary
from features.errors import CannotLearn, InputError
from features.shop import Shop
from features.window import parse_cutoff
from models.decisions.economics import Margins
from models.decisions.offer import ReadyLists
from models.decisions.reading import read_people
from models.next_best_offer import NextBestOffer, OfferConfig
from models.policy.actions import OFFER
from models.policy.subjects import People

CUTOFF, END = parse_cutoff("2024-06-01"), parse_cutoff("2024-06-29")


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    lines = orders.order_lines()
    consent = pd.DataFrame(
        {
            "customer_id": [f"c{at:02d}" for at in range(40)],
            "email_consent": [at % 4 != 0 for at in range(40)],
        }
    )
    folder = tmp_path_factory.mktemp("offers")
    return orders.make_shop(
        folder, lines, products=orders.products(), contacts=orders.contacts(lines), customers=consent
    )


@pytest.fixture(scope="module")
def model(shop: Shop) -> NextBestOffer:
    return NextBestOffer.fit(shop, CUTOFF, config=OfferConfig())


@pytest.fixture(scope="module")
def lists(shop: Shop) -> ReadyLists:
    """Everybody is offered everything, at the share of customers who bought it last month."""
    history = shop.history(CUTOFF)
    recent = history.day >= history.cutoff_day - 28
    buyers = np.unique(np.stack([history.customer, history.product])[:, recent], axis=1)[1]
    chance = np.bincount(buyers, minlength=len(history.products)) / len(history.customers)
    shape = (len(history.customers), len(history.products))
    product = np.broadcast_to(np.arange(shape[1], dtype=np.int32), shape)
    return {"for_you": (product, np.broadcast_to(chance, shape).astype(np.float32))}


def test_margins_come_from_unit_costs(model: NextBestOffer, shop: Shop) -> None:
    margin = model.goods(shop.catalogue(CUTOFF)).margin
    np.testing.assert_allclose(margin, shop.catalogue(CUTOFF).price - (1.0 + np.arange(12) / 2))


def test_a_product_of_unknown_cost_takes_the_margin_of_its_category(shop: Shop) -> None:
    catalogue = shop.catalogue(CUTOFF)
    cost = np.where(np.arange(12) == 11, np.nan, catalogue.unit_cost).astype(np.float32)
    partly = replace(catalogue, unit_cost=cost)
    share = Margins.learn(partly, 0.3).of_products(partly)[11] / catalogue.price[11]
    mates = (catalogue.category == catalogue.category[11]) & np.isfinite(cost)
    assert share == pytest.approx(np.median(1 - cost[mates] / catalogue.price[mates]), rel=1e-6)


def test_two_known_costs_say_nothing_of_a_category_and_three_do_by_their_median(shop: Shop) -> None:
    catalogue, shares = shop.catalogue(CUTOFF), np.full(12, np.nan)
    shares[[0, 3]], shares[[1, 4, 7]] = (0.05, 0.1), (0.1, 0.2, 0.6)  # food > a, food > b
    cost = np.append(10 * (1 - shares[:11]), 5.0).astype(np.float32)
    price = np.append(np.full(11, 10.0), np.nan).astype(np.float32)
    learnt = Margins.learn(replace(catalogue, price=price, unit_cost=cost), 0.3)
    assert learnt.by_category == pytest.approx({"food": 0.1, "food > b": 0.2})
    assert learnt.shop == pytest.approx(0.1)
    nothing = replace(catalogue, unit_cost=np.full_like(cost, np.nan))
    assert Margins.learn(nothing, 0.3) == Margins(assumed=0.3)


def test_a_cheap_product_has_a_margin_and_one_without_a_price_has_none(shop: Shop) -> None:
    catalogue = shop.catalogue(CUTOFF)
    price = np.append([0.5, 0.0], catalogue.price[2:]).astype(np.float32)
    found = Margins(assumed=0.3).of_products(
        replace(catalogue, price=price, unit_cost=np.full_like(price, np.nan))
    )
    np.testing.assert_allclose(found[:2], [0.15, np.nan])


def test_a_category_without_costs_takes_the_margin_above_it_then_the_assumed_one() -> None:
    margins = Margins(assumed=0.3, shop=0.25, by_category={"food": 0.2, "food > a": 0.1})
    assert [margins.share(path) for path in ("food > a > b", "food > c", "books", "")] == [
        0.1,
        0.2,
        0.25,
        0.25,
    ]
    assert Margins(assumed=0.3).share("books") == 0.3


def test_a_shop_without_prices_is_told_so(tmp_path: Path) -> None:
    lines = orders.order_lines().drop(columns=["unit_price", "discount"])
    with pytest.raises(CannotLearn, match="prices"):
        NextBestOffer.fit(orders.make_shop(tmp_path, lines), CUTOFF, config=OfferConfig())


def test_a_shop_without_products_is_told_so(tmp_path: Path) -> None:
    lines = orders.order_lines().drop(columns="product_id")
    with pytest.raises(CannotLearn, match="product_id"):
        NextBestOffer.fit(orders.make_shop(tmp_path, lines), CUTOFF, config=OfferConfig())


def test_a_saved_model_is_read_back(model: NextBestOffer, tmp_path: Path) -> None:
    model.save(tmp_path)
    again = NextBestOffer.load(tmp_path)
    assert (again.margins, again.config, again.trained_until) == (model.margins, model.config, CUTOFF)


def test_everyone_gets_a_decision_and_refused_ones_the_rule(
    model: NextBestOffer, shop: Shop, lists: ReadyLists
) -> None:
    frame = model.decide(shop, CUTOFF, lists=lists)
    assert frame.index.tolist() == shop.history(CUTOFF).customers.all_names()
    no_consent = [name for name in frame.index if int(name[1:]) % 4 == 0]
    assert (frame.loc[no_consent, "ruled_out_by"] == "consent").all()
    assert frame.loc[no_consent, "offer"].isna().all()
    assert (
        frame["offer"].notna().any()
        and set(frame["effect"]) == {"assumed"}
        and set(frame["currency"]) == {"EUR"}
    )


def test_with_scores_actions_without_a_product_are_weighed_too(
    model: NextBestOffer, shop: Shop, lists: ReadyLists
) -> None:
    index = pd.Index(shop.history(CUTOFF).customers.all_names(), name="customer_id")
    scores = pd.DataFrame({"churn_probability_28d": 0.9, "expected_margin_28d": 50.0}, index=index)
    actions = model.decide(shop, CUTOFF, lists=lists, scores=scores)["action"]
    assert set(actions) & {"thank_you", "survey", "review_request", "loyalty_reward"}


def test_money_is_zero_exactly_where_nothing_is_offered(
    model: NextBestOffer, shop: Shop, lists: ReadyLists
) -> None:
    frame = model.decide(shop, CUTOFF, lists=lists)
    assert ((frame["expected_incremental_margin_28d"] == 0) == frame["offer"].isna()).all()
    assert (frame["purchase_probability_28d"].isna() == frame["offer"].isna()).all()
    assert ((frame["action"] == "nothing") == frame["offer"].isna()).all()
    assert (frame["action"] != frame["runner_up"]).all()


def test_what_was_bought_this_week_is_not_offered(
    model: NextBestOffer, shop: Shop, lists: ReadyLists
) -> None:
    history, offers = shop.history(CUTOFF), model.decide(shop, CUTOFF, lists=lists)["offer"].dropna()
    fresh = history.day >= history.cutoff_day - 7
    names = np.array(history.customers.all_names())[history.customer[fresh]]
    bought = set(zip(names.tolist(), history.products.names(history.product[fresh]), strict=True))
    assert bought and not bought & set(offers.items())


def test_only_contacts_made_in_the_28_days_before_the_cutoff_count(shop: Shop) -> None:
    customers = shop.history(CUTOFF).customers
    sent = shop.con.raw_sql("SELECT customer_id, sent_at FROM contacts WHERE treated").df()
    at = sent["sent_at"].iloc[0]
    who = Vocabulary.of([sent["customer_id"].iloc[0]])
    counted = [
        int(
            read_people(
                shop, (at + pd.Timedelta(days=days)).tz_localize("UTC").to_pydatetime(), customers=who
            ).n_contacts_28d[0]
        )
        for days in (0, 1, 28, 29)
    ]
    assert counted == [0, 1, 1, 0]
    assert read_people(shop, CUTOFF, customers=customers).consent_recorded


def test_customers_the_tables_do_not_know_have_given_no_consent(shop: Shop) -> None:
    people = read_people(shop, CUTOFF, customers=Vocabulary.of(["c01", "stranger"]))
    assert people.consent.tolist() == [1, -1]


def test_a_customers_table_without_consent_records_none(tmp_path: Path) -> None:
    customers = pd.DataFrame({"customer_id": ["c01"], "region": ["north"]})
    shop = orders.make_shop(tmp_path, customers=customers)
    people = read_people(shop, CUTOFF, customers=Vocabulary.of(["c01"]))
    assert (people.consent_recorded, people.consent.tolist()) == (False, [-1])


def test_lists_of_another_cutoff_are_refused(model: NextBestOffer, shop: Shop, lists: ReadyLists) -> None:
    product, chance = lists["for_you"]
    with pytest.raises(InputError, match="same cutoff"):
        model.decide(shop, CUTOFF, lists={"for_you": (product[1:], chance[1:])})


def test_the_evaluation_measures_what_can_be_measured(
    model: NextBestOffer, shop: Shop, lists: ReadyLists
) -> None:
    summary, payoffs = model.evaluate(shop, CUTOFF, known_until=END, lists=lists)
    assert (
        summary.index.tolist() == payoffs.columns.tolist() == ["next_best_offer", "likelihood", "all", "none"]
    )
    assert summary.loc["next_best_offer", "share_bought"] == pytest.approx(share_bought(model, shop, lists))
    assert summary.loc["likelihood", "n_offers"] == summary.loc["next_best_offer", "n_offers"]
    assert summary.loc["none", "payoff"] == 0
    np.testing.assert_allclose(payoffs.sum(), summary["payoff"])


def test_the_evaluation_of_some_customers_is_their_part_of_all(
    model: NextBestOffer, shop: Shop, lists: ReadyLists
) -> None:
    some = np.array([3, 8, 20], np.int32)
    few: ReadyLists = {name: (product[some], chance[some]) for name, (product, chance) in lists.items()}
    _, whole = model.evaluate(shop, CUTOFF, known_until=END, lists=lists)
    summary, part = model.evaluate(shop, CUTOFF, known_until=END, lists=few, codes=some)
    alone = ["next_best_offer", "all"]  # whom likelihood offers to hangs on the others
    pd.testing.assert_frame_equal(part[alone], whole.iloc[some][alone])
    assert summary.loc["all", "n_offers"] <= 3


def share_bought(model: NextBestOffer, shop: Shop, lists: ReadyLists) -> float:
    offers = model.decide(shop, CUTOFF, lists=lists)["offer"].dropna()
    labels = shop.product_labels(CUTOFF, 28, known_until=END)
    bought = set(zip(labels["customer_id"], labels["product_id"], strict=True))
    return float(np.mean([pair in bought for pair in offers.items()]))


def test_the_payoff_of_calibrated_chances_is_what_was_expected(model: NextBestOffer, shop: Shop) -> None:
    from models.decisions.case import Case
    from models.decisions.offer import choose
    from models.decisions.payoffs import payoff

    rng, n = np.random.default_rng(0), 200_000
    chance = rng.uniform(0.3, 1.0, (n, 1))
    case = Case(People.nobody_known(n), np.zeros((n, 1), np.int32), chance, np.full((n, 1), np.nan))
    goods: Any = model.goods(shop.catalogue(CUTOFF))
    terms = replace(model.terms(shop), discount_share=0.02, actions=(OFFER,))
    goods.margin[:] = 5.0
    decision = choose(case, goods, terms=terms)
    column = np.where(decision.choice >= 0, 0, -1).astype(np.int32)
    earned = payoff(case, column, bought=rng.random((n, 1)) < chance, goods=goods, terms=terms)
    assert earned.mean() == pytest.approx(decision.money.mean(), rel=0.02)
