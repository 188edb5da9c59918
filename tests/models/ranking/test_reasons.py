import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from worlds.checkerboard import CUTOFF, board, board_live
from worlds.kitchen import scored

from features.arrays.pairs import PAIR_FEATURES
from models.candidates.union import Candidates
from models.clock.due import Due
from models.lists.list_kinds import PERSONAL
from models.lists.picks import OWN, SOURCES
from models.ranking.cross_sell_rows import features_of
from models.ranking.reason_texts import CODES, TEXTS, reason_and_text
from models.ranking.reasons import COLUMN, FAMILIES, FAMILY, Explainer, reasons_of
from models.repurchase import Repurchase

OF_OWN = {"due", "overdue", "usual", "often", "again"}
OF_ANOTHER = [CODES.index("like"), CODES.index("also")]


def reason_of(days: int | None, gap: float, **features: float) -> tuple[str, float]:
    """Return the reason of a pair bought before, with these features; the clock expects it in ``days``."""
    _, _, state = board()
    due = Due.none(len(state.history.customers))
    if days is not None:
        day, one = np.array([state.history.cutoff_day + days], np.int32), np.zeros(1, np.int32)
        due = Due((np.arange(len(due.indptr)) > 0).astype(np.int64), one, day, np.array([gap], np.float32))
    state = replace(state, due=due)
    row = np.full((1, len(PAIR_FEATURES)), -99, np.float32)
    for name, value in features.items():
        row[0, list(PAIR_FEATURES).index(name)] = value
    one = np.zeros(1, np.int32)
    pairs = Candidates(one, one, np.array([OWN], np.uint8), np.array([True]))
    found = reasons_of(
        state,
        state.history.of_customers(one),
        pairs=pairs,
        features=row,
        explainer=Explainer(lambda rows, *_: np.zeros((3, len(rows))), row[0]),
        who=one,
    )
    return CODES[found.reason[0]], float(found.number[0])


@pytest.mark.parametrize(
    ("days", "gap", "features", "expected"),
    [
        (3, 20.0, {"n": 5, "since": 20}, ("due", 20.0)),
        (5, 20.0, {"n": 5, "since": 40}, ("overdue", 20.0)),
        (18, 80.0, {"n": 5, "since": 75}, ("due", 80.0)),
        (18, 20.0, {"n": 5, "since": 20}, ("often", 5.0)),
        (None, 20.0, {"n": 5, "since": 20}, ("often", 5.0)),
        (3, 20.0, {"n": 5, "since": 2}, ("often", 5.0)),
        (5, 9.0, {"n": 36, "since": 5}, ("due", 9.0)),
        (3, 10.0, {"n": 5, "since": 90}, ("often", 5.0)),
        (3, 30.0, {"n": 1, "since": 30}, ("usual", 30.0)),
        (40, 30.0, {"n": 1, "since": 30}, ("again", 30.0)),
        (3, 30.0, {"n": 1, "since": 3}, ("again", 3.0)),
        (None, 0.0, {"n": 1, "since": 0}, ("again", 1.0)),
    ],
)
def test_what_was_bought_before_is_told_by_the_clock(
    days: int | None, gap: float, features: dict[str, float], expected: tuple[str, float]
) -> None:
    assert reason_of(days, gap, **features) == pytest.approx(expected)


def test_the_clock_of_a_ready_list_says_what_the_repurchase_model_says() -> None:
    shop, _, state = board()
    known = (
        Repurchase.fit(shop, CUTOFF, config=Repurchase.Config()).predict(shop, CUTOFF).dropna(subset="due_at")
    )
    customers, products = state.history.customers, state.history.products
    product = products.codes(known["product_id"].tolist())
    customer = customers.codes(known["customer_id"].tolist())
    when = state.due.of_pairs(np.arange(len(customers), dtype=np.int32), customer, product=product)
    days = known["due_at"].to_numpy().astype("datetime64[D]").astype(int)
    np.testing.assert_array_equal(when.day, days)
    np.testing.assert_allclose(when.gap, known["typical_gap_days"].to_numpy(), rtol=1e-6)
    assert len(state.due.day) == len(known)


