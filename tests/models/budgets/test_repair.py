"""What prices leave to be repaired, which they seldom do: stated here by hand."""

import numpy as np

from models.budgets.repair import filled, within

NOBODY = np.full(3, -1, np.int32)


def test_of_those_over_a_cap_the_worthiest_stay() -> None:
    worth = np.array([[1.0], [3.0], [2.0]])
    assert within(np.zeros(3, np.int32), worth, np.array([2.0])).tolist() == [-1, 0, 0]


def test_a_cap_of_one_action_drops_nobody_from_another() -> None:
    worth, action = np.array([[9.0, 1.0], [9.0, 3.0], [9.0, 2.0]]), np.array([0, 1, 1], np.int32)
    assert within(action, worth, np.array([1.0, 1.0])).tolist() == [0, 1, -1]
    assert within(NOBODY, worth, np.zeros(2)).tolist() == [-1, -1, -1]


def test_what_is_left_goes_to_what_earns_most_for_it() -> None:
    gain, cost = np.array([[5.0], [3.0], [3.0]]), np.array([[4.0], [1.0], [1.0]])
    assert filled(NOBODY, gain, cost, 4.0, np.array([np.inf])).tolist() == [-1, 0, 0]


def test_where_an_action_is_used_up_the_next_best_is_taken() -> None:
    gain, cost = np.array([[5.0, 3.0]] * 3), np.ones((3, 2))
    assert filled(NOBODY, gain, cost, 9.0, np.array([0.0, 2.0])).tolist() == [1, 1, -1]
    assert filled(NOBODY, gain, cost, 9.0, np.array([9.0, 9.0])).tolist() == [0, 0, 0]
