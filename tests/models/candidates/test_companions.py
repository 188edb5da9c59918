"""What goes with a cart, by a small table of accessories whose scores are known."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from models.candidates.companions import CART, with_cart
from models.lists.live_request import Scored
from models.lists.picks import OWN, SOURCES, TOGETHER
from models.similarity.collaborative import Neighbours

POPULAR = SOURCES.index("popular")
NEAR = Neighbours(
    np.array([[2, 3], [2, -1], [0, -1], [-1, -1], [-1, -1]], np.int32),
    np.array([[0.2, 0.05], [0.1, 0.0], [0.2, 0.0], [0.0, 0.0], [0.0, 0.0]], np.float32),
)
STATE: Any = SimpleNamespace(together=NEAR, kin=np.array([-1, 7, -1, -1, -1], np.int32))


def scored(*sources: int) -> Scored:
    n = len(sources)
    return Scored(
        np.arange(5 - n, 5, dtype=np.int32), np.full(n, 0.2, np.float32), np.array(sources, np.uint8)
    )


def test_odds_rise_by_the_shares_of_orders_with_everything_in_the_cart() -> None:
    found = with_cart(STATE, np.array([0, 1], np.int32), ranked=scored(POPULAR, POPULAR, POPULAR))
    odds = found.score / (1 - found.score)
    assert odds.tolist() == pytest.approx([0.25 * (1 + CART * 0.3), 0.25 * (1 + CART * 0.05), 0.25])
    assert found.product.tolist() == [2, 3, 4]


def test_where_odds_have_doubled_the_cart_is_why_a_new_product_is_there() -> None:
    found = with_cart(STATE, np.array([0, 1], np.int32), ranked=scored(POPULAR, POPULAR, POPULAR))
    assert found.source.tolist() == [TOGETHER, POPULAR, POPULAR]
    assert (
        with_cart(STATE, np.array([0, 1], np.int32), ranked=scored(OWN, OWN, OWN)).source.tolist()
        == [OWN] * 3
    )


def test_what_replaces_a_product_of_the_cart_is_not_raised() -> None:
    state: Any = SimpleNamespace(together=NEAR, kin=np.array([-1, 7, 7, -1, -1], np.int32))
    found = with_cart(state, np.array([0, 1], np.int32), ranked=scored(POPULAR, POPULAR, POPULAR))
    assert found.score.tolist() == pytest.approx([0.2, 0.375 / 1.375, 0.2])
    assert found.source.tolist() == [POPULAR] * 3


def test_a_cart_with_which_nothing_goes_changes_nothing() -> None:
    found = with_cart(STATE, np.array([3], np.int32), ranked=scored(POPULAR, OWN))
    assert found.score.tolist() == pytest.approx([0.2, 0.2])
    assert found.source.tolist() == [POPULAR, OWN]