def test_a_reason_never_names_what_the_customer_did_not_buy() -> None:
    snapshot = scored().snapshot
    assert snapshot.history is not None
    for name in PERSONAL:
        ready = snapshot.ready[name]
        for customer in range(len(snapshot.customers)):
            mine = {*snapshot.history.product[snapshot.history.rows(customer)].tolist()}
            for column in np.flatnonzero(ready.product[customer] >= 0).tolist():
                code, about = CODES[ready.reason[customer, column]], int(ready.about[customer, column])
                assert code not in OF_OWN or int(ready.product[customer, column]) in mine
                assert (about in mine) if CODES.index(code) in OF_ANOTHER else (about == -1)


def test_a_product_like_another_names_the_nearest_one_bought() -> None:
    _, model, state = board()
    picks, checked = model.ready(state, 40)["new_for_you"], 0
    tables = {"similar": state.neighbours, "baskets": state.together, "texts": state.texts}
    for customer in range(60):
        rows = state.history.rows(customer)
        last = dict(zip(state.history.product[rows].tolist(), state.history.day[rows].tolist(), strict=True))
        for column in np.flatnonzero(np.isin(picks.reason[customer], OF_ANOTHER)).tolist():
            product, about = int(picks.product[customer, column]), int(picks.about[customer, column])
            table = tables[SOURCES[picks.source[customer, column]]]
            near = zip(table.product[product].tolist(), table.score[product].tolist(), strict=True)
            age = {code: state.history.cutoff_day - day for code, day in last.items()}
            nearness = {code: score * 2 ** (-age[code] / 112) for code, score in [*near][:10] if code in age}
            assert nearness[about] == pytest.approx(max(nearness.values()), rel=1e-5)
            checked += 1
    assert checked > 10


def test_the_reasons_of_a_live_answer_are_those_of_the_ready_list() -> None:
    _, model, state = board()
    live, ready = board_live(), model.ready(state, 20)["for_you"]
    for code, name in enumerate(state.history.customers.all_names()[:20]):
        found = live.reasons(name, [], cart=[], picks=live.rank(name, k=20))
        np.testing.assert_array_equal(found.reason, ready.reason[code])
        np.testing.assert_array_equal(found.about, ready.about[code])
        np.testing.assert_allclose(found.number, ready.number[code], rtol=1e-3)


def test_the_reasons_of_a_live_answer_without_a_cart_tell_of_no_cart() -> None:
    """As at night: what customers with the same products buy is no companion of the latest purchase."""
    _, _, state = board()
    foreign = np.setdiff1d(np.arange(80, dtype=np.int32), state.history.product[state.history.rows(0)])
    near = np.tile(foreign, (80, 1))
    near[foreign] = -1  # everything bought leads to them, and none of them back
    one_way = replace(state.neighbours, product=near, score=np.ones(near.shape, np.float32))
    live = replace(board_live(), state=replace(state, neighbours=one_way))
    picks = [(name, 0.1, "similar") for name in state.history.products.names(foreign)]
    said = {CODES[code] for code in live.reasons("c000", [], cart=[], picks=picks).reason.tolist()}
    assert "alike" in said and "together" not in said


def test_what_is_new_in_the_shop_is_so_for_a_customer_who_is_new_too() -> None:
    _, _, state = board()
    row = np.full((1, len(PAIR_FEATURES)), -99, np.float32)
    row[0, COLUMN["p_age"]] = 3
    one, mine = np.zeros(1, np.int32), state.history.of_customers(np.zeros(1, np.int32))
    mine = replace(mine, day=np.full_like(mine.day, mine.cutoff_day - 1))
    pairs = Candidates(one, one, np.array([SOURCES.index("arrivals")], np.uint8), np.array([False]))
    sales = np.array([[1], [1], [0]], float)  # without how it sells the chance falls most
    explainer = Explainer(lambda *_: sales, row[0] + 1)
    found = reasons_of(state, mine, pairs=pairs, features=row, explainer=explainer, who=one)
    assert CODES[found.reason[0]] == "new"


