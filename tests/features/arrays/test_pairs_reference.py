"""The pair features beside a slow and obvious version: plain Python over one customer's receipts."""

import math
from dataclasses import dataclass

import numpy as np
import pytest

from features.arrays.history import History, Vocabulary
from features.arrays.pairs import MISSING, PAIR_FEATURES, SCORES, pair_features
from features.arrays.products import LEVELS, STATISTICS, ProductTable

RNG = np.random.default_rng(0)
N_CUSTOMERS, N_PRODUCTS, TODAY = 12, 30, 20_000


@dataclass(frozen=True)
class Line:
    visit: int
    age: int
    product: int
    quantity: float


def random_shop() -> tuple[list[list[Line]], History]:
    customers, number = [], 0
    for _ in range(N_CUSTOMERS):
        ages = sorted(RNG.integers(1, 120, RNG.integers(0, 9)).tolist(), reverse=True)
        baskets = [np.unique(RNG.zipf(1.4, RNG.integers(1, 7)) % N_PRODUCTS) for _ in ages]
        customers.append(
            [
                Line(visit, age, product, float(RNG.integers(1, 4)))
                for visit, (age, basket) in enumerate(zip(ages, baskets, strict=True), start=1)
                for product in basket.tolist()
            ]
        )
    rows = []
    for lines in customers:
        rows += [(line.product, number + line.visit, TODAY - line.age, line.quantity) for line in lines]
        number += 100
    product, order, day, quantity = np.array(rows, float).T
    history = History(
        Vocabulary.of([f"c{code:02d}" for code in range(N_CUSTOMERS)]),
        Vocabulary.of([f"p{code:02d}" for code in range(N_PRODUCTS)]),
        np.concatenate([[0], np.cumsum([len(lines) for lines in customers])]).astype(np.int64),
        *(column.astype(np.int32) for column in (product, order, day)),
        quantity.astype(np.float32),
        quantity.astype(np.float32),
        TODAY,
    )
    return customers, history


def random_table() -> ProductTable:
    statistics = RNG.random((N_PRODUCTS, len(STATISTICS)), np.float32) * 20
    for name in ("p_price", "p_share_leaf"):
        statistics[RNG.random(N_PRODUCTS) < 0.2, list(STATISTICS).index(name)] = np.nan
    codes = RNG.integers(-1, 5, (len(LEVELS), N_PRODUCTS)).astype(np.int32)
    price = RNG.random(N_PRODUCTS, np.float32)
    return ProductTable(codes, statistics, price, price)


def decayed(ages: list[int], days: int) -> float:
    return sum(2 ** (-age / days) for age in ages)


def spread(name: str, ages: list[int]) -> dict[str, float]:
    return {name.format(f"{days}d"): decayed(ages, days) for days in (7, 28, 112)}


def of_customer(lines: list[Line]) -> dict[str, float]:
    visits = {line.visit: line.age for line in lines}
    ages, firsts = list(visits.values()), {line.product: line for line in reversed(lines)}
    now = [line for line in lines if line.age <= 28]
    new = [line for line in firsts.values() if line.age <= 28]
    since, tenure = min(ages, default=math.nan), max(ages, default=0)
    return spread("c_orders_{}", ages) | {
        "c_orders": len(ages),
        "c_since": since,
        "c_tenure": tenure,
        "c_gap": (tenure - since) / max(len(ages) - 1, 1),
        "c_basket": len(lines) / max(len(ages), 1),
        "c_products": len(firsts),
        "c_repeat": 1 - len(firsts) / max(len(lines), 1),
        "c_new": len(new) / max(len(now), 1),
    }


