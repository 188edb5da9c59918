import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.arrays.groups import among


@given(st.lists(st.integers(-3, 20)), st.lists(st.integers(0, 20)))
def test_numbers_are_found_among_sorted_ones(wanted: list[int], known: list[int]) -> None:
    found = among(np.array(wanted, np.int64), np.sort(np.array(known, np.int64)))
    assert found.tolist() == [number in known for number in wanted]
