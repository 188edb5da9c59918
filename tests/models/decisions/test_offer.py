from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from features.arrays.last_bought import days_since_bought
from features.settings import Economics
from models.decisions.case import NOTHING, Case, Terms
from models.decisions.economics import assumed_effect, incremental_margin
from models.decisions.offer import Decision, choose, load_goods_and_terms, merge_lists, save_goods_and_terms
from models.decisions.words import explain
from models.policy.subjects import Goods, People

N_PRODUCTS = 12
TERMS = Terms(horizon_days=28, currency="EUR", economics=Economics(contact_cost=0.1, offer_lift=0.2))


def goods(**columns: object) -> Goods:
    price = np.arange(10.0, 10.0 + N_PRODUCTS)
    shelf = {"price": price, "margin": price * 0.4, "stock": np.full(N_PRODUCTS, np.nan)}
    return Goods(**(shelf | {"hidden": np.zeros(N_PRODUCTS, bool)} | columns))  # type: ignore[arg-type]


def case(product: list[int], chance: list[float], *, days: list[float] | None = None, **people: int) -> Case:
    consent, sent = people.get("consent", 1), people.get("sent", 0)
    who = People(np.array([consent], np.int8), np.array([sent], np.int32))
    return Case.of_one(who, product, chance=chance, days_since_bought=days or [np.nan] * len(product))


def told(case: Case, goods: Goods, terms: Terms = TERMS) -> dict[str, object]:
    names = [f"p{code}" for code in case.product[0]]
    return explain(choose(case, goods, terms=terms), case, terms=terms, row=0, products=names, names=names)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[Case, Goods, Terms]:
    """Any shop: some customers may not be contacted, some products may not be offered."""
    rng = np.random.default_rng(draw(st.integers(0, 10**6)))
    n, k = draw(st.integers(0, 6)), draw(st.integers(0, 8))
    people = People(
        rng.integers(-1, 2, n).astype(np.int8), rng.integers(0, 6, n).astype(np.int32), draw(st.booleans())
    )
    shelf = goods(
        margin=rng.choice([np.nan, -1.0, 0.5, 3.0, 9.0], N_PRODUCTS),
        stock=rng.choice([np.nan, 0.0, 5.0], N_PRODUCTS),
        hidden=rng.random(N_PRODUCTS) < 0.2,
    )
    chance = rng.choice([0.0, 0.01, 0.2, 0.9, 1.0, np.nan], (n, k))
    days = rng.choice([np.nan, 0.0, 7.0, 8.0, 90.0], (n, k))
    product = rng.integers(-1, N_PRODUCTS, (n, k)).astype(np.int32)
    terms = replace(TERMS, discount_share=draw(st.sampled_from([0.0, 0.1])))
    return Case(people, product, chance, days), shelf, terms


def may_be_offered(case: Case, goods: Goods, terms: Terms, row: int, at: int) -> bool:
    """The rules once more, slow and obvious."""
    consent, product = case.people.consent[row], case.product[row, at]
    asked = case.people.consent_recorded and terms.economics.require_consent
    return bool(
        product >= 0
        and (consent == 1 if asked else consent != 0)
        and case.people.n_contacts_28d[row] < terms.economics.max_contacts_28d
        and np.isfinite(goods.margin[product])
        and np.isfinite(case.chance[row, at])
        and not goods.hidden[product]
        and goods.stock[product] != 0
        and not case.days_since_bought[row, at] <= terms.just_bought_days
    )


@given(worlds())
def test_only_what_every_rule_permits_is_ever_offered(world: tuple[Case, Goods, Terms]) -> None:
    some, shelf, terms = world
    decision = choose(some, shelf, terms=terms)
    for row in np.flatnonzero(decision.choice != NOTHING):
        at = decision.order[row, 0]
        assert may_be_offered(some, shelf, terms, row, at)
        assert decision.choice[row] == some.product[row, at]