def test_what_goes_with_the_cart_names_the_product_of_the_cart() -> None:
    _, _, state = board()
    live = board_live()
    cart = state.history.products.names(np.flatnonzero(state.together.product[:, 0] >= 0)[:2])
    picks = live.rank("c001", [], cart=cart, list_name="bought_together", k=5)
    found = live.reasons("c001", [], cart=cart, picks=picks)
    sources = [source for _, _, source in picks]
    said = {
        CODES[code] for code, source in zip(found.reason, sources, strict=True) if source == "bought_together"
    }
    assert said == {"together"}
    near = {name: {*state.together.product[state.history.products.code(name)].tolist()} for name in cart}
    for (name, _, source), about in zip(picks, state.history.products.names(found.about), strict=True):
        assert source != "bought_together" or state.history.products.code(name) in near[about]


def test_every_code_has_its_sentence_in_every_language_naming_the_same_things() -> None:
    named = {
        locale: {code: sorted(re.findall(r"{(\w+)}", template)) for code, template in table.items()}
        for locale, table in TEXTS.items()
    }
    assert all(told == named["en"] for told in named.values())
    assert {*CODES} <= {*named["en"]}


SAID: dict[str, Any] = {"number": 0.0, "name": "Sencha", "about": "", "category": None}


def test_a_sentence_lacking_its_name_says_what_it_can() -> None:
    assert reason_and_text("like", "en", **SAID) == ("alike", "people like you also bought it")
    assert reason_and_text("category", "pt-BR", **SAID) == ("popular", "entre os mais vendidos agora")
    assert reason_and_text("dearer", "en", **SAID) == ("better", "a step up")


@pytest.mark.parametrize(
    ("category", "above", "expected"),
    [
        ("FRUIT > APPLES > GALA", 0, "popular in APPLES, where you buy"),
        ("FRUIT > APPLES > APPLES GALA", 2, "popular in FRUIT, where you buy"),
        ("FRUIT > APPLES > PINK", 1, "popular in APPLES, where you buy"),
        ("GALA", 0, "popular right now"),
    ],
)
def test_a_category_says_more_than_the_products_name(category: str, above: int, expected: str) -> None:
    said = SAID | {"name": "Gala 3 lb", "category": category, "number": float(above)}
    assert reason_and_text("category", "en", **said)[1] == expected


def test_products_of_like_names_are_alike_without_a_catalogue() -> None:
    said = SAID | {"name": "BLUE SPOTTY CUP", "about": "RED SPOTTY CUP, "}
    assert reason_and_text("also", "en", **said) == ("like", "like RED SPOTTY CUP, which you bought")
    assert reason_and_text("also", "en", **said | {"name": "LUNCH BAG"})[0] == "also"


@pytest.mark.parametrize(
    ("code", "expected"),
    [("also", "much like one you bought"), ("together", "often bought together"), ("dearer", "a step up")],
)
def test_a_product_is_not_explained_by_its_own_name(code: str, expected: str) -> None:
    assert reason_and_text(code, "en", **SAID | {"name": "Cola 2 L", "about": "COLA 2 L,"})[1] == expected


def test_the_reason_is_the_evidence_without_which_the_chance_falls_most() -> None:
    """Seen through the ranker alone: the features are taken away one family after the other."""
    _, model, state = board()
    ready, codes = model.ready(state, 20)["new_for_you"], np.arange(0, 60, 5, dtype=np.int32)
    row, rank = np.nonzero(ready.product[codes] >= 0)
    product, source = ready.product[codes][row, rank], ready.source[codes][row, rank]
    pairs = Candidates(row.astype(np.int32), product, source, source == OWN)
    features, usual = features_of(state, codes, pairs=pairs), board_live().usual
    left = {}
    for number, family in enumerate(FAMILIES):
        left[family] = model.ranker.chance(np.where(number == FAMILY, usual, features))
    left["kinds"][features[:, COLUMN["top_n"]] <= 0] = 1
    of_family = {"category": "kinds", "popular": "sales", "new": "sales"}
    for number, (r, k) in enumerate(zip(row.tolist(), rank.tolist(), strict=True)):
        family = of_family.get(CODES[ready.reason[codes][r, k]], "others")
        assert left[family][number] == pytest.approx(min(left[name][number] for name in FAMILIES), rel=1e-5)
