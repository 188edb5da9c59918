"""Better versions and what is known of each, beside loops."""

import re
from collections import Counter
from math import log

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from worlds.receipts import history_of

from features.arrays.catalogue import Catalogue
from features.arrays.history import Vocabulary
from models.lists import dearer
from models.lists.dearer import INPUTS, kinds_of, last_of_kind, steps_of

N, STEP, HORIZON = 8, 1.6, 28
CATEGORY = [0, 0, 0, 1, -1, -1, -1, -1]
PRICE = [1.0, 1.05, 1.6, 1.2, 1.0, 1.5, 1.55, 2.0]
NAMES = ["", "Tea 5", "tea pot", "", "red wool hat", "Red wool scarf", "red silk tie", "red wool coat long"]
BRAND = [0, 0, 1, -1, 0, -1, 1, 0]
purchases = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, N - 1), st.integers(1, 60), st.just(1.0)),
    min_size=1,
    max_size=30,
    unique_by=lambda row: row[:3],
)


def catalogue() -> Catalogue:
    products, names = (Vocabulary.of([f"{letter}{n:05d}" for n in range(N)]) for letter in "pb")
    codes = [np.array(column, np.int32) for column in (CATEGORY, CATEGORY, BRAND)]
    unknown, text = np.full(N, np.nan, np.float32), np.array([name.encode() for name in NAMES])
    kinds = Vocabulary.of(["hot", "pans"])
    price = np.array(PRICE, np.float32)
    return Catalogue(products, kinds, kinds, names, *codes, price, unknown, unknown, text, unknown)


def common(one: int, other: int) -> float:
    mine, theirs = ({*re.findall("[a-z]{2,}", NAMES[code].lower())} for code in (one, other))
    return len(mine & theirs) / max(len(mine), len(theirs), 1)


def slowly(rows: list) -> dict[tuple[int, int], dict[str, float]]:
    """Return every pair of a product and a better version that sold, with its inputs, by loops."""
    rows = sorted(rows, key=lambda row: (row[0], -row[2], row[1]))
    kind = [code if code >= 0 else 10 + at for at, code in enumerate(CATEGORY)]
    sells, new, buyers, moves = ([0.0] * N, [0.0] * N, [0] * N, Counter[tuple[int, int]]())
    last: dict[tuple[int, int], int] = {}
    had = set()
    for customer, code, ago, _ in rows:
        sells[code] += 0.5 ** (ago / HORIZON)
        before = last.get((customer, kind[code]))
        if (customer, code) not in had:
            new[code] += 0.5 ** (ago / HORIZON)
            buyers[code] += 1
            if before is not None:
                moves[before, code] += 1
        had.add((customer, code))
        last[customer, kind[code]] = code
    arrived = [sum(n for (_, to), n in moves.items() if to == code) for code in range(N)]
    pairs = {}
    for old, better in ((p, v) for p in range(N) for v in range(N) if sells[v]):
        nameless = CATEGORY[old] == CATEGORY[better] == -1 and sells[old] and common(old, better) >= 0.5
        same = CATEGORY[old] == CATEGORY[better] != -1
        if not (same or nameless) or not 1.0499 <= PRICE[better] / PRICE[old] <= 1.6001:
            continue
        alike = [code for code in range(N) if kind[code] == kind[better]]
        usual = (arrived[better] + 0.1) / (sum(arrived[code] for code in alike) + 1)
        known = BRAND[old] >= 0 and BRAND[better] >= 0
        pairs[old, better] = {
            "sells": log(sells[better] + 0.1),
            "share": log((sells[better] + 0.1) / (sum(sells[code] for code in alike) + 1)),
            "tried": log((new[better] + 0.1) / (sells[better] + 0.2)),
            "moved": log((moves[old, better] + 2 * usual) / (buyers[old] + 2)),
            "step": log(PRICE[better] / PRICE[old]),
            "words": common(old, better),
            "brand": float(BRAND[old] == BRAND[better]) if known else 0.5,
            "again": log(sells[old] + 0.1),
        }
    return pairs


@settings(max_examples=100, deadline=None)
@given(purchases)
def test_better_versions_and_their_inputs_are_those_of_loops(rows: list) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dearer, "PAIRS_AT_ONCE", 2)
        steps = steps_of(history_of(rows, n_products=N), catalogue(), price_step=STEP, horizon_days=HORIZON)
    wanted = slowly(rows)
    assert list(zip(steps.product.tolist(), steps.version.tolist(), strict=True)) == sorted(wanted)
    for row, pair in zip(steps.rows.tolist(), sorted(wanted), strict=True):
        assert dict(zip(INPUTS, row, strict=True)) == pytest.approx(wanted[pair], abs=1e-5), pair


def test_a_product_without_a_category_is_a_kind_of_its_own() -> None:
    assert kinds_of(catalogue()).tolist() == [0, 0, 0, 1, 6, 7, 8, 9]


def test_one_moves_up_from_what_they_bought_last_of_a_kind() -> None:
    rows = [(0, 0, 9, 1.0), (0, 3, 8, 1.0), (0, 1, 7, 1.0), (1, 2, 5, 1.0), (1, 0, 3, 1.0)]
    last = last_of_kind(history_of(rows, n_products=N), kinds_of(catalogue()))
    assert list(zip(last.customer.tolist(), last.product.tolist(), strict=True)) == [(0, 1), (0, 3), (1, 0)]
