"""What prices leave to be mended, which they seldom do: said here by hand."""

import numpy as np

from models.budgets.limits import Limits
from models.budgets.repair import filled, within

NOBODY = np.full(3, -1, np.int32)


def limits(caps: list[float], product: list[int], stock: list[float]) -> Limits:
    """Limits of three customers for whom an action goes with the same product."""
    return Limits(np.array(caps), np.tile(np.int32(product), (3, 1)), np.array(stock))


def test_of_those_over_a_cap_the_worthiest_stay() -> None:
    worth = np.array([[1.0], [3.0], [2.0]])
    assert within(np.zeros(3, np.int32), worth, limits=limits([2.0], [-1], [])).tolist() == [-1, 0, 0]


def test_of_those_over_a_stock_the_worthiest_stay() -> None:
    worth = np.array([[9.0, 1.0], [9.0, 3.0], [9.0, 2.0]])
    scarce = limits([np.inf, np.inf], [0, 1], [3.0, 1.0])
    assert within(np.ones(3, np.int32), worth, limits=scarce).tolist() == [-1, 1, -1]


def test_what_is_left_goes_to_what_earns_most_for_it() -> None:
    gain, cost = np.array([[5.0], [3.0], [3.0]]), np.array([[4.0], [1.0], [1.0]])
    assert filled(NOBODY, gain, cost=cost, budget=4.0, limits=limits([np.inf], [-1], [])).tolist() == [
        -1,
        0,
        0,
    ]


def test_where_an_action_is_used_up_the_next_best_is_taken() -> None:
    gain, cost = np.array([[5.0, 3.0]] * 3), np.ones((3, 2))
    assert filled(NOBODY, gain, cost=cost, budget=9.0, limits=limits([0.0, 2.0], [-1, -1], [])).tolist() == [
        1,
        1,
        -1,
    ]
    assert filled(
        NOBODY, gain, cost=cost, budget=9.0, limits=limits([9.0, 9.0], [-1, 1], [9.0, 1.0])
    ).tolist() == [0, 0, 0]
    assert filled(
        NOBODY, gain, cost=cost, budget=9.0, limits=limits([9.0, 9.0], [1, -1], [9.0, 1.0])
    ).tolist() == [0, -1, -1]