def of_product(
    lines: list[Line], product: int, who: dict[str, float], good: dict[str, float]
) -> dict[str, float]:
    mine = [line for line in lines if line.product == product]
    ages, orders = [line.age for line in mine], who["c_orders"]
    counts = spread("n_{}", ages)
    shares = {f"share_{d}": counts[f"n_{d}"] / max(who[f"c_orders_{d}"], 1e-6) for d in ("7d", "28d", "112d")}
    found = counts | shares | {"n": len(mine), "share": len(mine) / max(orders, 1), "quantity": 0.0}
    found["own_rebuy"] = good["p_rebuy"] if mine else 0
    if not mine:
        return found
    first, last, again = mine[0], mine[-1], len(mine) - 1
    found |= {
        "since": last.age,
        "first": first.age,
        "quantity": sum(line.quantity for line in mine) / len(mine),
        "last_quantity": last.quantity,
        "quantity_relative": math.log1p(sum(line.quantity for line in mine) / len(mine)) - good["p_quantity"],
        "value": math.log1p(
            math.expm1(good["p_price"]) * sum(line.quantity * 2 ** (-line.age / 112) for line in mine)
        ),
        "due_product": last.age / max(good["p_gap"], 1),
        "due_shrunk": last.age / max((first.age - last.age + 2 * good["p_gap"]) / (again + 2), 1),
        "orders_since": orders - last.visit,
        "share_since_first": len(mine) / (orders - first.visit + 1),
        "share_between": again / max(last.visit - first.visit, 1),
    }
    if again:
        gap = (first.age - last.age) / again
        found |= {"gap": gap, "last_gap": mine[-2].age - last.age, "due": last.age / max(gap, 1)}
    return found


def of_kind(  # noqa: PLR0917 (a reference)
    lines: list[Line],
    product: int,
    who: dict[str, float],
    good: dict[str, float],
    codes: np.ndarray,
    level: str,
) -> dict[str, float]:
    kind = codes[product]
    mine = [line for line in lines if kind >= 0 and codes[line.product] == kind]
    ages = [line.age for line in mine]
    season, month = decayed(ages, 112), decayed(ages, 28)
    own = decayed([line.age for line in lines if line.product == product], 112)
    share = np.nan_to_num(good.get(f"p_share_{level}", 0))
    since = min(ages, default=math.nan)
    found = spread(f"{level}_{{}}", ages) | {
        f"{level}_n": len(mine),
        f"{level}_since": since,
        f"{level}_share": season / max(who["c_orders_112d"] * who["c_basket"], 1e-6),
        f"{level}_products": len({line.product for line in mine}),
        f"{level}_own": own / max(season, 1e-6),
        f"{level}_due": since / max(good.get(f"p_gap_{level}", 1), 1),
        f"{level}_expected": season * share,
        f"{level}_expected_28d": month * share,
    }
    return {name: value for name, value in found.items() if name in PAIR_FEATURES}


def slowly(lines: list[Line], product: int, table: ProductTable) -> dict[str, float]:
    good = dict(zip(STATISTICS, table.statistics[product].tolist(), strict=True))
    prices = [np.nan_to_num(table.column("p_price")[line.product]) for line in lines]
    who = of_customer(lines)
    found = who | of_product(lines, product, who, good) | good
    for codes, level in zip(table.codes, LEVELS, strict=True):
        found |= of_kind(lines, product, who, good, codes, level)
    return found | {"price_relative": good["p_price"] - sum(prices) / max(len(lines), 1)}


def test_every_feature_is_what_a_reader_of_the_receipts_would_say() -> None:
    customers, history = random_shop()
    table = random_table()
    customer = np.repeat(np.arange(N_CUSTOMERS, dtype=np.int32), N_PRODUCTS)
    product = np.tile(np.arange(N_PRODUCTS, dtype=np.int32), N_CUSTOMERS)
    scores = RNG.random((len(product), len(SCORES)), np.float32)
    rows = pair_features(history, table, customer=customer, product=product, scores=scores)
    for row, code, wanted in zip(rows, customer.tolist(), product.tolist(), strict=True):
        found = dict(zip(PAIR_FEATURES, row.tolist(), strict=True))
        for name, expected in slowly(customers[code], wanted, table).items():
            shown = float(MISSING) if np.isnan(expected) else expected
            assert found[name] == pytest.approx(shown, rel=1e-5, abs=1e-5), (name, code, wanted)
    for number, name in enumerate(SCORES):
        np.testing.assert_array_equal(rows[:, list(PAIR_FEATURES).index(name)], scores[:, number])


def test_scores_of_another_shape_are_refused() -> None:
    _, history = random_shop()
    one = np.zeros(1, np.int32)
    with pytest.raises(ValueError, match=r"shape \(1, 6\), as SCORES, not \(1, 3\)"):
        pair_features(history, random_table(), customer=one, product=one, scores=np.zeros((1, 3), np.float32))


def test_pairs_out_of_order_are_refused() -> None:
    _, history = random_shop()
    with pytest.raises(ValueError, match="sorted by customer, row 1 is not"):
        pair_features(
            history,
            random_table(),
            customer=np.array([3, 1], np.int32),
            product=np.array([0, 0], np.int32),
            scores=np.zeros((2, len(SCORES)), np.float32),
        )
