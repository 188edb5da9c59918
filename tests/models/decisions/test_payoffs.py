"""The policies an evaluation compares, by hand: three customers, two products, one offer."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from features.arrays.history import History, Vocabulary
from features.settings import Economics
from models.decisions.case import Case, Terms
from models.decisions.offer import choose
from models.decisions.payoffs import bought_of, payoff, policies, summary_of
from models.policy.subjects import Goods, People

TERMS = Terms(horizon_days=28, economics=Economics(contact_cost=0.1, offer_lift=0.2))
GOODS = Goods(np.full(2, 10.0), np.array([8.0, 1.0]), np.full(2, np.nan), np.zeros(2, bool))


@pytest.fixture
def case() -> Case:
    """The second is likeliest to buy what earns nothing; the third is worth no contact."""
    product = np.array([[0, 1], [0, 1], [0, -1]], np.int32)
    chance = np.array([[0.5, 0.4], [0.2, 1.0], [0.05, 0.0]])
    return Case(People.nobody_known(3), product, chance, np.full((3, 2), np.nan))


def test_likelihood_offers_as_often_as_we_do_to_the_likeliest(case: Case) -> None:
    found = policies(case, choose(case, GOODS, terms=TERMS))
    assert {name: column.tolist() for name, column in found.items()} == {
        "next_best_offer": [0, 0, -1],
        "likelihood": [0, 1, -1],
        "all": [0, 1, 0],
        "none": [-1, -1, -1],
    }


def test_no_policy_offers_what_a_rule_refuses(case: Case) -> None:
    shelf = replace(GOODS, hidden=np.ones(2, bool))
    assert not [
        column for column in policies(case, choose(case, shelf, terms=TERMS)).values() if (column >= 0).any()
    ]


def test_a_discount_is_given_on_all_that_was_bought_and_earns_on_what_the_offer_moved(case: Case) -> None:
    likely = replace(case, chance=np.array([[0.5, 0.4], [0.2, 1.0], [0.0, 0.0]]))
    bought = np.array([[True, False], [False, False], [False, False]])
    money = payoff(
        likely, np.array([0, 0, 0]), bought=bought, goods=GOODS, terms=replace(TERMS, discount_share=0.1)
    )
    np.testing.assert_allclose(money, [0.2 * (8 - 1) - 1 - 0.1, -0.1, -0.1])


def test_what_was_bought_is_told_of_its_own_customer(case: Case) -> None:
    none = np.zeros(0, np.int32)
    who, what = Vocabulary.of(["a", "b", "c"]), Vocabulary.of(["p", "q"])
    amounts = np.zeros(0, np.float32)
    history = History(who, what, np.zeros(4, np.int64), none, none, none, amounts, amounts, 100)
    labels = pd.DataFrame({"customer_id": ["b", "a"], "product_id": ["q", "p"]})
    bought = bought_of(labels, case.product, history=history)
    assert bought.tolist() == [[True, False], [False, True], [False, False]]
    told = summary_of(case, np.array([0, 0, -1]), bought=bought, goods=GOODS)
    assert told == pytest.approx(
        {"n_offers": 2, "chance_said": 0.35, "share_bought": 0.5, "margin_at_stake": 8.0}
    )
