"""Forecasts of demand beside loops over customers and products; how they are blended, beside scikit-learn."""

from collections import defaultdict

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression
from worlds.receipts import history_of

from models.clock.demand import FORECASTS, LAST, USUAL, YEAR, Demand, Forecasts, Sales, Sold, forecasts_of
from models.clock.spells import Spells
from models.clock.weeks import Weeks

N, KINDS = 4, [0, 0, 1, -1]
"""Products, and their categories: two share one, and the last has none."""
OLDEST = 140
purchases = st.lists(
    st.tuples(
        st.integers(0, 3), st.integers(0, N - 1), st.integers(0, OLDEST), st.sampled_from([1.0, 2.0, 30.0])
    ),
    min_size=1,
    max_size=40,
    unique_by=lambda row: row[:3],
)


def told(rows: list, horizon_days: int, chance: list[float] | None = None) -> Forecasts:
    history = history_of(rows, n_products=N)
    spells = Spells.of(history)
    known = np.zeros(len(spells)) if chance is None else np.array(chance)
    return forecasts_of(
        Sales(history, spells), known, category=np.array(KINDS, np.int32), horizon_days=horizon_days
    )


def visits(rows: list, horizon_days: int) -> dict[tuple[int, int], dict[int, int]]:
    """For each customer and product: how long ago they first bought it in each horizon before the cutoff."""
    found: dict = defaultdict(dict)
    for customer, product, ago, _ in sorted(rows, key=lambda row: row[2]):
        found[customer, product][max(ago - 1, 0) // horizon_days] = ago  # today is of the last horizon
    return found


def columns(rows: list, horizon_days: int) -> dict[str, list[float]]:
    """Return the forecasts of buyers by loops, product by product."""
    seen, by_pair = max(1, *(ago for _, _, ago, _ in rows)), visits(rows, horizon_days)
    n_horizons = min(4, max(seen / horizon_days, 1))

    def rate(ages: list[int], half_life: float) -> float:
        whole = half_life / np.log(2) * (1 - 0.5 ** (seen / half_life))  # the weights of all days seen
        return horizon_days * sum(0.5 ** (ago / half_life) for ago in ages) / whole

    found: dict[str, list[float]] = {name: [] for name in ("new", "recent", "last", "usual")}
    for product in range(N):
        own = [firsts for (_, code), firsts in by_pair.items() if code == product]
        starts = [(window, ago) for firsts in own for window, ago in firsts.items()]
        found["new"].append(rate([max(firsts.values()) for firsts in own], horizon_days))
        found["recent"].append(rate([ago for _, ago in starts], horizon_days / 2))
        found["last"].append(sum(window == 0 for window, _ in starts))
        found["usual"].append(sum(window < 4 for window, _ in starts) / n_horizons)
    return found


@given(purchases, st.sampled_from([7, 28, 90]))
@settings(max_examples=80, deadline=None)
def test_forecasts_of_buyers_are_those_of_loops_over_customers_and_products(
    rows: list, horizon_days: int
) -> None:
    found, slow = told(rows, horizon_days).buyers, columns(rows, horizon_days)
    for name, column in slow.items():
        assert found[:, list(FORECASTS).index(name)] == pytest.approx(column), name
    for product, kind in enumerate(KINDS):
        alike = [p for p in range(N) if KINDS[p] == kind and slow["usual"][p] > 0]
        usual = slow["usual"][product]
        mean = np.mean([slow["new"][p] for p in alike]) * 3 / (3 + 4 * usual) if usual else 0.0
        assert found[product, list(FORECASTS).index("category")] == pytest.approx(mean)


@given(purchases, st.sampled_from([7, 28, 90]))
@settings(max_examples=80, deadline=None)
def test_packs_and_units_are_those_of_loops_and_a_bulk_purchase_is_tamed(
    rows: list, horizon_days: int
) -> None:
    found = told(rows, horizon_days)
    n_horizons = min(4, max(max(ago for _, _, ago, _ in rows) / horizon_days, 1))
    for product in range(N):
        bought = [(ago, units) for _, code, ago, units in rows if code == product]
        middle = sorted(units for _, units in bought)[len(bought) // 2] if bought else 1.0
        starts = sum(len(own) for (_, code), own in visits(rows, horizon_days).items() if code == product)
        tame = sum(min(units, 5 * middle) for _, units in bought)
        assert found.pack[product] == pytest.approx(tame / starts if bought else 1.0)
        last, lately = (sum(units for ago, units in bought if ago <= n * horizon_days) for n in (1, 4))
        assert found.units[product] == pytest.approx([last, lately / n_horizons])


def test_the_chances_of_all_who_bought_a_product_are_its_repeat_buyers() -> None:
    rows = [(0, 0, 5, 1.0), (0, 1, 5, 1.0), (1, 1, 9, 1.0), (2, 1, 3, 0.5)]
    found = told(rows, 28, chance=[0.5, 0.25, 0.125])  # the last is a guest, who has no chance
    assert found.buyers[:, 0].tolist() == [0.5, 0.375, 0.0, 0.0]
    assert found.whole.tolist() == [True, False, True, True]


def window(n: int, seed: int, *, pack: float = 1.0) -> tuple[Forecasts, Sold]:
    """Return made-up forecasts of ``n`` products in season, without a last year, and sales near them."""
    rng = np.random.default_rng(seed)
    usual = rng.gamma(1.0, 8.0, n) + 0.1
    buyers = usual[:, None] * rng.uniform(0.5, 1.5, (n, len(FORECASTS)))
    buyers[:, USUAL], buyers[:, YEAR] = usual, 0.0
    came, bought = rng.poisson(usual).astype(float), rng.poisson(2 * usual).astype(float)
    units = pack * usual[:, None] * rng.uniform(0.5, 2.5, (n, 2))
    turn, weeks = rng.uniform(0.8, 1.5, n), Weeks(np.zeros(n), np.zeros(n))
    packs, whole = np.full(n, pack), np.zeros(n, bool)
    return Forecasts(buyers, packs, units, whole, weeks, turn), Sold(came, pack * bought)


def blended(rows: np.ndarray, came: np.ndarray) -> np.ndarray:
    """Return the weights that scikit-learn finds, rescaled to keep the total."""
    found = LinearRegression(positive=True, fit_intercept=False)
    weights = found.fit(rows, came, sample_weight=1 / (rows.mean(axis=1) + 1)).coef_
    return weights * came.sum() / (rows @ weights).sum()


def test_weights_are_least_squares_under_poisson_noise_of_forecasts_in_season() -> None:
    plain, sold = window(150, 0)
    rows = plain.buyers[:, :YEAR] * plain.turn[:, None]
    found = Demand.fit([(plain, sold)])
    wanted = blended(rows, sold.buyers)
    assert np.array(found.buyers) == pytest.approx(np.tile(wanted, (4, 1)), abs=1e-6)
    packs = np.column_stack([rows @ wanted, plain.units * plain.turn[:, None]])
    tame = np.minimum(sold.units, 5 * sold.buyers)
    assert np.array(found.units) == pytest.approx(np.tile(blended(packs, tame), (4, 1)), abs=1e-6)


def test_a_band_of_many_products_has_weights_of_its_own() -> None:
    windows = [window(300, seed) for seed in range(2)]
    rows, usual = (
        np.concatenate(parts)
        for parts in zip(*((p.in_season()[0][:, :YEAR], p.buyers[:, USUAL]) for p, _ in windows), strict=True)
    )
    came = np.concatenate([sold.buyers for _, sold in windows])
    middle = (usual >= 2) & (usual < 10)
    assert middle.sum() >= 200 > (usual >= 50).sum()
    found = Demand.fit(windows).buyers
    assert found[1] == pytest.approx(blended(rows[middle], came[middle]), abs=1e-6)
    assert found[3] == pytest.approx(blended(rows, came), abs=1e-6)


def test_a_year_ago_is_blended_in_only_if_every_window_knows_it() -> None:
    (knows, sold), other = window(60, 0), window(60, 1)
    knows.buyers[:, YEAR] = sold.buyers
    both, one = Demand.fit([(knows, sold)]), Demand.fit([(knows, sold), other])
    assert both.buyers[0] == pytest.approx([0.0] * YEAR + [1.0])  # it tells what comes
    assert len(one.buyers[0]) == YEAR
    assert np.isfinite(one.expected(knows).units).all()


def test_in_packs_of_four_four_times_the_units_are_expected_and_bounded() -> None:
    single, packed = (
        Demand.fit([window(90, seed, pack=pack) for seed in range(3)]).expected(window(90, 9, pack=pack)[0])
        for pack in (1.0, 4.0)
    )
    assert packed.buyers == pytest.approx(single.buyers)
    for name in ("units", "p10", "p90"):
        assert getattr(packed, name) == pytest.approx(4 * getattr(single, name)), name


def test_four_of_five_products_lie_inside_and_as_many_below_as_above() -> None:
    learnt = Demand.fit([window(400, seed) for seed in range(4)])
    ahead = [(learnt.expected(plain), sold) for plain, sold in (window(400, seed) for seed in range(9, 19))]
    below = np.mean([sold.units < found.p10 for found, sold in ahead])
    above = np.mean([sold.units > found.p90 for found, sold in ahead])
    assert below == pytest.approx(0.1, abs=0.03)
    assert above == pytest.approx(0.1, abs=0.03)


def test_how_far_sales_spread_is_learnt_from_those_who_sell_once_a_horizon_too() -> None:
    plain, sold = window(400, 0)
    plain.buyers[:, :YEAR], plain.units[:], plain.turn[:], sold.buyers[:] = 1.0, 2.0, 1.0, 1.0
    sold.units[:] = np.random.default_rng(0).negative_binomial(1, 1 / 3, 400)  # mean 2, variance 6
    found = Demand.fit([(plain, sold)] * 3).expected(plain)
    assert (sold.units > found.p90).mean() == pytest.approx(0.2, abs=0.05)  # none can lie below 0


def test_of_whole_units_the_bounds_are_the_outermost_inside() -> None:
    learnt, ahead = Demand.fit([window(90, seed) for seed in range(3)]), window(90, 9)[0]
    plain, whole = (learnt.expected(ahead._replace(whole=np.full(90, given))) for given in (False, True))
    assert (plain.p10 == 0).any()
    assert whole.p10 == pytest.approx(np.minimum(np.ceil(plain.p10), whole.units))
    wide = np.floor(plain.p90) >= np.ceil(plain.p10)
    assert whole.p90[wide] == pytest.approx(np.maximum(np.floor(plain.p90), whole.units)[wide])


def test_products_that_nobody_bought_lately_teach_nothing() -> None:
    plain, sold = window(100, 0)
    awake = np.arange(100) < 60
    for column in (plain.buyers, plain.units, *sold):
        column[~awake] = 0.0
    parts = (part.at(awake) if isinstance(part, Weeks) else part[awake] for part in plain)
    less = Forecasts(*parts), Sold(sold.buyers[awake], sold.units[awake])
    found, wanted = (Demand.fit([learnt]).expected(less[0]) for learnt in ((plain, sold), less))
    for column, same in zip(found, wanted, strict=True):
        assert column == pytest.approx(same)


@pytest.mark.parametrize(("last", "buyers"), [(2.0, 4.0), (6.0, 6.0), (12.0, 12.0), (40.0, 16.0)])
def test_the_total_moves_to_that_of_the_last_horizon_but_by_half_or_twice_at_most(
    last: float, buyers: float
) -> None:
    plain, sold = window(60, 0)
    usual = tuple(float(name == "usual") for name in FORECASTS)
    people = np.zeros((1, len(FORECASTS)))
    people[0, [LAST, USUAL]] = last, 8.0
    one = np.ones(1)
    ahead = Forecasts(people, one, np.zeros((1, 2)), one > 0, Weeks(0 * one, 0 * one), one)
    learnt = Demand.fit([(plain, sold)])
    found = Demand((usual,) * 4, ((1.0, 0.0, 0.0),) * 4, learnt.spread).expected(ahead)
    assert found.buyers.tolist() == [buyers]
