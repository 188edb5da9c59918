import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from features.arrays.groups import among, cumcount, found_at, ranges


@given(st.lists(st.integers(-3, 20)), st.lists(st.integers(0, 20)))
def test_numbers_are_found_among_sorted_ones(wanted: list[int], known: list[int]) -> None:
    found = among(np.array(wanted, np.int64), np.sort(np.array(known, np.int64)))
    assert found.tolist() == [number in known for number in wanted]


@given(st.lists(st.integers(-3, 20)), st.sets(st.integers(0, 20)))
def test_each_number_is_found_where_it_is(wanted: list[int], known: set[int]) -> None:
    ordered = sorted(known)
    expected = [ordered.index(number) if number in known else -1 for number in wanted]
    assert found_at(np.array(wanted, np.int64), np.array(ordered, np.int64)).tolist() == expected


@given(st.lists(st.integers(-1, 3)))
def test_a_place_counts_the_rows_before_it_of_the_same_key(keys: list[int]) -> None:
    expected = [keys[:row].count(key) for row, key in enumerate(keys)]
    assert cumcount(np.array(keys, np.int32)).tolist() == expected


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 4))))
def test_stretches_follow_one_another(parts: list[tuple[int, int]]) -> None:
    start, size = (np.array([part[at] for part in parts], np.int64) for at in (0, 1))
    expected = [number for first, n in parts for number in range(first, first + n)]
    assert ranges(start, size).tolist() == expected