@given(worlds())
def test_the_choice_is_the_best_of_all_permitted_offers_and_nothing(world: tuple[Case, Goods, Terms]) -> None:
    some, shelf, terms = world
    decision = choose(some, shelf, terms=terms)
    for row in range(len(some.product)):
        permitted = [at for at in range(some.product.shape[1]) if may_be_offered(some, shelf, terms, row, at)]
        best = max([0.0, *(float(decision.arms.worth[row, at]) for at in permitted)])
        assert decision.money[row] == best
        assert (decision.choice[row] == NOTHING) == (best == 0)


@given(worlds())
def test_one_customer_is_answered_like_the_row_of_a_batch(world: tuple[Case, Goods, Terms]) -> None:
    some, shelf, terms = world
    batch = choose(some, shelf, terms=terms)
    for row in range(len(some.product)):
        who = some.people.take(np.array([row]))
        one = Case.of_one(
            who, some.product[row], chance=some.chance[row], days_since_bought=some.days_since_bought[row]
        )
        assert_same_row(choose(one, shelf, terms=terms), batch, row)


def assert_same_row(alone: Decision, batch: Decision, row: int) -> None:
    for column in ("choice", "money", "chance", "order"):
        np.testing.assert_array_equal(getattr(alone, column)[0], getattr(batch, column)[row])
    for column in ("worth", "refused"):
        np.testing.assert_array_equal(getattr(alone.arms, column)[0], getattr(batch.arms, column)[row])


@given(worlds())
def test_every_answer_can_be_put_into_words(world: tuple[Case, Goods, Terms]) -> None:
    some, shelf, terms = world
    decision = choose(some, shelf, terms=terms)
    names = [f"p{at}" for at in range(some.product.shape[1])]
    for row in range(len(some.product)):
        answer = explain(decision, some, terms=terms, row=row, products=names, names=names)
        assert answer["reason"] and answer["effect"] == "assumed"
        assert (answer["product_id"] is None) == (answer["expected_incremental_margin_28d"] == 0)


def test_the_worth_of_an_offer_is_the_formula_by_hand() -> None:
    decision = choose(case([0], [0.5]), goods(), terms=TERMS)
    assert decision.money[0] == pytest.approx(0.5 * 0.2 * (10 * 0.4) - 0.1)


def test_a_discount_also_goes_to_those_who_would_have_bought_anyway() -> None:
    worth = incremental_margin(0.5, 0.1, margin=4.0, discount=1.0, cost=0.1)
    assert worth == pytest.approx(0.1 * (4 - 1) - 0.1 - 0.5 * 1)


def test_no_effect_lifts_a_chance_above_one() -> None:
    np.testing.assert_allclose(assumed_effect([0.0, 0.5, 0.95, 1.0], 0.2), [0.0, 0.1, 0.05, 0.0])


def test_the_dearer_product_wins_over_the_likelier_when_it_earns_more() -> None:
    answer = told(case([0, 11], [0.5, 0.4]), goods(margin=np.linspace(1.0, 9.0, N_PRODUCTS)))
    assert answer["product_id"] == "p11"


def test_nothing_is_chosen_when_no_offer_pays_for_its_contact() -> None:
    answer = told(case([0, 1], [0.01, 0.02]), goods())
    assert answer["product_id"] is None
    assert answer["expected_incremental_margin_28d"] == 0
    assert [best["product_id"] for best in answer["runners_up"]] == ["p1", "p0"]  # type: ignore[attr-defined]


