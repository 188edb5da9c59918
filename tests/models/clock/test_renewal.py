"""The renewal model beside processes whose parameters are known, and by hand."""

from collections.abc import Callable

import numpy as np
import pytest
from worlds.receipts import history_of, renewing

from models.clock.renewal import Renewal, Rhythm, _towards
from models.clock.spells import Spells

Rng = np.random.Generator


def learnt(rows: list) -> Renewal:
    history = history_of(rows)
    return Renewal.fit(Spells.of(history), np.full(len(history.products), -1, np.int32))


def buying(n: int, gaps: Callable[[Rng], tuple[float, float]], *, quantity: int = 1, first: int = 0) -> list:
    """Return purchases of ``n`` customers within a year; each draws mean log and spread of their gaps."""
    rng, rows = np.random.default_rng(first), []
    for customer in range(first, first + n):
        (middle, spread), ago = gaps(rng), 365.0
        while ago >= 1:
            rows.append((customer, 0, int(ago), float(rng.integers(quantity, quantity + 2))))
            ago -= np.exp(middle + spread * rng.normal())
    return rows


@pytest.mark.parametrize(
    ("again", "gap", "power"), [(0.7, 90, 0.0), (0.6, 60, 0.5), (0.8, 3, 0.0)], ids=["slow", "packs", "fast"]
)
def test_a_process_is_found_again_though_many_gaps_have_not_ended(
    again: float, gap: int, power: float
) -> None:
    found = learnt(renewing(3000, again=again, gap=gap, spread=0.5, power=power))
    assert found.again[0] == pytest.approx(again, abs=0.02)
    assert np.exp(found.middle[0]) == pytest.approx(gap, rel=0.05)
    assert found.power == pytest.approx(power, abs=0.07)
    assert np.hypot(found.within, found.between) == pytest.approx(0.5, rel=0.15)
    assert found.loyalty > 20  # nobody differs from anybody else


def test_the_gaps_of_one_customer_and_the_customers_differ_by_what_they_do() -> None:
    found = learnt(buying(1500, lambda rng: (np.log(60) + 0.5 * rng.normal(), 0.3)))
    assert (found.within, found.between) == pytest.approx((0.3, 0.5), rel=0.07)


@pytest.mark.parametrize(("power", "found"), [(-0.7, 0), (1.6, 1)])
def test_more_units_never_last_shorter_nor_more_than_as_many_times_as_long(
    power: float, found: float
) -> None:
    assert learnt(renewing(500, again=0.9, gap=10, spread=0.2, power=power)).power == found


def test_that_who_buys_more_also_waits_longer_is_not_taken_for_units_that_last() -> None:
    light = buying(200, lambda _: (np.log(8), 0.2))
    heavy = buying(200, lambda _: (np.log(24), 0.2), quantity=4, first=200)
    assert learnt(light + heavy).power < 0.05


def test_own_returns_weigh_as_customers_differ() -> None:
    """Chances drawn from Beta(1, 1): the product's weighs as much as 1 + 1 of the customer's own spells."""
    rng, rows = np.random.default_rng(0), []
    for customer in range(4000):
        chance, ago = rng.random(), rng.uniform(200, 365)
        while ago >= 1:
            rows.append((customer, 0, int(ago), 1.0))
            ago -= np.exp(np.log(6) + 0.3 * rng.normal()) if rng.random() < chance else np.inf
    assert learnt(rows).loyalty == pytest.approx(2, rel=0.15)


def weight_of_parent(total: np.ndarray, n: int, *, parent: float, noise: float | None) -> float:
    """Return how many observations the parent's mean weighs as much as."""
    size = len(total)
    mean = _towards(total, np.full(size, float(n)), parent=np.full(size, parent), noise=noise)
    return float(np.median((total - n * mean) / (mean - parent)))


