from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.checkerboard import CUTOFF, board_catalogue, board_lines
from worlds.orders import make_shop
from worlds.receipts import history_of

from features.arrays.history import Vocabulary
from features.shop import Shop
from models.lists import cold
from models.lists.cold import AttributeSegments, segments_of


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Shop:
    """Customers of one colour live in the north, the others in the south; three have no orders yet."""
    people = [f"c{number:03d}" for number in range(63)]
    region = ["north" if number % 2 == 0 else "south" for number in range(63)]
    customers = pd.DataFrame({"customer_id": people, "region": region, "interests": "Tea, Cakes"})
    customers.loc[customers["customer_id"] == "c007", "region"] = "the only one here"
    return make_shop(
        tmp_path_factory.mktemp("shop"), board_lines(), products=board_catalogue(), customers=customers
    )


@pytest.fixture(scope="module")
def segments(shop: Shop) -> AttributeSegments:
    found = AttributeSegments.of(shop, CUTOFF)
    assert found is not None
    return found


def test_what_sells_in_a_segment_leads(segments: AttributeSegments) -> None:
    popular, chance = np.arange(80, dtype=np.int32), np.full(80, 0.1, np.float32)
    for region, colour in (("north", 0), ("south", 1)):
        found = segments.best([f"region={region}"], popular, chance=chance)
        assert found is not None
        assert {code % 2 for code in found[0][:30].tolist()} == {colour}
        assert sorted(found[0].tolist()) == popular.tolist()
        assert (np.diff(found[1]) <= 0).all()


def test_a_segment_of_few_is_nobodys_business(segments: AttributeSegments) -> None:
    assert segments.names.all_names() == ["interests=cakes", "interests=tea", "region=north", "region=south"]


def test_an_unknown_segment_says_nothing(segments: AttributeSegments) -> None:
    assert (
        segments.best(["region=nowhere"], np.arange(80, dtype=np.int32), chance=np.ones(80, np.float32))
        is None
    )


def test_customers_without_orders_are_known_by_their_attributes(
    segments: AttributeSegments, tmp_path: Path
) -> None:
    segments.save(tmp_path / "segments")
    again = AttributeSegments.load(tmp_path / "segments")
    assert again is not None
    for found in (segments, again):
        assert found.of_customer("c061") == ["region=south", "interests=tea", "interests=cakes"]
        assert found.of_customer("c001") == []
    left = segments.without(lambda names: [name for name in names if name != "c061"])
    assert left.of_customer("c061") == []
    assert left.of_customer("c062")[0] == "region=north"


KINDS = [0, 0, 1, -1]


def slowly(rows: list, known: list) -> dict[str, list[float]]:
    """Return the lifts of the two segments that bought most, by loops."""
    buys = {(customer, product) for customer, product, ago, _ in rows if ago <= 180}
    lifts, bought = {}, {}
    for name in "abc":
        mine = [c for c in range(max(row[0] for row in rows) + 1) if name in known[c]]
        seen = [sum((c, product) in buys for c in mine) for product in range(4)]
        expected = [
            sum(seen) * sum(p == product for _, p in buys) / max(len(buys), 1) for product in range(4)
        ]
        alike = [[p for p in range(4) if KINDS[p] == kind] for kind in KINDS]
        kinds = [(sum(seen[p] for p in some) + 10) / (sum(expected[p] for p in some) + 10) for some in alike]
        if len(mine) >= 5:
            bought[name] = sum(seen)
            lifts[name] = [(seen[p] + 10 * kinds[p]) / (expected[p] + 10) for p in range(4)]
    return {name: lifts[name] for name in sorted(sorted(bought, key=lambda name: -bought[name])[:2])}


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 11), st.integers(0, 3), st.sampled_from([1, 180, 181]), st.just(1.0)),
        min_size=1,
        max_size=40,
        unique=True,
    ),
    st.lists(st.sets(st.sampled_from("abc")).map(sorted), min_size=12, max_size=12),
)
def test_lifts_are_those_of_loops_and_of_segments_with_five_customers_alone(rows: list, known: list) -> None:
    history = history_of(rows, n_products=4)
    codes = np.where(np.arange(12) < len(history.customers), np.arange(12), -1).astype(np.int32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cold, "N_SEGMENTS", 2)
        names, lift = cold._lifts(history, np.array(KINDS, np.int32), codes=codes, known=known)
    wanted = slowly(rows, known)
    assert names.all_names() == list(wanted)
    assert lift.tolist() == [pytest.approx(row) for row in wanted.values()]


def test_chances_are_multiplied_up_to_1_and_the_rest_stays_below(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cold, "HEAD", 3)
    lift = np.array([[0.5, 4, 2, 9], [0.1, 2, 2, 9]], np.float32)
    nobody = Vocabulary.of([])
    some = AttributeSegments(Vocabulary.of(["a", "b"]), lift, nobody, np.zeros(0, "S1"))
    popular, chance = np.array([0, 1, 2, 3], np.int32), np.array([0.3, 0.2, 0.1, 0.05], np.float32)
    for asked, order, chances in (
        (["a"], [1, 2, 0, 3], [0.8, 0.2, 0.15, 0.05]),
        (["a", "b", "?"], [1, 2, 0, 3], [1.0, 0.4, 0.015, 0.015]),
    ):
        found = some.best(asked, popular, chance=chance)
        assert found is not None
        assert (found[0].tolist(), found[1].tolist()) == (order, pytest.approx(chances))


def test_several_interests_are_several_segments() -> None:
    assert segments_of({"interests": "Tea; cakes,tea|CAKES", "gender": " F ", "region": None}) == [
        "gender=f",
        "interests=tea",
        "interests=cakes",
    ]


def test_a_shop_without_attributes_has_no_segments(tmp_path: Path) -> None:
    assert AttributeSegments.of(make_shop(tmp_path, board_lines(5)), CUTOFF) is None
