from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from worlds.checkerboard import CUTOFF, board_catalogue, board_lines
from worlds.orders import make_shop

from features.shop import Shop
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
        found = segments.best([f"region={region}"], popular, chance)
        assert found is not None
        assert {code % 2 for code in found[0][:30].tolist()} == {colour}
        assert sorted(found[0].tolist()) == popular.tolist()
        assert (np.diff(found[1]) <= 0).all()


def test_a_segment_of_few_is_nobodys_business(segments: AttributeSegments) -> None:
    assert segments.names.all_names() == ["interests=cakes", "interests=tea", "region=north", "region=south"]


def test_an_unknown_segment_says_nothing(segments: AttributeSegments) -> None:
    assert segments.best(["region=nowhere"], np.arange(80, dtype=np.int32), np.ones(80, np.float32)) is None


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


def test_several_interests_are_several_segments() -> None:
    assert segments_of({"interests": "Tea; cakes,", "gender": " F ", "region": None}) == [
        "gender=f",
        "interests=tea",
        "interests=cakes",
    ]


def test_a_shop_without_attributes_has_no_segments(tmp_path: Path) -> None:
    assert AttributeSegments.of(make_shop(tmp_path, board_lines(5)), CUTOFF) is None