def test_doing_nothing_is_among_the_runners_up_of_an_offer() -> None:
    answer = told(case([0, 1], [0.5, 0.01]), goods())
    assert [best["product_id"] for best in answer["runners_up"]] == [None, "p1"]  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("rule", "refused", "shelf"),
    [
        ("consent", case([0, 1], [0.5, 0.5], consent=0), goods()),  # said once, not of each product
        ("consent", case([0], [0.5], consent=-1), goods()),
        ("consent", case([0], [0.5], consent=0), goods(margin=np.full(N_PRODUCTS, np.nan))),
        ("frequency_cap", case([0], [0.5], sent=4), goods()),
        ("cannot_know", case([0], [0.5]), goods(margin=np.full(N_PRODUCTS, np.nan))),
        ("hidden", case([0], [0.5]), goods(hidden=np.ones(N_PRODUCTS, bool))),
        ("out_of_stock", case([0], [0.5]), goods(stock=np.zeros(N_PRODUCTS))),
        ("just_bought", case([0], [0.5], days=[7.0]), goods()),
    ],
)
def test_a_refusal_names_its_rule_and_its_reason(rule: str, refused: Case, shelf: Goods) -> None:
    answer = told(refused, shelf)
    assert answer["product_id"] is None
    assert [out["rule"] for out in answer["ruled_out"]] == [rule]  # type: ignore[attr-defined]
    assert answer["ruled_out"][0]["reason"] in str(answer["reason"])  # type: ignore[index]
    barred = [out["rule"] for out in answer["ruled_out_actions"]]  # type: ignore[attr-defined]
    assert barred == ([rule] if rule in ("consent", "frequency_cap") else [])


def test_the_last_unit_is_offered() -> None:
    assert told(case([0], [0.5]), goods(stock=np.ones(N_PRODUCTS)))["product_id"] == "p0"


def test_consent_that_no_one_records_is_no_refusal() -> None:
    nobody = replace(case([0], [0.5]), people=People.nobody_known(1))
    assert told(nobody, goods())["product_id"] == "p0"


def test_consent_need_not_be_given_where_the_shop_does_not_require_it() -> None:
    free = replace(TERMS, economics=Economics(require_consent=False))
    assert told(case([0], [0.9], consent=-1), goods(), free)["product_id"] == "p0"
    assert told(case([0], [0.9], consent=0), goods(), free)["product_id"] is None


def test_a_product_on_two_lists_is_one_option() -> None:
    answer = told(case([3, 3], [0.5, 0.5]), goods())
    assert [best["product_id"] for best in answer["runners_up"]] == [None]  # type: ignore[attr-defined]


def test_the_order_of_candidates_does_not_matter() -> None:
    there, back = (
        choose(case(codes, [0.5] * 3), goods(margin=np.full(N_PRODUCTS, 4.0)), terms=TERMS)
        for codes in ([1, 5, 3], [5, 3, 1])
    )
    assert there.choice[0] == back.choice[0] == 1
    assert [one.product[0, one.order[0]].tolist() for one in (there, back)] == [[1, 3, 5]] * 2


def test_lists_are_laid_side_by_side() -> None:
    lists = {
        name: (np.full((2, 3), code, np.int32), np.full((2, 3), 0.5, np.float32))
        for code, name in enumerate("ab")
    }
    product, chance = merge_lists(lists)
    assert product.tolist() == [[0, 0, 0, 1, 1, 1]] * 2 and chance.shape == (2, 6)


def test_the_desk_is_read_back_as_it_was_written(tmp_path: Path) -> None:
    save_goods_and_terms(tmp_path, goods(), terms=TERMS)
    shelf, terms = load_goods_and_terms(tmp_path)
    assert terms == TERMS
    assert (
        choose(case([4], [0.5]), shelf, terms=terms).money
        == choose(case([4], [0.5]), goods(), terms=TERMS).money
    )


def test_days_since_a_purchase_count_from_the_last_one(small_history: object) -> None:
    products = np.array([[0, 1, -1], [1, 2, 0]], np.int32)
    days = days_since_bought(small_history, products)  # type: ignore[arg-type]
    np.testing.assert_array_equal(days, [[1.0, np.nan, np.nan], [4.0, 2.0, np.nan]])


@pytest.fixture
def small_history() -> object:
    from features.arrays.history import History, Vocabulary

    ints = lambda *values: np.array(values, np.int32)  # noqa: E731
    return History(
        customers=Vocabulary.of(["a", "b"]),
        products=Vocabulary.of(["p0", "p1", "p2"]),
        indptr=np.array([0, 2, 4]),
        product=ints(0, 0, 1, 2),
        order=ints(0, 1, 2, 3),
        day=ints(5, 9, 6, 8),
        quantity=np.ones(4, np.float32),
        revenue=np.ones(4, np.float32),
        cutoff_day=10,
    )
