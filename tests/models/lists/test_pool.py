import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.lists.pool import Group, Seeds, united

N_PRODUCTS, DEPTH = 12, 2
NEAR = tuple(
    np.random.default_rng(number).integers(-1, N_PRODUCTS, (N_PRODUCTS, 3)).astype(np.int32)
    for number in range(2)
)
codes = st.lists(st.integers(0, N_PRODUCTS - 1), max_size=6)
groups = st.lists(st.tuples(st.integers(-1, N_PRODUCTS - 1), st.integers(0, 9)), max_size=6)


def array(numbers: list[int]) -> np.ndarray:
    return np.array(numbers, np.int32)


def group(pairs: list[tuple[int, int]]) -> Group:
    return Group(array([product for product, _ in pairs]), np.array([kind for _, kind in pairs], np.uint8))


def slowly(parts: list[list[tuple[int, int]]], seeds: list[int], owned: list[int], barred: list[int]) -> list:
    near = [
        (int(product), kind) for table, kind in zip(NEAR, (7, 8), strict=True) for one in seeds
        for product in table[one, :DEPTH]
    ]  # fmt: skip
    found: dict[int, int] = {}
    for product, kind in [*parts[0], *parts[1], *near, *parts[2]]:
        if product >= 0 and product not in barred:
            found.setdefault(product, kind)
    return [(product, kind, product in owned) for product, kind in found.items()]


@settings(max_examples=200, deadline=None)
@given(st.lists(groups, min_size=3, max_size=3), codes, codes, codes)
def test_each_product_comes_once_from_its_earliest_group(
    parts: list[list[tuple[int, int]]], seeds: list[int], owned: list[int], barred: list[int]
) -> None:
    first, second, third = map(group, parts)
    no = np.zeros(N_PRODUCTS, bool)
    no[barred] = True
    found = united((first, second, third), Seeds(array(seeds), NEAR, (7, 8), DEPTH), array(owned), no)
    shown = list(zip(*(column.tolist() for column in found), strict=True))
    assert shown == slowly(parts, seeds, owned, barred)