def test_means_are_shrunk_as_their_noise_and_differences_say() -> None:
    rng = np.random.default_rng(0)
    true = rng.normal(2, 0.5, 3000)
    total = 50 * true + rng.normal(0, 50**0.5, 3000)
    assert weight_of_parent(total, 50, parent=2.0, noise=1.0) == pytest.approx(1 / 0.5**2, rel=0.1)
    shares = rng.binomial(50, rng.beta(5, 15, 3000)).astype(float)
    assert weight_of_parent(shares, 50, parent=0.25, noise=None) == pytest.approx(5 + 15, rel=0.2)
    alike = rng.binomial(50, 0.25, 3000).astype(float)
    assert weight_of_parent(alike, 50, parent=0.25, noise=None) > 300


def test_means_of_unequal_numbers_are_shrunk_by_one_strength_and_the_never_seen_take_the_parents() -> None:
    rng, n = np.random.default_rng(0), np.repeat([0.0, 2.0, 4.0], 1000)
    total = n * rng.normal(2, 0.5, 3000) + rng.normal(0, n**0.5)
    mean = _towards(total, n, parent=np.full(3000, 2.0), noise=1.0)
    assert (mean[n == 0] == 2).all()
    few, many = (np.median((total - n * mean)[n == size] / (mean - 2)[n == size]) for size in (2, 4))
    assert few == pytest.approx(many) == pytest.approx(1 / 0.5**2, rel=0.2)


def test_products_of_few_purchases_are_told_more_truly_than_by_their_own_alone() -> None:
    rng, n = np.random.default_rng(0), 150
    again, log_gap = rng.beta(16, 4, n), np.log(20) + 0.2 * rng.normal(size=n)
    rows = [
        row
        for code, (chance, gap) in enumerate(zip(again, np.exp(log_gap), strict=True))
        for row in renewing(6, again=chance, gap=gap, spread=0.5, product=code, seed=code)
    ]
    spells, found = Spells.of(history_of(rows)), learnt(rows)
    closed, product = ~spells.open, spells.product[spells.pair]
    alone = np.bincount(product, np.log(spells.days) * closed) / np.bincount(product, closed)
    assert np.var(found.middle - log_gap) < 0.7 * np.var(alone - log_gap)
    assert np.var(found.again - again) < 0.8 * np.var(again)  # than by the mean of all


def test_what_is_known_of_a_pair_by_hand() -> None:
    """Gaps of 8 and 32 days after 1 and 4 units, 9 units 5 days ago; and a pair bought once, 3 days ago."""
    spells = Spells.of(history_of([(0, 0, 45, 1.0), (0, 0, 37, 4.0), (0, 0, 5, 9.0), (1, 0, 3, 1.0)]))
    product = Renewal(np.array([0.5]), np.array([2.0]), power=0.5, within=0.6, between=0.3, loyalty=3.0)
    found = product.rhythm(spells)
    own = (4 * 2.0 + np.log(8) + np.log(16)) / (
        4 + 2
    )  # of one unit; the product's mean weighs (.6 / .3) ** 2
    assert found.middle == pytest.approx([own + np.log(3), 2.0])
    assert found.typical == pytest.approx(np.exp([own + np.log(3), 2.0]))
    assert found.again == pytest.approx([(3 * 0.5 + 2) / (3 + 2), 0.5])
    assert found.spread == pytest.approx([0.6 * (1 + 1 / 6) ** 0.5, 0.6 * (1 + 1 / 4) ** 0.5])
    assert found.age.tolist() == [5, 3]


def test_what_is_overdue_is_due_now_and_what_was_bought_today_is_known() -> None:
    ages = np.array([10.0, 0.0])
    rhythm = Rhythm(np.array([1.0, 0.99]), np.log([4.27, 3.0]), np.full(2, 0.2), ages)
    assert rhythm.due_in[0] == 0
    assert rhythm.due_in[1] == pytest.approx(3, rel=0.01)
    assert rhythm.chance(3)[1] == pytest.approx(0.99 * 0.181, abs=0.002)  # within 2.5 days, a day being whole
